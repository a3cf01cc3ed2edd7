"""Figures of the door for Prometheus. Counters follow what happens; everything else is read when somebody asks.

What follows from a client's events and totals has the names of `aveo3.telemetry`, as Prometheus spells them. Labels are
bounded: callers, lanes and kinds beyond `MOST` share the value `OTHER`, whatever names come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aveo3.dispatch.stats import Stats
from aveo3.events.kinds import Event
from aveo3.lifecycle import State
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.observer import Observer
from aveo3.server.door.queues import Queue
from aveo3.server.door.video_store import BY_AGE, BY_ROOM, VideoStore
from aveo3.telemetry import instruments
from aveo3.telemetry.instruments import INSTRUMENTS, OTHER, Bounded, Instrument
from aveo3.telemetry.measuring import Measuring, standing

CONTENT_TYPE = CONTENT_TYPE_LATEST

_ACCEPT_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics(Observer):
    """The figures of one door in a registry of their own, which nothing else in the process shares.

    `stats` and `queues` return what stands now; `queues` may raise `JournalError`, and then so does `text`.
    """

    def __init__(
        self, stats: Callable[[], Stats], queues: Callable[[], dict[str, Queue]], videos: VideoStore, disk: DiskRoom
    ) -> None:
        registry = self._registry = CollectorRegistry()
        self._callers = Bounded()  # none is called `OTHER`: it begins with a parenthesis
        self._measuring = Measuring()
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
        self._adding = {
            each: _registered(each, registry)
            for each in INSTRUMENTS.values()
            if each.kind != "gauge" and each not in _FROM_TOTALS
        }
        self._accept_seconds = Histogram(
            "aveo3_accept_seconds",
            "Time from reading a request until it is on disk.",
            buckets=_ACCEPT_SECONDS,
            registry=registry,
        )
        registry.register(_Now(stats, queues, videos, disk, self._callers))

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
        for measured in self._measuring.of(event):
            if (family := self._adding.get(measured.instrument)) is not None:
                one = family.labels(*measured.labels) if measured.labels else family
                if isinstance(one, Histogram):
                    one.observe(measured.value)
                else:
                    one.inc(measured.value)


_FROM_TOTALS = (instruments.SPENT, instruments.SUBMITS)
"""Counters that are read like gauges: the client counts them already."""


def _registered(instrument: Instrument, registry: CollectorRegistry) -> Counter | Histogram:
    name, text, labels = instrument.prometheus, instrument.text, instrument.prometheus_labels
    if instrument.kind == "histogram":
        return Histogram(name, text, labels, buckets=instrument.buckets, registry=registry)
    return Counter(name, text, labels, registry=registry)


class _Now(Collector):
    """What stands at the moment of a scrape."""

    def __init__(
        self,
        stats: Callable[[], Stats],
        queues: Callable[[], dict[str, Queue]],
        videos: VideoStore,
        disk: DiskRoom,
        callers: Bounded,
    ) -> None:
        self._stats = stats
        self._queues = queues
        self._videos = videos
        self._disk = disk
        self._callers = callers
        self._lanes = Bounded()

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registry then reads nothing when it is set up."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._waiting()
        stats = self._stats()
        gauges = {
            each: GaugeMetricFamily(each.prometheus, each.text, labels=each.prometheus_labels)
            for each in INSTRUMENTS.values()
            if each.kind == "gauge"
        }
        for measured in standing(stats, self._lanes):
            gauges[measured.instrument].add_metric(measured.labels, float(measured.value))
        yield from gauges.values()
        yield CounterMetricFamily(instruments.SPENT.prometheus, instruments.SPENT.text, stats.spent_usd)
        submits = instruments.SUBMITS
        accepted = CounterMetricFamily(submits.prometheus, submits.text, labels=submits.prometheus_labels)
        for lane, gate in stats.gates.items():
            if (name := self._lanes(lane)) != OTHER:
                accepted.add_metric([name], gate.accepted)
        yield accepted
        yield from self._stored()

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
