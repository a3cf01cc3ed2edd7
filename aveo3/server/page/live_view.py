"""Keeps the view of a running client from its events. It needs no journal; with one, rows have their parameters.

An event costs a few microseconds: rows are made when somebody looks, or when a clip has ended. Ended clips keep only
their packed rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from aveo3.dispatch.stats import Stats
from aveo3.dispatch.time_left import USUAL, Pace, eta
from aveo3.errors import AveoError
from aveo3.events import kinds
from aveo3.journal.rows import JobRecord, new_record
from aveo3.lifecycle import State, is_emulated
from aveo3.models import ClipStatus
from aveo3.quota.gate_stats import GateStats
from aveo3.report.from_journal import Film, Frame, clip_row
from aveo3.report.view import ClipRow, LaneRow, LaneStep, MoneyRow, RunRow, Step
from aveo3.server.page.answers import Actions
from aveo3.server.page.film_board import FilmBoard
from aveo3.server.page.listing import Listing
from aveo3.server.page.live_lane import lane_row, steady
from aveo3.server.page.shown import Shown

if TYPE_CHECKING:
    from aveo3.client import VeoClient

log = logging.getLogger("aveo3.page")


@dataclass(slots=True)
class _Job:
    """A job that has not ended."""

    record: JobRecord
    waits: bool = False

    @property
    def lane(self) -> str | None:
        return self.record.place.get("lane")

    def move(self, state: State, **changes: Any) -> None:
        self.record = self.record.moved(state, changes)


class Steering(Protocol):
    """What a person may do with a run. Each is what Ctrl-C, or a call of the client, does; a second call does nothing.

    `stopping` is `stop` or `leave` once that was asked for, by whomever.
    """

    @property
    def stopping(self) -> str | None: ...
    def pause(self) -> object: ...
    def go_on(self) -> object: ...
    def stop(self) -> object: ...
    def leave(self) -> object: ...


class LiveView:
    """What a page shows of a client: give it `take` as its listener, and `attach` it before its first batch.

    `quoted` makes one argument of a shell out of a text. `take` is called in the client's event loop.
    """

    def __init__(
        self,
        output_dir: Path,
        *,
        budget: float | None = None,
        quoted: Callable[[str], str] = str,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.home = output_dir.absolute()
        self.shown = Shown(
            title=self.home.name or str(self.home),
            directory=str(self.home),
            service="google",
            made_utc=now_utc().isoformat(),
            live=True,
            run=None,
            money=MoneyRow(spent_usd=0.0, in_flight_usd=0.0, may_be_paid_usd=0.0, unpriced=0, budget_usd=budget),
        )
        self._now_utc = now_utc
        self._listing = Listing(self.shown)
        self._board = FilmBoard(self.shown, self.home, quoted)
        self._frame = Frame(home=self.home, url=str, directory=quoted(str(self.home)), unmade=None, active=True)
        self._frame_of_ended = replace(self._frame, active=False)
        self._client: VeoClient | None = None
        self._steering: Steering | None = None
        self._usual = USUAL
        self._worker = ThreadPoolExecutor(1, "aveo3-page-films")
        self._jobs: dict[str, _Job] = {}
        self._changed: dict[str, None] = {}  # jobs whose rows are to be made
        self._why: dict[str, str] = {}  # what was said when a lane paused or closed
        self._models: dict[str, str] = {}  # of the lanes
        self._earlier_usd = 0.0
        self._priced_usd, self._priced = 0.0, 0  # submits with a known price
        self._total: int | None = 0
        self._begun_utc: datetime | None = None
        self._ended_utc: datetime | None = None
        self._batches = 0  # that have not ended
        self._pace: Pace | None = None

    def attach(self, client: VeoClient, *, usual: float = USUAL) -> None:
        """Show `client`, which is open. `usual` is the time of a clip in seconds until the client has measured it."""
        self._client, self._usual = client, usual
        self._pace = Pace(asyncio.get_running_loop().time())
        self.shown.set(service=client.service)

    def steer(self, steering: Steering) -> None:
        """Let the page act on the run."""
        self._steering = steering

    # ---- for the server --------------------------------------------------------------------------------------------

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The videos of a clip, in the order of its row."""
        return self._listing.films_of(key) or self._board.films_of(key)

    async def pick(self, scene: str, take: str) -> str | None:
        """Pick a take of the directory's film. Returns why that cannot be; None if it is done."""
        return await self._board.pick(scene, take)

    def actions(self) -> Actions:
        """What a person may do now: nothing once the run has ended."""
        if self._steering is None or not self._batches:
            return {}
        steering = self._steering
        return {"pause": steering.pause, "go-on": steering.go_on, "stop": steering.stop, "leave": steering.leave}

    async def refresh(self) -> None:
        """Make the rows of what has changed."""
        changed, self._changed = self._changed, {}
        for number, key in enumerate(changed):
            if (job := self._jobs.get(key)) is not None:
                self.shown.put_clip(self._row(key, job), ended=False)
            if number % 100 == 99:
                await asyncio.sleep(0)  # the run goes first
        self._show_client()
        await self._board.refresh(self._worker)
        await self._listing.read_some(self._worker)

    def _show_client(self) -> None:
        client, now = self._client, self._now_utc()
        if client is None or self._pace is None:
            return
        stats = client.stats()
        unsent = self._unsent(stats)
        for name, gate in stats.gates.items():
            self.shown.put_lane(self._lane(name, gate, now, unsent=unsent))
        emulated = is_emulated(self.shown.fields["service"])
        self.shown.set(
            run=self._run(stats, now, unsent),
            money=MoneyRow(
                spent_usd=0.0 if emulated else round(self._earlier_usd + stats.spent_usd, 4),
                in_flight_usd=0.0 if emulated else stats.in_flight_usd,
                may_be_paid_usd=0.0 if emulated else stats.may_be_paid_usd,
                unpriced=0 if emulated else stats.unpriced,
                budget_usd=client.settings.budget,
                rest_usd=None if emulated else self._rest_usd(unsent),
            ),
        )

    def _rest_usd(self, unsent: int) -> float | None:
        if not self._batches or not self._priced:
            return None
        return round(unsent * self._priced_usd / self._priced, 2)

    def _lane(self, name: str, gate: GateStats, now: datetime, *, unsent: int) -> LaneRow:
        return lane_row(
            name,
            gate,
            now,
            before=self.shown.lanes.get(name),
            model=self._models.get(name),
            why=self._why.get(name),
            active=self._batches > 0,
            unsent=unsent > 0,
        )

    def _run(self, stats: Stats, now: datetime, unsent: int) -> RunRow | None:
        if self._begun_utc is None or self._pace is None:
            return None
        active = self._batches > 0
        before: RunRow | None = self.shown.fields["run"]
        next_in = min((gate.next_in for gate in stats.gates.values() if gate.next_in is not None), default=None)
        since = self._pace.since(stats, asyncio.get_running_loop().time())
        never_sent = sum(stats.clips[status] for status in (*_NEVER_SENT,))
        left = eta(stats, stats.submitted + never_sent + unsent, since, usual=self._usual) if active else None
        stopping = None if self._steering is None else self._steering.stopping
        waits = active and stopping is None and not stats.paused and unsent > 0
        return RunRow(
            active=active,
            begun_utc=self._begun_utc.isoformat(),
            ended_utc=None if self._ended_utc is None else self._ended_utc.isoformat(),
            total=self._total,
            next_submit_utc=steady(before and before["next_submit_utc"], now, next_in) if waits else None,
            done_utc=steady(before and before["done_utc"], now, left) if active else None,
            stopping=stopping if active else None,
            paused=stats.paused and active,
        )

    def _unsent(self, stats: Stats) -> int:
        """Prompts of this run that are still to be sent."""
        waiting = sum(job.record.state is State.PLANNED for job in self._jobs.values())
        known = sum(stats.clips.values()) + len(self._jobs)
        return waiting + max(0, (self._total or 0) - known)

    # ---- events ----------------------------------------------------------------------------------------------------

    def take(self, event: kinds.Event) -> None:
        """Note one event. Raises nothing that a client must know of."""
        match event:
            case kinds.Planned():
                self._plan(event)
            case kinds.Ended():
                self._end(event)
            case kinds.JobEvent():
                self._move(event)
            case kinds.LaneEvent():
                self._change_lane(event)
            case kinds.BudgetChanged():
                self._earlier_usd = event.earlier_usd
            case kinds.RunBegun():
                self._batches += 1
                self._begun_utc, self._ended_utc = self._begun_utc or event.at_utc, None
                self._total = None if event.total is None or self._total is None else self._total + event.total
            case kinds.RunEnded():
                self._batches -= 1
                if not self._batches:
                    self._ended_utc = event.at_utc

    def _plan(self, event: kinds.Planned) -> None:
        digest, _, ordinal = (event.job or "").partition(".")
        record = new_record(digest, event.index, event.model, event.at_utc)
        told = {"id": event.prompt_id, "project_id": event.project_id, "labels": dict(event.labels)}
        prompt = {**self._recorded(event.job), "text": event.text}
        prompt |= {name: value for name, value in told.items() if value}
        self._jobs[_key(event)] = _Job(
            replace(
                record,
                ordinal=int(ordinal or 1),
                service=self.shown.fields["service"],
                state=State(event.state),
                prompt=prompt,
            )
        )
        self._changed[_key(event)] = None

    def _recorded(self, job: str | None) -> Mapping[str, Any]:
        """The prompt of a job as the journal has it."""
        journal = None if self._client is None else self._client.journal
        if job is None or journal is None:
            return {}
        try:
            return journal.prompt_of(self.shown.fields["service"], job) or {}
        except AveoError as error:
            log.debug("the page cannot read the prompt of job %s: %s", job, error)
            return {}

    def _move(self, event: kinds.JobEvent) -> None:
        key, at = _key(event), event.at_utc
        if (job := self._jobs.get(key)) is None:  # its batch began before anybody listened
            return
        job.waits = isinstance(event, kinds.Waiting)
        self._changed[key] = None
        match event:
            case kinds.Submitted():
                place = {"lane": event.lane}
                self._models[event.lane] = event.model
                if event.cost_usd is not None:
                    self._priced_usd, self._priced = self._priced_usd + event.cost_usd, self._priced + 1
                changes = {"attempts": event.attempt, "model": event.model, "submitted_utc": at, "place": place}
                job.move(State.SUBMITTING, **changes, cost_usd=event.cost_usd, error_kind=None, error_message=None)
                self._step(event, "submitted", event.lane)
            case kinds.Accepted():
                job.move(State.RUNNING, operation=event.operation)
                self._step(event, "accepted", event.lane)
            case kinds.Running():
                job.move(State.RUNNING, operation=event.operation, place={"lane": event.lane})
            case kinds.Refused():
                job.move(State.PLANNED, error_kind=event.reason, error_message=event.message)
                self._step(event, "refused", event.lane)
            case kinds.Retrying():
                changes = {"error_kind": event.reason, "error_message": event.message, "retries": event.retries}
                job.move(State.PLANNED, **changes)
                self._step(event, "retrying", job.lane)
            case kinds.Fetching():
                job.move(State.FETCHING, cost_usd=event.cost_usd, finished_utc=at)
                self._step(event, "finished", job.lane)
            case kinds.Saved():
                job.move(State.FETCHING, fetched_utc=at, files=_files(event.paths, event.bytes))
                self._step(event, "saved", job.lane)

    def _end(self, event: kinds.Ended) -> None:
        key = _key(event)
        self._changed.pop(key, None)
        if (job := self._jobs.pop(key, None)) is None:  # nothing was to be done for it
            self._plan(_planned(event))
            job = self._jobs.pop(key)
            self._changed.pop(key, None)
        sizes = {file["path"]: file["size"] for file in job.record.files}
        files = tuple({**file, "size": sizes.get(file["path"], 0)} for file in _files(event.paths, 0))
        if job.record.state is State.RUNNING and event.status in _ENDED_AT_GOOGLE:
            self._step(event, "finished", job.lane)
        left = event.status == ClipStatus.UNFINISHED  # no state: the job stays where it is
        job.move(
            job.record.state if left else State(event.status),
            model=event.model,
            cost_usd=event.cost_usd,
            attempts=event.attempts,
            error_kind=event.error_kind,
            error_message=event.error_message,
            submitted_utc=event.submitted_utc,
            finished_utc=event.finished_utc,
            files=files,
            **({"place": {"lane": event.lane}} if event.lane else {}),
        )
        self.shown.put_clip(self._row(key, job, ended=True), ended=True)
        if not event.cached:
            self._step(event, "ended", job.lane)

    def _change_lane(self, event: kinds.LaneEvent) -> None:
        if isinstance(event, kinds.LanePaused | kinds.LaneClosed):
            self._why[event.lane] = event.message
        paused = event if isinstance(event, kinds.LanePaused) else None
        learnt = event if isinstance(event, kinds.LimitLearnt) else None
        self.shown.add_lane_step(
            LaneStep(
                at_utc=event.at_utc.isoformat(),
                lane=event.lane,
                kind=event.kind,
                until_utc=paused.until_utc.isoformat() if paused else None,
                limit=learnt.limit if learnt else None,
                period=learnt.period if learnt else None,
                reason=getattr(event, "reason", None),
            )
        )

    # ---- rows ------------------------------------------------------------------------------------------------------

    def _row(self, key: str, job: _Job, *, ended: bool = False) -> ClipRow:
        films = [Film(Path(file["path"]), file["size"], "") for file in job.record.files]
        frame = self._frame_of_ended if ended else self._frame
        row = clip_row(job.record, frame, videos=self._listing.rows(key, films) if films else ())
        row["key"] = key
        if job.waits and row["status"] == State.PLANNED:
            row["status"] = "waiting"
        return row

    def _step(self, event: kinds.JobEvent, kind: str, lane: str | None) -> None:
        self.shown.add_step(Step(at_utc=event.at_utc.isoformat(), key=_key(event), kind=kind, lane=lane))


def _key(event: kinds.JobEvent) -> str:
    return event.job or f"{event.batch}-{event.index}"


def _planned(event: kinds.Ended) -> kinds.Planned:
    """The event that a clip would have had first, if anything had been to be done for it."""
    return kinds.Planned(
        at_utc=event.submitted_utc or event.at_utc,
        job=event.job,
        index=event.index,
        batch=event.batch,
        prompt_id=event.prompt_id,
        text=event.text,
        model=event.model,
    )


def _files(paths: Iterable[PurePath], size: int) -> tuple[dict[str, Any], ...]:
    """The videos of a clip as a record has them; a size is known only of one that stands alone."""
    found = [str(Path(path).absolute()) for path in paths]
    return tuple({"path": path, "size": size if len(found) == 1 else 0} for path in found)


_NEVER_SENT = (ClipStatus.REJECTED, ClipStatus.DEFERRED, ClipStatus.CANCELLED)
_ENDED_AT_GOOGLE = frozenset({"filtered", "rejected", "failed", "uncertain"})
"""Clips whose operation has ended without a video."""
