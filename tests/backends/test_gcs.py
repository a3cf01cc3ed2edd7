"""Videos in a bucket are listed and fetched; a failed listing never counts as an empty folder."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses
from google.auth.credentials import CredentialsWithQuotaProject
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2.credentials import Credentials as TokenCredentials
from yarl import URL

from aveo3.backends.base import PollError
from aveo3.backends.gcs import ROOT, Storage
from aveo3.errors import UsageError
from aveo3.mock import Fault, MockOptions, MockServer
from aveo3.mock.storage import gcs_routes

TOKEN = "ya29.a-token-nobody-may-see"
VERTEX = "/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
LISTING = re.compile(r"^https://storage\.googleapis\.com/storage/v1/b/bucket/o\?.*$")
LOG_IN = (
    " Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's file; "
    "Cloud Storage accepts no API key."
)


class Login(CredentialsWithQuotaProject):
    """Credentials that record where they are refreshed, and fail on demand."""

    def __init__(self, error: Exception | None = None, project: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.error = error
        self._quota_project_id = project
        self.refreshed_in: list[int] = []

    def refresh(self, request: Any) -> None:
        self.refreshed_in.append(threading.get_ident())
        if self.error is not None:
            raise self.error
        self.token = TOKEN
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


@asynccontextmanager
async def looking(credentials: Any = None, root: str = ROOT) -> AsyncIterator[Storage]:
    async with aiohttp.ClientSession() as session:
        storage = Storage(credentials, session, root)
        yield storage
        await storage.aclose()
        assert not session.closed


async def error_of(storage: Storage, prefix: str = "gs://bucket/out/") -> PollError:
    with pytest.raises(PollError) as caught:
        await storage.list(prefix)
    assert TOKEN not in str(caught.value)
    return caught.value


def listing(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "storage#objects", "items": list(items), **more}


def refusal(status: int, reason: str, message: str) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "errors": [{"message": message, "reason": reason}]}}


# ---- against the emulator --------------------------------------------------------------------------------------------


@asynccontextmanager
async def bucket(*folders: str, **options: Any) -> AsyncIterator[tuple[Storage, MockServer]]:
    """A bucket with one film in each of `folders`."""
    options = {"latency": "0", "rpm": None, "films": "bundled", **options}
    async with MockServer(MockOptions.model_validate(options)) as server:
        async with aiohttp.ClientSession() as session:
            for folder in folders:
                body = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": folder}}
                url = f"{server.url}{VERTEX}:predictLongRunning"
                try:
                    async with session.post(url, json=body, headers={"Authorization": "Bearer anybody"}):
                        pass
                except aiohttp.ClientError:
                    assert options.get("faults")
        async with looking(Login(), server.url) as storage:
            yield storage, server


async def test_the_videos_of_a_folder_are_listed_and_its_siblings_are_not() -> None:
    async with bucket("gs://b/out/1/", "gs://b/out/10/", "gs://b/out/1/2/", "gs://b/out/2") as (storage, server):
        films = await storage.list("gs://b/out/1/")
        assert [film.rpartition("/")[0].rpartition("/")[0] for film in films] in (
            ["gs://b/out/1", "gs://b/out/1/2"],
            ["gs://b/out/1/2", "gs://b/out/1"],
        )
        assert films == sorted(films)
        assert await storage.list("gs://b/out/1") == films
        assert [len(await storage.list(prefix)) for prefix in ("gs://b/out", "gs://b", "gs://b/")] == [4, 4, 4]
        assert await storage.list("gs://b/ou") == []
        assert await storage.list("gs://nobody-wrote-here/out") == []
        assert server.books.storage_lists == 7


async def test_a_check_is_one_request_and_tells_a_bucket_that_is_not_there() -> None:
    async with bucket("gs://b/out/1/", "gs://b/out/2/") as (storage, server):
        await storage.check("gs://b/out")
        await storage.check("gs://b/nothing-here-yet/")
        with pytest.raises(PollError, match="there is no bucket nobodys") as caught:
            await storage.check("gs://nobodys/out")
        assert caught.value.final
        server.set_faults(Fault.parse("storage-403"))
        with pytest.raises(PollError, match=r"roles/storage\.objectViewer on the bucket b"):
            await storage.check("gs://b/out")
        assert server.books.storage_lists == 4


async def test_a_video_whose_submit_lost_its_answer_is_found_and_fetched() -> None:
    async with bucket("gs://b/key/1/", faults=["drop-after"]) as (storage, server):
        [film] = await storage.list("gs://b/key/1/")
        url, headers = await storage.place(film)
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            assert (answer.status, (await answer.read())[4:8]) == (200, b"ftyp")
        assert (server.books.accepted, server.books.downloads_complete) == (1, 1)


async def test_a_video_is_fetched_by_its_name_however_odd() -> None:
    async with bucket("gs://b/a boat?/ä#1%2F%/") as (storage, _):
        [film] = await storage.list("gs://b/a boat?/ä#1%2F%")
        assert film.startswith("gs://b/a boat?/ä#1%2F%/")
        url, headers = await storage.place(film)
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_a_listing_goes_on_over_all_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs_routes, "MOST", 2)
    async with bucket(*["gs://b/out"] * 5) as (storage, server):
        assert len(await storage.list("gs://b/out")) == 5
        assert server.books.storage_lists == 3


@pytest.mark.parametrize(
    ("fault", "final", "words"),
    [
        ("storage-503", False, "HTTP 503: We encountered an internal error. Please try again."),
        ("storage-403", True, "Grant the account roles/storage.objectViewer on the bucket b."),
        ("storage-drop", False, "ServerDisconnectedError"),
    ],
)
async def test_a_bucket_that_cannot_be_asked_is_not_an_empty_one(fault: str, final: bool, words: str) -> None:
    async with bucket("gs://b/out/") as (storage, server):
        server.set_faults(Fault.parse(fault))
        error = await error_of(storage, "gs://b/out/")
        assert str(error).startswith("listing gs://b/out/: ")
        assert (words in str(error), error.final) == (True, final)
        server.set_faults()
        assert len(await storage.list("gs://b/out/")) == 1


async def test_an_emulator_in_the_environment_neither_diverts_us_nor_takes_our_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    async with bucket("gs://b/out/") as (storage, _):
        assert len(await storage.list("gs://b/out/")) == 1


# ---- what is a video -------------------------------------------------------------------------------------------------


async def test_only_videos_with_something_in_them_are_listed(web: aioresponses) -> None:
    items = [
        {"name": "out/1/", "size": "0", "contentType": "application/x-directory"},
        {"name": "out/1/empty.mp4", "size": "0", "contentType": "video/mp4"},
        {"name": "out/1/z.mp4", "size": "7"},
        {"name": "out/1/a.mp4", "size": "7", "contentType": "application/octet-stream"},
        {"name": "out/1/b.webm", "size": "7", "contentType": "video/webm"},
        {"name": "out/1/log.txt", "size": "7", "contentType": "text/plain"},
    ]
    web.get(LISTING, payload=listing(*items))
    async with looking(Login()) as storage:
        found = await storage.list("gs://bucket/out/1")
    assert found == ["gs://bucket/out/1/a.mp4", "gs://bucket/out/1/b.webm", "gs://bucket/out/1/z.mp4"]


async def test_an_answer_without_items_is_an_empty_folder(web: aioresponses) -> None:
    web.get(LISTING, payload={"kind": "storage#objects"})
    async with looking(Login()) as storage:
        assert await storage.list("gs://bucket/out/1/") == []
    [(method, url)] = web.requests
    assert (method, url.query["prefix"]) == ("GET", "out/1/")


# ---- who asks --------------------------------------------------------------------------------------------------------


async def test_the_token_is_refreshed_off_the_loop_once_for_all_waiters(web: aioresponses) -> None:
    web.get(LISTING, payload=listing(), repeat=True)
    login = Login(project="who-pays")
    async with looking(login) as storage:
        await asyncio.gather(*(storage.list(f"gs://bucket/{n}") for n in range(3)))
        _, headers = await storage.place("gs://bucket/film.mp4")
    [thread] = login.refreshed_in
    assert thread != threading.get_ident()
    assert headers == {"Authorization": f"Bearer {TOKEN}", "x-goog-user-project": "who-pays"}
    for [call] in web.requests.values():
        assert call.kwargs["headers"] == headers


async def test_a_token_that_cloud_storage_refuses_is_renewed_once_for_all(web: aioresponses) -> None:
    login = Login()
    login.token, login.expiry = "ya29.revoked", datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)

    def answer(_: URL, headers: dict[str, str], **__: object) -> CallbackResult:
        if headers["Authorization"] == f"Bearer {TOKEN}":
            return CallbackResult(payload=listing())
        return CallbackResult(status=401, reason="Unauthorized", payload=refusal(401, "authError", "x"))

    web.get(LISTING, callback=answer, repeat=True)
    async with looking(login) as storage:
        _, refused = await storage.place("gs://bucket/film.mp4")
        assert await asyncio.gather(*(storage.list(f"gs://bucket/{n}") for n in range(3))) == [[], [], []]
        assert await storage.renew(refused), "others have renewed it already"
        assert len(login.refreshed_in) == 1
        _, current = await storage.place("gs://bucket/film.mp4")
        assert not await storage.renew(current), "a new token is refused, too"
        assert not await storage.renew({}), "there is no token to renew"
    assert len(login.refreshed_in) == 1


async def test_a_place_is_an_address_of_the_object_below_the_root() -> None:
    async with looking(Login(), "http://127.0.0.1:8787/") as storage:
        url, _ = await storage.place("gs://bucket/out/a boat/1.mp4")
    assert url == "http://127.0.0.1:8787/storage/v1/b/bucket/o/out%2Fa%20boat%2F1.mp4?alt=media"
    assert str(URL(url)) == url


async def test_no_request_is_sent_without_a_token(web: aioresponses) -> None:
    web.get(LISTING, status=401, payload=refusal(401, "required", "Anonymous caller does not have access."))
    async with looking() as storage:
        error = await error_of(storage)
        assert await storage.place("gs://bucket/1.mp4") == (f"{ROOT}/storage/v1/b/bucket/o/1.mp4?alt=media", {})
    assert error.final
    assert str(error) == (
        f"listing gs://bucket/out/: HTTP 401: Anonymous caller does not have access.{LOG_IN} "
        "The account needs roles/storage.objectViewer on the bucket bucket."
    )
    [[call]] = web.requests.values()
    assert call.kwargs["headers"] == {}


async def test_credentials_that_are_no_good_say_what_to_do(web: aioresponses) -> None:
    invalid = RefreshError("invalid_grant: Bad Request")  # type: ignore[no-untyped-call]
    async with looking(Login(invalid)) as storage:
        assert str(await error_of(storage)) == (
            f"listing gs://bucket/out/: RefreshError: invalid_grant: Bad Request{LOG_IN}"
        )
        with pytest.raises(PollError) as caught:
            await storage.place("gs://bucket/1.mp4")
        assert str(caught.value) == f"fetching gs://bucket/1.mp4: RefreshError: invalid_grant: Bad Request{LOG_IN}"
    offline = TransportError("no network")  # type: ignore[no-untyped-call]
    async with looking(Login(offline)) as storage:
        error = await error_of(storage)
    assert (str(error), error.final) == ("listing gs://bucket/out/: TransportError: no network", False)
    assert not web.requests


async def test_the_credentials_for_a_server_on_this_machine_will_do() -> None:
    nobody = TokenCredentials(token="none")  # type: ignore[no-untyped-call]
    async with looking(nobody, "http://127.0.0.1:8787") as storage:
        _, headers = await storage.place("gs://bucket/1.mp4")
    assert headers == {"Authorization": "Bearer none"}


# ---- what goes wrong -------------------------------------------------------------------------------------------------

GARBAGE: dict[str, dict[str, Any]] = {
    "a page of a proxy": {"body": "<html>It works!</html>", "content_type": "text/html"},
    "nothing at all": {"body": ""},
    "no listing": {"payload": {"kind": "storage#bucket", "name": "bucket"}},
    "an empty object": {"payload": {}},
    "a list": {"payload": []},
    "items without a size": {"payload": listing({"name": "a.mp4"})},
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_an_answer_that_is_no_listing_is_not_an_empty_one(web: aioresponses, what: str) -> None:
    web.get(LISTING, **GARBAGE[what])
    async with looking(Login()) as storage:
        error = await error_of(storage)
    assert str(error).startswith("listing gs://bucket/out/: ")
    assert not error.final


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        (refusal(404, "notFound", "The specified bucket does not exist."), True),
        ({"error": {"code": 404, "status": "NOT_FOUND", "message": "The requested URL was not found."}}, False),
        ("<html>404</html>", False),
    ],
)
async def test_only_cloud_storage_itself_can_say_that_there_is_no_bucket(
    web: aioresponses, body: Any, empty: bool
) -> None:
    web.get(LISTING, status=404, **({"body": body} if isinstance(body, str) else {"payload": body}))
    async with looking(Login()) as storage:
        if empty:
            assert await storage.list("gs://bucket/out/") == []
        else:
            assert str(await error_of(storage)).startswith("listing gs://bucket/out/: HTTP 404: ")


@pytest.mark.parametrize(("status", "final"), [(400, True), (403, True), (408, False), (429, False), (500, False)])
async def test_what_only_a_person_can_change_is_final(web: aioresponses, status: int, final: bool) -> None:
    web.get(LISTING, status=status, payload=refusal(status, "whatever", "Google's words."))
    async with looking(Login()) as storage:
        error = await error_of(storage)
    assert error.final is final
    assert str(error).startswith(f"listing gs://bucket/out/: HTTP {status}: Google's words.")
    assert sum(len(calls) for calls in web.requests.values()) == 1


@pytest.mark.parametrize("failure", [aiohttp.ServerDisconnectedError(), TimeoutError(), OSError("no route")])
async def test_a_network_error_is_a_failed_poll(web: aioresponses, failure: Exception) -> None:
    web.get(LISTING, exception=failure)
    async with looking(Login()) as storage:
        error = await error_of(storage)
    assert str(error).startswith(f"listing gs://bucket/out/: {type(failure).__name__}")


async def test_a_token_that_an_answer_quotes_is_not_passed_on(web: aioresponses) -> None:
    def quote_it(_: URL, **sent: Any) -> CallbackResult:
        return CallbackResult(status=500, reason="Bad", body=f"cannot forward {sent['headers']}")

    web.get(LISTING, callback=quote_it)
    async with looking(Login()) as storage:
        error = await error_of(storage)
    assert "Bearer (the token)" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None  # the client's own error would show the headers


# ---- the call --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["", "bucket/out", "gs://", "gs:///out", "gs://Bucket/x", "gs://a?b/x", "s3://b/x"])
async def test_what_is_no_gs_uri_is_a_mistake_of_the_caller(uri: str) -> None:
    async with looking() as storage:
        for call in (storage.list, storage.place):
            with pytest.raises(UsageError) as caught:
                await call(uri)
            assert str(caught.value) == (
                f"{uri!r} is not a Cloud Storage URI. Write gs://bucket or gs://bucket/folder."
            )


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/"])
async def test_a_bucket_is_no_place_to_fetch_from(uri: str) -> None:
    async with looking() as storage:
        with pytest.raises(UsageError, match=r"is a bucket, not a video in one \(gs://bucket/name\)\.$"):
            await storage.place(uri)


async def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcloud.aio.storage", None)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UsageError) as caught:
            Storage(Login(), session)
    assert str(caught.value) == (
        "Videos in gs:// buckets need gcloud-aio-storage, which is not installed: pip install 'aveo3[gcs]'."
    )


def test_the_client_library_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, aveo3.backends.gcs; print([m for m in ('gcloud', 'google.auth', 'requests') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
