"""What an operator sees over HTTP: figures of all callers, which no caller may see."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3.server.door.google_errors import Refused, bad_key
from aveo3.server.door.http_requests import credential_of
from aveo3.server.page.answers import routes_of
from aveo3.server.page.relay import PLACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aveo3.server.door.callers import Caller
    from aveo3.server.door.metrics import Metrics
    from aveo3.server.page.answers import Answers

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OperatorRoutes:
    """The handlers. Without keys, whoever reaches the server may see everything; with keys, only operators may.

    That the request comes from this machine proves nothing then: so do those that a proxy here passes on.
    A process that can read the directory's private files has `token`. `status` returns the account of everything,
    `page` the answers to a live page, which it makes when the first page asks.
    `metrics` is None if the package that formats them is not installed.
    """

    def __init__(
        self,
        caller_of: Callable[[str | None], Caller | None],
        metrics: Metrics | None,
        status: Callable[[], Awaitable[dict[str, Any]]],
        page: Callable[[], Answers],
        token: str,
    ) -> None:
        self._caller_of = caller_of
        self._metrics = metrics
        self._status = status
        self._page = page
        self._token = token.encode()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/metrics", self._show_metrics)
        router.add_get("/status", self._show_status)
        router.add_routes(routes_of(self._page, PLACE, self._guarded))

    def _guarded(self, handler: Handler) -> Handler:
        """`handler`, for operators only. A page can pause the server, so it needs a key or the token even without keys:
        other users of this machine may send requests then, but stop nothing. What changes something is a POST."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._check(request)
            if not self._has_token(request):
                caller = self._caller_of(credential_of(request))
                if caller is None or not caller.operator:
                    raise Refused(
                        403, "Permission denied: this page needs the token in .aveo3/server.json, or an operator's key."
                    )
                if request.method != "GET" and not caller.steers:
                    raise Refused(
                        403,
                        "Permission denied: this operator's key only shows. One that pauses and cancels: aveo3 serve "
                        "keys add NAME --operator --steer.",
                    )
            return await handler(request)

        return handle

    def _has_token(self, request: web.Request) -> bool:
        credential = credential_of(request)
        return credential is not None and hmac.compare_digest(credential.encode("utf-8", "replace"), self._token)

    def _check(self, request: web.Request) -> None:
        """Raise `Refused` unless an operator asks."""
        if self._has_token(request):
            return
        caller = self._caller_of(credential_of(request))
        if caller is None:
            raise bad_key()
        if not caller.is_operator:
            raise Refused(403, "Permission denied: figures of all callers need an operator's key.")

    async def _show_status(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response(await self._status())

    async def _show_metrics(self, request: web.Request) -> web.Response:
        self._check(request)
        if self._metrics is None:
            raise Refused(501, "Metrics need a package: pip install 'aveo3[server]'.", status="UNIMPLEMENTED")
        from aveo3.server.door.metrics import CONTENT_TYPE

        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
