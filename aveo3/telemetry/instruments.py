"""The metrics, by their names in OpenTelemetry; `/metrics` of the server has the same, as Prometheus spells them.

Labels are short, and not `aveo3.lane`, because `/metrics` has always had them so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from aveo3.telemetry import attributes as names

MOST = 200
"""How many values a label has. Further ones are counted together, as `OTHER`."""

OTHER = "(other)"

_SECONDS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
"""From the fastest clip to a day in a queue. Those of the conventions end at 82 s, where videos begin."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric. Gauges are read when somebody asks; the others follow events."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    text: str
    unit: str = ""
    """UCUM: `s`; braces for what is counted, such as `{submit}`."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, without the `_total` of a counter."""
        return self.name.replace(".", "_") + {"s": "_seconds"}.get(self.unit, "")

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """Its labels in Prometheus."""
        return tuple(label.replace(".", "_") for label in self.labels)


DURATION = Instrument(
    "gen_ai.client.operation.duration",
    "histogram",
    "Time of a job, with its waits and retries, from its plan or the acceptance of its request to its end.",
    "s",
    (names.OPERATION, names.PROVIDER, names.MODEL, names.ERROR),
    _SECONDS,
)
QUEUE_WAIT = Instrument(
    "aveo3.queue.wait",
    "histogram",
    "Time from a job's plan, or the acceptance of its request, to its first submit.",
    "s",
    ("lane",),
    _SECONDS,
)
LATENCY = Instrument(
    "aveo3.latency",
    "histogram",
    "Time that Google took for a clip, from its submit to its end.",
    "s",
    ("model",),
    _SECONDS,
)
CLIPS = Instrument(
    "aveo3.clips", "counter", "Clips by their status, without those of earlier runs.", "{clip}", ("status",)
)
SUBMITS = Instrument("aveo3.submits.accepted", "counter", "Submits that Google accepted.", "{submit}", ("lane",))
REFUSALS = Instrument(
    "aveo3.google.refusals",
    "counter",
    "Submits that Google refused for now, by kind of refusal.",
    "{refusal}",
    ("lane", "kind"),
)
RETRIES = Instrument(
    "aveo3.retries", "counter", "Attempts that are repeated, by the kind of failure.", "{retry}", ("kind",)
)
SPENT = Instrument("aveo3.spent_usd", "counter", "US$ at list price, billed.", "{USD}")

RUNNING = Instrument("aveo3.lane.running", "gauge", "Operations that run at Google.", "{operation}", ("lane",))
RUNNING_LIMIT = Instrument(
    "aveo3.lane.running_limit", "gauge", "How many operations may run at once.", "{operation}", ("lane",)
)
QUOTA_USED = Instrument("aveo3.quota.used", "gauge", "Submits that count against the quota now.", "{submit}", ("lane",))
QUOTA_LIMIT = Instrument(
    "aveo3.quota.limit", "gauge", "Submits that the quota allows in one period.", "{submit}", ("lane",)
)
QUOTA_PERIOD = Instrument("aveo3.quota.period", "gauge", "Length of the quota's period.", "s", ("lane",))
OPENS_IN = Instrument(
    "aveo3.lane.opens_in", "gauge", "Time until the lane may submit again; 0 if it is not paused.", "s", ("lane",)
)
CLOSED = Instrument(
    "aveo3.lane.closed",
    "gauge",
    "1 if the lane will never submit again: credentials, billing, a quota of 0.",
    "{lane}",
    ("lane",),
)
BREAKER = Instrument(
    "aveo3.breaker.state", "gauge", "1 for the state in which the circuit breaker is.", "{state}", ("lane", "state")
)
IN_FLIGHT = Instrument("aveo3.in_flight_usd", "gauge", "US$ at list price of the clips in flight.", "{USD}")
MAY_BE_PAID = Instrument(
    "aveo3.may_be_paid_usd", "gauge", "US$ at list price of clips whose answer was lost or given up.", "{USD}"
)
PAUSED = Instrument("aveo3.paused", "gauge", "1 while a person has paused all submits.", "{pause}")

INSTRUMENTS: Mapping[str, Instrument] = {
    each.name: each
    for each in (
        DURATION, QUEUE_WAIT, LATENCY, CLIPS, SUBMITS, REFUSALS, RETRIES, SPENT,
        RUNNING, RUNNING_LIMIT, QUOTA_USED, QUOTA_LIMIT, QUOTA_PERIOD, OPENS_IN, CLOSED, BREAKER,
        IN_FLIGHT, MAY_BE_PAID, PAUSED,
    )
}  # fmt: skip
"""Every metric by its name."""


class Bounded:
    """The value of a label: the name itself for the first `MOST` names, `OTHER` for the rest."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= MOST:
                return OTHER
            self._known.add(name)
        return name
