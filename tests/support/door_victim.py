"""A server that kills itself at a chosen point, with a client of its own in the same process.

`test_door_crash` starts this as a program of its own. It is `victim` with the door in place of the client: see there
for what a point is.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import ssl
import sys
import tempfile
import threading
import traceback
from typing import Any

import aiohttp

import aveo3.engine.recovery
from aveo3 import Settings
from aveo3.mock import MockOptions, MockServer
from aveo3.server.door.server import DoorServer
from tests.support import victim
from tests.support.victim import Points

PATH = "/v1/publishers/google/models/veo-3.1-generate-001"


async def serve(settings: Settings, prompts: list[str], report: int) -> dict[str, Any]:
    """Order each prompt with a key of its own, report each name that is answered, and poll all to their ends."""
    ends: dict[str, Any] = {}
    async with DoorServer(settings, port=0) as door, aiohttp.ClientSession(door.url) as http:
        names = []
        for number, prompt in enumerate(prompts):
            headers = {"Idempotency-Key": f"order {number}"}
            body = {"instances": [{"prompt": prompt}]}
            async with http.post(f"{PATH}:predictLongRunning", json=body, headers=headers) as answer:
                answer.raise_for_status()
                names.append((await answer.json())["name"])
            os.write(report, f"answered {names[-1]}\n".encode())
        while len(ends) < len(names):
            for name in names:
                async with http.post(f"{PATH}:fetchPredictOperation", json={"operationName": name}) as answer:
                    operation = await answer.json()
                if operation.get("done"):
                    videos = operation.get("response", {}).get("videos", [])
                    ends[name] = {"videos": len(videos), "error": operation.get("error")}
            await asyncio.sleep(0.01)
    return ends


def live(settings: Settings, prompts: list[str], die_at: int | str | None, report: int) -> None:
    """Serve `prompts`, tell how they ended if nothing kills us, and never return."""
    try:
        victim.points = Points(str(settings.output_dir), die_at, report)
        ends = asyncio.run(serve(settings, prompts, report))
        victim.points = None
        os.write(report, json.dumps({"ends": ends}).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def let_live(prompts: list[str], die_at: int | str | None, **chosen: Any) -> dict[str, Any]:
    """Fork for one order: how the child ended, the points it came to, and what else it lived to tell."""
    settings = Settings(**chosen)
    told, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        live(settings, prompts, die_at, report)
    os.close(report)
    with open(told, encoding="utf-8") as pipe:  # noqa: PTH123
        *labels, last = pipe.read().split("\n")
    _, status = os.waitpid(child, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "points": labels, **json.loads(last or "{}")}


async def warm_up() -> None:
    """Import and read once what every child would."""
    with tempfile.TemporaryDirectory() as home:
        async with MockServer(MockOptions.model_validate({"films": "bundled", "latency": "0"})) as server:
            common: dict[str, Any] = {"base_url": server.url, "storage_url": server.url, "backend": "vertex"}
            settings = Settings(**common, api_key="key", output_dir=home, poll_interval=0.01)
            await serve(settings, ["a boat"], os.open(os.devnull, os.O_WRONLY))


def main() -> None:
    aveo3.engine.recovery.RECOVER_MEDIANS = victim.RECOVER_MEDIANS
    logging.getLogger("aveo3").setLevel(logging.CRITICAL)
    context = ssl.create_default_context()
    ssl.create_default_context = lambda *_, **__: context
    victim.patch()
    asyncio.run(warm_up())
    for thread in threading.enumerate()[1:]:
        thread.join(60)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(let_live(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
