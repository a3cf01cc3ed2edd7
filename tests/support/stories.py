"""The order and the sums of events, for tests that hear a whole run."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from aveo3.dispatch.stats import Stats
from aveo3.events import Accepted, BudgetChanged, Ended, Event, JobEvent, Refused, RunEnded, Running, Submitted
from aveo3.events.kinds import ORDER

STORY = re.compile(re.sub(r"[a-z_]+", r"(?:\g<0>,)", ORDER), re.VERBOSE)


def stories_of(events: Sequence[Event]) -> dict[tuple[int, int], list[JobEvent]]:
    """The events of each job of a client."""
    jobs: defaultdict[tuple[int, int], list[JobEvent]] = defaultdict(list)
    for event in events:
        if isinstance(event, JobEvent):
            jobs[event.batch, event.index].append(event)
    return jobs


def check_order(events: Sequence[Event]) -> None:
    """Fails unless the events of each job, and of each batch, are in the documented order."""
    over: set[int] = set()
    for event in events:
        if isinstance(event, RunEnded):
            over.add(event.batch)
        assert not (isinstance(event, JobEvent) and event.batch in over), "an event after the end of its batch"
    for each in stories_of(events).values():
        story = "".join(f"{event.kind}," for event in each)
        assert STORY.fullmatch(story), story
        sent = [event.attempt for event in each if isinstance(event, Submitted)]
        assert sent == sorted(sent)


def check_sums(events: Sequence[Event], stats: Stats) -> None:
    ended = Counter(event.status for event in events if isinstance(event, Ended))
    assert ended == {status.value: n for status, n in stats.clips.items() if n}
    assert ended == sum((Counter(event.clips) for event in events if isinstance(event, RunEnded)), Counter())
    assert sum(event.cached for event in events if isinstance(event, Ended)) == stats.cached
    assert sum(isinstance(event, Refused) for event in events) == stats.refusals
    late = [
        refused
        for story in stories_of(events).values()
        for running, refused in pairwise(story)
        if isinstance(refused, Refused) and isinstance(running, Running) and not running.resumed
    ]
    assert sum(isinstance(event, Accepted) for event in events) - len(late) == stats.submitted
    money = [event for event in events if isinstance(event, BudgetChanged)][-1]
    assert (money.spent_usd, money.in_flight_usd) == (stats.cost_usd, stats.in_flight_usd)
