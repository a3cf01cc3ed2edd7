"""The emulator: Google's video APIs on your own machine, with quotas, faults and a paying user's books.

    async with MockServer(MockOptions(rpm=10, speed=60)) as server:
        ...                      # point any client at server.url
        server.books.as_dict()   # what it would have cost, and whether anything was paid for twice

Open server.url in a browser to watch. `Quota` gives projects, keys and models limits of their own, `Scenario` scripts a
day of outages and changing quotas.

It knows nothing of the client it is used to test: no module here imports one from outside this package. Names are
looked up on first use, so that importing `aveo3.mock` does not load aiohttp.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aveo3.mock.books import Books
    from aveo3.mock.faults import FAULTS, Fault
    from aveo3.mock.latency import Latency
    from aveo3.mock.options import MockOptions
    from aveo3.mock.quota import Quota
    from aveo3.mock.rules import QuotaRule
    from aveo3.mock.scenario import Scenario, ScenarioError, Step
    from aveo3.mock.server import MockServer, create_app

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
    "FAULTS": "faults",
    "Books": "books",
    "Fault": "faults",
    "Latency": "latency",
    "MockOptions": "options",
    "MockServer": "server",
    "Quota": "quota",
    "QuotaRule": "rules",
    "Scenario": "scenario",
    "ScenarioError": "scenario",
    "Step": "scenario",
    "create_app": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
