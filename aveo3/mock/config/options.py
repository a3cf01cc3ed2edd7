"""The options of the emulator, validated at construction. Durations are emulator seconds."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from aveo3.mock.config.faults import Fault
from aveo3.mock.config.latency import Latency
from aveo3.mock.config.quota import LIMITS, Quota
from aveo3.mock.config.validation import Strict, unlimited
from aveo3.mock.models import RETIRED
from aveo3.mock.quota_rules import Counting, QuotaRule

RefusalBody = Literal["detailed", "text", "bare", "vertex"]
Films = Literal["auto", "drawn", "bundled"]
_Unlimited = BeforeValidator(unlimited)


def _several(parse: Callable[[Any], Any], example: str, *, reads: type = str) -> BeforeValidator:
    """Parse a list item by item. A single text is an error: Python would iterate over its letters."""

    def read(value: Any) -> Any:
        if isinstance(value, str | dict) or not isinstance(value, Iterable):
            raise ValueError(f"{value!r} is not a list; write {example}.")
        return tuple(parse(item) if isinstance(item, str | reads) else item for item in value)

    return BeforeValidator(read)


def _law(value: Any) -> Any:
    return value if isinstance(value, str | dict | Latency) else Latency.parse(str(value))


_Law = Annotated[Latency, BeforeValidator(_law)]
FIXED = frozenset({"speed", "seed", "films"})
"""Options that cannot change while the emulator runs."""


class MockOptions(Strict):
    """How the emulated Google behaves. A limit of `None` means unlimited, `0` means no access."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rpm: Annotated[int | None, _Unlimited] = Field(
        default=10, ge=0, description="requests per `period`, for each project (or key) and model"
    )
    period: float = Field(default=60.0, gt=0, description="emulator seconds over which `rpm` counts")
    rpd: Annotated[int | None, _Unlimited] = Field(
        default=None, ge=0, description="requests per calendar day in Los Angeles"
    )
    concurrency: Annotated[int | None, _Unlimited] = Field(
        default=None, ge=0, description="operations that may run at once"
    )
    spend: Annotated[float | None, _Unlimited] = Field(
        default=None, ge=0, description="US$ per rolling `spend_period`; Google's tiers allow 10, 50 and 200 in 600 s"
    )
    spend_period: float = Field(default=600.0, gt=0, description="emulator seconds over which `spend` counts")
    counting: Counting = Field(
        default="sliding",
        description="how `rpm` counts: fixed windows, a sliding one, or a bucket that refills evenly",
    )
    phase: float = Field(default=0.0, description="emulator seconds from the start to an edge of the fixed windows")
    count_refused: bool = Field(
        default=False,
        description="requests refused with 429 also use up `rpm` and `rpd`, as on the strictest servers",
    )
    quotas: Annotated[tuple[Quota, ...], _several(Quota.parse, 'quotas = ["project=alpha,rpm=2"]', reads=dict)] = Field(
        default=(),
        description="limits for some projects, keys, locations or models, such as "
        "project=alpha,model=veo-3.1-fast-*,rpm=2; the last match decides each limit",
    )

    refusal_body: RefusalBody = Field(
        default="detailed",
        description="body of a 429: detailed (QuotaFailure and RetryInfo), text (the same facts in the message only), "
        "bare (one general sentence), vertex (Vertex AI's sentence, without limit and delay)",
    )
    retry_info: bool = Field(default=True, description="a refusal names the delay, where Google does")
    quota_value: bool = Field(default=True, description="a refusal names the limit, where Google does")

    retry_after: bool = Field(default=False, description="a refusal also has a Retry-After header")
    refuse_late: bool = Field(
        default=False,
        description="an interaction without quota gets 200 with an id, and the refusal comes with its polls, as "
        "observed at Google",
    )

    latency: _Law = Field(
        default=Latency(law="lognormal", a=70, b=0.35),
        description="emulator seconds from accepted to done; 11 s to 6 min at Google",
    )
    slowdown: float = Field(default=1.0, gt=0, description="factor on `latency`: 3 for slow hours, 0.5 for fast ones")
    rtt: _Law = Field(
        default=Latency(law="fixed", a=0),
        description="round trip in emulator seconds: half before a request counts, half after",
    )
    speed: float = Field(default=1.0, gt=0, description="emulator seconds for each real second")
    faults: Annotated[tuple[Fault, ...], _several(Fault.parse, 'faults = ["503:0.05"]')] = Field(
        default=(), description="what goes wrong, and how often; if several strike, the first wins"
    )
    hang: float = Field(default=600.0, gt=0, description="emulator seconds after which a hanging response is cut")
    redirect_to: Annotated[str | None, _Unlimited] = Field(
        default=None, description="where the fault `redirect` points; none: to the same address"
    )
    seed: int = Field(
        default=0, description="seed of all latencies, round trips and faults; equal seeds give equal draws"
    )

    allow_hosts: Annotated[tuple[str, ...], _several(str, 'allow_hosts = ["mock.example"]')] = Field(
        default=(),
        description="other names than this machine's that the emulator answers to, takes posts from web pages of, and "
        "delivers webhooks to, such as mock or *.example; * allows all",
    )

    ranges: bool = Field(default=True, description="downloads support Range, so that a client can resume")
    processing: _Law = Field(
        default=Latency(law="fixed", a=0),
        description="emulator seconds from done until a Developer API file can be downloaded; up to 95 s observed",
    )
    retention: float = Field(
        default=172_800.0, gt=0, description="emulator seconds until a file is deleted; Google deletes after 2 days"
    )
    films: Films = Field(
        default="auto",
        description="the videos: drawn, films that show their prompt (needs the extra `video`); bundled, always the "
        "same film, without a thread, as needed in virtual time; auto, drawn if the extra is installed",
    )
    retired: Annotated[tuple[str, ...], _several(str, 'retired = ["veo-3.0-generate-001"]')] = Field(
        default=RETIRED, description="model ids that get a 404 with 'no longer available'"
    )

    if TYPE_CHECKING:  # fields take more than they hold

        def __init__(
            self,
            *,
            rpm: int | None = 10,
            period: float = 60.0,
            rpd: int | None = None,
            concurrency: int | None = None,
            spend: float | None = None,
            spend_period: float = 600.0,
            counting: Counting = "sliding",
            phase: float = 0.0,
            count_refused: bool = False,
            quotas: Iterable[Quota | str | dict[str, Any]] = (),
            refusal_body: RefusalBody = "detailed",
            retry_info: bool = True,
            quota_value: bool = True,
            retry_after: bool = False,
            refuse_late: bool = False,
            latency: Latency | str | float = ...,
            slowdown: float = 1.0,
            rtt: Latency | str | float = ...,
            speed: float = 1.0,
            faults: Iterable[Fault | str] = (),
            hang: float = 600.0,
            redirect_to: str | None = None,
            seed: int = 0,
            allow_hosts: Iterable[str] = (),
            ranges: bool = True,
            processing: Latency | str | float = ...,
            retention: float = 172_800.0,
            films: Films = "auto",
            retired: Iterable[str] = ...,
        ) -> None: ...

    def rules(self) -> tuple[QuotaRule, ...]:
        """Return the quota rules of these options: the general ones first, then those of `quotas`."""
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
