"""What the door tells one who counts: requests accepted, ended, refused. By itself it counts nothing."""

from __future__ import annotations

from aveo3.lifecycle import State


class Observer:
    """Is told as things happen. Its methods return at once and raise nothing."""

    def accepted(self, caller: str, seconds: float) -> None:
        """A request of `caller` is on disk, `seconds` after it was read."""

    def ended(self, caller: str, state: State) -> None:
        """A request of `caller` has ended for good."""

    def refused(self, code: int) -> None:
        """A request was answered with the HTTP status `code`, an error."""
