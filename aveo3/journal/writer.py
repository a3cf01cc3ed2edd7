"""What writes steps into the journal's database: the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Statement = tuple[str, tuple[Any, ...]]
"""With `?` where its values go."""
Step = tuple[Statement, ...]
"""Statements that belong together, each of which changes one row."""


class Write(Protocol):
    """Writes one step into the journal, whole or not at all."""

    def __call__(self, *step: Statement, commit: bool = False, sync: bool = False, keep: bool = False) -> None: ...


class Writer(Protocol):
    """Writes steps in their order, each whole or not at all."""

    @property
    def waiting(self) -> Sequence[Step]:
        """The steps that are not in the database yet, in their order."""
        ...

    @property
    def broken(self) -> str | None:
        """Why nothing more can be written, and so nothing more may be submitted; None if all is well."""
        ...

    def write(
        self, step: Step, *, commit: bool = False, sync: bool = False, keep: bool = False, fenced: bool = False
    ) -> None:
        """Write `step`: with `commit` other processes see it from now on, with `sync` it outlives a power cut soon.

        Raises `JournalError` if the database refuses. With `keep`, such a step waits instead and is tried again, and
        `broken` is set meanwhile. A `fenced` step is written only while this process leads.
        """
        ...

    def settle(self) -> None:
        """Have the next reads of this process see all steps by now."""
        ...

    async def on_disk(self) -> None:
        """Return when all that was written by now outlives a power cut. Raises `JournalError` if it may not."""
        ...

    def close(self) -> None:
        """Write what is left, as far as that can be done."""
        ...
