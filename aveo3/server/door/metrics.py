"""Figures of the door for Prometheus. Counters follow what happens; everything else is read when somebody asks.

Labels are bounded: callers, lanes and kinds beyond `MOST` share the value `OTHER`, whatever names come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aveo3.dispatch.stats import Stats
from aveo3.events.kinds import Event
from aveo3.events.kinds import Refused as RefusedEvent
from aveo3.lifecycle import State
from aveo3.quota.breaker import BreakerState
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.observer import Observer
from aveo3.server.door.queues import Queue
from aveo3.server.door.video_store import BY_AGE, BY_ROOM, VideoStore

CONTENT_TYPE = CONTENT_TYPE_LATEST

MOST = 200
"""How many values a label has."""

OTHER = "(other)"
"""No caller has this name: it begins with a parenthesis."""

_ACCEPT_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics(Observer):
    """The figures of one door in a registry of their own, which nothing else in the process shares.

    `stats` and `queues` return what stands now; `queues` may raise `JournalError`, and then so does `text`.
    """

    def __init__(
        self, stats: Callable[[], Stats], queues: Callable[[], dict[str, Queue]], videos: VideoStore, disk: DiskRoom
    ) -> None:
        registry = self._registry = CollectorRegistry()
        self._callers, self._lanes, self._kinds = _Bounded(), _Bounded(), _Bounded()
        self._accepted = Counter(
            "aveo3_requests_accepted",
            "Requests that are on disk and were answered with a name.",
            ["caller"],
            registry=registry,
        )
        self._ended = Counter(
            "aveo3_requests_ended",
            "Requests that have ended, by the state of their job.",
            ["caller", "outcome"],
            registry=registry,
        )
        self._errors = Counter(
            "aveo3_http_errors",
            "Requests of any kind that the server refused, by HTTP status.",
            ["code"],
            registry=registry,
        )
        self._refusals = Counter(
            "aveo3_google_refusals",
            "Submits that Google refused for now, by kind of refusal.",
            ["lane", "kind"],
            registry=registry,
        )
        self._accept_seconds = Histogram(
            "aveo3_accept_seconds",
            "Time from reading a request until it is on disk.",
            buckets=_ACCEPT_SECONDS,
            registry=registry,
        )
        registry.register(_Now(stats, queues, videos, disk, self._callers, self._lanes))

    def text(self) -> bytes:
        """All figures in Prometheus's text format, of the type `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def accepted(self, caller: str, seconds: float) -> None:
        self._accepted.labels(self._callers(caller)).inc()
        self._accept_seconds.observe(seconds)

    def ended(self, caller: str, state: State) -> None:
        self._ended.labels(self._callers(caller), state.value).inc()

    def refused(self, code: int) -> None:
        self._errors.labels(str(code)).inc()

    def on_event(self, event: Event) -> None:
        """Count an event of the client."""
        if isinstance(event, RefusedEvent):
            self._refusals.labels(self._lanes(event.lane), self._kinds(event.reason)).inc()


class _Bounded:
    """The value of a label: the name itself for the first `MOST` names, `OTHER` for the rest."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= MOST:
                return OTHER
            self._known.add(name)
        return name


class _Now(Collector):
    """What stands at the moment of a scrape."""

    def __init__(
        self,
        stats: Callable[[], Stats],
        queues: Callable[[], dict[str, Queue]],
        videos: VideoStore,
        disk: DiskRoom,
        callers: _Bounded,
        lanes: _Bounded,
    ) -> None:
        self._stats = stats
        self._queues = queues
        self._videos = videos
        self._disk = disk
        self._callers = callers
        self._lanes = lanes

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registry then reads nothing when it is set up."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._waiting()
        stats = self._stats()
        yield from self._lane_figures(stats)
        yield CounterMetricFamily(
            "aveo3_spent_usd", "US$ at list price, billed since the server began.", stats.spent_usd
        )
        yield GaugeMetricFamily("aveo3_in_flight_usd", "US$ at list price of the clips in flight.", stats.in_flight_usd)
        yield GaugeMetricFamily(
            "aveo3_may_be_paid_usd",
            "US$ at list price of clips whose answer was lost or given up.",
            stats.may_be_paid_usd,
        )
        yield from self._stored()
        yield GaugeMetricFamily("aveo3_paused", "1 while a person has paused all submits.", float(stats.paused))

    def _waiting(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("aveo3_requests_waiting", "Requests that wait for their turn.", labels=["caller"])
        oldest = GaugeMetricFamily(
            "aveo3_oldest_wait_seconds",
            "Time since the oldest of the waiting requests was accepted.",
            labels=["caller"],
        )
        running = GaugeMetricFamily(
            "aveo3_requests_running", "Requests that are being submitted, made or fetched.", labels=["caller"]
        )
        sums: dict[str, Queue] = {}
        for caller, queue in self._queues().items():
            total = sums.setdefault(self._callers(caller), Queue())
            total.waiting += queue.waiting
            total.running += queue.running
            total.oldest_seconds = max(total.oldest_seconds, queue.oldest_seconds)
        for name, total in sums.items():
            waiting.add_metric([name], total.waiting)
            oldest.add_metric([name], total.oldest_seconds)
            running.add_metric([name], total.running)
        yield from (waiting, oldest, running)

    def _stored(self) -> Iterator[Metric]:
        size = self._videos.size
        yield GaugeMetricFamily("aveo3_stored_bytes", "Bytes of the videos of ended requests.", size.everything)
        yield GaugeMetricFamily(
            "aveo3_stored_fetched_bytes", "Bytes of those videos that their callers have fetched.", size.collected
        )
        removed = CounterMetricFamily(
            "aveo3_requests_removed",
            "Ended requests whose files were removed, by the setting because of which they were.",
            labels=["setting"],
        )
        for setting in (BY_AGE, BY_ROOM):
            removed.add_metric([setting], self._videos.removed[setting])
        yield removed
        if self._disk.free is not None:
            yield GaugeMetricFamily("aveo3_disk_free_bytes", "Bytes that are free on the disk.", self._disk.free)
        yield GaugeMetricFamily(
            "aveo3_disk_low",
            "1 while nothing is submitted for want of room.",
            float(self._disk.is_low),
        )

    def _lane_figures(self, stats: Stats) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(f"aveo3_{name}", text, labels=["lane"])
            for name, text in {
                "lane_running": "Operations that run at Google.",
                "lane_running_limit": "How many operations may run at once.",
                "quota_used": "Submits that count against the quota now.",
                "quota_limit": "Submits that the quota allows in one period.",
                "quota_period_seconds": "Length of the quota's period.",
                "lane_opens_in_seconds": "Time until the lane may submit again; 0 if it is not paused.",
                "lane_closed": "1 if the lane will never submit again: credentials, billing, a quota of 0.",
            }.items()
        }
        breaker = GaugeMetricFamily(
            "aveo3_breaker_state", "1 for the state in which the circuit breaker is.", labels=["lane", "state"]
        )
        submits = CounterMetricFamily("aveo3_submits_accepted", "Submits that Google accepted.", labels=["lane"])
        for lane, gate in stats.gates.items():
            if (name := self._lanes(lane)) == OTHER:
                continue  # a sum of quotas says nothing
            for family, value in (
                ("lane_running", gate.running),
                ("lane_running_limit", gate.running_limit),
                ("quota_used", gate.quota_used),
                ("quota_limit", gate.quota_limit),
                ("quota_period_seconds", gate.quota_period),
                ("lane_opens_in_seconds", gate.opens_in),
                ("lane_closed", gate.closed is not None),
            ):
                families[family].add_metric([name], float(value))
            for state in BreakerState:
                breaker.add_metric([name, state.value], float(gate.breaker is state))
            submits.add_metric([name], gate.accepted)
        yield from (*families.values(), breaker, submits)
