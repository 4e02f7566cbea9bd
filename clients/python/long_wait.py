"""A wait of minutes, as a person sees it: long_wait.py stdio BINARY EMULATOR | long_wait.py http URL EMULATOR

With the Python SDK 2.x. Prints each progress message when it comes, and fails where 15 seconds pass without one. Not part
of CI: it takes as long as the emulator's cold start, say
`runcomfy-emulator --time-scale 1 --cold-start 160 --run-time 20`.
"""

import asyncio
import sys
import time

from mcp import Client, StdioServerParameters, stdio_client

MOST_SILENCE = 15


async def main() -> None:
    transport, place, emulator = sys.argv[1:4]
    if transport == "stdio":
        environment = {"RUNCOMFY_API_KEY": f"long-wait-{time.time()}"}
        place = stdio_client(StdioServerParameters(command=place, args=["--base-url", emulator], env=environment))
    begun = last = time.monotonic()
    longest = 0.0

    async def told(_done, _total, message):
        nonlocal last, longest
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        print(f"{now - begun:7.1f} s  {message}", flush=True)

    async with Client(place) as client:
        listed = (await client.call_tool("list_deployments", {})).structured_content
        arguments = {
            "deployment_id": listed["deployments"][0]["id"],
            "wait_for_completion": True,
            "timeout_seconds": 240,
        }
        begun = last = time.monotonic()
        data = (await client.call_tool("submit_request", arguments, progress_callback=told)).structured_content
    waited = time.monotonic() - begun
    longest = max(longest, time.monotonic() - last)
    print(f"{waited:7.1f} s  {data['state']}, {len(data['output_urls'])} file(s); longest silence {longest:.1f} s")
    assert data["state"] == "succeeded" and longest <= MOST_SILENCE


asyncio.run(main())
