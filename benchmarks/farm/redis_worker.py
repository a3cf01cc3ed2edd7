"""A worker with pyrate-limiter over Redis, and Redis's own queue: a stream that a consumer group reads.

pyrate-limiter is the limiter library with a Redis backend that waits by itself, asynchronously, and is kept best. Its
bucket has the server's clock, which its documentation recommends for workers on several machines ("override now()").
The stream is used as Redis's documentation tells: an entry is acknowledged when its clip is saved, a worker that comes
back first reads what it had not acknowledged, and takes over what others have left for a minute. The operation's name
is kept in a hash as soon as Google has answered. Refusals wait with exponential back-off and jitter (tenacity), and
every attempt passes the limiter.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.genai.client import AsyncClient
from pyrate_limiter import Limiter, Rate, RedisBucket
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from benchmarks.farm import worker_task
from benchmarks.farm.crew import READY
from benchmarks.farm.names import REDIS_BUCKET, REDIS_GROUP, REDIS_OPERATIONS, REDIS_STREAM
from benchmarks.rivals import Task, sdk

ATTEMPTS = 20
LEFT = 60.0
"""Documented seconds after which an entry that nobody acknowledged is taken over from whoever had it."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class TimeBucket(RedisBucket):
    """The documented bucket for workers whose clocks differ. Its type says that `now` is synchronous; both work."""

    async def now(self) -> int:
        seconds, microseconds = await self.redis.time()  # type: ignore[misc]
        return int(seconds * 1000 + microseconds // 1000)


class Worker:
    def __init__(self, task: Task, redis: Redis, client: AsyncClient, name: str) -> None:
        self._task, self._redis, self._google, self._name = task, redis, client, name
        self._limiter: Limiter | None = None
        self._following: set[asyncio.Task[None]] = set()
        self._submit = retry(
            retry=retry_if_exception(sdk.refused),
            wait=wait_exponential_jitter(initial=task.seconds(1), max=task.seconds(60), jitter=task.seconds(1)),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )(self._submit_once)

    async def run(self) -> None:
        await self._lasting(self._join)
        await self._lasting(self._limiter_of_all)
        print(READY, flush=True)
        for entry in await self._lasting(lambda: self._read("0", count=1000)):
            await self._begin(*entry)
        while True:
            for entry in await self._lasting(self._left_behind):
                await self._begin(*entry)
            for entry in await self._lasting(lambda: self._read(">", count=1)):
                await self._begin(*entry)

    async def _begin(self, entry: str, fields: dict[str, str]) -> None:
        """Submit, unless that was done, and follow beside what comes next."""
        number, prompt = int(fields["number"]), fields["prompt"]
        name: Any = await self._lasting(lambda: self._redis.hget(REDIS_OPERATIONS, entry))
        if name is None:
            try:
                name = await self._submit(prompt)
            except Exception as error:
                if not sdk.lost(error):
                    raise
                _log.warning("clip %d is lost: %s", number, error)
                return
            found = name
            await self._lasting(lambda: self._redis.hset(REDIS_OPERATIONS, entry, found))
        follower = asyncio.create_task(self._follow(entry, name, number))
        self._following.add(follower)
        follower.add_done_callback(self._following.discard)

    async def _submit_once(self, prompt: str) -> str:
        await self._lasting(self._acquire)
        return await worker_task.submit(self._google, prompt)

    async def _follow(self, entry: str, name: str, number: int) -> None:
        await worker_task.poll_and_save(self._google, self._task, name, number)
        await self._lasting(lambda: self._redis.xack(REDIS_STREAM, REDIS_GROUP, entry))

    # ---- Redis -------------------------------------------------------------------------------------------------------

    async def _join(self) -> None:
        try:
            await self._redis.xgroup_create(REDIS_STREAM, REDIS_GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _read(self, after: str, count: int) -> list[tuple[str, dict[str, str]]]:
        block = 200 if after == ">" else None
        answer: Any = await self._redis.xreadgroup(
            REDIS_GROUP, self._name, {REDIS_STREAM: after}, count=count, block=block
        )
        streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer]
        return [entry for entries in streams for entry in (entries[0] if isinstance(answer, dict) else entries)]

    async def _left_behind(self) -> list[tuple[str, dict[str, str]]]:
        idle = round(LEFT * 1000)
        answer: Any = await self._redis.xautoclaim(REDIS_STREAM, REDIS_GROUP, self._name, min_idle_time=idle, count=1)
        return list(answer[1])

    async def _limiter_of_all(self) -> Limiter:
        if self._limiter is None:
            rate = Rate(self._task.limit, round(self._task.period * 1000))
            bucket: Any = await TimeBucket.init([rate], self._redis, REDIS_BUCKET)
            self._limiter = Limiter(bucket)
        return self._limiter

    async def _acquire(self) -> None:
        limiter = await self._limiter_of_all()
        try:
            await limiter.try_acquire_async(REDIS_BUCKET)
        except RedisError:
            self._limiter = None  # a server that was restarted does not know the script any more
            raise

    async def _lasting(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until Redis answers."""
        while True:
            try:
                return await call()
            except RedisError as error:
                _log.warning("Redis: %s", error)
                await asyncio.sleep(0.1)


async def main() -> None:
    task = worker_task.task()
    redis = Redis.from_url(os.environ["FARM_REDIS"], decode_responses=True)
    async with redis, sdk.client(task) as client:
        await Worker(task, redis, client, os.environ["FARM_WORKER"]).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())
