"""One prompt on its way to one clip: where it stands, what is known of it, and what of that goes into the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aveo3.errors import GateClosed
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord, job_name
from aveo3.lanes.routing import Candidate, Route
from aveo3.lifecycle import State, check_move, check_reopen
from aveo3.models import ClipStatus, VideoClip, VideoPrompt


@dataclass(frozen=True, slots=True)
class Again:
    """The job is planned anew and may be submitted after `wait` seconds; `last` of all that wait, or before those."""

    wait: float
    last: bool = False


_UNFINISHED = {State.RUNNING, State.FETCHING}
_PAID = {State.RUNNING, State.FETCHING, State.SUCCEEDED, State.UNCERTAIN}


@dataclass(slots=True, eq=False)
class Job:
    """One prompt on its way to one clip. What a move changes is in the journal before it is true here."""

    prompt: VideoPrompt
    index: int
    model: str
    digest: str
    cost_usd: float | None
    queued_utc: datetime
    route: Route | None = None  # None: no lane can take it, or none is asked to
    known_by: tuple[str, ...] = ()  # its digests, one for each model that it may be made by
    media_hashes: tuple[str | None, ...] = ()
    journal: Journal | None = None
    row: int = 0
    ordinal: int = 1
    position: int | None = None  # the place in its batch when it was first planned, if nobody gives it again
    state: State = State.PLANNED
    attempts: int = 0
    retries: int = 0
    audio_tries: int = 0
    late_refusals: int = 0
    put_back: int = 0  # how often others were let by, which have been so less often
    quota_wait: float = 0.0
    reserved: float = 0.0
    operation: str | None = None
    place: Mapping[str, str | None] | None = None
    sent_as: str | None = None
    instead_of: str | None = None
    translated: tuple[str, ...] = ()
    output_uri: str | None = None
    uris: tuple[str, ...] = ()
    files: tuple[SavedFile, ...] = ()
    error_kind: str | None = None
    error_message: str | None = None
    submitted_utc: datetime | None = None
    finished_utc: datetime | None = None
    fetched_utc: datetime | None = None
    paid: bool = False  # an earlier run has sent it and owes for it; this one has not, so far
    paid_usd: float = 0.0  # what the journal had put down for it then
    made: bool = False  # an earlier run had its file on disk
    leaving: bool = False  # the run is being left: send nothing; if sent, learn the operation's name, then go
    intended: bool = False  # that it is about to be sent is noted, and on its way to the disk: nothing has left yet

    @property
    def name(self) -> str:
        """How people call it: in file names, in `aveo3 history`."""
        return job_name(self.digest, self.ordinal)

    def take_up(self, entry: JobRecord, journal: Journal) -> None:
        """Be the job that the journal knows."""
        self.journal, self.row, self.ordinal, self.state = journal, entry.id, entry.ordinal, entry.state
        self.queued_utc, self.attempts = entry.queued_utc, entry.attempts
        self.operation, self.place, self.output_uri = entry.operation, entry.place, entry.output_uri
        self.uris = entry.uris
        self.digest, self.model = entry.digest, entry.model
        self.sent_as, self.instead_of, self.translated = entry.sent_as, entry.instead_of, entry.translated
        self.files = tuple(SavedFile(journal.locate(f), int(f["size"]), str(f["sha256"])) for f in entry.files)
        self.error_kind, self.error_message = entry.error_kind, entry.error_message
        self.submitted_utc, self.finished_utc = entry.submitted_utc, entry.finished_utc
        self.fetched_utc = entry.fetched_utc
        if entry.attempts:  # the name that its file had, or would have had
            self.position = entry.position
        self.paid, self.made = entry.state in _PAID, entry.state is State.SUCCEEDED
        self.cost_usd = entry.cost_usd  # what is sent anew gets its price with its submit
        if self.paid:
            self.paid_usd = entry.cost_usd or 0.0

    def turn_to(self, candidate: Candidate) -> dict[str, Any]:
        """What changes in going to `candidate`, for the move that says so."""
        known = dict(zip(self.route.models, self.known_by, strict=False)) if self.route is not None else {}
        sent_as = None if candidate.instead_of else known.get(candidate.lane.model)
        sent_as = sent_as or candidate.prompt.digest(candidate.lane.model, self.media_hashes)
        return {
            "model": candidate.lane.model,
            "cost_usd": candidate.cost_usd,
            "place": candidate.lane.place,
            "instead_of": candidate.instead_of,
            "translated": candidate.translated,
            "sent_as": None if sent_as == self.digest else sent_as,
        }

    # ---- moving ------------------------------------------------------------------------------------------------

    def move(self, state: State, **changes: Any) -> None:
        """Go on to `state`. Raises `IllegalMove` if the table does not list that, `JournalError` as `Journal.move`."""
        if state is State.SUBMITTING:
            self.paid = False
        self._go(check_move(self.state, state), changes)

    def reopen(self, state: State, **changes: Any) -> None:
        """Go on from where an earlier run ended. Raises `IllegalMove` if the table does not list that."""
        self._go(check_reopen(self.state, state), changes)

    def _go(self, state: State, changes: dict[str, Any]) -> None:
        if self.journal is not None:
            noted = changes
            if "files" in changes:
                noted = {**changes, "files": [self._noted(file, self.journal) for file in changes["files"]]}
            self.journal.move(self.row, self.state, state, **noted)
        for name, value in changes.items():
            setattr(self, name, value)
        self.state = state

    @staticmethod
    def _noted(file: SavedFile, journal: Journal) -> dict[str, Any]:
        return {"path": journal.relative(file.path), "size": file.size, "sha256": file.sha256}

    async def on_disk(self) -> None:
        """Return when the intent to send it would outlive a power cut. Raises `JournalError` if it may not."""
        self.intended = True
        try:
            if self.journal is not None:
                await self.journal.on_disk()
        finally:
            self.intended = False

    def not_sent(self) -> None:
        """Back to the start: the intent is noted, and the request will not leave."""
        self.attempts -= 1
        self.move(State.PLANNED, attempts=self.attempts, submitted_utc=None)

    def plan_again(self, kind: str, message: str) -> None:
        """Back to the start: it was not accepted, or its operation came to nothing."""
        nothing: dict[str, Any] = {"operation": None, "submitted_utc": None, "finished_utc": None}
        self.move(
            State.PLANNED,
            **nothing,
            attempts=self.attempts,
            retries=self.retries,
            error_kind=kind,
            error_message=message,
        )

    # ---- ending ------------------------------------------------------------------------------------------------

    def end(self, state: State, kind: str | None = None, message: str | None = None, **changes: Any) -> VideoClip:
        """The job is over: its clip."""
        owed = {"cost_usd": self.cost_usd if state is State.UNCERTAIN else 0.0}
        self.move(
            state,
            error_kind=kind,
            error_message=message,
            attempts=self.attempts,
            retries=self.retries,
            **{**owed, **changes},
        )
        return self.clip(ClipStatus(state))

    def cancel(self) -> VideoClip:
        """The run was stopped: the clip of a job that is not being submitted."""
        if self.state in _UNFINISHED:
            return self.leave("stopped", "the run was stopped before this was looked at again")
        if self.state is not State.PLANNED:
            return self.clip(ClipStatus(self.state), cached=True)
        again = " again" if self.attempts else ""
        why = f"the run was stopped before this prompt was sent{again}"
        return self.end(State.CANCELLED, "stopped", why, operation=None)

    def leave(self, kind: str, message: str) -> VideoClip:
        """We go, what is paid stays at Google: the clip says how to come by it. With a journal, the next run does."""
        if self.state is State.UNCERTAIN:
            self.error_message = "; ".join(filter(None, (self.error_message, message)))
            return self.clip(ClipStatus.UNCERTAIN)
        if self.journal is None:
            return self.end(State.UNCERTAIN, kind, message)
        self._go(self.state, {"error_kind": kind, "error_message": message, "cost_usd": self.cost_usd})
        return self.clip(ClipStatus.UNFINISHED)

    def defer(self, closed: GateClosed) -> VideoClip:
        """The gate lets nobody through: the clip of a job that was never sent, or came to nothing."""
        return self.end(State.DEFERRED, closed.kind, str(closed), operation=None)

    def clip(self, status: ClipStatus, *, cached: bool = False) -> VideoClip:
        """What the user gets to see of it."""
        return VideoClip(
            prompt=self.prompt,
            status=status,
            model=self.model,
            lane=(self.place or {}).get("lane"),
            instead_of=self.instead_of,
            translated=self.translated,
            index=self.index,
            job=self.name if self.journal is not None else None,
            cached=cached,
            paths=tuple(file.path for file in self.files),
            uris=self.uris,
            operation=self.operation,
            error_kind=self.error_kind,
            error_message=self.error_message,
            retry_count=self.retries,
            attempts=self.attempts,
            quota_wait=round(self.quota_wait, 3),
            cost_usd=self.cost_usd,
            queued_utc=self.queued_utc,
            submitted_utc=self.submitted_utc,
            finished_utc=self.finished_utc,
            fetched_utc=self.fetched_utc,
        )

    def release(self) -> None:
        """This run is done with it."""
        if self.journal is not None:
            self.journal.claims.release(self.row)
