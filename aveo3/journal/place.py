"""Where a journal is: a file, or a database that many processes share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from pydantic import SecretStr

    from aveo3.config.settings import Settings


@dataclass(frozen=True, slots=True)
class SharedJournal:
    """A journal in a PostgreSQL database, to which many processes on many machines may write."""

    url: SecretStr
    """`postgresql://user:password@host:port/database?parameters`, as libpq takes it."""
    home: Path
    """The directory of the videos and media, which all of these processes see."""

    def __str__(self) -> str:
        """Hosts, ports and the database, without the user's name, password or any other parameter."""
        url = self.url.get_secret_value()
        try:
            parts = urlsplit(url)
        except ValueError:
            return "PostgreSQL"
        if parts.scheme not in ("postgresql", "postgres"):  # libpq's other form: the password would be shown
            return "PostgreSQL"
        if url.count("@") > parts.netloc.count("@"):  # a sign in the password was not quoted: it would be shown
            return "PostgreSQL"
        given = dict(parse_qsl(parts.query))
        hosts = unquote(parts.netloc.rpartition("@")[2]) or given.get("host", "localhost")
        if "port" in given:
            hosts += f":{given['port']}"
        database = given.get("dbname") or unquote(parts.path.removeprefix("/"))
        return f"PostgreSQL at {hosts}" + (f", database {database}" if database else "")


Place = Path | SharedJournal
"""A file of SQLite, or a database of PostgreSQL."""


def home_of(place: Place) -> Path:
    """The directory from which the journal at `place` counts the paths of its files."""
    from aveo3.config.settings import JOURNAL

    if isinstance(place, SharedJournal):
        return place.home
    return place.parent.parent if place.parent.name == JOURNAL.parent.name else place.parent


def journal_place(settings: Settings) -> Place:
    """Where the journal is that the settings name: a database, or a file that is there.

    Raises `UsageError` if the settings turn it off, `JournalError` if the file does not exist.
    """
    if settings.database is not None:
        return SharedJournal(settings.database, settings.output_dir.absolute())
    return journal_path(settings)


def journal_path(settings: Settings) -> Path:
    """The path of the journal. Raises `UsageError` if the settings turn it off, `JournalError` if it does not exist."""
    from aveo3.errors import JournalError, UsageError

    path = settings.journal_path
    if path is None:
        raise UsageError("there is no journal to read: VEO3_JOURNAL=none. Unset it to keep a journal.")
    if not path.is_file():
        directory = settings.output_dir
        if settings.journal == "auto" and not directory.is_dir():
            what = "is a file" if directory.exists() else "does not exist"
            raise JournalError(f"{directory} {what}, so there is no journal. Name the directory with the videos.")
        raise JournalError(f"there is no journal {path}: no run has written to {directory} yet.")
    return path
