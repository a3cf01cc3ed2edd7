"""A backend in memory whose script decides how submits end, how long operations take and how they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from inspect import isawaitable

from aveo3 import verdicts
from aveo3.backends.base import Finished, OperationGone, PollResult, Probe, Running, Video
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict, VerdictKind

Answer = Callable[[VideoPrompt], Verdict | Awaitable[Verdict]]

FILM = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00\x00\x00\x00\x08moov\x00\x00\x00\x00mdat"
"""The smallest bytes that aveo3 accepts as an MP4. Append bytes for another file: its last box is open-ended."""


class ScriptedBackend:
    """Implements the `Backend` protocol without a network.

    `answers` are the verdicts of the first submits, in order. Each is a `Verdict`, or a function or coroutine function
    that takes the prompt and returns one. Later submits get `answer`; without it they are accepted. A submit takes
    `round_trip` seconds. An operation takes `latency` seconds (a number, or a function of the prompt). `ending` returns
    its result; the default is one video.
    """

    def __init__(
        self,
        answers: Iterable[Verdict | Answer] = (),
        *,
        answer: Answer | None = None,
        latency: float | Callable[[VideoPrompt], float] = 1.0,
        round_trip: float = 0.0,
        ending: Callable[[VideoPrompt], PollResult] = lambda _: Finished((Video(uri="gs://scripted/film.mp4"),)),
    ) -> None:
        self._answers: Iterator[Verdict | Answer] = iter(answers)
        self._answer = answer
        self._latency = latency
        self._round_trip = round_trip
        self._ending = ending
        self._operations: dict[str, tuple[float, VideoPrompt]] = {}
        self.submits: list[tuple[float, str]] = []
        """Every submit: its time on the loop's clock, and the prompt's text."""
        self.accepted: Counter[str] = Counter()
        """Accepted submits by the prompt's text. A count above 1 is a clip that was paid twice."""
        self.polls = 0

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """Return the next verdict of the script, after `round_trip` seconds."""
        loop = asyncio.get_running_loop()
        self.submits.append((loop.time(), prompt.text))
        number = len(self.submits)
        await asyncio.sleep(self._round_trip)
        step = next(self._answers, self._answer)
        if isinstance(step, Verdict):
            verdict = step
        elif step is None:
            verdict = verdicts.accepted(f"operations/{number}")
        else:
            result = step(prompt)
            verdict = await result if isawaitable(result) else result
        if verdict.kind is VerdictKind.ACCEPTED and verdict.operation is not None:
            latency = self._latency(prompt) if callable(self._latency) else self._latency
            self._operations[verdict.operation] = loop.time() + latency, prompt
            self.accepted[prompt.text] += 1
        return verdict

    async def poll(self, operation: str) -> PollResult:
        """Return `Running` until the latency has passed, then the ending, once. Raises `OperationGone` after that."""
        self.polls += 1
        if operation not in self._operations:
            raise OperationGone(f"{operation} is unknown")
        done_at, prompt = self._operations[operation]
        if asyncio.get_running_loop().time() < done_at:
            return Running()
        del self._operations[operation]
        return self._ending(prompt)

    async def find(self, output_uri: str) -> Sequence[Video]:
        """Find nothing."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """Return None for a `gs://` address, so it is not downloaded; any other address needs no headers."""
        return None if uri.startswith("gs://") else (uri, {})

    async def check(self, model: str) -> Probe:
        """Report that any model answers."""
        return Probe("in memory", status=200)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
