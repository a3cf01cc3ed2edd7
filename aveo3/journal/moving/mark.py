"""What a journal says about itself: its identity, and where it has moved to. Kept in its table `memory`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aveo3.errors import JournalError

KIND = "journal"
"""The `kind` of these values; their `service` is empty, because they belong to none."""

OURS = f"service = '' AND kind = '{KIND}'"
"""SQL for their rows, which are not copied."""


@dataclass(frozen=True, slots=True)
class Mark:
    """That a journal is on its way (`moving`), or has arrived elsewhere (`moved`). It takes no writer meanwhile."""

    state: Literal["moving", "moved"]
    to: str
    """The place as people see it, without a password."""
    at_utc: str

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    def refusal(self, place: object) -> JournalError:
        """The error for who wants to write to the journal at `place`."""
        at = self.at_utc[:19].replace("T", " ")
        if self.state == "moving":
            return JournalError(
                f"the journal {place} takes nothing: its move to {self.to} began at {at} UTC and has not ended. If no "
                "`aveo3 journal move` runs, run the same one again: it finishes the move, and nothing is lost."
            )
        way_out = "Set VEO3_DATABASE to it" if self.to.startswith("PostgreSQL") else "Name its directory"
        return JournalError(
            f"the journal {place} was moved to {self.to} at {at} UTC, and takes nothing more here. {way_out}, or move "
            "it back with `aveo3 journal move`."
        )


def mark_in(kept: Mapping[str, Mapping[str, Any]]) -> Mark | None:
    """The mark among the values that a journal keeps under `KIND`; None if it is at home here."""
    return Mark(**kept["moved"]) if "moved" in kept else None
