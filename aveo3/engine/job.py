"""A job: one prompt on its way to one clip. Its moves go into the journal first; its end is the clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aveo3.errors import GateClosed
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord, new_record
from aveo3.lanes.routing import Candidate, Route
from aveo3.lifecycle import OWED, UNDER_WAY, State, check_move, check_reopen
from aveo3.models import ClipStatus, VideoClip, VideoPrompt


@dataclass(frozen=True, slots=True)
class Again:
    """The job is planned anew and may be submitted after `wait` seconds: before fresh jobs, or `last`, after them."""

    wait: float
    last: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """`record` is what the journal has of the job, the rest is what this run knows.

    The record is frozen. A move puts another in its place, after the journal has it.
    """

    prompt: VideoPrompt
    index: int
    record: JobRecord
    route: Route | None = None
    """None: no lane can take it, or none is to."""
    known_by: tuple[str, ...] = ()
    """Its digests, one for each model that may make it."""
    media_hashes: tuple[str | None, ...] = ()
    journal: Journal | None = None
    """None: the record is in memory alone."""
    position: int | None = None
    """Its place in the batch that first sent it, if that was another: its file is named after it."""
    files: tuple[SavedFile, ...] = ()
    """Where its videos are. The record has them as the journal does, relative to its directory."""
    retries: int = 0
    """Those of this run: the next one has all of them again."""
    audio_tries: int = 0
    late_refusals: int = 0
    put_back: int = 0
    """Times this job has yielded; those that yielded less go first."""
    quota_wait: float = 0.0
    reserved: float = 0.0
    paid: bool = False
    """An earlier run has sent it and owes for it, and this one has not sent it since."""
    paid_usd: float = 0.0
    """What the journal had put down for it then."""
    made: bool = False
    """An earlier run had its file on disk."""
    leaving: bool = False
    """The run is being left: send nothing; if sent, learn the operation's name, then go."""
    intended: bool = False
    """The intent to send it is on its way to the disk: nothing has left yet."""

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
        """A new job, which no journal has."""
        record = new_record(known_by[0] if known_by else "", index, model, queued_utc)
        return cls(prompt, index, record, route, known_by, media_hashes)

    @property
    def name(self) -> str:
        """How people call it: in file names, in `aveo3 history`."""
        return self.record.name

    @property
    def digest(self) -> str:
        """The digest of its prompt; empty if its media could not be read."""
        return self.record.digest

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.record.state

    @property
    def model(self) -> str:
        """The one that it was sent to last, or is to be sent to."""
        return self.record.model

    @property
    def place(self) -> Mapping[str, str | None]:
        """Where it was sent last; empty if that is not known."""
        return self.record.place

    @property
    def attempts(self) -> int:
        """Submits sent, in all runs."""
        return self.record.attempts

    @property
    def operation(self) -> str | None:
        """Google's name of the last attempt's work."""
        return self.record.operation

    @property
    def output_uri(self) -> str | None:
        """The gs:// prefix that the last attempt, and no other, writes to."""
        return self.record.output_uri

    @property
    def uris(self) -> tuple[str, ...]:
        """Where Google keeps its videos."""
        return self.record.uris

    @property
    def cost_usd(self) -> float | None:
        """What the last attempt costs or may cost, in US$; None if that is not known."""
        return self.record.cost_usd

    @property
    def error_kind(self) -> str | None:
        """Why there is no video (yet), in one word."""
        return self.record.error_kind

    @property
    def error_message(self) -> str | None:
        """The same in a sentence."""
        return self.record.error_message

    def take_up(self, record: JobRecord, journal: Journal) -> None:
        """Be the job that the journal knows by `record`."""
        self.record, self.journal = record, journal
        self.files = tuple(SavedFile(journal.locate(f), int(f["size"]), str(f["sha256"])) for f in record.files)
        if record.attempts:
            self.position = record.position
        self.paid, self.made = record.state in OWED, record.state is State.SUCCEEDED
        if self.paid:
            self.paid_usd = record.cost_usd or 0.0

    def turn_to(self, candidate: Candidate) -> dict[str, Any]:
        """The changes that a submit to `candidate` makes, for its move."""
        known = dict(zip(self.route.models, self.known_by, strict=False)) if self.route is not None else {}
        sent_as = None if candidate.instead_of else known.get(candidate.lane.model)
        sent_as = sent_as or candidate.prompt.digest(candidate.lane.model, self.media_hashes)
        return {
            "model": candidate.lane.model,
            "cost_usd": candidate.cost_usd,
            "place": candidate.lane.place,
            "instead_of": candidate.instead_of,
            "translated": candidate.translated,
            "sent_as": None if sent_as == self.record.digest else sent_as,
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
        files: tuple[SavedFile, ...] | None = changes.get("files")
        if files is not None:
            changes = {**changes, "files": tuple(map(self._noted, files))}
        if self.journal is not None:
            self.journal.move(self.record.id, self.record.state, state, **changes)
        self.record = self.record.moved(state, changes)
        if files is not None:
            self.files = files

    def _noted(self, file: SavedFile) -> dict[str, Any]:
        path = self.journal.relative(file.path) if self.journal is not None else str(file.path)
        return {"path": path, "size": file.size, "sha256": file.sha256}

    async def on_disk(self) -> None:
        """Return when the intent to send it would outlive a power cut. Raises `JournalError` if the disk refuses."""
        self.intended = True
        try:
            if self.journal is not None:
                await self.journal.on_disk()
        finally:
            self.intended = False

    def not_sent(self) -> None:
        """Back to the start: the intent is noted, but the request does not leave."""
        self.move(State.PLANNED, attempts=self.attempts - 1, submitted_utc=None)

    def plan_again(self, kind: str, message: str, *, unsent: bool = False) -> None:
        """Back to the start: it was not accepted, or its operation came to nothing. What was `unsent` is no attempt."""
        nothing: dict[str, Any] = {"operation": None, "submitted_utc": None, "finished_utc": None}
        self.move(
            State.PLANNED,
            **nothing,
            attempts=self.attempts - unsent,
            retries=self.retries,
            error_kind=kind,
            error_message=message,
        )

    # ---- ending ------------------------------------------------------------------------------------------------

    def end(self, state: State, kind: str | None = None, message: str | None = None, **changes: Any) -> VideoClip:
        """End the job, and return its clip. Nothing is owed unless it is uncertain, or `changes` has its `cost_usd`."""
        owed = self.cost_usd if state is State.UNCERTAIN else 0.0
        usual = {"attempts": self.attempts, "retries": self.retries, "cost_usd": owed}
        self.move(state, error_kind=kind, error_message=message, **{**usual, **changes})
        return self.clip(ClipStatus(state))

    def cancel(self) -> VideoClip:
        """The clip of a job when the run is stopped. Not for a job whose request is on its way."""
        if self.state in UNDER_WAY:
            return self.leave("stopped", "the run was stopped before this was looked at again")
        if self.state is not State.PLANNED:
            return self.clip(ClipStatus(self.state), cached=True)
        again = " again" if self.attempts else ""
        why = f"the run was stopped before this prompt was sent{again}"
        return self.end(State.CANCELLED, "stopped", why, operation=None)

    def leave(self, kind: str, message: str) -> VideoClip:
        """Leave at Google what is paid. The clip says where it is; with a journal, the next run goes on from there."""
        if self.state is State.UNCERTAIN:
            return self.clip(ClipStatus.UNCERTAIN, also=message)
        if self.journal is None:
            return self.end(State.UNCERTAIN, kind, message)
        self._go(self.state, {"error_kind": kind, "error_message": message, "cost_usd": self.cost_usd})
        return self.clip(ClipStatus.UNFINISHED)

    def defer(self, closed: GateClosed) -> VideoClip:
        """The clip of a job that no gate lets through: it was never sent, or came to nothing."""
        return self.end(State.DEFERRED, closed.kind, str(closed), operation=None)

    def clip(self, status: ClipStatus, *, cached: bool = False, also: str | None = None) -> VideoClip:
        """The clip that the user gets. Its message is the record's, with `also` at its end."""
        record, message = self.record, self.record.error_message
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
            error_kind=record.error_kind,
            error_message=message if also is None else "; ".join(filter(None, (message, also))),
            retry_count=self.retries,
            attempts=record.attempts,
            quota_wait=round(self.quota_wait, 3),
            cost_usd=record.cost_usd,
            queued_utc=record.queued_utc,
            submitted_utc=record.submitted_utc,
            finished_utc=record.finished_utc,
            fetched_utc=record.fetched_utc,
        )

    def release(self) -> None:
        """Let another batch claim it."""
        if self.journal is not None:
            self.journal.claims.release(self.record.id)
