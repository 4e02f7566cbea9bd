"""A stand-in on the official MCP SDK for Python, 1.x, and httpx: the measured tools, and nothing else.

    server.py --port PORT --upstream URL
    server.py --stdio --upstream URL

Nobody's product: it shows what this stack costs at the least.
"""

import argparse
import asyncio
import os
import time
from typing import Any

import httpx
from mcp.server.fastmcp import Context, FastMCP

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--upstream", required=True)
parser.add_argument("--stdio", action="store_true")
arguments = parser.parse_args()

mcp = FastMCP(
    "stand-in",
    host="127.0.0.1",
    port=arguments.port,
    stateless_http=True,
    json_response=True,
    log_level="WARNING",
)
# One for all calls, as many connections as there are callers.
client = httpx.AsyncClient(
    base_url=arguments.upstream,
    timeout=120,
    limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
    trust_env=False,
)


async def send(context: Context, method: str, path: str, **more: Any) -> Any:
    request = context.request_context.request
    token = request.headers.get("authorization") if request else f"Bearer {os.environ['RUNCOMFY_API_KEY']}"
    answer = await client.request(method, path, headers={"authorization": token}, **more)
    answer.raise_for_status()
    return answer.json()


def place(deployment_id: str, request_id: str, what: str) -> str:
    return f"/prod/v1/deployments/{deployment_id}/requests/{request_id}/{what}"


@mcp.tool()
async def list_deployments(context: Context, include_payload: bool = False) -> dict[str, Any]:
    """List the account's deployments."""
    query = {"includes": "payload"} if include_payload else {}
    return {"ok": True, "deployments": await send(context, "GET", "/prod/v2/deployments", params=query)}


@mcp.tool()
async def get_request_status(context: Context, deployment_id: str, request_id: str) -> dict[str, Any]:
    """See where a request is."""
    return {"ok": True, "status": await send(context, "GET", place(deployment_id, request_id, "status"))}


@mcp.tool()
async def submit_request(
    context: Context, deployment_id: str, wait_for_completion: bool = False, timeout_seconds: float = 300
) -> dict[str, Any]:
    """Run a deployment's workflow."""
    submission = await send(context, "POST", f"/prod/v1/deployments/{deployment_id}/inference", json={})
    if not wait_for_completion:
        return {"ok": True, "submission": submission}
    request_id, end = submission["request_id"], time.monotonic() + timeout_seconds
    while (await send(context, "GET", place(deployment_id, request_id, "status")))["status"] != "completed":
        if time.monotonic() >= end:
            raise TimeoutError(f"{request_id} is not over")
        await asyncio.sleep(3)
    result = await send(context, "GET", place(deployment_id, request_id, "result"))
    return {"ok": True, "submission": submission, "result": result}


mcp.run("stdio" if arguments.stdio else "streamable-http")
