"""A worker of a farm as a program of its own: `python -m tests.support.farm_member`, settings as JSON on its input.

It prints `leads` and `stands by` as that changes, one a line. With `--follow` it leads nothing, and prints how many
jobs it follows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from aveo3 import Settings
from aveo3.server.farm.worker import FarmWorker


async def main() -> None:
    settings = Settings(**json.loads(sys.stdin.readline()))
    said, follow = None, "--follow" in sys.argv
    async with FarmWorker(settings, follow=follow) as worker:
        while True:
            word = "leads" if worker.since_utc else "stands by"
            word = f"follows {worker.followed}" if follow else word
            if word != said:
                print(said := word, flush=True)
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
