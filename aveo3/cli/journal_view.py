"""What the commands that read the journal share: its path, and jobs, costs and times in words."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.cli.shells import quoted
from aveo3.journal.place import journal_path as journal_path
from aveo3.journal.place import journal_place as journal_place
from aveo3.journal.wording import counted as counted
from aveo3.journal.wording import dollars as dollars
from aveo3.journal.wording import listed as listed
from aveo3.journal.wording import plain as plain
from aveo3.journal.wording import priced as priced
from aveo3.journal.wording import prompt_words as prompt_words
from aveo3.lifecycle import State

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord

STYLES = {
    State.PLANNED: "cyan",
    State.SUBMITTING: "magenta",
    State.RUNNING: "bright_blue",
    State.FETCHING: "bright_blue",
    State.SUCCEEDED: "green",
    State.FILTERED: "yellow",
    State.REJECTED: "red",
    State.FAILED: "red",
    State.UNCERTAIN: "magenta",
    State.DEFERRED: "cyan",
    State.CANCELLED: "dim",
}


def settings_of(directory: Path | None, **more: Any) -> Settings:
    """The settings for the journal in `directory`; None means that of the settings: their database, or directory.

    A directory with a journal of its own is looked at even where the settings name a database.
    """
    from aveo3.config.settings import Settings

    if directory is None:
        return Settings(**more)
    settings = Settings(output_dir=directory, **more)
    path = settings.journal_path
    own = settings.database is not None and path is not None and path.is_file()
    return settings.model_copy(update={"database": None}) if own else settings


def directory_and_ids(names: list[str]) -> tuple[Path | None, list[str]]:
    """Split arguments into the directory and the job IDs.

    The first argument is the directory, unless it looks like an ID and no directory has that name. Then the last
    argument may be the directory.
    """
    for place in (0, -1)[: len(names)]:
        name = names[place]
        if not re.fullmatch(r"[0-9a-f]+(\.\d*)?", name, re.IGNORECASE) or Path(name).is_dir():
            return Path(name), [other for at, other in enumerate(names) if at != place % len(names)]
    return None, list(names)


def typed(settings: Settings) -> str:
    """The output directory, quoted for a shell."""
    return quoted(str(settings.output_dir))


def last_change(record: JobRecord) -> datetime:
    """The time of the last recorded change of a job."""
    instants = (record.fetched_utc, record.finished_utc, record.submitted_utc)
    return next((instant for instant in instants if instant is not None), record.queued_utc)


def age(seconds: float) -> str:
    """`4 s`, `59 min`, `23 h`, `12 d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 48 * 3600 else f"{whole // 86_400} d"


def tail(name: str) -> str:
    """The last part of an operation's name or of an address, which identifies it."""
    return name.rstrip("/").rpartition("/")[2]


def fields(record: JobRecord, journal: Journal, *, at_work: bool) -> dict[str, Any]:
    """All fields of a job as `--json` prints them, with absolute paths."""
    from aveo3.journal.review import money_of_job

    files = [{**file, "path": str(journal.locate(file).absolute())} for file in record.files]
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {"job": record.name, **values, "files": files, **money_of_job(record, active=at_work)._asdict()}
