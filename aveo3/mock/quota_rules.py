"""What a quota rule says and whom it is for, the lanes that have quotas, and the instants at which they are judged."""

import math
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Counting = Literal["fixed", "sliding", "bucket"]
Kind = Literal["minute", "day", "spend", "concurrent"]


class QuotaRule(BaseModel):
    """One limit. `limit=0` means the lane has no access at all; None, or no rule, that there is no limit.

    `project`, `key` and `model` say whom it is for; * stands for anything, None for everybody. Each lane that they
    match has the limit to itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = Field(
        description="minute: requests per `period`; day: requests per Pacific calendar day; "
        "spend: US$ per rolling `period`; concurrent: operations running at once"
    )
    limit: float | None = Field(ge=0, description="requests, US$ or operations, by kind; None lifts a general rule")
    period: float = Field(default=60.0, gt=0, description="emulator seconds; not used by day and concurrent")
    counting: Counting = Field(
        "sliding", description="how a minute rule counts; nobody outside Google knows which is true"
    )
    count_refused: bool = Field(
        default=False, description="refused requests use up the quota too, as some servers have it"
    )
    phase: float = Field(default=0.0, description="emulator seconds by which the edges of fixed windows are shifted")
    project: str | None = Field(default=None, description="only for projects of this name, * for anything")
    key: str | None = Field(
        default=None, repr=False, description="only for callers with this key or token, * for anything"
    )
    model: str | None = Field(default=None, description="only for models of this id, * for anything")

    @property
    def label(self) -> str:
        """The name under which the books count its refusals."""
        return "zero" if self.limit == 0 else self.kind

    @property
    def most(self) -> float:
        """The limit as a number: infinite where there is none."""
        return math.inf if self.limit is None else self.limit

    def holds_in(self, lane: "QuotaLane") -> bool:
        if self.project is not None and (lane.secret or not fnmatchcase(lane.owner, self.project)):
            return False
        if self.key is not None and not (lane.secret and fnmatchcase(lane.owner, self.key)):
            return False
        return self.model is None or fnmatchcase(lane.model, self.model)


class QuotaLane(NamedTuple):
    """Where a quota applies. `owner` is the project on Vertex, elsewhere the caller's key or token (`secret`)."""

    owner: str
    location: str
    model: str
    secret: bool = False


class Moment(NamedTuple):
    """One instant on both calendars: the emulator's own seconds, and the wall's date."""

    at: float
    utc: datetime
