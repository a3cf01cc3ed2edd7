"""Keeps clips that came through a server apart from those that Google made directly: neither run knows the other's, so
it would make and pay the same prompts again. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aveo3.journal.place import Place
from aveo3.journal.rows import StateCount
from aveo3.lifecycle import OWED, SERVER, is_emulated


def paid_elsewhere(tallies: Iterable[StateCount], service: str, place: Place) -> str | None:
    """A sentence if the journal at `place` has clips that a run at `service` would make and pay again; else None."""
    through = service == SERVER
    others = sum(
        tally.jobs
        for tally in tallies
        if tally.state in OWED and not is_emulated(tally.service) and (tally.service == SERVER) is not through
    )
    if not others or is_emulated(service) or service == "custom":
        return None
    theirs = "were made without a server" if through else "came through a server (VEO3_SERVER)"
    ours = "through a server" if through else "without one"
    return (
        f"{place} has {others:,} clips that {theirs}: a run {ours} would make and pay the same prompts again. Name "
        "another output directory (--output-dir)."
    )
