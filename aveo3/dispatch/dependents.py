"""Prompts that depend on clips wait here, without a task each, until those clips are on disk. Then they go first."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Container, Mapping
from typing import Any

from aveo3._waker import Waker
from aveo3.dispatch.backlog import Backlogs
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.clip_graph import circle_in, graph_of, in_a_circle, name_in, unusable
from aveo3.dispatch.found_clips import (
    SOURCE,
    FoundClip,
    FoundClips,
    NotMade,
    Unusable,
    outcome_of,
    put_in_place,
    with_clips,
)
from aveo3.dispatch.intake import Intake
from aveo3.engine.job import Job
from aveo3.errors import JournalError, UsageError
from aveo3.files import frames
from aveo3.journal.next_step import NOT_SENDABLE
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt

REMEMBERED = 10_000
"""Clips of a lazy iterable that later prompts may depend on without the journal: the last ones that ended."""

READY = 10_000
"""Jobs that may wait for their submit because their clips are there. More are not planned yet."""

NAP = 1.0
"""Seconds until it is looked again whether there is room for more."""


class _Entry:
    """A prompt that waits for `missing` clips."""

    __slots__ = ("index", "is_out", "missing", "not_sent", "prompt", "wrong")

    def __init__(self, prompt: VideoPrompt, index: int) -> None:
        self.prompt = prompt
        self.index = index
        self.missing = 0
        self.not_sent: str | None = None
        self.wrong: str | None = None
        """Why it can never be sent."""
        self.is_out = False


class Dependents:
    """The prompts of one batch that depend on clips. Its only task starts with the first of them."""

    def __init__(self, batch: Batch, backlogs: Backlogs, intake: Intake, found: FoundClips) -> None:
        self._batch = batch
        self._backlogs = backlogs
        self._intake = intake
        self._found = found
        self.known: Container[int] | None = None
        """The indices of all prompts that depend on clips; None if they are not known beforehand."""
        self._makers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._uses: Counter[str] = Counter()
        self._outcomes: dict[str, FoundClip | NotMade] = {}
        self._waiting: dict[str, list[_Entry]] = {}
        self._ready: deque[_Entry] = deque()
        self._open = 0
        self._taken: _Entry | None = None
        self._is_read = False
        self._running = False
        self._waker = Waker()

    def look_at(self, prompts: Any) -> None:
        """Look at all `prompts` before the first is fed. Raises `UsageError` if some can never be sent."""
        graph = graph_of(prompts)
        self.known = graph.needs if graph is not None else ()
        if graph is None:
            return
        if graph.takes_frames and not frames.can_cut():
            raise UsageError(f"nothing was sent: {frames.NEEDS_PYAV}")
        elsewhere = graph.elsewhere
        self._outcomes = dict(self._found.in_journal(elsewhere)) if elsewhere else {}
        if unknown := [name for name in elsewhere if name not in self._outcomes]:
            ids = [name for source in prompts if (name := name_in(source)) is not None]
            raise unusable([f"prompt {graph.user_of(name) + 1}: {self._found.unknown(name, ids)}" for name in unknown])
        self._makers, self._uses = dict(graph.makers), graph.uses
        self._names = {index: name for name, index in graph.makers.items()}
        self._batch.on_end = self._ended

    # ---- what comes in -----------------------------------------------------------------------------------------

    def see(self, source: Any, index: int) -> None:
        """Note the name of a prompt of a lazy iterable: others may depend on it. The first of a name counts."""
        if (name := name_in(source)) is None or name in self._makers:
            return
        self._batch.on_end = self._ended
        self._makers[name], self._names[index] = index, name
        if len(self._makers) > REMEMBERED:
            oldest = next(iter(self._makers))
            if oldest in self._outcomes:
                del self._names[self._makers.pop(oldest)], self._outcomes[oldest]

    def hold(self, prompt: VideoPrompt, index: int) -> None:
        """Take a prompt that depends on clips."""
        entry = _Entry(prompt, index)
        self._open += 1
        for name in prompt.clips:
            try:
                outcome = self._outcome(name)
            except JournalError as error:
                outcome = NotMade(str(error))
            if outcome is None:
                entry.missing += 1
                self._waiting.setdefault(name, []).append(entry)
            elif isinstance(outcome, NotMade):
                entry.not_sent = entry.not_sent or outcome.words
        if not entry.missing or entry.not_sent:
            self._let_out(entry)
        if not self._running:
            self._running = True
            self._batch.start(self._run())

    def _outcome(self, name: str) -> FoundClip | NotMade | None:
        if name in self._outcomes or name in self._makers:
            return self._outcomes.get(name)
        if (found := self._found.in_journal([name]).get(name)) is not None and self.known is not None:
            self._outcomes[name] = found
        return found

    def _ended(self, job: Job, clip: VideoClip) -> None:
        """A clip of the batch has ended, and goes to the reader."""
        if (name := self._names.get(job.index)) is None:
            return
        outcome = self._outcomes[name] = outcome_of(name, job, clip)
        for entry in self._waiting.pop(name, ()):
            if entry.is_out:
                continue
            entry.missing -= 1
            if isinstance(outcome, NotMade):
                entry.not_sent = outcome.words
            if not entry.missing or entry.not_sent:
                self._let_out(entry)

    def all_read(self) -> None:
        """No more prompts come."""
        self._is_read = True
        if self._running:
            self._waker.ring()
        else:
            self._close()

    # ---- what goes out -----------------------------------------------------------------------------------------

    def _let_out(self, entry: _Entry) -> None:
        entry.is_out = True
        self._ready.append(entry)
        self._waker.ring()

    async def _run(self) -> None:
        """Let prompts out whose clips are there, until none is left and none can come."""
        try:
            if self._batch.stopping:
                raise asyncio.CancelledError
            while True:
                while self._ready:
                    self._taken = self._ready.popleft()
                    await self._take(self._taken)
                    self._forget(self._taken)
                if self._is_read:
                    self._refuse_the_rest()
                    if not self._open:
                        return
                if not self._ready:
                    await self._waker.wait()
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self._batch.fail(error)
        finally:
            self._give_back()
            self._running = False
            if self._is_read:
                self._close()

    async def _take(self, entry: _Entry) -> None:
        """Send a prompt on its way, with its clips and frames in place of their names."""
        prompt, not_sent = entry.prompt, entry.not_sent
        clips = {name: outcome for name in prompt.clips if (outcome := self._outcome(name)) is not None}
        if not_sent is None and entry.wrong is None:
            try:
                prompt = with_clips(prompt, clips, self._found.directory)
            except NotMade as error:
                not_sent = error.words
        job = await self._intake.plan(prompt, entry.index, not_sent, entry.wrong, cuts=True)
        if job is None or not await self._can_be_sent(job, clips):
            return
        if (backlog := await self._intake.enqueue(job, first=True)) is not None:
            while len(backlog.again) >= READY:  # noqa: ASYNC110 - rare
                await asyncio.sleep(NAP)

    async def _can_be_sent(self, job: Job, clips: Mapping[str, FoundClip | NotMade]) -> bool:
        """True if its clips and frames are in place, or it was sent before. Else its clip is delivered."""
        if job.state is not State.PLANNED:
            return True
        try:
            await put_in_place(job.prompt, clips)
        except NotMade as error:
            clip = job.end(State.DEFERRED, SOURCE, error.words)
        except Unusable as error:
            clip = job.end(State.REJECTED, NOT_SENDABLE if job.attempts else "bad_request", str(error))
        else:
            return True
        self._intake.hand_on(job.index)
        self._batch.deliver(job, clip)
        return False

    def _forget(self, entry: _Entry) -> None:
        """The prompt is on its way: forget it, and the clips that no other prompt depends on."""
        self._taken = None
        self._open -= 1
        if self.known is None:
            return
        for name in entry.prompt.clips:
            self._uses[name] -= 1
            if not self._uses[name]:
                self._outcomes.pop(name, None)

    def _refuse_the_rest(self) -> None:
        """End what waits for clips that nobody makes. A list has no such prompts: they were an error before."""
        if not self._waiting or self.known is not None:
            return
        for name in [name for name in self._waiting if name not in self._makers]:
            why = self._found.unknown(name, self._makers)
            for entry in self._waiting.pop(name):
                self._refuse(entry, why)
        waiting = {entry.index: entry for entries in self._waiting.values() for entry in entries if not entry.is_out}
        needs = {index: entry.prompt.clips for index, entry in waiting.items()}
        while (circle := circle_in(needs, self._makers)) is not None:
            for name in circle:
                index = self._makers[name]
                self._refuse(waiting[index], in_a_circle(circle))
                needs.pop(index)

    def _refuse(self, entry: _Entry, why: str) -> None:
        if not entry.is_out:
            entry.wrong = why
            self._let_out(entry)

    def _give_back(self) -> None:
        """Deliver the clips of prompts whose turn did not come before the batch stopped."""
        if (taken := self._taken) is not None:
            self._taken = None
            if self._intake.owns(taken.index):
                self._intake.give_back(taken.prompt, taken.index)
        left = {entry.index: entry for entry in self._ready}
        left |= {entry.index: entry for entries in self._waiting.values() for entry in entries if not entry.is_out}
        self._ready.clear()
        self._waiting.clear()
        self._open = 0
        for _, entry in sorted(left.items()):
            self._intake.give_back(entry.prompt, entry.index)
        self._intake.release()

    def _close(self) -> None:
        self._backlogs.feeding = False
        self._backlogs.release_idle()
