"""The data that report and live page show: plain JSON, one form for both. The page's script draws it.

Instants are ISO 8601 in UTC, money is US$ at list price, durations are seconds. None: unknown, or there is none.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

VERSION = 1


class VideoRow(TypedDict):
    """One video file of a clip."""

    src: str
    """URL of the file, relative to the page."""
    poster: str | None
    """URL of a still picture, or a `data:` URL; None if it cannot be cut."""
    bytes: int
    seconds: float | None
    width: int | None
    height: int | None
    missing: bool
    """The file is not where the journal has it."""


class ClipRow(TypedDict):
    """One job and its clip."""

    key: str
    """Unique on the page: the job's name; without a journal its batch and index."""
    index: int
    prompt_id: str | None
    project_id: str | None
    text: str
    parameters: dict[str, Any]
    """What the prompt sets besides its text, e.g. `{"resolution": "720p"}`; media by their names."""
    labels: dict[str, str]
    status: str
    """A `ClipStatus` once it has ended; before that `planned`, `waiting`, `submitting`, `running`, `fetching`."""
    model: str
    lane: str | None
    instead_of: str | None
    cost_usd: float | None
    """What it costs, or may cost; None if unknown."""
    spent_usd: NotRequired[float | None]
    """What it adds to the sums of `MoneyRow`, in this field and the next two; None if its price is unknown. Clips of
    the emulator add nothing."""
    in_flight_usd: NotRequired[float | None]
    may_be_paid_usd: NotRequired[float | None]
    attempts: int
    retries: int
    queued_utc: str
    submitted_utc: str | None
    finished_utc: str | None
    fetched_utc: str | None
    caller: NotRequired[str]
    """Whose request it is, on a server's page."""
    videos: list[VideoRow]
    uris: NotRequired[list[str]]
    """Addresses at Google, without what signs them."""
    error_kind: str | None
    error_message: str | None
    next_move: str | None
    """One sentence: what to do about it. None if nothing is to be done."""
    command: str | None
    """The command for that, ready to paste; None if there is none."""
    operation: str | None


class LaneRow(TypedDict):
    """One lane, now or at the end of its last run."""

    name: str
    model: str | None
    limit: float | None
    """Requests in any `period` seconds."""
    period: float | None
    learnt: bool
    used: float | None
    running: int | None
    breaker: str | None
    """`closed`, `open` or `half_open`; None if no run is active."""
    opens_utc: str | None
    """When the lane sends again; None if it is not paused."""
    closed: str | None
    """Why it sends nothing more in this run."""
    reason: str | None
    """What Google said last, if it is paused."""
    waits: str | None
    """What its next submit waits for, if it is not paused: `quota`, or `clips`, one of which must end first."""


class MoneyRow(TypedDict):
    """The money of the output directory."""

    spent_usd: float
    in_flight_usd: float
    may_be_paid_usd: float
    unpriced: int
    """Clips of unknown price, which the sums count as free."""
    budget_usd: float | None
    rest_usd: NotRequired[float | None]
    """What the prompts that an active run has not sent will cost, at the mean price of those sent; None if unknown."""


class RunRow(TypedDict):
    """The run that is active or was last."""

    active: bool
    begun_utc: str | None
    ended_utc: str | None
    total: int | None
    """Prompts of this run; None if unknown."""
    next_submit_utc: str | None
    done_utc: str | None
    """When its last clip is expected."""
    stopping: str | None
    """`stop` (running clips are finished) or `leave`; None if it is not stopping."""
    paused: bool
    """A person has paused its submits."""


class Step(TypedDict):
    """One step of a job, for the timeline."""

    at_utc: str
    key: str
    kind: str
    """`submitted`, `accepted`, `refused`, `retrying`, `finished` (its operation has ended), `saved` or `ended`."""
    lane: str | None


class LaneStep(TypedDict):
    """One change of a lane, for the timeline."""

    at_utc: str
    lane: str
    kind: str
    """`lane_paused`, `lane_opened`, `lane_closed` or `limit_learnt`."""
    until_utc: str | None
    limit: float | None
    period: float | None
    reason: str | None


class CallerRow(TypedDict):
    """The requests of one caller of a server."""

    name: str
    has_key: bool
    """False: its key was removed, or there are no keys."""
    waiting: int
    oldest_utc: str | None
    """When the oldest of those that wait was accepted."""
    running: int
    succeeded: int
    failed: int
    """Ended without a video, but for those that were cancelled."""
    cancelled: int
    spent_usd: float
    """As `MoneyRow.spent_usd`; also what the emulator's clips would cost."""
    left: list[BudgetLeft]


class BudgetLeft(TypedDict):
    """What is left of one budget of a caller."""

    per: str
    """`day`, or `all`."""
    limit_usd: float
    left_usd: float
    """What is neither spent nor reserved by what waits and runs."""


class ServerRow(TypedDict):
    """The server whose requests are shown."""

    url: str
    not_ready: str | None
    """Why it takes no requests; None if it does."""
    held: str | None
    """Why it submits nothing, though a person has not paused it; None if it does."""
    counts: dict[str, int]
    """Requests by status, as `ClipRow.status`: all of them, not only those that are shown."""
    callers: list[CallerRow]
    more_callers: int
    """How many have no row."""


class TakeRow(TypedDict):
    """One take of a scene. Its clip has the key `job`; that of one which was noted before it was sent, the prompt ID
    `id`."""

    id: str
    stage: str
    """`draft` or `final`."""
    number: int
    """From 1. A final of a draft has the number of the draft."""
    job: str | None
    status: str | None
    """A `ClipStatus` as it was noted: the page of a run does not list the clips of earlier ones."""


class SceneRow(TypedDict):
    """One scene of a film."""

    id: str
    prompt: str
    begins: str | None
    """Where it begins, as words after "from"; None: by itself."""
    source: str | None
    """The scene that it begins from."""
    stage: str
    """The stage whose takes are picked."""
    picked: int
    changed: bool
    """Another take was picked since the film was planned or made."""
    hangs: list[str]
    """The scenes that begin from it, directly or not: made anew if another take is picked."""
    takes: list[TakeRow]


class FilmRow(TypedDict):
    """The film that the directory holds."""

    title: str
    noted_utc: str
    """When it was last planned or made: what was sent later is not among the jobs of its takes."""
    films: dict[str, VideoRow]
    """The assembled films by stage, `final` first."""
    scenes: list[SceneRow]
    picks: bool
    """The page can pick takes."""
    command: str
    """What makes what is not there, and the film."""
    problem: str | None
    """Why it is not shown as it should be, in a sentence."""


class View(TypedDict):
    """Everything. A patch of the live page has the same keys; what it leaves out has not changed, and its `clips` and
    `lanes` replace those of the same key or name, its `steps` and `lane_steps` are added, and clips whose keys are in
    `gone` are shown no more, unless they are in its `clips`."""

    v: int
    title: str
    directory: str
    service: str
    """`google`, `local`, `mock` or `custom`."""
    made_utc: str
    live: bool
    """False: a report, or a run of another process that is read from its journal only."""
    run: RunRow | None
    clips: list[ClipRow]
    lanes: list[LaneRow]
    money: MoneyRow
    steps: list[Step]
    lane_steps: list[LaneStep]
    film: NotRequired[FilmRow | None]
    """The film of the directory; absent or None if it has none."""
    server: NotRequired[ServerRow]
    """A server's page: `clips` are then a part of its requests."""
    gone: NotRequired[list[str]]
