"""Finds jobs by their IDs, and plans those again that only a person may send again. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aveo3.errors import UsageError
from aveo3.journal.wording import counted, dollars, prompt_words
from aveo3.lifecycle import OWED, SPENT, UNDER_WAY, UNSENT, State, is_emulated

if TYPE_CHECKING:
    from aveo3.journal.journal import Journal
    from aveo3.journal.reader import JournalReader
    from aveo3.journal.rows import JobRecord

RETRIABLE = (State.UNCERTAIN, State.FAILED, State.FILTERED, State.REJECTED)
CANDIDATES = 10
"""Jobs that a message lists if an ID matches several."""


class Choice(NamedTuple):
    """Jobs to plan again, and a sentence for each ID or kind that needs no retry."""

    jobs: list[JobRecord]
    needless: list[str]


def find(name: str, journal: JournalReader) -> list[JobRecord]:
    """The job with the ID `name`, or one job of each service (emulator, Google) if both have the same request.

    Raises `UsageError` if `name` matches no job, or several; then the message lists them.
    """
    matches = journal.match(name)
    if not matches:
        total = sum(journal.counts().values())
        raise UsageError(
            f"no job in {journal.place} has the ID {name!r}: use an ID that `aveo3 status` shows, or its beginning, "
            f"such as {next((e.name for e in journal.records()), '1a2b3c4d')!r}"
            + (f" (there are {total:,} jobs)" if total > 1 else "")
        )
    digests = sorted({record.digest for record in matches})
    if len(digests) == 1:
        return matches
    start, dot, _ = name.partition(".")
    lines = []
    for digest in digests[:CANDIDATES]:
        record = next(e for e in matches if e.digest == digest)
        ending = f".{record.ordinal}" if dot else ""
        lines.append(
            f"  {_shortest(digest, digests, len(start))}{ending}  {record.state}  {prompt_words(record.prompt):.50}"
        )
    more = [f"  … and {len(digests) - CANDIDATES:,} more"] if len(digests) > CANDIDATES else []
    raise UsageError("\n".join([f"{name!r} matches {len(digests):,} jobs. Use a longer ID:", *lines, *more]))


def _shortest(digest: str, digests: list[str], at_least: int) -> str:
    """The shortest beginning of `digest` that no other one has, at least 8 characters."""
    length = max(8, at_least)
    while any(other != digest and other.startswith(digest[:length]) for other in digests):
        length += 1
    return digest[:length]


def choose(journal: JournalReader, ids: Iterable[str], states: Iterable[State]) -> Choice:
    """The jobs with these `ids` and in these `states`, each once. Raises `UsageError` if an ID takes no retry."""
    chosen, problems, needless = {}, [], []
    for name in ids:
        matches = find(name, journal)
        record = next((e for e in matches if e.state in RETRIABLE), matches[-1])
        if record.state in (*RETRIABLE, *UNDER_WAY):
            chosen[record.id] = record
        elif record.state in UNSENT:
            needless.append(
                f"{record.name} is {record.state}: nothing to do, the next run of the same prompts sends it"
            )
        else:
            problems.append(f"{record.name} is {record.state}: {_REFUSED[record.state]}")
    if problems:
        raise UsageError("\n".join(["nothing was changed:", *problems]))
    for state in states:
        records = list(journal.records(state))
        if not records:
            needless.append(f"no job is {state}: nothing to do")
        chosen |= {record.id: record for record in records}
    return Choice(list(chosen.values()), needless)


def may_be_paid_twice(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Those of `records` whose video is paid, or may be: sending them again may cost as much a second time."""
    return [record for record in records if record.state in OWED and not is_emulated(record.service)]


def free_to_poll(owed: Iterable[JobRecord]) -> list[JobRecord]:
    """Those of `owed` that the next run asks Google about, for free."""
    from aveo3.journal.next_step import NextStep, next_step

    return [record for record in owed if next_step(record, record.service, made=False) is NextStep.PICK_UP]


def offer(number: int) -> str:
    """A sentence, without its full stop, about `number` jobs that are `free_to_poll`."""
    return f"The next run of the same prompts first asks Google for {counted(number)} of these again, for free"


def warning(owed: Sequence[JobRecord]) -> str:
    """A sentence, without its full stop, about what sending the `owed` jobs again may cost."""
    several = len(owed) > 1
    return (
        f"{counted(len(owed))} may be paid already, and {'their videos' if several else 'the video'} may be at Google. "
        f"Making {'them' if several else 'it'} again may cost {dollars(owed)} a second time"
    )


def refusal(owed: Sequence[JobRecord], consent: str) -> UsageError:
    """The error for `owed` jobs without a person's consent. `consent` says how to give it."""
    free = len(free_to_poll(owed))
    return UsageError(f"{warning(owed)}. {consent}{f' {offer(free)}.' if free else ''} Nothing was changed.")


def plan_again(records: Iterable[JobRecord], journal: Journal) -> None:
    """Mark jobs so that the next run sends them again. What their attempts cost or may have cost stays noted."""
    for record in records:
        state = record.state
        if state is State.FETCHING:
            journal.move(record.id, state, State.RUNNING)
            state = State.RUNNING
        changes: dict[str, Any] = {"error_kind": None, "error_message": None}
        if not is_emulated(record.service):
            if state in SPENT and record.cost_usd:
                changes["sunk_usd"] = (record.sunk_usd or 0.0) + record.cost_usd
            if state in OWED and record.cost_usd is None:
                changes["sunk_unpriced"] = (record.sunk_unpriced or 0) + 1
        journal.move(record.id, state, State.PLANNED, **changes)


_REFUSED = {
    State.SUCCEEDED: "its video is ready; to make another one, run `aveo3 generate --fresh` with the same prompt",
    State.SUBMITTING: "its request was just sent; wait for the answer",
}
