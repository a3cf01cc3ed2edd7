"""The emulator as a server: the aiohttp app of all surfaces, and a server that runs it in your event loop."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.config.faults import Fault
from aveo3.mock.config.options import MockOptions
from aveo3.mock.config.scenario import Scenario
from aveo3.mock.dashboard import PATHS, Viewers
from aveo3.mock.error_bodies import RequestError
from aveo3.mock.http.fault_effects import cut, respond
from aveo3.mock.http.guard import Guard
from aveo3.mock.omni.routes import OmniWire
from aveo3.mock.quota_lists.routes import QuotaListWire
from aveo3.mock.quota_rules import QuotaRule
from aveo3.mock.state.clock import system_utc
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.ledger import Books
from aveo3.mock.storage.file_routes import FileWire
from aveo3.mock.storage.gcs_routes import StorageWire
from aveo3.mock.veo.model_routes import ModelWire
from aveo3.mock.veo.routes import VeoWire

BODY_LIMIT = 100 * 2**20
EMULATOR = web.AppKey("emulator", Emulator)
_GUARD = web.AppKey("guard", Guard)
_SCENARIO_TASK = web.AppKey("scenario_task", asyncio.Task[None])
_LIMITS = frozenset({"rpm", "rpd", "concurrency", "spend"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    options: MockOptions | None = None,
    *,
    scenario: Scenario | None = None,
    host: str = "127.0.0.1",
    now_utc: Callable[[], datetime] = system_utc,
    rng: random.Random | None = None,
) -> web.Application:
    """Build the emulator as an aiohttp application. `app[EMULATOR]` is its state. Its clock starts with the app.

    `host` is the address that it will listen on.

    With a scenario, options that were set explicitly beat those at the top of the scenario.
    """
    options = options if options is not None else MockOptions()
    if scenario is not None:
        options = scenario.start(**{name: getattr(options, name) for name in options.model_fields_set})
    emulator = Emulator(options, scenario=scenario, now_utc=now_utc, rng=rng)
    guard = Guard(host, lambda: emulator.options.allow_hosts)
    viewers = Viewers(emulator)
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_as_google])
    app[EMULATOR], app[_GUARD] = emulator, guard
    wires = (
        VeoWire(emulator),
        OmniWire(emulator, guard.check_hook),
        ModelWire(emulator),
        FileWire(emulator),
        StorageWire(emulator),
        QuotaListWire(emulator),
    )
    for wire in wires:
        app.add_routes(wire.routes())
    app.add_routes(viewers.routes())

    async def start(_: web.Application) -> None:
        emulator.clock.start()
        app[_SCENARIO_TASK] = asyncio.create_task(emulator.run_scenario())

    async def stop(_: web.Application) -> None:
        emulator.close()
        app[_SCENARIO_TASK].cancel()
        await viewers.close()

    app.on_startup.append(start)
    app.on_shutdown.append(stop)
    return app


@web.middleware
async def _as_google(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Wait for the round trip, count POSTs, and answer every `Refused` in Google's words."""
    try:
        request.app[_GUARD].check(request)
    except RequestError as refused:
        return respond(refused.answer)
    if request.path in PATHS and request.method in ("GET", "HEAD"):
        return await handler(request)
    emulator = request.app[EMULATOR]
    if request.method == "POST":
        emulator.books.posts[request.path] += 1
    await emulator.travel()
    try:
        response = await handler(request)
    except RequestError as refused:
        response = respond(refused.answer)
    except web.HTTPRequestEntityTooLarge:
        response = respond(error_bodies.invalid(f"Request payload size exceeds the limit: {BODY_LIMIT} bytes."))
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        response = respond(error_bodies.not_found(f"The requested URL {request.path} was not found on this server."))
    except ConnectionResetError:  # the client went away, or was killed, during the response
        return cut(request)
    await emulator.travel()
    return response


class MockServer:
    """The emulator on a port, inside an `async with`.

        async with MockServer(MockOptions(rpm=10, speed=60)) as server:
            ...                                   # server.url, server.books
            server.set_quota(rpm=5)               # the quota changes
            server.change(slowdown=3)             # a slow hour begins

    `server.url` shows a page with the books. `scenario` scripts such changes; explicit `options` beat those at the top
    of the scenario. `port=0` takes a free port. Entering raises OSError if the port is taken. Leaving cuts responses
    that still hang; the books stay readable.
    """

    def __init__(
        self,
        options: MockOptions | None = None,
        *,
        scenario: Scenario | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        now_utc: Callable[[], datetime] = system_utc,
        rng: random.Random | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._app = create_app(options, scenario=scenario, host=host, now_utc=now_utc, rng=rng)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        runner = web.AppRunner(self._app, shutdown_timeout=1.0, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base URL for clients."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(
            self.host, f"[{self.host}]" if ":" in self.host else self.host
        )
        return f"http://{host}:{self.port}"

    @property
    def options(self) -> MockOptions:
        """The current options."""
        return self.emulator.options

    @property
    def emulator(self) -> Emulator:
        return self._app[EMULATOR]

    @property
    def books(self) -> Books:
        """The live books, with all operations that are due now ended."""
        self.emulator.settle()
        return self.emulator.books

    @property
    def rules(self) -> tuple[QuotaRule, ...]:
        """The current quota rules. Assign others at any time: used quota stays used."""
        return self.emulator.quotas.rules

    @rules.setter
    def rules(self, rules: Iterable[QuotaRule]) -> None:
        self.emulator.quotas.rules = tuple(rules)

    def set_quota(self, **limits: float | None) -> None:
        """Change some of rpm, rpd, concurrency and spend, as in `MockOptions`. Used quota stays used."""
        if unknown := limits.keys() - _LIMITS:
            raise TypeError(f"set_quota() takes {', '.join(sorted(_LIMITS))}; not {', '.join(sorted(unknown))}.")
        self.change(**limits)

    def change(self, **options: Any) -> None:
        """Change any of `MockOptions` except speed, seed and films, from now on. Used quota stays used."""
        self.emulator.change(**options)

    def set_faults(self, *faults: Fault) -> None:
        """Replace all faults, from now on. Without arguments nothing fails any more."""
        self.emulator.set_faults(faults)
