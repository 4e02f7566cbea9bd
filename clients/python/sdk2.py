"""The official Python SDK, 2.x: sdk2.py stdio BINARY [MODE] | sdk2.py http URL [MODE]; MODE is auto or legacy"""

import asyncio
import importlib.metadata

import mcp_types as types
from mcp import Client, StdioServerParameters, stdio_client

from scenario import SERVER, Answer, Person, play, target


class Sdk2:
    name = f"Python SDK {importlib.metadata.version('mcp')}"

    def __init__(self, client: Client, person: Person) -> None:
        self.client, self.revision, self.person = client, client.protocol_version, person

    async def tools(self):
        return {tool.name: tool.output_schema for tool in (await self.client.list_tools()).tools}

    async def call(self, tool, arguments, on_progress=None):
        progress: list[str] = []

        async def told(_done, _total, message):
            progress.append(message or "")
            if on_progress:
                on_progress(message or "")

        result = await self.client.call_tool(tool, arguments, progress_callback=told)
        return Answer(
            bool(result.is_error),
            result.structured_content,
            [block.text for block in result.content if block.type == "text"],
            [str(block.uri) for block in result.content if block.type == "resource_link"],
            progress,
        )

    async def resources(self):
        return [str(resource.uri) for resource in (await self.client.list_resources()).resources]

    async def templates(self):
        return [template.uri_template for template in (await self.client.list_resource_templates()).resource_templates]

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text

    async def prompts(self):
        return [prompt.name for prompt in (await self.client.list_prompts()).prompts]

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages[0].content.text

    async def complete(self, prompt, argument, value):
        reference = types.PromptReference(name=prompt)
        return (await self.client.complete(reference, {"name": argument, "value": value})).completion.values


async def main() -> None:
    transport, place, mode = target()
    person = Person()

    async def elicit(_context, question):
        return types.ElicitResult(action="accept" if person.answer(question.message) else "decline")

    server = stdio_client(StdioServerParameters(command=place, args=SERVER)) if transport == "stdio" else place
    async with Client(server, mode=mode, elicitation_callback=elicit) as client:
        await play(Sdk2(client, person))


asyncio.run(main())
