"""Asks Google for the quotas of a project, for free: the Cloud Quotas API, else the Service Usage API. Only reads.

The Cloud Quotas API (v1) is the newer one, but each project has to enable it. The Service Usage API (v1beta1) lists
the same limits and is enabled where APIs can be enabled at all, so it is asked where the first one is not open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from google.oauth2.credentials import Credentials

from aveo3 import _threads, _timeouts
from aveo3.backends import credentials, http, probe
from aveo3.backends.base import Probe
from aveo3.backends.login import Login
from aveo3.config.settings import Settings, on_this_machine
from aveo3.verdicts import project_quotas
from aveo3.verdicts.problems import Problem
from aveo3.verdicts.project_quotas import SERVICE, ListedQuota

PAGE = 1000
"""Quotas asked for at once. Google sends fewer if it wants to."""

MOST_PAGES = 200
MOST_BYTES = 50 * 2**20
"""Of one page. Vertex AI has more than ten thousand values, each with the list of its regions."""


class _Api(NamedTuple):
    """One API that lists quotas: where, under which key, and how to read it."""

    host: str
    path: str
    params: dict[str, str]
    key: str
    read: Callable[[list[Any]], Iterator[ListedQuota]]


CLOUD_QUOTAS = _Api(
    "cloudquotas.googleapis.com",
    f"/v1/projects/{{project}}/locations/global/services/{SERVICE}/quotaInfos",
    {},
    "quotaInfos",
    project_quotas.of_cloud_quotas,
)
SERVICE_USAGE = _Api(
    "serviceusage.googleapis.com",
    f"/v1beta1/projects/{{project}}/services/{SERVICE}/consumerQuotaMetrics",
    {"view": "FULL"},
    "metrics",
    project_quotas.of_service_usage,
)


@dataclass(frozen=True, slots=True)
class QuotaListing:
    """The quotas of a project, or the failed request of the API in `source`."""

    source: str
    quotas: tuple[ListedQuota, ...] = ()
    failed: Probe | None = None


async def login_of(settings: Settings) -> Login | None:
    """The login of the project; None if there is only an API key, which may not list quotas. Raises `UsageError`."""
    if settings.project is None:
        return None
    found = (await _threads.reading.run(credentials.for_vertex, settings)).get("credentials")
    return None if found is None else Login(found)


async def read(settings: Settings, login: Login, *, is_closed: Callable[[Probe], bool], longest: float) -> QuotaListing:
    """The quotas of the project of `settings`. Raises nothing but its own cancellation.

    Each request may take `longest` seconds, all together three times that. `is_closed` tells whether a failed request
    means that the project has not opened the API: then the other API is asked, too. If both fail, the first failure
    counts.
    """
    try:
        async with (
            aiohttp.ClientSession(
                connector=http.connector(), trust_env=not on_this_machine(settings.base_url)
            ) as session,
            _timeouts.timeout(3 * longest),
        ):
            reader = _Reader(settings, login, session, longest)
            listing = await reader.listed(CLOUD_QUOTAS)
            if listing.failed is not None and is_closed(listing.failed):
                other = await reader.listed(SERVICE_USAGE)
                listing = listing if other.failed is not None else other
            return listing
    except Exception as error:
        return QuotaListing(
            CLOUD_QUOTAS.host, failed=Probe(problem=probe.problem_of(error), said=probe.words_of(error))
        )


class _Reader:
    """Lists quotas page by page. Each request may take `longest` seconds."""

    def __init__(self, settings: Settings, login: Login, session: aiohttp.ClientSession, longest: float) -> None:
        self._project = settings.project or ""
        # The emulator answers for all of Google's hosts. A gateway elsewhere does not, and Google is asked itself.
        self._emulator = settings.base_url if on_this_machine(settings.base_url) else None
        self._login = login
        self._session = session
        self._longest = longest

    async def listed(self, api: _Api) -> QuotaListing:
        """All quotas that `api` lists, or its first failed request."""
        login = self._login.credentials
        if login is not None and (failed := await probe.refresh(login, self._longest)) is not None:
            return QuotaListing(api.host, failed=failed)
        root = (self._emulator or f"https://{api.host}").rstrip("/")
        url = root + api.path.format(project=quote(self._project, safe=""))
        found: list[Any] = []
        tokens: set[str] = set()
        params = {**api.params, "pageSize": str(PAGE)}
        while len(tokens) < MOST_PAGES:
            answer = await self._page(root, url, params)
            body = answer.body
            if answer.status != 200:
                return QuotaListing(api.host, failed=answer)
            if not isinstance(body, dict) or not isinstance(items := body.get(api.key, []), list):
                return _unreadable(api, root, f"the answer is not a list of quotas: {str(body)[:200]}")
            found += items
            token = body.get("nextPageToken") or ""
            if not isinstance(token, str) or token in tokens:
                return _unreadable(api, root, "the list has no end: its pages repeat")
            if not token:
                return QuotaListing(api.host, tuple(api.read(found)))
            tokens.add(token)
            params["pageToken"] = token
        return _unreadable(api, root, f"the list has not ended after {MOST_PAGES} pages")

    async def _page(self, root: str, url: str, params: dict[str, str]) -> Probe:
        """One page, or why there is none. After a 401 it is asked for once more, with a new token."""
        seen = self._login.renewals
        answer = await self._get(root, url, params)
        if answer.status == 401 and await self._login.renew(seen):
            answer = await self._get(root, url, params)
        return answer

    async def _get(self, root: str, url: str, params: dict[str, str]) -> Probe:
        headers = await self._headers()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with (
                _timeouts.timeout(self._longest),
                self._session.get(url, params=params, headers=headers, allow_redirects=False) as response,
            ):
                raw = bytearray()
                async for chunk in response.content.iter_chunked(2**16):
                    raw += chunk
                    if len(raw) > MOST_BYTES:
                        raise ValueError(f"the answer has more than {MOST_BYTES} bytes")
        except Exception as error:
            words = self._login.without_token(probe.words_of(error))
            return Probe(root, loop.time() - began, problem=probe.problem_of(error), said=words)
        text = self._login.without_token(raw.decode("utf-8", "replace"))
        return Probe(root, loop.time() - began, response.status, await _threads.reading.run(_parsed, text))

    async def _headers(self) -> dict[str, str]:
        """The token. A person's login has no project of its own, and these APIs do not answer without one."""
        headers = await self._login.headers()
        if isinstance(self._login.credentials, Credentials) and self._project:
            headers.setdefault("x-goog-user-project", self._project)
        return headers


def _parsed(text: str) -> Any:
    """The body as JSON, else as it is. Deep nesting and endless numbers are no JSON of Google's."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unreadable(api: _Api, root: str, words: str) -> QuotaListing:
    return QuotaListing(api.host, failed=Probe(root, problem=Problem.NOT_GOOGLE, said=words))
