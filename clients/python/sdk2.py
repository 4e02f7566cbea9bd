"""The official Python SDK, 2.x: sdk2.py stdio BINARY [MODE] | sdk2.py http URL [MODE]; MODE is auto or legacy"""

import asyncio
import sys

from mcp import Client, StdioServerParameters, stdio_client

from scenario import Answer, play


async def main() -> None:
    mode = sys.argv[3] if len(sys.argv) > 3 else "auto"
    if sys.argv[1] == "stdio":
        target = stdio_client(StdioServerParameters(command=sys.argv[2], args=["--emulator"]))
    else:
        target = sys.argv[2]
    async with Client(target, mode=mode) as client:
        listed = await client.list_tools()

        async def call(tool, arguments):
            progress: list[str] = []

            async def on_progress(_done, _total, message):
                progress.append(message or "")

            result = await client.call_tool(tool, arguments, progress_callback=on_progress)
            return Answer(
                bool(result.is_error),
                result.structured_content,
                [block.text for block in result.content if block.type == "text"],
                [str(block.uri) for block in result.content if block.type == "resource_link"],
                progress,
            )

        seen = await play({tool.name: tool.output_schema for tool in listed.tools}, call)
        print(f"ok: mcp 2.x, {sys.argv[1]}, {mode}, MCP {client.protocol_version}: {seen}")


asyncio.run(main())
