"""Videos in gs:// buckets: find what has appeared under a prefix, and where to fetch it from. Only reads.

The listing is gcloud-aio-storage's, the credentials are google-auth's, so that whatever opens Vertex AI is tried on
Cloud Storage too. Leaves retrying to its caller, and downloading to `files.download`.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from aveo3.backends.base import PollError
from aveo3.errors import UsageError

if TYPE_CHECKING:
    from gcloud.aio.auth import Token
    from google.auth.credentials import Credentials

ROOT = "https://storage.googleapis.com"
TIMEOUT = 30
"""Seconds for one page of a listing."""

_URI = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]*)(?:/(?P<name>.*))?", re.DOTALL)
_WANTED = "kind,nextPageToken,items(name,size,contentType)"
_LOG_IN = (
    "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's file; "
    "an API key opens no bucket."
)


class _Object(BaseModel):
    name: str
    size: int
    content_type: str = Field("", alias="contentType")

    @property
    def is_video(self) -> bool:
        return self.size > 0 and (self.name.endswith(".mp4") or self.content_type.startswith("video/"))


class _Page(BaseModel):
    """A page of a listing. `kind` must be there: of an answer that is none, nobody shall conclude that nothing is."""

    kind: Literal["storage#objects"]
    items: list[_Object] = []
    next_page: str = Field("", alias="nextPageToken")


class Storage:
    """Reads buckets with `credentials`, or without any. `session` stays open when this is closed."""

    def __init__(self, credentials: Credentials | None, session: aiohttp.ClientSession, root: str = ROOT) -> None:
        """Sends nothing. Raises `UsageError` if the extra `gcs` is not installed."""
        try:
            from gcloud.aio.storage import Storage as Client
        except ImportError as error:
            raise UsageError(
                "Videos in gs:// buckets need gcloud-aio-storage, which is not installed: pip install 'aveo3[gcs]'."
            ) from error
        self._root = root.rstrip("/")
        self._login = _Login(credentials)
        # Told an address it takes that for an emulator's and sends no token: ours goes with each request. The one here
        # only keeps it from looking for credentials of its own. Its types take `session` for one of requests.
        self._client = Client(token=cast("Token", object()), session=cast("Any", session), api_root=self._root)

    async def list(self, prefix: str) -> list[str]:
        """The videos below `prefix`, taken as a folder: their gs:// URIs, sorted.

        Empty if the folder holds none, or the bucket does not exist. Raises `PollError` if Cloud Storage could not be
        asked or gave no listing, `UsageError` if `prefix` is no gs:// URI.
        """
        bucket, folder = _parts(prefix)
        folder = folder.rstrip("/")
        params = {"prefix": f"{folder}/" if folder else "", "fields": _WANTED}
        found: list[str] = []
        while (page := await self._page(bucket, params, prefix)) is not None:
            found += [f"gs://{bucket}/{item.name}" for item in page.items if item.is_video]
            if not page.next_page:
                break
            params["pageToken"] = page.next_page
        return sorted(found)

    async def check(self, prefix: str) -> None:
        """Raise `PollError` if what is below `prefix` cannot be listed, or the bucket does not exist. One request."""
        bucket, folder = _parts(prefix)
        params = {"prefix": folder, "fields": _WANTED, "maxResults": "1"}
        if await self._page(bucket, params, prefix) is None:
            raise PollError(
                f"listing {prefix}: there is no bucket {bucket}. Make it: gcloud storage buckets create gs://{bucket}",
                final=True,
            )

    async def _page(self, bucket: str, params: dict[str, str], prefix: str) -> _Page | None:
        """One page; None if there is no such bucket."""
        try:
            headers = await self._login.headers()
            content = await self._client.list_objects(bucket, params=params, headers=headers, timeout=TIMEOUT)
            return _Page.model_validate(content)
        except aiohttp.ClientResponseError as error:
            status, words = error.status, error.message
        except ValidationError as error:
            what = f"listing {prefix}: this is not a listing of Cloud Storage: {error.error_count()} mistakes in it"
            raise PollError(what) from None
        except Exception as error:  # the client wraps nothing, and a listing is free to repeat
            self._fail(f"listing {prefix}", error)
        # Past the handler, so that no traceback holds the client's error: its repr shows the headers, token and all.
        reason, words = _said(words)
        if status == 404 and reason == "notFound":
            return None
        raise self._refusal(f"listing {prefix}", status, words, bucket)

    async def place(self, uri: str) -> tuple[str, dict[str, str]]:
        """Where to fetch `uri`, and the headers to fetch it with. Ask again for the next try: the token ages.

        The token among them is for that host alone. Raises `PollError` if there is no token to be had, `UsageError` if
        `uri` is not that of an object.
        """
        bucket, name = _parts(uri)
        if not name:
            raise UsageError(f"{uri!r} is a bucket, not a video in one (gs://bucket/name).")
        url = f"{self._root}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        try:
            return url, await self._login.headers()
        except Exception as error:
            self._fail(f"fetching {uri}", error)

    async def aclose(self) -> None:
        """Give up what is held. The session is left to whoever opened it."""
        await self._client.close()

    def _refusal(self, what: str, status: int, words: str, bucket: str) -> PollError:
        """The error for an answer that refuses. Final if asking again is pointless until a person changes something."""
        advice = {
            401: f" {_LOG_IN} The account needs roles/storage.objectViewer on the bucket {bucket}.",
            403: f" Grant the account roles/storage.objectViewer on the bucket {bucket}.",
        }
        return PollError(
            self._login.without_token(f"{what}: HTTP {status}: {words}") + advice.get(status, ""),
            final=400 <= status < 500 and status not in (408, 429),
        )

    def _fail(self, what: str, error: Exception) -> NoReturn:
        """Raise the `PollError` for anything but an answer."""
        from google.auth.exceptions import RefreshError

        advice = f" {_LOG_IN}" if isinstance(error, RefreshError) else ""
        raise PollError(self._login.without_token(f"{what}: {type(error).__name__}: {error}") + advice) from error


class _Login:
    """Turns google-auth's credentials into headers, with a token that is kept fresh off the event loop."""

    def __init__(self, credentials: Credentials | None) -> None:
        from google.auth.transport.requests import Request

        self._credentials = credentials
        self._request = Request()
        self._refreshing = asyncio.Lock()  # one refresh serves all who wait for it

    async def headers(self) -> dict[str, str]:
        """The token, good for some minutes at least, and whose quota it is, where the credentials name a project.

        Nothing without credentials. Raises `GoogleAuthError` if there is no token to be had.
        """
        if self._credentials is None:
            return {}
        async with self._refreshing:
            await asyncio.to_thread(self._credentials.before_request, self._request, "GET", ROOT, {})
        headers = {"Authorization": f"Bearer {self._credentials.token}"}
        if project := getattr(self._credentials, "quota_project_id", None):
            headers["x-goog-user-project"] = project
        return headers

    def without_token(self, words: str) -> str:
        """An answer may quote the request that it answers; the token must get into no log and no clip."""
        token = self._credentials.token if self._credentials is not None else None
        return words.replace(token, "(the token)") if token and len(token) > 8 else words


def _parts(uri: str) -> tuple[str, str]:
    """Bucket and name. The bucket is checked, for it becomes a part of an address as it is."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise UsageError(f"{uri!r} is no Cloud Storage URI. Write gs://bucket or gs://bucket/folder.")
    return match["bucket"], match["name"] or ""


def _said(words: str) -> tuple[str, str]:
    """Google's reason in one word and its sentence, from an error's text; no reason if that has another shape."""
    start = words.find("{")
    try:
        error: Any = json.loads(words[start:])["error"]
        return str(error["errors"][0]["reason"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        return "", " ".join(words[:300].split())
