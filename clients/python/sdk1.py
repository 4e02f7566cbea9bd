"""The official Python SDK, 1.x: sdk1.py stdio BINARY | sdk1.py http URL"""

import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from scenario import Answer, play


async def run(read, write) -> None:
    async with ClientSession(read, write) as session:
        hello = await session.initialize()
        listed = await session.list_tools()

        async def call(tool, arguments):
            progress: list[str] = []

            async def on_progress(_done, _total, message):
                progress.append(message or "")

            # The SDK itself checks a result against the output schema and raises where it does not fit.
            result = await session.call_tool(tool, arguments, progress_callback=on_progress)
            return Answer(
                bool(result.isError),
                result.structuredContent,
                [block.text for block in result.content if block.type == "text"],
                [str(block.uri) for block in result.content if block.type == "resource_link"],
                progress,
            )

        seen = await play({tool.name: tool.outputSchema for tool in listed.tools}, call)
        print(f"ok: mcp 1.x, {sys.argv[1]}, MCP {hello.protocolVersion}: {seen}")


async def main() -> None:
    if sys.argv[1] == "stdio":
        async with stdio_client(StdioServerParameters(command=sys.argv[2], args=["--emulator"])) as (read, write):
            await run(read, write)
    else:
        async with streamablehttp_client(sys.argv[2]) as (read, write, _):
            await run(read, write)


asyncio.run(main())
