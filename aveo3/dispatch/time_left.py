"""Estimates when a run ends. Pure: reads `Stats`, takes instants."""

from __future__ import annotations

from aveo3.dispatch.stats import Stats
from aveo3.models import ClipStatus

USUAL = 70.0
"""Seconds that a clip takes, before the first one is finished and if nobody knows better."""


class Pace:
    """Measures the time since the last submit, from which the rest of a run is counted."""

    def __init__(self, started_at: float) -> None:
        self._submitted = 0
        self._at = started_at

    def since(self, stats: Stats, now: float) -> float:
        """Seconds since a submit was accepted last; time in which every lane pauses does not count."""
        pauses = [gate.opens_in for gate in stats.gates.values() if gate.closed is None]
        if stats.submitted != self._submitted or (pauses and min(pauses) > 0):
            self._submitted, self._at = stats.submitted, now
        return now - self._at


def eta(stats: Stats, to_send: int, since: float = 0.0, *, usual: float = USUAL) -> float | None:
    """Estimated seconds until the last clip is finished.

    None without an open lane, while a person pauses submits, and while clips wait at a server.

    The unsent clips wait for the current pause and for the quota; all lanes share them in proportion to their quotas.
    Then the last clip takes as long as clips have taken so far (before the first one: `usual`). All of this counts from
    the last submit, `since` seconds ago.
    """
    unsent = to_send - stats.submitted - sum(stats.clips[status] for status in NEVER_SENT)
    gates = [gate for gate in stats.gates.values() if gate.closed is None]
    if not gates:
        return None
    queues = [gate.at_server for gate in gates if gate.at_server is not None]
    if any(queue.waiting for queue in queues) or (queues and unsent > 0):
        return None  # a server tells when the first in its queue is sent, not the last
    latency = stats.latency if stats.latency is not None else usual
    if unsent <= 0:
        return max(latency - since, 0.0) if any(gate.running for gate in gates) else 0.0
    if stats.paused:
        return None
    together = sum(gate.quota_limit / gate.quota_period for gate in gates)
    free = sum(max(0.0, gate.quota_limit - gate.quota_used) for gate in gates)
    pause = min(gate.opens_in for gate in gates)
    return pause + max(max(0.0, unsent - free) / together + latency - since, latency)


NEVER_SENT = (ClipStatus.REJECTED, ClipStatus.DEFERRED, ClipStatus.CANCELLED)
