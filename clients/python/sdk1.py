"""The official Python SDK, 1.x: sdk1.py stdio BINARY | sdk1.py http URL"""

import asyncio
import importlib.metadata

import anyio
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from scenario import SERVER, Answer, Person, play, target


class Sdk1:
    name = f"Python SDK {importlib.metadata.version('mcp')}"

    def __init__(self, session: ClientSession, revision: str, person: Person) -> None:
        self.session, self.revision, self.person = session, revision, person

    async def tools(self):
        return {tool.name: tool.outputSchema for tool in (await self.session.list_tools()).tools}

    async def call(self, tool, arguments, on_progress=None):
        progress: list[str] = []

        async def told(_done, _total, message):
            progress.append(message or "")
            if on_progress:
                on_progress(message or "")

        # The SDK itself checks a result against the output schema and raises where it does not fit.
        result = await self.session.call_tool(tool, arguments, progress_callback=told)
        return Answer(
            bool(result.isError),
            result.structuredContent,
            [block.text for block in result.content if block.type == "text"],
            [str(block.uri) for block in result.content if block.type == "resource_link"],
            progress,
        )

    async def resources(self):
        return [str(resource.uri) for resource in (await self.session.list_resources()).resources]

    async def templates(self):
        return [template.uriTemplate for template in (await self.session.list_resource_templates()).resourceTemplates]

    async def read(self, uri):
        return (await self.session.read_resource(uri)).contents[0].text

    async def prompts(self):
        return [prompt.name for prompt in (await self.session.list_prompts()).prompts]

    async def prompt(self, name, arguments):
        return (await self.session.get_prompt(name, arguments)).messages[0].content.text

    async def complete(self, prompt, argument, value):
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        return (await self.session.complete(reference, {"name": argument, "value": value})).completion.values


async def run(read, write) -> None:
    person = Person()

    async def elicit(_context, question):
        return types.ElicitResult(action="accept" if person.answer(question.message) else "decline")

    async with ClientSession(read, write, elicitation_callback=elicit) as session:
        hello = await session.initialize()
        await play(Sdk1(session, hello.protocolVersion, person))


async def main() -> None:
    transport, place, _ = target()
    if transport == "stdio":
        done = False
        try:
            async with stdio_client(StdioServerParameters(command=place, args=SERVER)) as (read, write):
                await run(read, write)
                done = True
        # This SDK does not tell the server of a cancelled call, and breaks at its end where the answer to it is still
        # on its way: its own fault, after all that is tried here.
        except* anyio.BrokenResourceError:
            if not done:
                raise
    else:
        async with streamablehttp_client(place) as (read, write, _):
            await run(read, write)


asyncio.run(main())
