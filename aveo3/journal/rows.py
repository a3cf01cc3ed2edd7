"""What the journal holds: a job's row and its events, counts of them, and the form that values have in SQLite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aveo3.input_forms import MEDIA_FIELDS, ONE_MEDIUM, SEVERAL_MEDIA
from aveo3.journal.database import Row
from aveo3.lifecycle import SPENT, State
from aveo3.media import Media, ReferenceImage
from aveo3.models import VideoPrompt


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job as the journal has it. Events change the fields from `state` on."""

    id: int
    service: str
    """Who made it: clips of an emulator are never handed out as Google's."""
    digest: str
    ordinal: int
    """1, or its place among equal prompts."""
    position: int
    """Place in its batch, from 0."""
    prompt: Mapping[str, Any]
    queued_utc: datetime
    fresh_batch: int | None = None
    """The fresh batch that it was made for; see `fresh`."""
    state: State
    model: str
    """The model that it was sent to last, or will be sent to."""
    attempts: int = 0
    retries: int = 0
    operation: str | None = None
    place: Mapping[str, str | None] = field(default_factory=dict)
    """Backend, project, location, API version and lane of the last submit."""
    sent_as: str | None = None
    """The digest of what was sent, if that differs from what was asked for, e.g. in its model."""
    instead_of: str | None = None
    """The model that was asked for, where a fallback got the prompt."""
    translated: tuple[str, ...] = ()
    """What was changed for the fallback, a note each."""
    sunk_usd: float | None = None
    """What earlier attempts cost or may have cost that a person gave up (`aveo3 retry`), in US$."""
    sunk_unpriced: int | None = None
    """How many of those attempts had no known price: `sunk_usd` counts them as free."""
    output_uri: str | None = None
    """The gs:// prefix that the last attempt, and no other, writes to."""
    cost_usd: float | None = None
    error_kind: str | None = None
    error_message: str | None = None
    uris: tuple[str, ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()
    """`path` (relative to the journal's directory if it lies in it), `size`, `sha256`."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Google's account of the tokens of its operation; empty if it gave none."""
    submitted_utc: datetime | None = None
    finished_utc: datetime | None = None
    fetched_utc: datetime | None = None

    @property
    def name(self) -> str:
        """The name for people: the beginning of the digest, and the ordinal from 2 on. `1a2b3c4d`, `1a2b3c4d.2`."""
        return job_name(self.digest, self.ordinal)

    def moved(self, state: State, changes: Mapping[str, Any]) -> JobRecord:
        """This record after a move to `state` that makes `changes`. Raises `TypeError` if events change no such thing.

        Each move of each job makes a record, and `dataclasses.replace` takes seven times as long.
        """
        if not CHANGING.issuperset(changes):
            raise TypeError(f"a job has no {', '.join(sorted(changes.keys() - CHANGING))}")
        return _changed(self, {**changes, "state": state})

    @property
    def counted_usd(self) -> float:
        """What counts against a budget: what it cost so far or may cost, attempts that were given up included, in US$;
        see `JournalReader.spent`."""
        return (self.sunk_usd or 0.0) + (self.cost_usd or 0.0) * (self.state in SPENT)


def new_record(digest: str, position: int, model: str, queued_utc: datetime) -> JobRecord:
    """The record of a new job that no journal has. A quarter of the time that the constructor takes."""
    return _changed(_BLANK, {"digest": digest, "position": position, "model": model, "queued_utc": queued_utc})


_BLANK = JobRecord(
    id=0,
    service="",
    digest="",
    ordinal=1,
    position=0,
    prompt={},
    queued_utc=datetime.min.replace(tzinfo=UTC),
    state=State.PLANNED,
    model="",
)


def _changed(record: JobRecord, changes: Mapping[str, Any]) -> JobRecord:
    values = record.__dict__.copy()  # a copy shares its keys: it is small
    values.update(changes)
    changed = object.__new__(JobRecord)
    object.__setattr__(changed, "__dict__", values)  # it is frozen
    return changed


_NAMES = [f.name for f in fields(JobRecord)]
CHANGING = frozenset(_NAMES[_NAMES.index("state") + 1 :])
"""The columns that events change, besides the state."""


def job_name(digest: str, ordinal: int) -> str:
    """The name of a job for people; see `JobRecord.name`."""
    return digest[:8] + (f".{ordinal}" if ordinal > 1 else "")


def is_job_id(name: str) -> bool:
    """True if `name` looks like the whole name of a job, or the beginning of a digest that holds it."""
    return re.fullmatch(r"[0-9a-f]{8,64}(\.[0-9]{1,9})?", name) is not None


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a job: the time, the new state, and the other columns that changed."""

    at_utc: datetime
    state: State
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StateCount:
    """The jobs of one service in one state."""

    service: str
    state: State
    jobs: int
    cost_usd: float
    unpriced: int
    """How many of them have no known price."""
    sunk_usd: float = 0.0
    """What attempts that were given up cost or may have cost; see `JobRecord.sunk_usd`."""
    sunk_unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Left:
    """Jobs that one backend works on, or did when the last run ended."""

    backend: str | None
    jobs: int
    oldest_utc: datetime
    """The earliest of their last changes."""
    stale: int
    """How many have not changed since the given instant."""


@dataclass(frozen=True, slots=True)
class Run:
    """A process that worked, or works, with this journal."""

    id: int
    pid: int
    host: str
    started_utc: datetime
    ended_utc: datetime | None


def replay(events: Iterable[Event]) -> dict[str, Any]:
    """The changing part of a job as its events tell it: what its row must say."""
    row: dict[str, Any] = {}
    for event in events:
        row |= {**event.changes, "state": event.state}
    return row


def from_row(row: Row) -> JobRecord:
    """The job that a row of the table `jobs` stands for. Raises `ValueError` naming the job if that makes no sense."""
    try:
        return _from_row(row)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"job {row['id']}: {error}") from error


def _from_row(row: Row) -> JobRecord:
    values: dict[str, Any] = dict(zip(row.keys(), row, strict=True))
    for name, kinds in _KINDS.items():
        if not isinstance(values[name], kinds):
            raise TypeError(f"{name} is {values[name]!r:.60}")
    values["state"] = State(values["state"])
    for name in ("queued_utc", "submitted_utc", "finished_utc", "fetched_utc"):
        values[name] = to_time(values[name])
    for name in ("prompt", "place", "usage"):
        text = values[name]
        values[name] = {} if text is None else json.loads(text)
        if not isinstance(values[name], dict):
            raise TypeError(f"{name} is {text:.60}")
    for name in ("uris", "files", "translated"):
        text = values[name]
        values[name] = () if text is None or text == "[]" else _tuple(name, text)
    return JobRecord(**values)


def _tuple(name: str, text: str) -> tuple[Any, ...]:
    items, kind = json.loads(text), dict if name == "files" else str
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise TypeError(f"{name} is {text:.60}")
    return tuple(items)


_TEXTS = ("operation", "place", "sent_as", "instead_of", "translated", "output_uri", "error_kind", "error_message")
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "ordinal", "position", "attempts", "retries"), (int,)),
    **dict.fromkeys(("sunk_usd", "cost_usd"), (int, float, type(None))),
    **dict.fromkeys(("fresh_batch", "sunk_unpriced"), (int, type(None))),
    **dict.fromkeys(("service", "digest", "model", "prompt", "queued_utc", "state"), (str,)),
    **dict.fromkeys(
        (*_TEXTS, "uris", "files", "usage", "submitted_utc", "finished_utc", "fetched_utc"), (str, type(None))
    ),
}
"""What each column holds. SQLite keeps anything in any of them."""


def to_time(text: str | None) -> datetime | None:
    """An instant as the journal keeps it, read back."""
    return None if text is None else datetime.fromisoformat(text)


def storable(value: Any) -> Any:
    """Text as SQLite can hold it: half a surrogate pair, as the name of a file may have one, is spelled out."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def to_column(value: Any) -> Any:
    """A value as SQLite keeps it: lists and mappings as JSON."""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    return plain(value) if isinstance(value, datetime) else value


def plain(value: Any) -> str:
    """What JSON has no form for, as text: instants, and nothing else."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} does not belong into the journal")


def prompt_record(prompt: VideoPrompt, media_hashes: tuple[str | None, ...]) -> dict[str, Any]:
    """A prompt as the journal keeps it: media by their hash and path, never their bytes."""
    record = prompt.model_dump(mode="json", exclude_defaults=True, exclude=set(MEDIA_FIELDS))
    hashes = dict(zip(map(id, prompt.media), media_hashes, strict=False))

    def noted(medium: Media) -> dict[str, Any]:
        kind = {"type": medium.type} if isinstance(medium, ReferenceImage) and medium.type != "asset" else {}
        if medium.uri is not None:
            return {"uri": medium.uri, "mime_type": medium.mime_type, **kind}
        path = {} if medium.file is None else {"path": str(medium.file.absolute())}
        if medium.clip is not None:
            of = {"clip": medium.clip} if medium.frame is None else {"clip": medium.clip, "frame": medium.frame}
            return {**of, **path, "sha256": medium.clip_sha256, "mime_type": medium.mime_type, **kind}
        return {**path, "sha256": hashes.get(id(medium)), "mime_type": medium.mime_type, **kind}

    for name in ONE_MEDIUM:
        if (medium := getattr(prompt, name)) is not None:
            record[name] = noted(medium)
    for name in SEVERAL_MEDIA:
        if several := getattr(prompt, name):
            record[name] = [noted(medium) for medium in several]
    return record


def recorded_prompt(record: Mapping[str, Any], home: Path = Path()) -> VideoPrompt:
    """The prompt that the journal keeps, to go on with: it is not checked, and cannot be sent, again.

    Media of the server's requests lie in the directory of the journal, `home`, wherever that is by now.
    """

    def medium(noted: Mapping[str, Any], kind: type[Media] = Media) -> Media:
        path = home / noted["path"] if "path" in noted else None
        more = {"type": noted.get("type", "asset")} if kind is ReferenceImage else {}
        if (clip := noted.get("clip")) is not None:
            made = kind.model_construct(clip=clip, frame=noted.get("frame"), mime_type=noted["mime_type"], **more)
            return made if path is None else made.found(path, noted["sha256"])
        return kind.model_construct(path=path, uri=noted.get("uri"), mime_type=noted["mime_type"], **more)

    values = dict(record)
    for name in ONE_MEDIUM:
        if name in record:
            values[name] = medium(record[name])
    values["reference_images"] = tuple(medium(one, ReferenceImage) for one in record.get("reference_images", ()))
    values["reference_videos"] = tuple(medium(one) for one in record.get("reference_videos", ()))
    return VideoPrompt.model_construct(**values)
