"""Videos in gs:// buckets: lists them under a prefix, and finds the address to fetch each from. Only reads.

gcloud-aio-storage lists, google-auth logs in, so the credentials of Vertex AI also serve for Cloud Storage. The caller
retries, and `files.download` downloads.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from aveo3.backends.base import PollError
from aveo3.backends.login import Login
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
    "Cloud Storage accepts no API key."
)


class _Object(BaseModel):
    name: str
    size: int
    content_type: str = Field("", alias="contentType")

    @property
    def is_video(self) -> bool:
        return self.size > 0 and (self.name.endswith(".mp4") or self.content_type.startswith("video/"))


class _Page(BaseModel):
    """A page of a listing. `kind` is required: an answer that is no listing must not read as an empty folder."""

    kind: Literal["storage#objects"]
    items: list[_Object] = []
    next_page: str = Field("", alias="nextPageToken")


class Storage:
    """Reads buckets with `credentials`; None sends none. `aclose` leaves `session` open."""

    def __init__(
        self, credentials: Credentials | Login | None, session: aiohttp.ClientSession, root: str = ROOT
    ) -> None:
        """Sends nothing. Raises `UsageError` if the extra `gcs` is not installed."""
        try:
            from gcloud.aio.storage import Storage as Client
        except ImportError as error:
            raise UsageError(
                "Videos in gs:// buckets need gcloud-aio-storage, which is not installed: pip install 'aveo3[gcs]'."
            ) from error
        self._root = root.rstrip("/")
        self._login = credentials if isinstance(credentials, Login) else Login(credentials)
        # With an `api_root` the client assumes an emulator and sends no token, so each request carries ours. The token
        # here only stops it from searching for its own credentials. Its types expect a session of requests.
        self._client = Client(token=cast("Token", object()), session=cast("Any", session), api_root=self._root)

    async def list(self, prefix: str) -> list[str]:
        """The videos below `prefix`, taken as a folder: their gs:// URIs, sorted.

        Empty if the folder holds none, or the bucket does not exist. Raises `PollError` if Cloud Storage was out of
        reach or sent no listing, `UsageError` if `prefix` is not a gs:// URI.
        """
        bucket, folder = _parts(prefix)
        folder = folder.rstrip("/")
        params = {"prefix": f"{folder}/" if folder else "", "fields": _WANTED}
        uris: list[str] = []
        while (page := await self._page(bucket, params, prefix)) is not None:
            uris += [f"gs://{bucket}/{item.name}" for item in page.items if item.is_video]
            if not page.next_page:
                break
            params["pageToken"] = page.next_page
        return sorted(uris)

    async def check(self, prefix: str) -> None:
        """Raise `PollError` if the folder `prefix` cannot be listed, or the bucket does not exist. One request."""
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
            content = await self._listing(bucket, params)
            return _Page.model_validate(content)
        except aiohttp.ClientResponseError as error:
            status, words = error.status, error.message
        except ValidationError as error:
            what = f"listing {prefix}: the answer is not a Cloud Storage listing ({error.error_count()} errors in it)"
            raise PollError(what) from None
        except Exception as error:  # the client wraps no errors, and repeating a listing is free
            self._fail(f"listing {prefix}", error)
        # Outside the handler, so that no traceback holds the client's error: its repr shows the headers and the token.
        reason, words = _reason_and_message(words)
        if status == 404 and reason == "notFound":
            return None
        raise self._refusal(f"listing {prefix}", status, words, bucket)

    async def _listing(self, bucket: str, params: dict[str, str]) -> Any:
        """One page as Cloud Storage sends it, asked for with a new token if it refuses the one that is there."""
        seen, headers = self._login.renewals, await self._login.headers()
        try:
            return await self._client.list_objects(bucket, params=params, headers=headers, timeout=TIMEOUT)
        except aiohttp.ClientResponseError as error:
            if error.status != 401 or not await self._login.renew(seen):
                raise
        headers = await self._login.headers()
        return await self._client.list_objects(bucket, params=params, headers=headers, timeout=TIMEOUT)

    async def renew(self, headers: dict[str, str]) -> bool:
        """Get a new token after a 401 to a request with `headers`, unless there is a newer one. True: try again.

        Raises `PollError` if no token can be obtained.
        """
        if "Authorization" not in headers:
            return False
        seen = self._login.renewals
        try:
            return not self._login.is_current(headers) or await self._login.renew(seen)
        except Exception as error:
            self._fail("a new token after HTTP 401", error)

    async def place(self, uri: str) -> tuple[str, dict[str, str]]:
        """The address to fetch `uri` from, and the headers for it. Call it again for each try: the token expires.

        Send the token to that host only. Raises `PollError` if there is no token, `UsageError` if `uri` does not name
        an object.
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
        """Close the client. The session stays open: its owner closes it."""
        await self._client.close()

    def _refusal(self, what: str, status: int, words: str, bucket: str) -> PollError:
        """The error for a refusal. Final if another request is pointless until a person changes something."""
        advice = {
            401: f" {_LOG_IN} The account needs roles/storage.objectViewer on the bucket {bucket}.",
            403: f" Grant the account roles/storage.objectViewer on the bucket {bucket}.",
        }
        return PollError(
            self._login.without_token(f"{what}: HTTP {status}: {words}") + advice.get(status, ""),
            final=400 <= status < 500 and status not in (408, 429),
        )

    def _fail(self, what: str, error: Exception) -> NoReturn:
        """Raise the `PollError` for a request without an answer."""
        from google.auth.exceptions import RefreshError

        advice = f" {_LOG_IN}" if isinstance(error, RefreshError) else ""
        raise PollError(self._login.without_token(f"{what}: {type(error).__name__}: {error}") + advice) from error


def _parts(uri: str) -> tuple[str, str]:
    """Bucket and name. Checks the bucket, because it goes into the address unquoted."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise UsageError(f"{uri!r} is not a Cloud Storage URI. Write gs://bucket or gs://bucket/folder.")
    return match["bucket"], match["name"] or ""


def _reason_and_message(words: str) -> tuple[str, str]:
    """Google's reason (one word) and message, from an error's text; an empty reason if the text has another shape."""
    start = words.find("{")
    try:
        error: Any = json.loads(words[start:])["error"]
        return str(error["errors"][0]["reason"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        return "", " ".join(words[:300].split())
