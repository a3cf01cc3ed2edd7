"""The books of a paying user: submits, refusals, videos, downloads and cost. They count, and decide nothing."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aveo3.mock.state.operations import Operation


@dataclass(slots=True)
class Books:
    """Live totals since the start. `as_dict()` first ends all operations that are due; attributes do not do that.

    The most important entry is `accepted_by_prompt`: a prompt with a count of 2 was paid for twice.
    """

    refresh: Callable[[], float] = lambda: 0.0
    """Ends all operations that are due and returns the emulator seconds since the start."""
    quotas: Callable[[], list[dict[str, Any]]] = list
    """Returns the used quota of each project (or key) and model."""

    submits: int = 0
    accepted: int = 0
    accepted_by_prompt: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    refused_by_rule: Counter[str] = field(default_factory=Counter)
    rejected: Counter[int] = field(default_factory=Counter)
    running: int = 0
    peak_running: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    videos: int = 0
    billed_seconds: float = 0
    billed_usd: float = 0.0
    polls: int = 0
    storage_lists: int = 0
    downloads: int = 0
    downloads_complete: int = 0
    download_bytes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)
    prompts_accepted_twice: int = 0

    @property
    def accepted_twice(self) -> dict[str, int]:
        """The prompts that were accepted more than once, with their counts."""
        return {prompt: count for prompt, count in self.accepted_by_prompt.items() if count > 1}

    def accept(self, prompt: str) -> None:
        self.accepted += 1
        self.accepted_by_prompt[prompt] += 1
        self.prompts_accepted_twice += self.accepted_by_prompt[prompt] == 2
        self.running += 1
        self.peak_running = max(self.peak_running, self.running)

    def refuse(self, rules: Iterable[str]) -> None:
        """Count one request that quotas refused, with the names of their rules. 429s of faults count elsewhere."""
        self.refused += 1
        self.refused_by_rule.update(rules)

    def finish(self, operation: Operation) -> None:
        self.running -= 1
        self.outcomes[operation.outcome] += 1
        self.videos += operation.delivered
        self.billed_seconds += operation.billed_seconds
        self.billed_usd += operation.billed_usd

    def as_dict(self) -> dict[str, Any]:
        """Return the books as GET /books.json does: plain values that no longer change."""
        return {
            **self.figures(),
            "quotas": self.quotas(),
            "posts": dict(self.posts),
            "accepted_by_prompt": dict(self.accepted_by_prompt),
            "accepted_twice": self.accepted_twice,
        }

    def figures(self) -> dict[str, Any]:
        """Return the part of the books that does not grow with the number of requests."""
        elapsed = self.refresh()
        return {
            "emulator_seconds": round(elapsed, 6),
            "submits": self.submits,
            "accepted": self.accepted,
            "refused": self.refused,
            "refused_by_rule": dict(self.refused_by_rule),
            "rejected": sum(self.rejected.values()),
            "rejected_by_status": {str(status): count for status, count in self.rejected.items()},
            "running": self.running,
            "peak_running": self.peak_running,
            "outcomes": dict(self.outcomes),
            "videos": self.videos,
            "billed_seconds": self.billed_seconds,
            "billed_usd": round(self.billed_usd, 6),
            "polls": self.polls,
            "storage_lists": self.storage_lists,
            "downloads": self.downloads,
            "downloads_complete": self.downloads_complete,
            "download_bytes": self.download_bytes,
            "faults": dict(self.faults),
            "prompts_accepted_twice": self.prompts_accepted_twice,
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        books = self.figures()
        lines = [
            f"{books['submits']} submits: {books['accepted']} accepted, "
            f"{books['refused']} refused, {books['rejected']} rejected",
            f"{books['videos']} videos, {books['billed_seconds']:g} s billed, US$ {books['billed_usd']:.2f}; "
            f"{books['running']} still running, at most {books['peak_running']} at once",
            f"{books['polls']} polls, {books['downloads']} downloads, {books['download_bytes']:,} bytes",
        ]
        if lists := books["storage_lists"]:
            lines.append(f"{lists} listing{'s' if lists > 1 else ''} of buckets")
        if books["faults"]:
            lines.append("faults: " + ", ".join(f"{name} × {count}" for name, count in books["faults"].items()))
        if twice := self.prompts_accepted_twice:
            lines.append(f"paid for more than once: {twice} prompt{'s' if twice > 1 else ''}")
        return "\n".join(lines)
