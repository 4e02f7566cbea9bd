"""What a client does with the server, whatever SDK it is built on: all ten tools, once right and once wrong, and what
there is beside tools.

`play` takes a `Driver`, which speaks for an SDK. Every result, errors included, is held against the tool's own output
schema. Anything unexpected raises. In the end it prints, as a line of JSON, which features were seen to work.
"""

import asyncio
import json
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

import jsonschema


@dataclass
class Answer:
    """A tool's result, the same for every SDK."""

    is_error: bool
    data: dict[str, Any]
    texts: list[str]
    links: list[str]
    progress: list[str]


@dataclass
class Person:
    """Whoever the server has the client ask."""

    says: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, message: str) -> bool:
        self.asked.append(message)
        return self.says


class Driver(Protocol):
    """What an SDK can do, in the same words for all."""

    name: str
    revision: str
    person: Person

    async def tools(self) -> dict[str, dict[str, Any]]: ...
    async def call(self, tool: str, arguments: dict[str, Any], on_progress: Callable[[str], Any] | None = None) -> Answer: ...
    async def resources(self) -> list[str]: ...
    async def templates(self) -> list[str]: ...
    async def read(self, uri: str) -> str: ...
    async def prompts(self) -> list[str]: ...
    async def prompt(self, name: str, arguments: dict[str, str]) -> str: ...
    async def complete(self, prompt: str, argument: str, value: str) -> list[str]: ...


def target() -> tuple[str, str, str]:
    """How to reach the server, where it is, and which era to speak: from the command line."""
    transport, place, *mode = sys.argv[1:]
    return transport, place, mode[0] if mode else "auto"


SERVER = ["--emulator", "--confirm", "require", "--log", "warn"]


WRONG = {
    "list_deployments": ({"ids": "not a list"}, "ids"),
    "get_deployment": ({"deployment_id": "../../v2/deployments/x"}, "deployment_id"),
    "create_deployment": ({"name": "x", "workflow_id": "w", "workflow_version": "v1", "max_instances": 61}, "max_instances"),
    "update_deployment": ({"deployment_id": "d", "max_instance": 2}, "max_instance"),
    "delete_deployment": ({}, "deployment_id"),
    "submit_request": ({"deployment_id": "d", "overrides": "text"}, "overrides"),
    "get_request_status": ({"deployment_id": "d", "request_id": ""}, "request_id"),
    "get_request_result": ({"deployment_id": "d"}, "request_id"),
    "cancel_request": ({"deployment_id": "d", "request_id": 5}, "request_id"),
    "call_instance_proxy": ({"deployment_id": "d", "instance_id": "i", "comfy_backend_path": "../x"}, "comfy_backend_path"),
}


def expect(holds: bool, what: Any) -> None:
    if not holds:
        raise AssertionError(what)


async def play(driver: Driver) -> None:
    """Runs through everything, and says what was seen."""
    features = {}
    features |= await all_tools(driver)
    features |= await beside_tools(driver)
    features |= await confirmation(driver)
    features |= await cancelling(driver)
    transport, _, _ = target()
    print(json.dumps({"client": driver.name, "transport": transport, "revision": driver.revision, "features": features}))


async def all_tools(driver: Driver) -> dict[str, str]:
    tools = await driver.tools()
    call = driver.call
    expect(sorted(tools) == sorted(WRONG), f"tools: {sorted(tools)}")
    used: set[str] = set()

    async def ask(tool: str, arguments: dict[str, Any], wrong: bool = False) -> Answer:
        answer = await call(tool, arguments)
        expect(answer.is_error == wrong, f"{tool} {arguments}: {answer}")
        jsonschema.validate(answer.data, tools[tool])
        expect(answer.data["ok"] is not wrong, answer)
        expect(len(answer.texts) >= 2, f"{tool} has no text for clients that show only text: {answer}")
        used.add(tool)
        return answer

    listed = await ask("list_deployments", {})
    by_name = {deployment["name"]: deployment for deployment in listed.data["deployments"]}
    template = by_name["text-to-image"]

    loaded = await ask("get_deployment", {"deployment_id": template["id"], "include_payload": True})
    nodes = {node["class_type"]: node["node_id"] for node in reversed(loaded.data["payload_summary"]["workflow_node_summary"])}

    created = await ask("create_deployment", {"name": "from-a-client", "workflow_id": template["workflow_id"], "workflow_version": "v1"})
    deployment = created.data["deployment"]["id"]
    updated = await ask("update_deployment", {"deployment_id": deployment, "max_instances": 2})
    expect(updated.data["deployment"]["max_instances"] == 2, updated)
    expect(updated.data["deployment"]["name"] == "from-a-client", updated)

    seed = 2**64 - 1
    overrides = {
        nodes["CLIPTextEncode"]: {"inputs": {"text": "a harbour in the morning, watercolour"}},
        nodes["KSampler"]: {"inputs": {"seed": seed}},
    }
    begun = time.monotonic()
    made = await ask("submit_request", {"deployment_id": deployment, "overrides": overrides, "wait_for_completion": True, "timeout_seconds": 50})
    took = time.monotonic() - begun
    expect(made.data["state"] == "succeeded", made)
    expect(made.progress, "no progress while waiting")
    pictures = [file["url"] for file in made.data["output_urls"]]
    expect(pictures, made)
    expect(made.links == pictures, f"links {made.links} are not the pictures {pictures}")
    for url in pictures:
        with urllib.request.urlopen(url, timeout=10) as file:
            expect(file.read(8) == b"\x89PNG\r\n\x1a\n", f"{url} is no PNG")

    ids = {"deployment_id": deployment, "request_id": made.data["request_id"]}
    status = await ask("get_request_status", ids)
    expect(status.data["finished"] is True, status)
    result = await ask("get_request_result", ids)
    expect(result.data["result"]["status"] == "succeeded", result)
    freed = await ask(
        "call_instance_proxy",
        {
            "deployment_id": deployment,
            "instance_id": status.data["status"]["instance_id"],
            "comfy_backend_path": "api/free",
            "request_body": {"unload_models": True},
        },
    )
    expect(freed.data["response"] is None, freed)

    second = await ask("submit_request", {"deployment_id": deployment})
    cancelled = await ask("cancel_request", {"deployment_id": deployment, "request_id": second.data["request_id"]})
    expect(cancelled.data["accepted"] is True, cancelled)
    driver.person.says = True
    await ask("delete_deployment", {"deployment_id": deployment, "confirm": True})

    gone = await ask("get_deployment", {"deployment_id": deployment}, wrong=True)
    expect(gone.data["kind"] == "not_found", gone)
    for tool, (arguments, named) in WRONG.items():
        refused = await ask(tool, arguments, wrong=True)
        expect(refused.data["kind"] == "invalid_argument", refused)
        expect(named in [fault["argument"] for fault in refused.data["invalid_arguments"]], refused)
        expect(refused.data["outcome"] == "not_sent", refused)

    expect(used == set(tools), f"not used: {set(tools) - used}")
    expect(took < 50, f"{took} s")
    return {"ten tools": "yes", "output schemas": "yes", "progress": "yes", "picture links": "yes", "bad arguments": "yes"}


async def beside_tools(driver: Driver) -> dict[str, str]:
    resources = await driver.resources()
    expect("runcomfy://deployments" in resources and len(resources) > 5, resources)
    listed = json.loads(await driver.read("runcomfy://deployments"))
    first = listed["deployments"][0]
    expect(f"runcomfy://deployments/{first['id']}" in resources, resources)
    expect(len(await driver.templates()) == 4, "templates")
    prompts = await driver.prompts()
    expect("generate" in prompts and len(prompts) == 4, prompts)
    text = await driver.prompt("generate", {"deployment_id": first["id"], "wish": "a lighthouse"})
    expect(first["id"] in text, text)
    found = await driver.complete("generate", "deployment_id", first["name"])
    expect(first["id"] in found, found)
    return {"resources": "yes", "prompts": "yes", "completions": "yes"}


async def confirmation(driver: Driver) -> dict[str, str]:
    """The person is asked before a deployment is deleted, where a client of this revision can ask over this transport."""
    transport, _, _ = target()
    can_ask = transport == "stdio" or driver.revision >= "2026-07-28"
    new = {"name": "doomed", "workflow_id": "w", "workflow_version": "v1"}
    created = await driver.call("create_deployment", new)
    doomed = {"deployment_id": created.data["deployment"]["id"]}
    driver.person.asked.clear()
    driver.person.says = False
    refused = await driver.call("delete_deployment", doomed)
    expect(refused.data["kind"] == ("declined" if can_ask else "confirmation_required"), refused)
    expect(len(driver.person.asked) == int(can_ask), driver.person.asked)
    driver.person.says = True
    deleted = await driver.call("delete_deployment", doomed if can_ask else doomed | {"confirm": True})
    expect(deleted.data["ok"] is True, deleted)
    return {"asks before deleting": "yes" if can_ask else "by argument"}


async def cancelling(driver: Driver) -> dict[str, str]:
    """A client that cancels its wait leaves the run alone, and is served as before."""
    listed = await driver.call("list_deployments", {})
    deployment = listed.data["deployments"][0]["id"]
    submitted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_progress(message: str) -> None:
        if message.startswith("submitted request ") and not submitted.done():
            submitted.set_result(message.split()[2])

    wait = {"deployment_id": deployment, "wait_for_completion": True}
    waiting = asyncio.ensure_future(driver.call("submit_request", wait, on_progress))
    request = await asyncio.wait_for(submitted, 10)
    waiting.cancel()
    try:
        await waiting
    except (asyncio.CancelledError, Exception):  # each SDK has its own way to say so
        pass
    ids = {"deployment_id": deployment, "request_id": request}
    ended = await driver.call("get_request_result", ids | {"wait_seconds": 45})
    expect(ended.data["state"] == "succeeded", ended)
    # A client that does not tell of a cancelled call is answered all the same, about now.
    await driver.call("list_deployments", {})
    return {"cancelled wait": "yes"}
