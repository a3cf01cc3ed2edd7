"""Everything about the emulator that can be chosen, checked when it is built. Durations are emulator seconds."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aveo3.mock.config.faults import Fault
from aveo3.mock.config.latency import Latency
from aveo3.mock.config.quota import LIMITS, Quota
from aveo3.mock.config.validation import unlimited
from aveo3.mock.models import RETIRED
from aveo3.mock.quotas import Counting, QuotaRule

RefusalBody = Literal["detailed", "text", "bare", "vertex"]
Films = Literal["auto", "drawn", "bundled"]
_Unlimited = BeforeValidator(unlimited)


def _several(parse: Callable[[Any], Any], example: str, *, reads: type = str) -> BeforeValidator:
    """Items are read one by one; a lone text is a slip that would otherwise be taken letter by letter."""

    def read(value: Any) -> Any:
        if isinstance(value, str | dict) or not isinstance(value, Iterable):
            raise ValueError(f"{value!r} is not a list; write {example}.")
        return tuple(parse(item) if isinstance(item, str | reads) else item for item in value)

    return BeforeValidator(read)


def _law(value: Any) -> Any:
    return value if isinstance(value, str | dict | Latency) else Latency.parse(str(value))


_Law = Annotated[Latency, BeforeValidator(_law)]
FIXED = frozenset({"speed", "seed", "films"})
"""What a running emulator cannot change: its clock, its dice, its projector."""


class MockOptions(BaseModel):
    """How the emulated Google behaves. `None` means unlimited, `0` means none at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rpm: Annotated[int | None, _Unlimited] = Field(
        default=10, ge=0, description="requests per `period`, for each project (or key) and model"
    )
    period: float = Field(default=60.0, gt=0, description="emulator seconds over which `rpm` counts")
    rpd: Annotated[int | None, _Unlimited] = Field(
        default=None, ge=0, description="requests per calendar day of Los Angeles"
    )
    concurrency: Annotated[int | None, _Unlimited] = Field(
        default=None, ge=0, description="operations that may run at once"
    )
    spend: Annotated[float | None, _Unlimited] = Field(
        default=None, ge=0, description="US$ per rolling `spend_period`; Google's tiers have 10, 50 and 200 in 600 s"
    )
    spend_period: float = Field(default=600.0, gt=0, description="emulator seconds over which `spend` counts")
    counting: Counting = Field(
        default="sliding", description="how `rpm` counts: fixed windows, a sliding one, or a bucket that refills evenly"
    )
    phase: float = Field(
        default=0.0, description="emulator seconds after the start at which fixed windows have their edges"
    )
    count_refused: bool = Field(
        default=False,
        description="requests refused with 429 use up `rpm` and `rpd` too, as on the most hostile of servers",
    )
    quotas: Annotated[tuple[Quota, ...], _several(Quota.parse, 'quotas = ["project=alpha,rpm=2"]', reads=dict)] = Field(
        default=(),
        description="other limits for some projects, keys or models, such as project=alpha,model=veo-3.1-fast-*,rpm=2; "
        "the last that matches holds, limit by limit",
    )

    refusal_body: RefusalBody = Field(
        default="detailed",
        description="what a 429 says: detailed (QuotaFailure and RetryInfo), text (the same in prose only), "
        "bare (one sentence for all), vertex (Vertex's sentence, which names neither limit nor delay)",
    )
    retry_info: bool = Field(default=True, description="a refusal says how long to wait, where Google would")
    quota_value: bool = Field(default=True, description="a refusal says what the limit is, where Google would")

    retry_after: bool = Field(default=False, description="a refusal says it in a Retry-After header too")
    refuse_late: bool = Field(
        default=False,
        description="an interaction for which there is no quota left is answered 200 with an id, and refused when it "
        "is polled, as Google has been seen to do",
    )

    latency: _Law = Field(
        default=Latency(law="lognormal", a=70, b=0.35),
        description="emulator seconds from accepted to done; 11 s to 6 min on the real one",
    )
    slowdown: float = Field(
        default=1.0, gt=0, description="how many times `latency` a clip takes; 3 for slow hours, 0.5 for quick ones"
    )
    rtt: _Law = Field(
        default=Latency(law="fixed", a=0),
        description="emulator seconds on the wire: half before a request counts, half after",
    )
    speed: float = Field(default=1.0, gt=0, description="emulator seconds for each second of yours")
    faults: Annotated[tuple[Fault, ...], _several(Fault.parse, 'faults = ["503:0.05"]')] = Field(
        default=(), description="what goes wrong, and how often; the first that strikes wins"
    )
    hang: float = Field(default=600.0, gt=0, description="emulator seconds after which a hanging answer is cut off")
    redirect_to: Annotated[str | None, _Unlimited] = Field(
        default=None, description="where the fault `redirect` points; none: back to itself"
    )
    seed: int = Field(
        default=0, description="decides every draw: latencies, round trips, faults; equal seeds replay equally"
    )

    ranges: bool = Field(default=True, description="downloads honour Range, so that a client can resume")
    processing: _Law = Field(
        default=Latency(law="fixed", a=0),
        description="emulator seconds from done until a file on the Developer API can be fetched; up to 95 s seen",
    )
    retention: float = Field(
        default=172_800.0, gt=0, description="emulator seconds a file stays; Google deletes after 2 days"
    )
    films: Films = Field(
        default="auto",
        description="what one gets: drawn, films that show their prompt (needs the extra `video`); bundled, always "
        "the same one, without a thread, as a virtual-time loop needs; auto, drawn if it can be",
    )
    retired: Annotated[tuple[str, ...], _several(str, 'retired = ["veo-3.0-generate-001"]')] = Field(
        default=RETIRED, description="model ids that answer 404, is no longer available"
    )

    def rules(self) -> tuple[QuotaRule, ...]:
        """The quota rules that these options amount to: everybody's, then the exceptions."""
        general = {name: getattr(self, name) for name in LIMITS}
        rules = [self._rule(name, limit) for name, limit in general.items() if limit is not None]
        for quota in self.quotas:
            rules += [self._rule(name, limit, **quota.whom) for name, limit in quota.limits.items()]
        return tuple(rules)

    def _rule(self, name: str, limit: float | None, **whom: str | None) -> QuotaRule:
        how: dict[str, dict[str, Any]] = {
            "rpm": {
                "kind": "minute",
                "period": self.period,
                "counting": self.counting,
                "phase": self.phase,
                "count_refused": self.count_refused,
            },
            "rpd": {"kind": "day", "count_refused": self.count_refused},
            "spend": {"kind": "spend", "period": self.spend_period},
            "concurrency": {"kind": "concurrent"},
        }
        return QuotaRule(limit=limit, **how[name], **whom)
