"""The jobs that one batch of prompts has met, and how far it has looked under each key. In memory, small for each."""

from __future__ import annotations

from hashlib import blake2b

FEW = 4
"""Jobs that may be passed again with each look: a key with no more of them needs no mark."""


class Met:
    """What one batch of prompts has met: some 70 bytes a job, and a mark for a key only where that saves something."""

    __slots__ = ("_marks", "jobs")

    def __init__(self) -> None:
        self.jobs: set[int] = set()
        """The jobs that prompts of this batch got, under any key."""
        self._marks: dict[int, int] = {}

    def behind(self, key: int) -> int:
        """The place behind which the next job of this key is looked for."""
        return self._marks.get(key, 0)

    def looked(self, key: int, upto: int, passed: int, *, over: bool) -> None:
        """Note a look under `key` that passed `passed` jobs of this batch, the last of them at the place `upto`.

        `over` says that it passed over a job that others have: once the prompt has another, it is not gone back to.
        """
        if over or passed > FEW:
            self._marks[key] = upto

    def got(self, key: int, place: int, *, sparse: bool) -> None:
        """Note that a prompt got the job at a place of `key`. `sparse`: without a mark unless the key has one."""
        if not sparse or key in self._marks:
            self._marks[key] = max(place, self._marks.get(key, 0))


def key_of(column: str, digest: str, batch: int = 0) -> int:
    """What stands for a digest in a column, and for the fresh batch in which it is looked for: 128 bits."""
    return int.from_bytes(blake2b(f"{column} {digest} {batch}".encode(), digest_size=16).digest())


def order_of(column: str) -> str:
    """The column that orders the jobs of one digest, as an index does: their places."""
    return "ordinal" if column == "digest" else "id"
