"""async-batch-llm, as its README shows it for custom clients: `CallableStrategy` around the whole clip.

It uses its own classifier of Gemini's errors and is configured with the quota (the burst of its bucket is one period's
quota). Its default waits shrink in proportion. One setting is changed in its favour: a refusal without a delay pauses
all workers for a minute, the period of the quota, instead of five minutes. It reads `time.perf_counter`, which shows
the loop's time in virtual time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from benchmarks.rivals import MakeAll, Task, sdk, virtual_clock

NAME = "async-batch-llm"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp", "async-batch-llm")


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    from async_batch_llm import (
        CallableStrategy,
        CallOutcome,
        ProcessorConfig,
        RateLimitConfig,
        RetryConfig,
        process_prompts,
    )
    from async_batch_llm._internal.admission import AdmissionRegistry
    from async_batch_llm.classifiers import GeminiErrorClassifier

    logging.getLogger("async_batch_llm").setLevel(logging.CRITICAL)  # it logs each refusal twice
    config = ProcessorConfig(
        concurrency=task.concurrency,
        max_requests_per_minute=task.limit * 60 / task.period,
        quota_burst_seconds=task.period,
        attempt_timeout=task.seconds(1800),  # its default, 120 s, is for text: a second attempt would pay again
        retry=RetryConfig(initial_wait=task.seconds(1), max_wait=task.seconds(60)),
        rate_limit=RateLimitConfig(
            cooldown_seconds=task.seconds(60),
            max_cooldown_seconds=task.seconds(600),
            slow_start_initial_delay=task.seconds(2),
            slow_start_final_delay=task.seconds(0.1),
        ),
    )
    numbers = {prompt: number for number, prompt in enumerate(task.prompts)}
    async with sdk.client(task) as google:

        async def invoke(prompt: str, **_: Any) -> CallOutcome[None]:
            operation = await sdk.submit(google, prompt)
            await sdk.poll_and_save(google, task, operation, numbers[prompt])
            return CallOutcome(None)

        async def make_all() -> None:
            strategy = CallableStrategy(invoke, error_classifier=GeminiErrorClassifier())
            batch = await process_prompts(strategy, list(task.prompts), config=config)
            for result in batch.results:
                if result.exception is not None and not sdk.lost(result.exception):
                    raise result.exception

        clock = virtual_clock.loop_clocks(AdmissionRegistry.__init__) if task.lane else nullcontext()
        with clock:
            yield make_all
