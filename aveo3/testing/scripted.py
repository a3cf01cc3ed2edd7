"""A backend that answers from a script, in memory: what submits come to, how long operations take, how they end."""

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
"""The smallest bytes that pass for an MP4. Bytes added at its end make it another: its last box reaches that far."""


class ScriptedBackend:
    """Keeps the `Backend` protocol without a network.

    `answers` are the verdicts of the first submits, in order (a Verdict, or a function of the prompt, which may be a
    coroutine function); after them every submit is accepted. Submits take `round_trip` seconds, operations `latency`
    seconds (a number, or a function of the prompt), and end as `ending` says: by default one video.
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
        """Every submit: its instant on the loop's clock, and the prompt's text."""
        self.accepted: Counter[str] = Counter()
        """Accepted submits by the prompt's text: more than one is a clip paid twice."""
        self.polls = 0

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """The next verdict of the script."""
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
            said = step(prompt)
            verdict = await said if isawaitable(said) else said
        if verdict.kind is VerdictKind.ACCEPTED and verdict.operation is not None:
            latency = self._latency(prompt) if callable(self._latency) else self._latency
            self._operations[verdict.operation] = loop.time() + latency, prompt
            self.accepted[prompt.text] += 1
        return verdict

    async def poll(self, operation: str) -> PollResult:
        """Running until the operation's latency has passed, then the ending. An ended operation is forgotten."""
        self.polls += 1
        if operation not in self._operations:
            raise OperationGone(f"{operation} is unknown")
        done_at, prompt = self._operations[operation]
        if asyncio.get_running_loop().time() < done_at:
            return Running()
        del self._operations[operation]
        return self._ending(prompt)

    async def find(self, output_uri: str) -> Sequence[Video]:
        """None."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """What is in a bucket stays there; everything else is where it says, for anybody."""
        return None if uri.startswith("gs://") else (uri, {})

    async def check(self, model: str) -> Probe:
        """Answers, for any model."""
        return Probe("in memory", status=200)

    async def aclose(self) -> None:
        """Nothing to close."""
