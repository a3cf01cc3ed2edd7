"""Each fault has the effect in the table, on the right side of the commit point. The books prove it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from aveo3.mock import FAULTS, Fault, Latency, MockOptions, MockServer
from aveo3.mock.config.faults import OF_INTERACTIONS, OF_NO_CLIP, Faults, Point

MODEL = "/v1beta/models/veo-3.1-generate-preview"
BUCKET = "/storage/v1/b/bucket/o"
TOKEN = {"Authorization": "Bearer token"}


class Caller:
    """A raw client: sends one request and returns any result."""

    def __init__(self, server: MockServer, http: aiohttp.ClientSession) -> None:
        self.server, self._http = server, http

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int | str, Any]:
        """Return (status, body), or (name of the exception, None)."""
        try:
            async with self._http.request(method, self.server.url + path, **more) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__, None

    async def submit(self, **more: Any) -> tuple[int | str, Any]:
        body = {"instances": [{"prompt": "a boat"}], "parameters": {"durationSeconds": 4}}
        return await self.ask("POST", f"{MODEL}:predictLongRunning", json=body, **more)

    async def stored(self) -> str:
        """Return the path of a finished film in a bucket."""
        model = "/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
        body = {"instances": [{"prompt": "a boat"}], "parameters": {"storageUri": "gs://bucket"}}
        _, accepted = await self.ask("POST", f"{model}:predictLongRunning", json=body, headers=TOKEN)
        named = {"operationName": json.loads(accepted)["name"]}
        _, done = await self.ask("POST", f"{model}:fetchPredictOperation", json=named, headers=TOKEN)
        uri: str = json.loads(done)["response"]["videos"][0]["gcsUri"]
        return f"{BUCKET}/{uri.removeprefix('gs://bucket/').replace('/', '%2F')}"

    async def finished(self) -> tuple[str, dict[str, Any]]:
        """Submit and poll. Return the path of the operation and its last body. Latency is 0 in these tests."""
        path = "/v1beta/" + json.loads((await self.submit())[1])["name"]
        return path, json.loads((await self.ask("GET", path))[1])

    async def film(self) -> str:
        """Return the path of a finished film."""
        _, done = await self.finished()
        uri: str = done["response"]["generateVideoResponse"]["generatedSamples"][0]["video"]["uri"]
        assert uri.startswith("https://")
        return "/v1beta/" + uri.partition("/v1beta/")[2]


@asynccontextmanager
async def calling(*faults: str, **more: Any) -> AsyncIterator[Caller]:
    options = MockOptions.model_validate(
        {"faults": faults, "latency": "0", "speed": 1000, "hang": 20, "films": "bundled", "rpm": None, **more}
    )
    async with (
        MockServer(options) as server,
        aiohttp.ClientSession(headers={"x-goog-api-key": "k"}) as http,
    ):
        yield Caller(server, http)


BEFORE: dict[str, tuple[int | str, str | None]] = {
    "drop-before": ("ServerDisconnectedError", None),
    "timeout-before": ("ServerDisconnectedError", None),
    "500-before": (500, '"INTERNAL"'),
    "500-bare": (500, "<html>"),
    "502-before": (502, "<html>"),
    "503": (503, "The model is overloaded. Please try again later."),
    "503-bare": (503, "<html>"),
    "504-before": (504, "DEADLINE_EXCEEDED"),
    "overloaded": (429, "Resource exhausted. Please try again later."),
    "bad-key": (400, "API_KEY_INVALID"),
    "country": (400, "FAILED_PRECONDITION"),
    "billing": (402, "Your prepayment credits are depleted."),
    "prepaid": (429, "Your prepayment credits are depleted."),
    "permission": (403, "PERMISSION_DENIED"),
    "key-blocked": (403, "API_KEY_SERVICE_BLOCKED"),
    "api-disabled": (403, "SERVICE_DISABLED"),
    "no-billing": (403, "BILLING_DISABLED"),
    "no-access": (429, "limit: 0"),
}
AFTER: dict[str, tuple[int | str, str | None]] = {
    "drop-after": ("ServerDisconnectedError", None),
    "timeout-after": ("ServerDisconnectedError", None),
    "500-after": (500, '"INTERNAL"'),
    "502-after": (502, "<html>"),
    "503-after": (503, "UNAVAILABLE"),
    "504-after": (504, "DEADLINE_EXCEEDED"),
    "array-after": (500, '[\n  {\n    "error"'),
    "truncated-after": ("ClientPayloadError", None),
    "nameless-after": (200, "{}"),
    "garbage-after": (200, "<html>"),
}


@pytest.mark.parametrize(("name", "expected"), [*BEFORE.items(), *AFTER.items()])
async def test_a_fault_on_submit_keeps_to_its_side_of_the_commit_point(
    name: str, expected: tuple[int | str, str | None]
) -> None:
    async with calling(f"{name}@1") as caller:
        status, body = await caller.submit()
        assert (status, expected[1] is None or expected[1] in body.decode()) == (expected[0], True)
        owed = 1 if name in AFTER else 0
        assert caller.server.books.accepted == owed
        assert caller.server.books.faults == {name: 1}
        assert (await caller.submit())[0] == 200  # the fault strikes only the first request
        assert caller.server.books.accepted == owed + 1
        assert caller.server.books.billed_usd == pytest.approx((owed + 1) * 4 * 0.40)


async def test_a_redirect_accepts_nothing_and_a_client_that_follows_sends_the_request_again() -> None:
    async with calling("redirect@1") as caller:
        assert (await caller.submit(allow_redirects=False))[0] == 307
        assert caller.server.books.accepted == 0
        caller.server.set_faults(Fault.parse("redirect@1"))
        assert (await caller.submit())[0] == 200
        assert (caller.server.books.submits, caller.server.books.accepted) == (3, 1)
    async with calling("redirect@1", redirect_to="/books.json") as caller:
        assert (await caller.submit())[0] == 404  # a 307 keeps the POST


async def test_a_client_that_times_out_still_pays_for_the_film() -> None:
    async with calling("timeout-after", hang=1e6) as caller:
        status, _ = await caller.submit(timeout=aiohttp.ClientTimeout(total=0.05))
        assert (status, caller.server.books.accepted) == (
            "ConnectionTimeoutError" if status != "TimeoutError" else status,
            1,
        )


OUTCOMES = {
    "partial": ["raiMediaFilteredReasons"],
    "filtered-audio": ["You have not been charged", "raiMediaFilteredCount"],
    "filtered-safety": ["Support codes: "],
    "filtered-input": ['"code": 3', "usage guidelines"],
    "error-8": ['"code": 8', "high load"],
    "error-13": ['"code": 13'],
    "error-14": ['"code": 14'],
    "empty": ['"response": {}'],
    "empty-done": ['"done": true\n}'],
}


@pytest.mark.parametrize(("name", "phrases"), OUTCOMES.items())
async def test_an_operation_without_a_film_is_accepted_and_not_billed(name: str, phrases: list[str]) -> None:
    async with calling(f"{name}@1") as caller:
        _, done = await caller.finished()
        text = json.dumps(done, indent=2)
        assert done["done"] is True
        assert "generatedSamples" not in text
        assert [phrase for phrase in phrases if phrase not in text] == []
        books = caller.server.books
        assert (books.accepted, books.outcomes, books.videos, books.billed_usd) == (1, {name: 1}, 0, 0)


async def test_a_partial_outcome_delivers_and_bills_half_of_the_samples() -> None:
    async with calling("partial") as caller:
        base = "/v1/publishers/google/models/veo-3.1-generate-001"
        body = {"instances": [{"prompt": "four"}], "parameters": {"sampleCount": 4}}
        _, raw = await caller.ask("POST", f"{base}:predictLongRunning", json=body)
        _, raw = await caller.ask(
            "POST", f"{base}:fetchPredictOperation", json={"operationName": json.loads(raw)["name"]}
        )
        response = json.loads(raw)["response"]
        assert (len(response["videos"]), response["raiMediaFilteredCount"]) == (2, 2)
        assert (caller.server.books.videos, caller.server.books.billed_seconds) == (2, 16)


async def test_slow_and_stuck_operations() -> None:
    async with calling("slow@1", "stuck@2", latency="1000") as caller:
        for _ in range(3):
            await caller.submit()
        instants = [instant for instant, _, _ in sorted(caller.server.emulator.operations._ending)]
        assert instants[1] - instants[0] > 8000
        assert instants[2] == float("inf")


POLLS: dict[str, tuple[int | str, str | None]] = {
    "poll-500": (500, "INTERNAL"),
    "poll-503": (503, "UNAVAILABLE"),
    "poll-429": (429, "RESOURCE_EXHAUSTED"),
    "poll-404": (404, "NOT_FOUND"),
    "poll-drop": (200, None),  # aiohttp itself repeats a cut GET once
    "poll-hang": (200, None),
    "poll-garbage": (200, "<html>"),
    "poll-pending": (200, '"name"'),
}


@pytest.mark.parametrize(("name", "expected"), POLLS.items())
async def test_a_failed_poll_changes_nothing(name: str, expected: tuple[int | str, str | None]) -> None:
    async with calling(f"{name}@2") as caller:
        path, _ = await caller.finished()
        status, body = await caller.ask("GET", path)
        assert status == expected[0]
        if expected[1] is None:
            assert caller.server.books.polls == 3
        else:
            assert expected[1] in body.decode()
            assert b'"done"' not in body
        assert caller.server.books.faults == {name: 1}
        assert json.loads((await caller.ask("GET", path))[1])["done"] is True


DOWNLOADS: dict[str, int | str] = {
    "download-500": 500,
    "download-503": 503,
    "download-403": 403,
    "download-404": 404,
    "download-drop": "ClientPayloadError",
    "download-stall": "ClientPayloadError",
    "download-length": "ClientPayloadError",
    "download-slow": 200,
    "download-cut": 200,
    "download-no-range": 200,
}


@pytest.mark.parametrize("shelf", ["file", "bucket"])
@pytest.mark.parametrize(("name", "expected"), DOWNLOADS.items())
async def test_a_failed_download_can_be_repeated(name: str, expected: int | str, shelf: str) -> None:
    async with calling(f"{name}@1") as caller:
        path = await caller.film() if shelf == "file" else f"{await caller.stored()}?alt=media"
        headers = TOKEN | ({"Range": "bytes=0-"} if name == "download-no-range" else {})
        status, body = await caller.ask("GET", path, headers=headers)
        assert status == expected
        again, film = await caller.ask("GET", path, headers=TOKEN)
        assert again == 200
        assert film[4:8] == b"ftyp"
        books = caller.server.books
        assert (books.downloads, books.faults) == (2, {name: 1})
        if name == "download-cut":
            assert body == film[: len(film) // 2]
        assert books.downloads_complete == (2 if name in ("download-slow", "download-no-range") else 1)


async def test_a_client_that_disappears_during_a_download_is_no_server_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Users test killed clients with the emulator. This once left a traceback in the server's log."""
    async with calling("download-slow@1") as caller:
        path = await caller.film()
        async with caller._http.get(caller.server.url + path, headers=TOKEN) as response:
            await response.content.readany()
            response.close()
        await asyncio.sleep(0.05)  # the ten pieces take a fifth of this
        assert (await caller.ask("GET", path))[0] == 200
        assert caller.server.books.downloads_complete == 1
    assert caplog.records == []


STORAGE: dict[str, tuple[int | str, str, str]] = {
    "storage-503": (503, "backendError", "We encountered an internal error."),
    "storage-403": (403, "forbidden", "The caller does not have storage.objects."),
    "storage-404": (404, "notFound", ""),
    "storage-drop": ("ServerDisconnectedError", "", ""),
}


@pytest.mark.parametrize("method_and_target", ["GET bucket", "GET object", "DELETE object"])
@pytest.mark.parametrize(("name", "expected"), STORAGE.items())
async def test_a_failed_storage_request_loses_nothing(
    name: str, expected: tuple[int | str, str, str], method_and_target: str
) -> None:
    async with calling(name) as caller:
        method, _, what = method_and_target.partition(" ")
        film = await caller.stored()
        status, body = await caller.ask(method, film if what == "object" else BUCKET, headers=TOKEN)
        assert status == expected[0]
        if body is not None:
            error = json.loads(body)["error"]
            assert (error["errors"][0]["reason"], error["message"].startswith(expected[2])) == (expected[1], True)
        assert caller.server.books.faults[name] >= 1
        caller.server.set_faults()
        assert json.loads((await caller.ask("GET", film, headers=TOKEN))[1])["kind"] == "storage#object"


def test_every_fault_that_can_strike_veo_has_a_test() -> None:
    tested = {*BEFORE, *AFTER, *OUTCOMES, *POLLS, *DOWNLOADS, *STORAGE, "redirect", "slow", "stuck"}
    assert tested == {name for name, (point, _) in FAULTS.items() if point not in OF_INTERACTIONS | OF_NO_CLIP}


@pytest.mark.parametrize(
    ("text", "rate", "hits"),
    [
        ("drop-after", 1.0, ()),
        ("drop-after:0.05", 0.05, ()),
        ("503@1,4-6", 1.0, ((1, 1), (4, 6))),
        ("poll-500:0.5@1-10", 0.5, ((1, 10),)),
    ],
)
def test_faults_are_parsed_and_formatted(text: str, rate: float, hits: tuple[tuple[int, int], ...]) -> None:
    fault = Fault.parse(text)
    assert (fault.rate, fault.hits, str(fault)) == (rate, hits, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nope", "there is no fault 'nope'. Known: drop-before, "),
        ("503:2", "fault '503:2': the rate '2' is not a probability from 0 to 1. Write NAME"),
        ("503:x", "fault '503:x': the rate 'x' is not a probability from 0 to 1. Write NAME"),
        ("503@0", "fault '503@0': the hits '0' are not numbers or ranges from 1. Write NAME"),
        ("503@5-2", "fault '503@5-2': the hits '5-2' are not numbers or ranges from 1. Write NAME"),
        ("503@", "fault '503@': the hits '' are not numbers or ranges from 1. Write NAME"),
    ],
)
def test_an_invalid_fault_is_an_error_that_shows_the_allowed_form(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="NAME"):
        Fault.parse(text)
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole sentence is compared below
        Fault.parse(text)
    assert str(error.value).startswith(sentence)


def test_equal_seeds_strike_equally_and_faults_do_not_influence_each_other() -> None:
    def strikes(*faults: str, seed: int = 7) -> list[str | None]:
        plan = Faults([Fault.parse(fault) for fault in faults], seed)
        return [plan.strike(Point.SUBMIT) for _ in range(400)]

    assert strikes("503:0.1") == strikes("503:0.1")
    assert strikes("503:0.1") != strikes("503:0.1", seed=8)
    assert 20 < strikes("503:0.1").count("503") < 60
    alone = [number for number, fault in enumerate(strikes("503:0.1")) if fault]
    both = [number for number, fault in enumerate(strikes("503:0.1", "drop-before:0.2")) if fault == "503"]
    assert alone == both


def test_latencies_are_parsed_drawn_and_formatted() -> None:
    rng = random.Random(1)
    for text, low, high in (("2", 2, 2), ("30-90", 30, 90), ("lognormal:70,0.35", 10, 400)):
        law = Latency.parse(text)
        assert str(law) == text
        assert all(low <= law.draw(rng) <= high for _ in range(500))


@pytest.mark.parametrize("text", ["", "x", "3-1", "-5", "nan", "inf", "1-2-3", "lognormal:0,1", "lognormal:70"])
def test_an_invalid_latency_is_an_error_that_shows_the_allowed_forms(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not a distribution of durations\. Write seconds \(2\), a range \(30-90\)"
    ):
        Latency.parse(text)
