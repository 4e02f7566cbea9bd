"""fastmcp, 4.x: fastmcp4.py stdio BINARY | fastmcp4.py http URL"""

import asyncio
import importlib.metadata

import mcp_types as types
from fastmcp import Client

from scenario import SERVER, Answer, Person, play, target


class FastMcp:
    name = f"fastmcp {importlib.metadata.version('fastmcp')}"

    def __init__(self, client: Client, revision: str, person: Person) -> None:
        self.client, self.revision, self.person = client, revision, person

    async def tools(self):
        return {tool.name: tool.output_schema for tool in await self.client.list_tools()}

    async def call(self, tool, arguments, on_progress=None):
        progress: list[str] = []

        async def told(_done, _total, message):
            progress.append(message or "")
            if on_progress:
                on_progress(message or "")

        result = await self.client.call_tool(tool, arguments, progress_handler=told, raise_on_error=False)
        return Answer(
            bool(result.is_error),
            result.structured_content,
            [block.text for block in result.content if block.type == "text"],
            [str(block.uri) for block in result.content if block.type == "resource_link"],
            progress,
        )

    async def resources(self):
        return [str(resource.uri) for resource in await self.client.list_resources()]

    async def templates(self):
        return [template.uri_template for template in await self.client.list_resource_templates()]

    async def read(self, uri):
        return (await self.client.read_resource(uri))[0].text

    async def prompts(self):
        return [prompt.name for prompt in await self.client.list_prompts()]

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.text

    async def complete(self, prompt, argument, value):
        reference = types.PromptReference(name=prompt)
        return (await self.client.complete(reference, {"name": argument, "value": value})).values


async def main() -> None:
    transport, place, mode = target()
    person = Person()

    async def elicit(message, _kind, _params, _context):
        agreed = person.answer(message)
        return types.ElicitResult(action="accept", content={}) if agreed else types.ElicitResult(action="decline")

    server = {"mcpServers": {"runcomfy": {"command": place, "args": SERVER}}} if transport == "stdio" else place
    async with Client(server, mode=mode, elicitation_handler=elicit) as client:
        revision = getattr(client, "protocol_version", None) or client.initialize_result.protocol_version
        await play(FastMcp(client, revision, person))


asyncio.run(main())
