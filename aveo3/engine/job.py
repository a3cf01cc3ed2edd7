"""A job: one prompt on its way to one clip. Its moves go to the journal first; it ends in a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aveo3._visible import visible
from aveo3.engine.job_events import SILENT, JobEvents
from aveo3.errors import GateClosed
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord, new_record
from aveo3.lanes.routing import Candidate, Route
from aveo3.lifecycle import OWED, PAID, UNDER_WAY, State, check_move, check_reopen
from aveo3.models import ClipStatus, VideoClip, VideoPrompt

PARTLY_FILTERED, PARTLY_FOUND = "partly_filtered", "partly_found"
PARTLY = frozenset({PARTLY_FILTERED, PARTLY_FOUND})
"""Why there are fewer videos than requested: a filter blocked the others, or they were not in the bucket."""

LONGEST_MESSAGE = 4_000
"""Characters of a message that a clip and the journal keep."""


def shown(message: str) -> str:
    """A message that others may have written, as people may see it: without control characters, and with a size."""
    cut = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
    return visible(cut)


@dataclass(frozen=True, slots=True)
class Again:
    """The job is planned again and may be submitted after `wait` seconds: before new jobs, or `last`, after them."""

    wait: float
    last: bool = False
    retrying: bool = False
    """An attempt had no result, and was not refused."""


@dataclass(slots=True, eq=False)
class Job:
    """`record` is the job as the journal has it; the other fields belong to this run.

    The record is frozen. A move replaces it, after the journal has the new one.
    """

    prompt: VideoPrompt
    index: int
    record: JobRecord
    route: Route | None = None
    """None: no lane can take it, or it must not be submitted."""
    known_by: tuple[str, ...] = ()
    """Its digests, one for each model that may generate it."""
    media_hashes: tuple[str | None, ...] = ()
    journal: Journal | None = None
    """None: the record is only in memory."""
    storage_uri: str | None = None
    """The gs:// prefix that its caller named: its videos go there and stay there. None: as the lane's settings say."""
    accepted_utc: datetime | None = None
    """When a server accepted it as a request; None for a prompt of this program."""
    traceparent: str | None = None
    """The W3C trace context that came with the request."""
    position: int | None = None
    """Its place for the name of its file: its index in the earlier batch that first sent it, or the number of a single
    prompt. None: its index."""
    files: tuple[SavedFile, ...] = ()
    """Its videos on disk. The record has their paths relative to the journal's directory."""
    retries: int = 0
    """Retries in this run. Each run starts again at 0."""
    audio_tries: int = 0
    late_refusals: int = 0
    put_back: int = 0
    """Times this job has yielded; those that yielded less go first."""
    quota_wait: float = 0.0
    polls: int = 0
    """Polls in this run."""
    reserved: float = 0.0
    stake: float | None = 0.0
    """US$ at stake while it is in flight; None for an unknown price."""
    paid: bool = False
    """An earlier run sent it and may owe for it, and this run has not sent it again."""
    paid_usd: float = 0.0
    """Its cost in the journal at that time."""
    billed_before: bool = False
    """An earlier run saw its video: its cost is known, and counted there."""
    made: bool = False
    """An earlier run had its file on disk."""
    leaving: bool = False
    """The run is stopping: send nothing. If a request is on its way, wait for the operation's name and stop."""
    intended: bool = False
    """The intent to send it is being written to disk: nothing has left yet."""
    events: JobEvents = SILENT
    """Tells its moves to whoever listens."""
    waits_for: str | None = None
    """What was told to keep it from being sent, as the next in line."""

    @classmethod
    def planned(
        cls,
        prompt: VideoPrompt,
        index: int,
        model: str,
        queued_utc: datetime,
        *,
        route: Route | None = None,
        known_by: tuple[str, ...] = (),
        media_hashes: tuple[str | None, ...] = (),
    ) -> Self:
        """A new job, which is not in the journal."""
        record = new_record(known_by[0] if known_by else "", index, model, queued_utc)
        return cls(prompt, index, record, route, known_by, media_hashes)

    @property
    def name(self) -> str:
        """Its name in file names and in `aveo3 history`."""
        return self.record.name

    @property
    def digest(self) -> str:
        """The digest of its prompt; empty if its media could not be read."""
        return self.record.digest

    @property
    def state(self) -> State:
        """The state in its record."""
        return self.record.state

    @property
    def model(self) -> str:
        """Model of the last submit, or of the next one."""
        return self.record.model

    @property
    def place(self) -> Mapping[str, str | None]:
        """The place of the last submit; empty if unknown."""
        return self.record.place

    @property
    def attempts(self) -> int:
        """Number of submits in all runs."""
        return self.record.attempts

    @property
    def operation(self) -> str | None:
        """Google's name for the operation of the last attempt."""
        return self.record.operation

    @property
    def output_uri(self) -> str | None:
        """The gs:// prefix of the last attempt. No other attempt writes there."""
        return self.record.output_uri

    @property
    def uris(self) -> tuple[str, ...]:
        """Addresses of its videos at Google."""
        return self.record.uris

    @property
    def cost_usd(self) -> float | None:
        """Cost, or possible cost, of the last attempt in US$; None if unknown."""
        return self.record.cost_usd

    @property
    def error_kind(self) -> str | None:
        """Why there is no video yet, in one word."""
        return self.record.error_kind

    @property
    def error_message(self) -> str | None:
        """Why there is no video yet, in a sentence."""
        return self.record.error_message

    def take_up(self, record: JobRecord, journal: Journal) -> None:
        """Become the job that the journal has as `record`."""
        self.record, self.journal = record, journal
        self.files = tuple(SavedFile(journal.locate(f), int(f["size"]), str(f["sha256"])) for f in record.files)
        if record.attempts:
            self.position = record.position
        self.paid, self.made = record.state in OWED, record.state is State.SUCCEEDED
        self.billed_before = record.state in PAID
        if self.paid:
            self.paid_usd = record.cost_usd or 0.0

    def turn_to(self, candidate: Candidate, **more: str) -> dict[str, Any]:
        """The changes to the record for a submit to `candidate`. `more` is kept with its place."""
        digests = dict(zip(self.route.models, self.known_by, strict=False)) if self.route is not None else {}
        sent_as = None if candidate.instead_of else digests.get(candidate.lane.model)
        sent_as = sent_as or candidate.prompt.digest(candidate.lane.model, self.media_hashes)
        return {
            "model": candidate.lane.model,
            "cost_usd": candidate.cost_usd,
            "place": {**candidate.lane.place, **more} if more else candidate.lane.place,
            "instead_of": candidate.instead_of,
            "translated": candidate.translated,
            "sent_as": None if sent_as == self.record.digest else sent_as,
        }

    # ---- moving ------------------------------------------------------------------------------------------------

    def move(self, state: State, **changes: Any) -> None:
        """Move to `state`. Raises `IllegalMove` if the table does not allow it, `JournalError` as `Journal.move`."""
        if state is State.SUBMITTING:
            self.paid = self.billed_before = False
        self._go(check_move(self.state, state), changes)

    def reopen(self, state: State, **changes: Any) -> None:
        """Continue from the end of an earlier run. Raises `IllegalMove` if the table does not allow it."""
        self._go(check_reopen(self.state, state), changes)

    def _go(self, state: State, changes: dict[str, Any]) -> None:
        if (message := changes.get("error_message")) is not None:
            changes = {**changes, "error_message": shown(message)}
        files: tuple[SavedFile, ...] | None = changes.get("files")
        if files is not None:
            changes = {**changes, "files": tuple(map(self._noted, files))}
        if self.journal is not None:
            attempt = self.record.attempts, self.record.submitted_utc
            self.journal.move(self.record.id, self.record.state, state, attempt=attempt, **changes)
        old = self.record.state
        self.record = self.record.moved(state, changes)
        if files is not None:
            self.files = files
        if state is not old:
            self.events.moved(self, old)

    def _noted(self, file: SavedFile) -> dict[str, Any]:
        path = self.journal.relative(file.path) if self.journal is not None else str(file.path)
        return {"path": path, "size": file.size, "sha256": file.sha256}

    def noted_usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The change that notes Google's account of an operation in place of an earlier one; none where both lack."""
        return {"usage": dict(usage)} if usage or self.record.usage else {}

    async def on_disk(self) -> None:
        """Return when the intent to send it would survive a power cut. Raises `JournalError` if the disk refuses."""
        self.intended = True
        try:
            if self.journal is not None:
                await self.journal.on_disk()
        finally:
            self.intended = False

    def not_sent(self) -> None:
        """Move back to planned: the journal has the intent, but the request does not leave."""
        self.move(State.PLANNED, attempts=self.attempts - 1, submitted_utc=None)

    def plan_again(self, kind: str, message: str, *, unsent: bool = False, refused: bool = False) -> None:
        """Move back to planned, after a submit or an operation without result. An `unsent` request is no attempt.

        `refused`: it uses up no retry.
        """
        nothing: dict[str, Any] = {"operation": None, "submitted_utc": None, "finished_utc": None}
        self.move(
            State.PLANNED,
            **nothing,
            attempts=self.attempts - unsent,
            retries=self.retries,
            error_kind=kind,
            error_message=message,
        )
        if refused:
            self.events.refused(self)

    # ---- ending ------------------------------------------------------------------------------------------------

    def end(self, state: State, kind: str | None = None, message: str | None = None, **changes: Any) -> VideoClip:
        """End the job and return its clip. It costs nothing unless it is uncertain or `changes` has a `cost_usd`."""
        owed = self.cost_usd if state is State.UNCERTAIN else 0.0
        usual = {"attempts": self.attempts, "retries": self.retries, "cost_usd": owed}
        self.move(state, error_kind=kind, error_message=message, **{**usual, **changes})
        return self.clip(ClipStatus(state))

    def cancel(self) -> VideoClip:
        """Return the clip of a job of a stopped run. Must not be called while its request is on its way."""
        if self.state in UNDER_WAY:
            return self.leave("stopped", "the run was stopped before this clip was polled again")
        if self.state is not State.PLANNED:
            return self.clip(ClipStatus(self.state), cached=True)
        again = " again" if self.attempts else ""
        why = f"the run was stopped before this prompt was sent{again}"
        if self.is_shared:  # whoever leads next sends it
            return self.clip(ClipStatus.CANCELLED, kind="stopped", also=why)
        return self.end(State.CANCELLED, "stopped", why, operation=None)

    def put_off(self, kind: str, message: str) -> VideoClip:
        """Return the clip of a planned job that is not sent now, for a reason that does not lie in it.

        In a shared journal it stays as it is: another process may be at it by now.
        """
        if self.is_shared:
            return self.clip(ClipStatus.DEFERRED, kind=kind, also=message)
        return self.end(State.DEFERRED, kind, message)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may go on with it."""
        return self.journal is not None and self.journal.shared

    def leave(self, kind: str, message: str) -> VideoClip:
        """Leave the paid operation or video at Google. Its clip names it. With a journal, the next run resumes it."""
        if self.state is State.UNCERTAIN:
            return self.clip(ClipStatus.UNCERTAIN, also=message)
        if self.journal is None:
            return self.end(State.UNCERTAIN, kind, message)
        if self.error_kind in PARTLY:  # the next run must know why there are fewer videos
            self._go(self.state, {"cost_usd": self.cost_usd})
            return self.clip(ClipStatus.UNFINISHED, kind=kind, also=message)
        self._go(self.state, {"error_kind": kind, "error_message": message, "cost_usd": self.cost_usd})
        return self.clip(ClipStatus.UNFINISHED)

    def defer(self, closed: GateClosed) -> VideoClip:
        """End a job that gets no permit, and return its clip. It was never sent, or its operation had no result."""
        return self.end(State.DEFERRED, closed.kind, str(closed), operation=None)

    def clip(
        self, status: ClipStatus, *, cached: bool = False, kind: str | None = None, also: str | None = None
    ) -> VideoClip:
        """The clip for the user. `kind` replaces the record's error kind, `also` is appended to its message."""
        record, message = self.record, self.record.error_message
        also = None if also is None else shown(also)
        return VideoClip(
            prompt=self.prompt,
            status=status,
            model=record.model,
            lane=record.place.get("lane"),
            instead_of=record.instead_of,
            translated=record.translated,
            index=self.index,
            job=record.name if self.journal is not None else None,
            cached=cached,
            paths=tuple(file.path for file in self.files),
            uris=record.uris,
            operation=record.operation,
            error_kind=kind or record.error_kind,
            error_message=message if also is None else "; ".join(filter(None, (message, also))),
            retry_count=self.retries,
            attempts=record.attempts,
            quota_wait=round(self.quota_wait, 3),
            cost_usd=record.cost_usd,
            sunk_usd=record.sunk_usd or 0.0,
            queued_utc=record.queued_utc,
            submitted_utc=record.submitted_utc,
            finished_utc=record.finished_utc,
            fetched_utc=record.fetched_utc,
        )

    def release(self) -> None:
        """Let another batch claim it."""
        if self.journal is not None:
            self.journal.claims.release(self.record.id)

    def abandon(self) -> None:
        """After an error in mid-flight: another batch may claim it only if nothing can be owed for it."""
        if self.journal is not None and self.state in OWED:
            self.journal.claims.lose(self.record.id)
        else:
            self.release()
