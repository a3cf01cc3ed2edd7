"""Judges a farm by the emulator's books and the journal's events: nothing that a contestant says about itself counts.

Pure functions. Instants are seconds since the epoch. A `Request` is one POST as the emulator saw it; an `Intent` is the
record of a process that it is about to send one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

CLOCK_SLACK = 0.05
"""Seconds by which an intent may seem later than its POST: the database's clock is read by two processes."""


@dataclass(frozen=True)
class Request:
    """One submit in the emulator's log. `answer` is accepted, refused, rejected or failed."""

    at: float
    prompt: str
    answer: str = "accepted"
    done_at: float | None = None
    polled_at: tuple[float, ...] = ()
    fetched_at: float | None = None
    process: int | None = None
    """Who sent it, by the id of the process; None if it had ended when the request arrived."""

    @property
    def accepted(self) -> bool:
        return self.answer == "accepted"


@dataclass(frozen=True)
class Intent:
    """One record in the journal that a clip is about to be sent."""

    at: float
    prompt: str


@dataclass(frozen=True)
class Idle:
    """A time in which work waited, quota was free and nothing was sent."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def requests_of(books: Mapping[str, Any]) -> list[Request]:
    """Read the `requests` of `EmulatorProcess.stop`."""
    return [
        Request(
            at=row["at"],
            prompt=row["prompt"],
            answer=row["answer"],
            done_at=row.get("done_at"),
            polled_at=tuple(row.get("polled_at", ())),
            fetched_at=row.get("fetched_at"),
            process=row.get("process"),
        )
        for row in books["requests"]
    ]


# ---- money -----------------------------------------------------------------------------------------------------------


def paid_twice(requests: Iterable[Request]) -> dict[str, int]:
    """Return the prompts that were accepted more than once, with their counts. Prompts of a run differ."""
    counts = Counter(request.prompt for request in requests if request.accepted)
    return {prompt: count for prompt, count in counts.items() if count > 1}


def without_intent(requests: Iterable[Request], intents: Iterable[Intent]) -> list[Request]:
    """Return the requests that no intent preceded. The n-th request of a prompt needs n intents before it."""
    intended: dict[str, list[float]] = defaultdict(list)
    for intent in intents:
        intended[intent.prompt].append(intent.at)
    sent: Counter[str] = Counter()
    found = []
    for request in sorted(requests, key=lambda request: request.at):
        sent[request.prompt] += 1
        before = sum(at <= request.at + CLOCK_SLACK for at in intended[request.prompt])
        if before < sent[request.prompt]:
            found.append(request)
    return found


def never_sent(requests: Iterable[Request], prompts: Iterable[str]) -> list[str]:
    """Return the prompts that were never accepted."""
    accepted = {request.prompt for request in requests if request.accepted}
    return [prompt for prompt in prompts if prompt not in accepted]


# ---- one leader ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TwoLeaders:
    """A request of a process that another had succeeded."""

    at: float
    process: int
    successor: int


def two_leaders(
    requests: Iterable[Request], ended: Iterable[int] = (), resets: Iterable[float] = ()
) -> list[TwoLeaders]:
    """Return the requests to a lane that a process sent after another one had begun to.

    A process may come back if those in between have ended: name them in `ended`. At the instants `resets` the database
    ended all sessions, so that from then on any process may lead. Requests of unknown processes, which
    had ended when their last request arrived, are left out.
    """
    gone, found, ahead = set(ended), [], sorted(resets)
    past: list[int] = []
    for request in sorted(requests, key=lambda request: request.at):
        while ahead and ahead[0] <= request.at:
            del ahead[0]
            past.clear()
        if request.process is None:
            continue
        if request.process in past:
            later = [each for each in past[past.index(request.process) + 1 :] if each not in gone]
            if later:
                found.append(TwoLeaders(request.at, request.process, later[0]))
                continue
            past.remove(request.process)
        past.append(request.process)
    return found


# ---- time ------------------------------------------------------------------------------------------------------------


def idle(requests: Iterable[Request], limit: int, period: float, *, clips: int, began: float) -> list[Idle]:
    """Return the times in which the lane stood still for no reason, the longest first.

    Work waits from `began` until `clips` have been accepted. Quota is free while fewer than `limit` requests were
    accepted in the last `period` seconds.
    """
    ordered = sorted(requests, key=lambda request: request.at)
    accepted = [request.at for request in ordered if request.accepted]
    if len(accepted) >= clips:
        ordered = [request for request in ordered if request.at <= accepted[clips - 1]]
    found, before = [], began
    for request in ordered:
        free_at = _free_at(accepted, before, limit, period)
        if request.at > free_at:
            found.append(Idle(free_at, request.at))
        before = max(before, request.at)
    return sorted(found, key=lambda idle: -idle.seconds)


def _free_at(accepted: Sequence[float], now: float, limit: int, period: float) -> float:
    """Return the earliest instant from `now` on at which a request would be accepted. `accepted` is in order."""
    past = bisect_right(accepted, now)
    if past < limit:
        return now
    return max(now, accepted[past - limit] + period)


def takeover(requests: Iterable[Request], died_at: float, died: int) -> float | None:
    """Return the seconds from a death, or a freeze, until another process sends a request; None if none did.

    It contains the time in which the quota was used up, so it is for lanes whose quota frees all the time.
    """
    others = (request.at for request in requests if request.at > died_at and request.process not in (died, None))
    return min((at - died_at for at in others), default=None)


def makespan(requests: Iterable[Request], began: float) -> float:
    """Return the seconds until the last film was fetched; 0 without films."""
    return max((request.fetched_at - began for request in requests if request.fetched_at is not None), default=0.0)


def pause(requests: Iterable[Request], begin: float, end: float) -> float:
    """Return the longest time without an accepted submit that overlaps with the time from `begin` to `end`."""
    at = sorted(request.at for request in requests if request.accepted)
    gaps = [(later - earlier) for earlier, later in pairwise(at) if later > begin and earlier < end]
    return max(gaps, default=0.0)


def resumed(requests: Iterable[Request], back_at: float) -> float | None:
    """Return the seconds from the return of the engine to the next accepted submit; None if there was none."""
    return min(
        (request.at - back_at for request in requests if request.accepted and request.at > back_at), default=None
    )


def slowest_poll(requests: Iterable[Request], deaths: Iterable[float]) -> float:
    """Return the longest time from a death until somebody polled an operation that ran at that moment, in seconds.

    An operation that nobody polled again counts until its film was fetched; without a film it does not count.
    """
    slowest = 0.0
    for died_at in deaths:
        for request in requests:
            if request.fetched_at is None or not request.at < died_at < request.fetched_at:
                continue
            next_poll = min((at for at in request.polled_at if at > died_at), default=request.fetched_at)
            slowest = max(slowest, next_poll - died_at)
    return slowest
