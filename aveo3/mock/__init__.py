"""The emulator: Google's video APIs on your own machine, with quotas, faults and a paying user's books.

    async with MockServer(MockOptions(rpm=10, speed=60)) as server:
        ...                      # point any client at server.url
        server.books.as_dict()   # the cost, and every prompt that was paid for twice

Open server.url in a browser to watch. `Quota` sets limits for single projects, keys and models. `Scenario` scripts a
day of outages and changing quotas.

The emulator shares no code with the client that it tests: no module here imports from outside this package. Names are
imported on first use, so that importing `aveo3.mock` does not load aiohttp.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aveo3.mock.config.faults import FAULTS, Fault
    from aveo3.mock.config.latency import Latency
    from aveo3.mock.config.options import MockOptions
    from aveo3.mock.config.quota import Quota
    from aveo3.mock.config.scenario import Scenario, ScenarioError, Step
    from aveo3.mock.quota_rules import QuotaRule
    from aveo3.mock.server import MockServer, create_app
    from aveo3.mock.state.ledger import Books

__all__ = [
    "FAULTS",
    "Books",
    "Fault",
    "Latency",
    "MockOptions",
    "MockServer",
    "Quota",
    "QuotaRule",
    "Scenario",
    "ScenarioError",
    "Step",
    "create_app",
]

_HOME = {
    "FAULTS": "config.faults",
    "Books": "state.ledger",
    "Fault": "config.faults",
    "Latency": "config.latency",
    "MockOptions": "config.options",
    "MockServer": "server",
    "Quota": "config.quota",
    "QuotaRule": "quota_rules",
    "Scenario": "config.scenario",
    "ScenarioError": "config.scenario",
    "Step": "config.scenario",
    "create_app": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
