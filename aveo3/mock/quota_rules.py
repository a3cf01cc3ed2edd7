"""Quota rules, the lanes that they apply to, and the instants at which they are judged."""

import math
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from pydantic import ConfigDict, Field

from aveo3.mock.config.validation import Strict

Counting = Literal["fixed", "sliding", "bucket"]
Kind = Literal["minute", "day", "spend", "concurrent"]


class QuotaRule(Strict):
    """One limit. `limit=0` means no access; None, like the absence of a rule, means no limit.

    `project`, `key`, `location` and `model` select lanes; * matches anything, and None matches all. Every selected lane
    has its own counters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = Field(
        description="minute: requests per `period`; day: requests per Pacific calendar day; "
        "spend: US$ per rolling `period`; concurrent: operations running at once"
    )
    limit: float | None = Field(ge=0, description="requests, US$ or operations, by kind; None lifts a general rule")
    period: float = Field(default=60.0, gt=0, description="emulator seconds; not used by day and concurrent")
    counting: Counting = Field("sliding", description="how a minute rule counts; Google does not publish its way")
    count_refused: bool = Field(default=False, description="refused requests also use up the quota, as on some servers")
    phase: float = Field(default=0.0, description="shift of the edges of fixed windows, in emulator seconds")
    project: str | None = Field(default=None, description="only projects of this name; * matches anything")
    key: str | None = Field(
        default=None, repr=False, description="only callers with this key or token; * matches anything"
    )
    location: str | None = Field(default=None, description="only requests to this location; * matches anything")
    model: str | None = Field(default=None, description="only models with this id; * matches anything")

    @property
    def label(self) -> str:
        """The name under which the books count its refusals."""
        return "zero" if self.limit == 0 else self.kind

    @property
    def most(self) -> float:
        """The limit as a number, infinite without a limit."""
        return math.inf if self.limit is None else self.limit

    def holds_in(self, lane: "QuotaLane") -> bool:
        if self.project is not None and (lane.secret or not fnmatchcase(lane.owner, self.project)):
            return False
        if self.key is not None and not (lane.secret and fnmatchcase(lane.owner, self.key)):
            return False
        if self.location is not None and not fnmatchcase(lane.location, self.location):
            return False
        return self.model is None or fnmatchcase(lane.model, self.model)


class QuotaLane(NamedTuple):
    """The place of a quota. `owner` is the project on Vertex AI, otherwise the caller's key or token (`secret`)."""

    owner: str
    location: str
    model: str
    secret: bool = False


class Moment(NamedTuple):
    """One instant on both clocks: emulator seconds, and calendar time."""

    at: float
    utc: datetime
