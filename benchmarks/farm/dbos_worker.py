"""A worker with DBOS: a workflow a clip on a queue with a limiter, as DBOS's documentation tells.

`limiter` is the quota. The submit and the wait for the video are steps, so that a workflow that goes on after a crash
skips what it has done. Refusals are retried by the step's own `retries_allowed`, with the documented interval and
back-off. Every executor has an id of its own and is restarted under it, which the documentation asks for where DBOS's
own service, Conductor, does not watch: https://docs.dbos.dev/production/workflow-recovery.
"""

from __future__ import annotations

import os
import time
from functools import cache

from dbos import DBOS, DBOSConfig
from google.genai.client import AsyncClient

from benchmarks.farm import worker_task
from benchmarks.farm.crew import READY
from benchmarks.farm.names import DBOS_QUEUE, DBOS_WORKFLOW
from benchmarks.rivals import sdk

ATTEMPTS = 14
"""High enough that no clip gives up: the last wait begins two hours after the first, and the window lasts a minute."""

_task = worker_task.task()


@cache
def _google() -> AsyncClient:
    return sdk.client(_task)


@DBOS.step(
    retries_allowed=True,
    interval_seconds=_task.seconds(1),
    max_attempts=ATTEMPTS,
    backoff_rate=2.0,
    should_retry=sdk.refused,
)
async def submit(prompt: str) -> str:
    return await worker_task.submit(_google(), prompt)


@DBOS.step(retries_allowed=True, interval_seconds=_task.seconds(1), max_attempts=ATTEMPTS, backoff_rate=2.0)
async def wait_and_save(name: str, number: int) -> None:
    await worker_task.poll_and_save(_google(), _task, name, number)


@DBOS.workflow(name=DBOS_WORKFLOW)
async def make(number: int, prompt: str) -> None:
    await wait_and_save(await submit(prompt), number)


def main() -> None:
    config: DBOSConfig = {
        "name": "farm",
        "system_database_url": os.environ["FARM_DATABASE"],
        "executor_id": os.environ["FARM_WORKER"],
        "console_log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    # Its default of one second between two looks at the queue would be half a window here.
    DBOS.register_queue(
        DBOS_QUEUE, limiter={"limit": _task.limit, "period": _task.period}, polling_interval_sec=_task.seconds(1)
    )
    _google()
    print(READY, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
