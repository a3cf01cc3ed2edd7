"""The emulated Cloud Storage: listing, downloading and deleting the films of operations."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from gcloud.aio.storage import Storage

from aveo3.mock import Fault, MockOptions, MockServer
from aveo3.mock.state.checksums import crc32c
from aveo3.mock.storage import gcs_routes
from aveo3.mock.storage.field_masks import select
from aveo3.testing import run_virtual

VERTEX = "/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
TOKEN = {"Authorization": "Bearer token"}
LIST = "/storage/v1/b/bucket/o"


class Wire:
    """A raw HTTP client. It returns (status, parsed body) and sends a token unless `headers` are set."""

    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = TOKEN) -> tuple[int, Any]:
        async with self.http.request(method, self.server.url + path, json=body, headers=headers) as response:
            raw = await response.read()
            return response.status, json.loads(raw) if response.content_type == "application/json" else raw

    async def order(self, uri: str = "gs://bucket/out/", samples: int = 1) -> None:
        body = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": uri, "sampleCount": samples}}
        await self.ask("POST", f"{VERTEX}:predictLongRunning", body)

    async def names(self, query: str = "", bucket: str = "bucket") -> list[str]:
        _, listing = await self.ask("GET", f"/storage/v1/b/{bucket}/o?{query}")
        return [item["name"] for item in listing.get("items", [])]

    async def object(self) -> tuple[str, str]:
        """Make one film and return its name and path."""
        await self.order()
        name = (await self.names())[-1]
        return name, f"{LIST}/{quote(name, safe='')}"


@asynccontextmanager
async def talking(now_utc: Callable[[], datetime] | None = None, **options: Any) -> AsyncIterator[Wire]:
    chosen = MockOptions.model_validate({"latency": "0", "films": "bundled", "rpm": None, **options})
    more: dict[str, Any] = {"now_utc": now_utc} if now_utc is not None else {}
    async with MockServer(chosen, **more) as server, aiohttp.ClientSession() as http:
        yield Wire(server, http)


# -- contents ----------------------------------------------------------------------------------------------------------


async def test_the_uris_of_a_poll_are_in_the_bucket() -> None:
    async with talking() as wire:
        body = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": "gs://bucket/out/", "sampleCount": 2}}
        _, accepted = await wire.ask("POST", f"{VERTEX}:predictLongRunning", body)
        poll = f"{VERTEX}:fetchPredictOperation"
        _, done = await wire.ask("POST", poll, {"operationName": accepted["name"]})
        uris = [video["gcsUri"] for video in done["response"]["videos"]]
        assert [f"gs://bucket/{name}" for name in await wire.names()] == uris
        assert len(uris) == 2


def test_a_film_is_in_its_bucket_after_the_end_of_its_operation() -> None:
    start = datetime(2026, 11, 23, 12, tzinfo=UTC)

    async def a_minute() -> None:
        loop = asyncio.get_running_loop()
        async with talking(lambda: start + timedelta(seconds=loop.time()), latency="20") as wire:
            await wire.order()
            status, body = await wire.ask("GET", LIST)
            assert (status, body["error"]["message"]) == (404, "The specified bucket does not exist.")
            await asyncio.sleep(60)
            _, listing = await wire.ask("GET", LIST)
            [item] = listing["items"]
            made = datetime.fromisoformat(item["timeCreated"])
            assert abs(made - start - timedelta(seconds=20)) < timedelta(seconds=1)
            assert int(item["generation"]) // 1000 == made.timestamp() * 1000

    run_virtual(a_minute())


@pytest.mark.parametrize("fault", ["drop-after", "502-after", "truncated-after", "nameless-after"])
async def test_an_operation_with_a_lost_response_still_writes_its_film(fault: str) -> None:
    async with talking(faults=[fault]) as wire:
        try:
            await wire.order()
        except aiohttp.ClientError:
            assert fault in ("drop-after", "truncated-after")
        assert len(await wire.names("prefix=out/")) == 1
        assert wire.server.books.accepted == 1


@pytest.mark.parametrize(("fault", "films"), [("drop-before", 0), ("error-13", 0), ("empty", 0), ("partial", 2)])
async def test_only_delivered_samples_are_written(fault: str, films: int) -> None:
    async with talking(faults=[f"{fault}@1"]) as wire:
        try:
            await wire.order(samples=4)
        except aiohttp.ClientError:
            assert fault == "drop-before"
        assert len(await wire.names()) == films


@pytest.mark.parametrize(
    ("uri", "bucket", "begin"),
    [
        ("gs://my-bucket", "my-bucket", ""),
        ("gs://my-bucket/", "my-bucket", ""),
        ("gs://a.b_c/x/y", "a.b_c", "x/y/"),
        ("gs://bucket/a boat?/ä#1%2F%/", "bucket", "a boat?/ä#1%2F%/"),
    ],
)
async def test_films_with_unusual_names_can_be_downloaded(uri: str, bucket: str, begin: str) -> None:
    async with talking() as wire:
        await wire.order(uri)
        [name] = await wire.names(f"prefix={quote(begin)}", bucket)
        assert name.startswith(begin)
        assert name.removeprefix(begin).count("/") == 1
        status, item = await wire.ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        assert (status, item["name"]) == (200, name)
        async with wire.http.get(item["mediaLink"], headers=TOKEN) as film:
            assert (await film.read())[4:8] == b"ftyp"
        async with wire.http.get(item["selfLink"], headers=TOKEN) as again:
            assert await again.json() == item


# -- listings ----------------------------------------------------------------------------------------------------------


async def test_a_prefix_is_a_string_and_not_a_folder() -> None:
    async with talking() as wire:
        for number in (1, 10, 2):
            await wire.order(f"gs://bucket/out/{number}/")
        assert len(await wire.names()) == 3
        assert [name.split("/")[1] for name in await wire.names("prefix=out/1")] == ["1", "10"]
        assert [name.split("/")[1] for name in await wire.names("prefix=out/1/")] == ["1"]
        assert await wire.names("prefix=nothing") == []


async def test_a_page_starts_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking() as wire:
        for _ in range(3):
            await wire.order(samples=3)
        everything = await wire.names()
        assert everything == sorted(everything)
        assert len(everything) == 9
        for most in (1, 4, 9, 2000):
            names, token, pages = [], "", 0
            while token or not pages:
                _, page = await wire.ask("GET", f"{LIST}?maxResults={most}&pageToken={token}&prefix=out/")
                assert page["kind"] == "storage#objects"
                names += [item["name"] for item in page["items"]]
                token, pages = page.get("nextPageToken", ""), pages + 1
            assert (names, pages) == (everything, -(-9 // most))
        monkeypatch.setattr(gcs_routes, "MOST", 5)
        assert len(await wire.names("maxResults=1000")) == 5


async def test_a_delimiter_folds_deeper_names() -> None:
    async with talking() as wire:
        for place in ("a", "a/b", "c", ""):
            await wire.order(f"gs://bucket/{place}", samples=2)
        _, listing = await wire.ask("GET", f"{LIST}?delimiter=/")
        digits = [prefix for prefix in listing["prefixes"] if prefix[0].isdigit()]
        assert (listing["prefixes"], "items" in listing) == ([*digits, "a/", "c/"], False)
        assert len(digits) == 1
        token, folders = "", []
        for _ in range(3):
            _, listing = await wire.ask("GET", f"{LIST}?delimiter=/&maxResults=1&pageToken={token}")
            folders += listing["prefixes"]
            token = listing.get("nextPageToken", "")
        assert (folders, token) == ([*digits, "a/", "c/"], "")
        _, listing = await wire.ask("GET", f"{LIST}?delimiter=/&prefix={digits[0]}")
        assert [len(listing["items"]), "prefixes" in listing] == [2, False]


async def test_fields_select_a_part_of_the_response() -> None:
    async with talking() as wire:
        name, path = await wire.object()
        assert await wire.ask("GET", f"{LIST}?fields=kind,items(name)") == (
            200,
            {"kind": "storage#objects", "items": [{"name": name}]},
        )
        assert await wire.ask("GET", f"{path}?fields=bucket") == (200, {"bucket": "bucket"})
        status, body = await wire.ask("GET", f"{LIST}?fields=items(name")
        assert (status, body["error"]["errors"][0]["reason"]) == (400, "invalidParameter")


def test_fields_are_parsed() -> None:
    whole = {"a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "g": [{"h": 5, "i": 6}, {"h": 7}]}
    for fields, part in {
        "a": {"a": 1},
        "b/c": {"b": {"c": 2}},
        "b/d/e,a": {"a": 1, "b": {"d": {"e": 3}}},
        "b(c,d(f)), g/h": {"b": {"c": 2, "d": {"f": 4}}, "g": [{"h": 5}, {"h": 7}]},
        "g(i)": {"g": [{"i": 6}, {}]},
        "*": whole,
        "b/*": {"b": whole["b"]},
        "nothing": {},
    }.items():
        assert select(whole, fields) == part, fields
    for fields in ("a,", "(a)", "a(b", "a)b", "a//b", "a(b)c"):
        with pytest.raises(ValueError, match=r"^Invalid field selection"):
            select(whole, fields)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("maxResults=x", "Invalid unsigned integer value: 'x'."),
        ("maxResults=-1", "Invalid unsigned integer value: '-1'."),
        ("pageToken=x", "Invalid page token: x"),
        ("matchGlob=**.mp4", "The mock server does not support matchGlob."),
        ("versions=true", "The mock server does not support versions."),
    ],
)
async def test_unsupported_parameters_of_a_listing_are_errors(query: str, words: str) -> None:
    async with talking() as wire:
        await wire.object()
        status, body = await wire.ask("GET", f"{LIST}?{query}")
        assert (status, body["error"]["message"]) == (400, words)
        assert len(await wire.names("matchGlob=&versions=false&maxResults=0")) == 1


# -- objects -----------------------------------------------------------------------------------------------------------


async def test_the_metadata_of_an_object_describes_its_bytes() -> None:
    async with talking() as wire:
        _, path = await wire.object()
        _, item = await wire.ask("GET", path)
        async with wire.http.get(f"{wire.server.url}{path}?alt=media", headers=TOKEN) as answer:
            film, headers = await answer.read(), answer.headers
        assert (item["kind"], item["contentType"], item["size"]) == ("storage#object", "video/mp4", str(len(film)))
        assert base64.b64decode(item["md5Hash"]) == hashlib.md5(film).digest()
        assert base64.b64decode(item["crc32c"]) == crc32c(film).to_bytes(4, "big")
        assert headers["ETag"] == item["etag"]
        assert headers["x-goog-generation"] == item["generation"]
        assert headers["x-goog-hash"] == f"crc32c={item['crc32c']},md5={item['md5Hash']}"
        books = wire.server.books
        assert (books.downloads, books.downloads_complete, books.download_bytes) == (1, 1, len(film))
        assert wire.server.emulator.recent.as_list()[0]["fetched"] is True


def test_checksums_are_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue of parametrised CRC algorithms
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


async def test_a_download_can_be_resumed_as_long_as_it_is_the_same_object() -> None:
    async with talking() as wire:
        _, path = await wire.object()
        url = f"{wire.server.url}/download{path}?alt=media"
        async with wire.http.get(url, headers=TOKEN) as answer:
            film, etag = await answer.read(), answer.headers["ETag"]
        for condition, status, rest in (
            ({}, 206, film[9:]),
            ({"If-Range": etag}, 206, film[9:]),
            ({"If-Range": "x"}, 200, film),
        ):
            async with wire.http.get(url, headers={**TOKEN, "Range": "bytes=9-", **condition}) as answer:
                assert (answer.status, await answer.read() == rest, answer.headers["ETag"]) == (status, True, etag)


async def test_a_deleted_object_is_gone_and_its_bucket_stays() -> None:
    async with talking() as wire:
        await wire.object()
        _, path = await wire.object()
        assert await wire.ask("DELETE", path) == (204, b"")
        assert (await wire.ask("DELETE", path))[0] == 404
        [remaining] = await wire.names()
        assert quote(remaining, safe="") not in path
        await wire.ask("DELETE", f"{LIST}/{quote(remaining, safe='')}")
        assert await wire.ask("GET", LIST) == (200, {"kind": "storage#objects"})


async def test_unknown_objects_are_404_in_the_format_of_cloud_storage() -> None:
    async with talking() as wire:
        _, path = await wire.object()
        for method in ("GET", "DELETE"):
            status, body = await wire.ask(method, f"{LIST}/out%2Fx.mp4")
            error = {"message": "No such object: bucket/out/x.mp4", "domain": "global", "reason": "notFound"}
            assert (status, body) == (404, {"error": {"code": 404, "message": error["message"], "errors": [error]}})
        assert await wire.ask("GET", f"{LIST}/x.mp4?alt=media") == (404, b"No such object: bucket/x.mp4")
        assert (await wire.ask("GET", f"{path}?generation=1"))[0] == 404
        assert (await wire.ask("GET", f"{LIST}/out/x.mp4"))[0] == 404  # slashes in names must be %2F
        assert (await wire.ask("GET", "/storage/v1/b/other/o"))[0] == 404


@pytest.mark.parametrize("headers", [{}, {"x-goog-api-key": "key"}, {"Authorization": "Bearer "}])
async def test_only_a_token_opens_a_bucket(headers: dict[str, str]) -> None:
    async with talking() as wire:
        _, path = await wire.object()
        for method, what in (("GET", LIST), ("GET", path), ("DELETE", path)):
            status, body = await wire.ask(method, what, headers=headers)
            assert (status, body["error"]["errors"][0]["reason"]) == (401, "required")
            assert body["error"]["message"].startswith("Anonymous caller does not have storage.objects.")
        status, words = await wire.ask("GET", f"{path}?alt=media", headers=headers)
        assert (status, words.startswith(b"Anonymous caller")) == (401, True)
        assert len(await wire.names()) == 1


async def test_the_books_count_listings() -> None:
    async with talking() as wire:
        await wire.object()
        await wire.names()
        assert wire.server.books.as_dict()["storage_lists"] == 2
        assert "2 listings of buckets" in wire.server.books.summary()


# -- another client ----------------------------------------------------------------------------------------------------


async def test_gcloud_aio_storage_lists_fetches_and_deletes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs_routes, "MOST", 2)
    async with talking() as wire:
        await wire.order("gs://bucket/a boat/", samples=3)
        # Because of the variable it treats the server as an emulator and sends no token, so the session sends one.
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", wire.server.url)
        nobodys: Any = object()
        http: Any = aiohttp.ClientSession(headers=TOKEN)  # its types expect a session of `requests`
        async with http, Storage(session=http, token=nobodys) as storage:
            bucket = storage.get_bucket("bucket")
            names = await bucket.list_blobs(prefix="a boat/")
            assert names == await wire.names("maxResults=2") + [names[2]]
            blob = await bucket.get_blob(names[0])
            assert blob.size == len(await blob.download())
            await storage.delete("bucket", names[0])
            assert not await bucket.blob_exists(names[0])
            assert await bucket.list_blobs() == names[1:]


async def test_storage_faults_do_not_strike_downloads_and_vice_versa() -> None:
    async with talking() as wire:
        name, path = await wire.object()
        wire.server.set_faults(Fault.parse("storage-404"))
        assert (await wire.ask("GET", f"{path}?alt=media"))[0] == 200
        wire.server.set_faults(Fault.parse("download-404"))
        assert await wire.names() == [name]
