"""The login of a backend: its headers, and a new token where Google refuses the one that is there.

google-auth fetches a new token when the old one expires by this machine's clock. It knows nothing of a token that was
revoked, or of a clock that is wrong: then Google answers 401, which creates nothing.
"""

from __future__ import annotations

import asyncio
import functools
from math import inf
from typing import TYPE_CHECKING, Any

from aveo3 import _threads

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ROOT = "https://www.googleapis.com"

LONGEST = 10.0
"""Seconds for the request for a new token: it happens within the time of a submit."""

SHORTEST_GAP = 30.0
"""Seconds after a new token in which a 401 means that new tokens do not help either."""


class Login:
    """google-auth's credentials, shared by all requests of a backend. None: requests need no token. A thread refreshes
    it."""

    def __init__(self, credentials: Credentials | None) -> None:
        self.credentials = credentials
        self.renewals = 0
        """Tokens asked for because Google refused the one before."""
        self._renewed_at = -inf
        self._failure: Exception | None = None
        self._refreshing = asyncio.Lock()  # one refresh serves all tasks that wait for it

    async def headers(self) -> dict[str, str]:
        """A token valid for some minutes at least, and the quota project if the credentials name one.

        Empty without credentials. Raises `GoogleAuthError` if no token can be obtained.
        """
        if self.credentials is None:
            return {}
        async with self._refreshing:
            await _threads.network.run(self.credentials.before_request, _transport(), "GET", ROOT, {})
        headers = {"Authorization": f"Bearer {self.credentials.token}"}
        if project := getattr(self.credentials, "quota_project_id", None):
            headers["x-goog-user-project"] = project
        return headers

    async def refresh(self) -> None:
        """Get a new token if there is none, or it has expired. Raises `GoogleAuthError`.

        google-genai would do it in a thread of the loop's, and for `interactions` on the loop itself.
        """
        if self.credentials is None or self._is_fresh():
            return
        async with self._refreshing:
            if not self._is_fresh():
                await _threads.network.run(self.credentials.refresh, _transport())

    def _is_fresh(self) -> bool:
        return bool(self.credentials is None or (self.credentials.token and not self.credentials.expired))

    async def renew(self, seen: int) -> bool:
        """Get a new token after a 401, unless that happened since `renewals` was `seen`. True: try again.

        False if there is no token, or the refused one is new itself. Raises what google-auth raises.
        """
        if self.credentials is None:
            return False
        async with self._refreshing:
            if self.renewals == seen:
                now = asyncio.get_running_loop().time()
                if now < self._renewed_at + SHORTEST_GAP:
                    return False
                self._failure = None
                try:
                    request = functools.partial(_transport(), timeout=LONGEST)
                    await _threads.network.run(self.credentials.refresh, request)
                except Exception as error:
                    self._failure = error
                self.renewals, self._renewed_at = seen + 1, asyncio.get_running_loop().time()
        if self._failure is not None:
            raise self._failure
        return True

    def is_current(self, headers: dict[str, str]) -> bool:
        """True if `headers` hold the token that is there now."""
        token = self.credentials.token if self.credentials is not None else None
        return token is not None and headers.get("Authorization") == f"Bearer {token}"

    def without_token(self, words: str) -> str:
        """`words` without the token: an answer may quote its request, and no log or clip may hold the token."""
        token = self.credentials.token if self.credentials is not None else None
        return words.replace(token, "(the token)") if token and len(token) > 8 else words


@functools.cache
def _transport() -> Any:
    from google.auth.transport.requests import Request  # costly to import

    return Request()
