"""Reads what report and live page show from a journal and the files beside it. Writes nothing.

`view_of` reads everything; `clip_row` makes one row, for a page that changes row by row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aveo3._visible import unsigned
from aveo3.errors import AveoError
from aveo3.files.film_facts import film_facts
from aveo3.input_forms import MEDIA_FIELDS, SEVERAL_MEDIA
from aveo3.journal.next_move import next_move, status_word
from aveo3.journal.review import money_of, money_of_job
from aveo3.journal.wording import plain
from aveo3.report.steps import steps_of
from aveo3.report.view import VERSION, ClipRow, LaneStep, MoneyRow, RunRow, VideoRow, View

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord

FAILED = "failed.jsonl"
"""The file in which the command line keeps the prompts that were not made."""

READERS = 4
"""Threads that read films: on a disk of a network each read waits."""


@dataclass(frozen=True, slots=True)
class Film:
    """One video file of a job: its place, and what it was when it was saved."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What all rows of one page have in common."""

    home: Path
    """The directory that the paths in the journal are relative to."""
    url: Callable[[Path], str]
    """The address of a file for the page."""
    directory: str
    """The output directory, quoted for a shell."""
    unmade: str | None
    """The file of prompts that were not made, quoted for a shell; None if there is none."""
    active: bool
    """A run is writing to the journal now."""


def frame_of(
    journal: Journal, output_dir: Path, *, url: Callable[[Path], str], quoted: Callable[[str], str], active: bool
) -> Frame:
    """The frame of a page about `journal`. `quoted` makes one argument of a shell out of a text."""
    place = output_dir.absolute()
    unmade = place / FAILED
    return Frame(
        home=journal.home.absolute(),
        url=url,
        directory=quoted(str(place)),
        unmade=quoted(str(unmade)) if unmade.is_file() else None,
        active=active,
    )


def url_from(base: Path) -> Callable[[Path], str]:
    """A function that gives addresses of files relative to the directory `base`, for any name of a file."""
    home = os.path.abspath(base)  # noqa: PTH100 (resolves `..`, and follows no link)

    def url(path: Path) -> str:
        try:
            relative = Path(os.path.relpath(path, home))
        except ValueError:  # on another drive of Windows
            return path.absolute().as_uri()
        return "/".join(quote(os.fsencode(part), safe="") for part in relative.parts)

    return url


def view_of(
    journal: Journal,
    settings: Settings,
    frame: Frame,
    *,
    now_utc: datetime | None = None,
    posters: Callable[[list[Film]], Mapping[Path, str]] | None = None,
) -> View:
    """Everything that `journal` and the files beside it say. `posters` cuts stills of films, and gives their URLs."""
    from aveo3.report.lanes import lane_rows, lane_steps

    tallies = journal.tallies()
    records = list(journal.records())
    films = {record.id: films_of(record, frame.home) for record in records}
    every = [film for each in films.values() for film in each]
    facts = facts_of(every)
    stills = posters([film for film in every if film.path in facts]) if posters is not None else {}
    money = money_of(tallies, active=frame.active)
    steps = steps_of(journal)
    noted: list[LaneStep] = lane_steps(journal)
    directory = settings.output_dir.absolute()
    return View(
        v=VERSION,
        title=directory.name or str(directory),
        directory=str(directory),
        service=records[-1].service if records else "google",
        made_utc=(now_utc or datetime.now(UTC)).isoformat(),
        live=False,
        run=run_row(journal, active=frame.active),
        clips=[
            clip_row(record, frame, videos=[video_row(film, frame, facts, stills) for film in films[record.id]])
            for record in records
        ],
        lanes=lane_rows(journal, records, settings),
        money=MoneyRow(
            spent_usd=round(money.spent.usd, 6),
            in_flight_usd=round(money.in_flight.usd, 6),
            may_be_paid_usd=round(money.may_be_paid.usd, 6),
            unpriced=money.spent.unpriced + money.in_flight.unpriced + money.may_be_paid.unpriced,
            budget_usd=settings.budget,
        ),
        steps=steps,
        lane_steps=noted,
    )


def run_row(journal: Journal, *, active: bool) -> RunRow | None:
    """The run that is `active`, or was last; None if there was none."""
    if (run := journal.last_run()) is None:
        return None
    return RunRow(
        active=active,
        begun_utc=run.started_utc.isoformat(),
        ended_utc=None if active else _text(run.ended_utc),
        total=None,
        next_submit_utc=None,
        done_utc=None,
        stopping=None,
        paused=False,
    )


# ---- one clip --------------------------------------------------------------------------------------------------------


def clip_row(record: JobRecord, frame: Frame, *, videos: Iterable[VideoRow] | None = None) -> ClipRow:
    """The row of one job. Without `videos`, reads the facts of its films, and shows no stills."""
    if videos is None:
        films = films_of(record, frame.home)
        facts = facts_of(films)
        videos = [video_row(film, frame, facts, {}) for film in films]
    videos = list(videos)
    prompt = record.prompt
    move = next_move(
        record,
        active=frame.active,
        directory=frame.directory,
        unmade=frame.unmade,
        missing=any(video["missing"] for video in videos),
    )
    money = money_of_job(record, active=frame.active)
    return ClipRow(
        key=record.name,
        index=record.position,
        prompt_id=_string(prompt.get("id")),
        project_id=_string(prompt.get("project_id")),
        text=str(prompt.get("text", "")),
        parameters=dict(_parameters(prompt)),
        labels=_labels(prompt.get("labels")),
        status=status_word(record.state, active=frame.active),
        model=record.model,
        lane=lane_of(record.place, record.model),
        instead_of=record.instead_of,
        cost_usd=record.cost_usd,
        spent_usd=money.spent_usd,
        in_flight_usd=money.in_flight_usd,
        may_be_paid_usd=money.may_be_paid_usd,
        attempts=record.attempts,
        retries=record.retries,
        queued_utc=record.queued_utc.isoformat(),
        submitted_utc=_text(record.submitted_utc),
        finished_utc=_text(record.finished_utc),
        fetched_utc=_text(record.fetched_utc),
        videos=videos,
        uris=[unsigned(uri) for uri in record.uris],
        error_kind=record.error_kind,
        error_message=None if record.error_message is None else plain(record.error_message),
        next_move=move.sentence,
        command=move.command,
        operation=record.operation,
    )


def lane_of(place: Mapping[str, str | None], model: str) -> str | None:
    """The lane's name: that of a configured lane, else its model, which names the lane that is implied."""
    return (place.get("lane") or model) if place else None


def _parameters(prompt: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a prompt sets besides its text and what has a place of its own; media by their names."""
    for name, value in prompt.items():
        if name in SEVERAL_MEDIA:
            yield name, [_medium(one) for one in value]
        elif name in MEDIA_FIELDS:
            yield name, _medium(value)
        elif name not in _ELSEWHERE:
            yield name, value


_ELSEWHERE = ("text", "id", "project_id", "labels", "model", "metadata", "webhook_metadata")
"""Shown in fields of their own, or the user's own data, which may be private: a report is handed on."""


def _medium(noted: Any) -> str:
    """The name of a picture or video of a prompt."""
    if not isinstance(noted, Mapping):
        return "?"
    if isinstance(path := noted.get("path"), str):
        return path.replace("\\", "/").rpartition("/")[2]
    if isinstance(uri := noted.get("uri"), str):
        return unsigned(uri)
    return f"{noted.get('mime_type', 'media')} {str(noted.get('sha256') or '')[:8]}".strip()


def _labels(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}


def _string(value: Any) -> str | None:
    return None if value is None else str(value)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


# ---- its files -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a film on disk is."""

    bytes: int
    seconds: float | None
    width: int | None
    height: int | None


def films_of(record: JobRecord, home: Path) -> list[Film]:
    """The video files of a job."""
    return [
        Film(home / str(file.get("path", "")), _number(file.get("size")), str(file.get("sha256", "")))
        for file in record.files
    ]


def video_row(film: Film, frame: Frame, facts: Mapping[Path, FileFacts], stills: Mapping[Path, str]) -> VideoRow:
    """The row of one film. `facts` has those that are there, `stills` the URLs of their posters."""
    found = facts.get(film.path)
    return VideoRow(
        src=frame.url(film.path),
        poster=stills.get(film.path),
        bytes=film.size if found is None else found.bytes,
        seconds=None if found is None else found.seconds,
        width=None if found is None else found.width,
        height=None if found is None else found.height,
        missing=found is None,
    )


def facts_of(films: list[Film]) -> dict[Path, FileFacts]:
    """The facts of those `films` that are on disk."""
    with ThreadPoolExecutor(READERS, "aveo3-films") as pool:  # starts a thread only when there is work for it
        found = list(map(_facts, films) if len(films) < 2 * READERS else pool.map(_facts, films, chunksize=64))
    return {film.path: fact for film, fact in zip(films, found, strict=True) if fact is not None}


def _facts(film: Film) -> FileFacts | None:
    try:
        with film.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            facts = None
            with suppress(OSError, ValueError, AveoError):
                facts = film_facts(file, size)
    except (OSError, ValueError):
        return None
    return FileFacts(size, *(facts or (None, None, None)))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
