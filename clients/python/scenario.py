"""What a client does with the server, whatever SDK it is built on: all ten tools, once right and once wrong.

`play` takes a `call(tool, arguments)` that gives an `Answer`, and the list of tools. Every result, errors included, is
held against the tool's own output schema. Anything unexpected raises.
"""

import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import jsonschema


@dataclass
class Answer:
    """A tool's result, the same for every SDK."""

    is_error: bool
    data: dict[str, Any]
    texts: list[str]
    links: list[str]
    progress: list[str]


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


async def play(tools: dict[str, dict[str, Any]], call) -> str:
    """Runs through everything and gives a line on what was seen."""
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
    await ask("delete_deployment", {"deployment_id": deployment, "confirm": True})

    gone = await ask("get_deployment", {"deployment_id": deployment}, wrong=True)
    expect(gone.data["kind"] == "not_found", gone)
    for tool, (arguments, named) in WRONG.items():
        refused = await ask(tool, arguments, wrong=True)
        expect(refused.data["kind"] == "invalid_argument", refused)
        expect(named in [fault["argument"] for fault in refused.data["invalid_arguments"]], refused)
        expect(refused.data["outcome"] == "not_sent", refused)

    expect(used == set(tools), f"not used: {set(tools) - used}")
    return f"10 tools, {len(pictures)} picture(s), {len(made.progress)} progress lines in {took:.1f} s, 11 refusals"
