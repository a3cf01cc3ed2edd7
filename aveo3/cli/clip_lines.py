"""Prints a line for each clip of a run; clips that were not sent for one and the same reason are counted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from aveo3.cli.journal_view import counted
from aveo3.cli.progress import clip_line
from aveo3.models import ClipStatus, VideoClip

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

log = logging.getLogger("aveo3")

SHOWN = {ClipStatus.CANCELLED: 0, ClipStatus.DEFERRED: 3, ClipStatus.REJECTED: 3}
"""How many clips that were never sent get a line each, for one reason. The manifest has all of them."""


class ClipLines:
    """Prints to `console` if it is `live`, a screen, else to the log with the clip's number among all `total` clips."""

    def __init__(self, console: Console, total: int, *, live: bool) -> None:
        self._console = console
        self._total = total
        self._live = live
        self._printed: Counter[tuple[ClipStatus, str]] = Counter()
        self._left_out: Counter[tuple[ClipStatus, str]] = Counter()
        self._why: dict[tuple[ClipStatus, str], str] = {}

    def add(self, clip: VideoClip, number: int) -> None:
        """Print the clip that ended as the run's `number`th, or count it."""
        if clip.status in SHOWN:
            why = clip.error_message or "" if clip.status is ClipStatus.REJECTED else ""
            key = clip.status, f"{clip.error_kind} {why}"
            if self._printed[key] >= SHOWN[clip.status]:
                self._left_out[key] += 1
                self._why[key] = " ".join((clip.error_message or "").split())
                return
            self._printed[key] += 1
        self._print(clip_line(clip), f"[{number}/{self._total}] ", good=clip.succeeded)

    def add_up(self) -> None:
        """Print how many clips got no line."""
        from rich.text import Text

        from aveo3.cli.progress import STYLES

        for key, count in self._left_out.items():
            status, _ = key
            if status is ClipStatus.CANCELLED:
                words = f"{counted(count, 'prompt')} {'was' if count == 1 else 'were'} not sent: the run was stopped"
            else:
                words = f"{count:,} more: {self._why[key]}"
            line = Text(f"{status:<10} ", style=STYLES[status])
            line.append(words, style="default")
            self._print(line, "", good=False)

    def _print(self, line: Text, number: str, *, good: bool) -> None:
        if self._live:
            self._console.print(line, overflow="ellipsis", no_wrap=True)
        else:
            log.log(logging.INFO if good else logging.WARNING, "%s%s", number, line.plain)
