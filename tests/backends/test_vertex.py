"""VertexBackend through the real google-genai SDK, against a scripted server.

The server is forty lines of sockets, not the emulator: an independent count of paid requests.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import google.auth.credentials
import pytest
from google.auth.exceptions import RefreshError, TransportError
from google.genai import errors

from aveo3 import (
    FetchError,
    Media,
    Settings,
    UsageError,
    VeoClient,
    VideoPrompt,
    _threads,
)
from aveo3.backends.base import Failure, Finished, OperationGone, PollError, PollResult, Running, Video
from aveo3.backends.login import SHORTEST_GAP
from aveo3.backends.vertex import VertexBackend
from aveo3.files import saving
from aveo3.models import ClipStatus
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.ports import free_port
from tests.support.raw_server import (
    ENVIRONMENT,
    MP4,
    PAGE,
    PNG,
    Act,
    Request,
    Wire,
    answer,
    b64,
    dribble,
    drop,
    hang,
    names,
    raw,
    rpc,
    serving,
    then_close,
)
from tests.support.settings import settings

MODEL = "veo-3.1-generate-001"
KEY = "AIzaSy-secret-key-0123456789"
TOKEN = "ya29.secret-token-0123456789"
OPERATION = f"projects/p/locations/us-central1/publishers/google/models/{MODEL}/operations/7d1f"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class:DeprecationWarning",  # google-genai subclasses aiohttp's session
    r"ignore:\s*The load_credentials_from_file method:DeprecationWarning",  # google-auth wants an explicit kind
    "ignore:Sending a large body directly with raw bytes:ResourceWarning",  # aiohttp, of bodies over a megabyte
)


# ---- the server ------------------------------------------------------------------------------------------------------


NAMED = answer(200, {"name": OPERATION})
NAMED_BYTES = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"name": "op1"}'


# ---- the backend -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def opened(url: str, **values: Any) -> AsyncIterator[VertexBackend]:
    """A backend, by default in express mode."""
    given: dict[str, Any] = {"base_url": url, "api_key": KEY, "request_timeout": 20.0}
    backend = await VertexBackend.open(settings(**{**given, **values}))
    try:
        yield backend
    finally:
        await backend.aclose()


async def verdict_of(*acts: Act, **values: Any) -> tuple[Verdict, Wire]:
    """The result of one submit with this answer. Waits a moment for a second POST that must not come."""
    async with serving(*acts) as wire, opened(wire.url, **values) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await asyncio.sleep(0.01)
        return verdict, wire


# ---- one POST, whatever comes back -----------------------------------------------------------------------------------

REFUSED, REJECTED = VerdictKind.REFUSED, VerdictKind.REJECTED
UNAVAILABLE, UNCERTAIN = VerdictKind.UNAVAILABLE, VerdictKind.UNCERTAIN

ANSWERS: dict[str, tuple[Act, VerdictKind, str]] = {
    "429": (rpc(429, "RESOURCE_EXHAUSTED"), REFUSED, "shared_capacity"),
    "429 html": (answer(429, PAGE), REFUSED, "shared_capacity"),
    "429 empty": (answer(429), REFUSED, "shared_capacity"),
    "400": (rpc(400, "INVALID_ARGUMENT"), REJECTED, "bad_request"),
    "400 safety": (rpc(400, "INVALID_ARGUMENT", "violates our usage guidelines"), REJECTED, "safety"),
    "400 billing": (rpc(400, "FAILED_PRECONDITION", "enable billing"), REFUSED, "billing"),
    "400 key": (rpc(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"}), REFUSED, "bad_key"),
    "401": (rpc(401, "UNAUTHENTICATED"), REFUSED, "bad_key"),
    "402": (rpc(402, "RESOURCE_EXHAUSTED"), REFUSED, "billing"),
    "403": (rpc(403, "PERMISSION_DENIED"), REFUSED, "permission"),
    **{f"{n} html": (answer(n, PAGE), UNAVAILABLE, "not_google") for n in (401, 402, 407, 413, 511)},
    **{f"{n} html": (answer(n, PAGE), UNCERTAIN, "answer_lost") for n in (403, 405, 451)},
    "407 of a gateway": (answer(407, {"message": "no"}), UNAVAILABLE, "not_google"),
    **{f"{n} of a gateway": (answer(n, {"message": "no"}), UNCERTAIN, "answer_lost") for n in (403, 405)},
    "400 html": (answer(400, PAGE), UNCERTAIN, "answer_lost"),
    "409 html": (answer(409, PAGE), UNCERTAIN, "answer_lost"),
    "404": (rpc(404, "NOT_FOUND"), REFUSED, "model_not_found"),
    "404 html": (answer(404, PAGE), REFUSED, "model_not_found"),
    "408": (rpc(408, "DEADLINE_EXCEEDED"), UNCERTAIN, "answer_lost"),
    "499": (rpc(499, "CANCELLED"), UNCERTAIN, "answer_lost"),
    "500": (rpc(500, "INTERNAL"), UNCERTAIN, "answer_lost"),
    "500 in a list": (answer(500, [{"error": {"code": 500, "status": "INTERNAL"}}]), UNCERTAIN, "answer_lost"),
    "502": (answer(502, PAGE), UNCERTAIN, "answer_lost"),
    "503": (rpc(503, "UNAVAILABLE"), UNAVAILABLE, "unavailable"),
    "503 html": (answer(503, PAGE, "Service Unavailable"), UNCERTAIN, "answer_lost"),
    "503 empty": (answer(503), UNCERTAIN, "answer_lost"),
    "504": (rpc(504, "DEADLINE_EXCEEDED"), UNCERTAIN, "answer_lost"),
    "301": (answer(301, PAGE, Location="/elsewhere"), UNCERTAIN, "answer_lost"),
    "302": (answer(302, PAGE, Location="/elsewhere"), UNCERTAIN, "answer_lost"),
    "303": (answer(303, PAGE, Location="/elsewhere"), UNCERTAIN, "answer_lost"),
    "307": (answer(307, PAGE, Location="/elsewhere"), UNAVAILABLE, "unavailable"),
    "308": (answer(308, PAGE, Location="/elsewhere"), UNAVAILABLE, "unavailable"),
    "202": (answer(202, {"name": OPERATION}), UNCERTAIN, "answer_lost"),
    "204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), UNCERTAIN, "answer_lost"),
    "dropped": (drop, UNCERTAIN, "answer_lost"),
    "dropped within the headers": (then_close(raw(NAMED_BYTES[:30])), UNCERTAIN, "answer_lost"),
    "truncated 200": (then_close(raw(NAMED_BYTES[:-4])), UNCERTAIN, "answer_lost"),
    "truncated 500": (then_close(raw(b"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\n{")), UNCERTAIN, "answer_lost"),
    "not HTTP": (then_close(raw(b"SSH-2.0-OpenSSH_9.6\r\n")), UNCERTAIN, "answer_lost"),
    "200 html": (answer(200, PAGE), UNCERTAIN, "answer_lost"),
    "200 empty": (answer(200), UNCERTAIN, "answer_lost"),
    "200 not JSON": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{'name'"), UNCERTAIN, "answer_lost"),
    "200 without a name": (answer(200, {}), UNCERTAIN, "answer_lost"),
    "200 with an empty name": (answer(200, {"name": ""}), UNCERTAIN, "answer_lost"),
    "200 whose name is a number": (answer(200, {"name": 7}), UNCERTAIN, "answer_lost"),
    "200 with a list": (answer(200, [{"name": OPERATION}]), UNCERTAIN, "answer_lost"),
    "200 with an error": (answer(200, {"error": {"code": 429}}), UNCERTAIN, "answer_lost"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_every_answer_has_its_verdict_and_no_second_post(case: str) -> None:
    act, kind, error_kind = ANSWERS[case]
    verdict, wire = await verdict_of(act)
    assert (verdict.kind, verdict.error_kind, verdict.unsent) == (kind, error_kind, False), verdict
    assert [request.method for request in wire.requests] == ["POST"]
    assert verdict.message


async def test_the_answer_hoped_for_names_the_operation() -> None:
    verdict, wire = await verdict_of(NAMED)
    assert verdict == Verdict(VerdictKind.ACCEPTED, operation=OPERATION)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_the_same_address_does_not_have_the_body_sent_again(status: int) -> None:
    here = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
    verdict, wire = await verdict_of(answer(status, PAGE, Location=here), NAMED)
    assert verdict.kind is (UNAVAILABLE if status > 303 else UNCERTAIN)
    assert (wire.connections, len(wire.requests)) == (1, 1)


@pytest.mark.parametrize("act", [hang, dribble(NAMED_BYTES, 0.05)], ids=["no answer", "slow headers"])
async def test_an_answer_that_takes_too_long_is_lost_not_asked_for_again(act: Act) -> None:
    verdict, wire = await verdict_of(act, request_timeout=0.25)
    assert (verdict.kind, verdict.unsent) == (UNCERTAIN, False)
    assert "TimeoutError" in verdict.message
    assert len(wire.requests) == 1


async def test_slow_headers_within_the_timeout_are_waited_for() -> None:
    verdict, wire = await verdict_of(dribble(NAMED_BYTES, 0.001))
    assert (verdict.kind, verdict.operation) == (VerdictKind.ACCEPTED, "op1")
    assert len(wire.requests) == 1


async def test_a_server_that_hangs_up_unread_may_have_read_and_is_not_called_twice() -> None:
    async with serving(NAMED, reads=False) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await asyncio.sleep(0.01)
    assert (verdict.kind, verdict.unsent) == (UNCERTAIN, False)
    assert wire.connections == 1


async def test_a_large_body_cut_off_halfway_counts_as_sent() -> None:
    async def read_little(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    prompt = VideoPrompt(text="a boat", image=Media(data=PNG + bytes(8 << 20)))
    async with serving(read_little, reads=False) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(prompt, MODEL)
    assert (verdict.kind, wire.connections) == (UNCERTAIN, 1)


async def test_an_sdk_that_sends_again_all_the_same_is_stopped() -> None:
    async with serving(rpc(429, "RESOURCE_EXHAUSTED"), NAMED) as wire, opened(wire.url) as backend:
        models = backend._client.aio.models
        once = models.generate_videos

        async def twice(**request: Any) -> Any:
            try:
                return await once(**request)
            except errors.APIError:
                return await once(**request)

        models.generate_videos = twice  # type: ignore[method-assign]
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, len(wire.requests)) == (UNCERTAIN, 1)
    assert "about to send a paid request a second time" in verdict.message


# ---- what never left -------------------------------------------------------------------------------------------------


async def test_a_refused_connection_sent_nothing() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)
    assert verdict.message.startswith("nothing was sent: ClientConnectorError")


async def test_a_host_that_has_no_address_was_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with opened("http://vertex.invalid") as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)


async def test_a_timeout_before_there_is_a_connection_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    released, find = asyncio.Event(), _threads.network.run

    async def slow(*arguments: Any, **more: Any) -> Any:
        await released.wait()
        return await find(*arguments, **more)

    monkeypatch.setattr(_threads.network, "run", slow)
    async with serving(NAMED) as wire, opened(f"http://localhost:{wire.port}", request_timeout=0.03) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        released.set()
        await asyncio.sleep(0.02)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)
    assert wire.requests == []


async def test_a_failed_handshake_sent_nothing() -> None:
    async with serving(NAMED, reads=False) as wire, opened(wire.url.replace("http:", "https:")) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)


# ---- connections that lie idle ---------------------------------------------------------------------------------------


async def test_a_connection_that_the_server_closed_while_idle_loses_no_answer() -> None:
    async with serving(then_close(NAMED)) as wire, opened(wire.url) as backend:
        for _ in range(3):
            verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
            assert verdict.kind is VerdictKind.ACCEPTED
            await asyncio.sleep(0.01)
    assert (len(wire.requests), wire.connections) == (3, 3)


async def test_a_connection_is_not_used_again_after_it_lay_idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.one_post.KEEP_ALIVE", 0.02)
    monkeypatch.setattr("aiohttp.connector.monotonic", asyncio.get_running_loop().time)  # or it reads the machine's
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await asyncio.sleep(0.04)
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (len(wire.requests), wire.connections) == (2, 2)


async def test_a_connection_that_lay_idle_for_a_moment_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.one_post.KEEP_ALIVE", 60.0)
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        for _ in range(3):
            await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (len(wire.requests), wire.connections) == (3, 1)


# ---- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", None),  # no more than silence
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
async def test_retry_after_is_seconds_or_a_date_or_nothing(header: str, seconds: float | None) -> None:
    verdict, _ = await verdict_of(rpc(429, "RESOURCE_EXHAUSTED", Retry_After=header))
    assert (verdict.kind, verdict.retry_after) == (REFUSED, seconds)


async def test_a_date_in_retry_after_is_counted_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    verdict, _ = await verdict_of(rpc(503, "UNAVAILABLE", Retry_After=date))
    assert verdict.kind is UNAVAILABLE
    assert verdict.retry_after == pytest.approx(90, abs=3)


async def test_the_longer_of_header_and_body_is_waited_for() -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    verdict, _ = await verdict_of(rpc(429, "RESOURCE_EXHAUSTED", "words", delay, Retry_After="7"))
    assert verdict.retry_after == 34.5


# ---- looks -----------------------------------------------------------------------------------------------------------


def done(response: Any = None, **more: Any) -> Act:
    body = {"name": OPERATION, "done": True, **({} if response is None else {"response": response}), **more}
    return answer(200, body)


LOOKS: dict[str, tuple[Act, Any]] = {
    "running": (answer(200, {"name": OPERATION}), Running()),
    "running, said so": (answer(200, {"name": OPERATION, "done": False}), Running()),
    "one video": (
        done({"videos": [{"bytesBase64Encoded": b64(MP4), "mimeType": "video/mp4"}]}),
        ([(MP4, None)], 0, ()),
    ),
    "in a bucket": (done({"videos": [{"gcsUri": "gs://b/1.mp4"}]}), ([(None, "gs://b/1.mp4")], 0, ())),
    "two of three": (
        done({"videos": [{"gcsUri": "gs://b/1"}, {"gcsUri": "gs://b/2"}], "raiMediaFilteredCount": 1}),
        ([(None, "gs://b/1"), (None, "gs://b/2")], 1, ()),
    ),
    "filtered": (
        done({"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["Support codes: 17301594"]}),
        ([], 1, ("Support codes: 17301594",)),
    ),
    "a video that is nowhere": (done({"videos": [{"mimeType": "video/mp4"}]}), ([], 0, ())),
    "empty response": (done({}), ([], 0, ())),
    "no response": (done(), ([], 0, ())),
    "code 8": (done(error={"code": 8, "message": "high load"}), Failure(8, "high load")),
    "a code in words": (done(error={"code": "INTERNAL", "message": "oh"}), Failure(13, "oh")),
    "a code of HTTP": (done(error={"code": 503, "message": "oh"}), Failure(14, "oh")),
    "a code as text": (done(error={"code": "13", "message": "oh"}), Failure(13, "oh")),
    "a status in place of a code": (done(error={"status": "UNAVAILABLE", "message": "oh"}), Failure(14, "oh")),
    "an error without code": (done(error={"message": "oh"}), Failure(None, "oh")),
    "an error without words": (done(error={"code": 13}), Failure(13, "no message")),
}


@pytest.mark.parametrize("case", LOOKS)
async def test_a_poll_returns_the_state_of_the_operation(case: str, tmp_path: Path) -> None:
    act, expected = LOOKS[case]
    async with serving(act) as wire, opened(wire.url, output_dir=tmp_path) as backend:
        seen = await backend.poll(OPERATION)
    if isinstance(seen, Finished):
        made = [(v.file.read_bytes() if v.file else v.data, v.uri) for v in seen.videos]
        assert (made, seen.filtered, seen.filter_reasons) == expected
        drop_all(seen)
    else:
        assert seen == expected
    [request] = wire.requests
    assert (request.method, request.json) == ("POST", {"operationName": OPERATION})


def drop_all(seen: PollResult) -> None:
    assert isinstance(seen, Finished)
    for video in seen.videos:
        if video.file:
            saving.drop(video.file)


async def test_inline_videos_are_in_files_of_the_output_directory(tmp_path: Path) -> None:
    films = [MP4 + bytes([n]) * 700_000 for n in range(3)]
    videos = [{"bytesBase64Encoded": b64(film), "mimeType": "video/mp4"} for film in films]
    clips = tmp_path / "to" / "come"
    act = done({"videos": videos, "raiMediaFilteredCount": 1})
    async with serving(act) as wire, opened(wire.url, output_dir=clips) as backend:
        seen = await backend.poll(OPERATION)
        again = await backend.poll(OPERATION)  # free to repeat: each poll has its own files
    assert isinstance(seen, Finished)
    assert isinstance(again, Finished)
    assert seen.filtered == 1
    assert [(v.data, v.uri) for v in (*seen.videos, *again.videos)] == [(None, None)] * 6
    files = [video.file for video in (*seen.videos, *again.videos)]
    assert [file.read_bytes() for file in files if file] == films * 2
    assert names(clips) == sorted(file.name for file in files if file)
    drop_all(seen)
    drop_all(again)
    assert names(clips) == []


async def test_a_video_inline_and_in_a_bucket_is_both(tmp_path: Path) -> None:
    video = {"gcsUri": "gs://b/1.mp4", "bytesBase64Encoded": b64(MP4), "mimeType": "video/mp4"}
    async with serving(done({"videos": [video]})) as wire, opened(wire.url, output_dir=tmp_path) as backend:
        seen = await backend.poll(OPERATION)
    assert isinstance(seen, Finished)
    [made] = seen.videos
    assert (made.data, made.uri, made.file and made.file.read_bytes()) == (None, "gs://b/1.mp4", MP4)
    drop_all(seen)


async def test_no_server_can_pass_off_a_file_of_ours_for_a_video(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    uri = (tmp_path / "secret").as_uri()
    async with serving(done({"videos": [{"gcsUri": uri}]})) as wire, opened(wire.url) as backend:
        seen = await backend.poll(OPERATION)
    assert seen == Finished((Video(uri=uri),))


@pytest.mark.parametrize(
    "response",
    [
        {"videos": [{"bytesBase64Encoded": b64(MP4)}, {"bytesBase64Encoded": "?"}]},
        {"videos": [{"bytesBase64Encoded": b64(MP4)}, {"bytesBase64Encoded": 7}]},
        {"videos": [{"bytesBase64Encoded": b64(MP4)}], "raiMediaFilteredCount": "many"},
    ],
    ids=["not base64", "not text", "not what the SDK expects"],
)
async def test_a_poll_that_fails_after_a_video_leaves_no_file(response: dict[str, Any], tmp_path: Path) -> None:
    async with serving(done(response)) as wire, opened(wire.url, output_dir=tmp_path) as backend:
        with pytest.raises(PollError):
            await backend.poll(OPERATION)
    assert names(tmp_path) == []


async def test_a_disk_that_refuses_a_video_is_no_failed_poll(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("not a directory")
    act = LOOKS["one video"][0]
    async with serving(act) as wire, opened(wire.url, output_dir=tmp_path / "clips") as backend:
        with pytest.raises(
            FetchError, match=r"^cannot write .*clips: File exists\. The video is made and paid"
        ) as failed:
            await backend.poll(OPERATION)
    assert (failed.value.disk, failed.value.final) == (True, True)


async def test_an_operation_that_google_does_not_know_is_gone() -> None:
    async with serving(rpc(404, "NOT_FOUND", "Operation not found.")) as wire, opened(wire.url) as backend:
        with pytest.raises(OperationGone) as caught:
            await backend.poll(OPERATION)
    assert str(caught.value) == f"Google does not know {OPERATION}: Operation not found."
    assert len(wire.requests) == 1


FAILED_POLLS = {
    "500": rpc(500, "INTERNAL"),
    "429": rpc(429, "RESOURCE_EXHAUSTED"),
    "401": rpc(401, "UNAUTHENTICATED"),
    "403": rpc(403, "PERMISSION_DENIED"),
    "503 html": answer(503, PAGE),
    "404 html": answer(404, PAGE),  # a proxy's: the operation may be known to Google
    "404 of a gateway": answer(404, {"message": "no route"}),
    "redirect": answer(307, PAGE, Location="/elsewhere"),
    "dropped": drop,
    "no answer": hang,
    "not JSON": answer(200, PAGE),
    "half": then_close(raw(NAMED_BYTES[:-4])),
    "done is nonsense": answer(200, {"name": OPERATION, "done": "perhaps"}),
    "an error that is a list": answer(200, {"name": OPERATION, "done": True, "error": ["oh"]}),
    "videos that are none": done({"videos": [{"bytesBase64Encoded": 7}]}),
}


@pytest.mark.parametrize("case", FAILED_POLLS)
async def test_a_failed_poll_names_the_operation_and_proves_nothing(case: str) -> None:
    timeout = 0.25 if case == "no answer" else 20.0
    async with serving(FAILED_POLLS[case]) as wire, opened(wire.url, request_timeout=timeout) as backend:
        with pytest.raises(PollError, match=r"^polling projects/p/.+/7d1f: \w+") as failed:
            await backend.poll(OPERATION)
        await asyncio.sleep(0.01)
    assert len(wire.requests) == 1  # the engine repeats it
    assert (failed.value.refused, failed.value.verdict) == (case.startswith("429"), None)


async def test_a_refused_poll_names_the_wait_and_does_not_concern_submits() -> None:
    refusal = rpc(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per minute. Please retry in 7.5s.")
    async with serving(refusal) as wire, opened(wire.url) as backend:
        with pytest.raises(PollError) as failed:
            await backend.poll(OPERATION)
    assert (failed.value.refused, failed.value.retry_after, failed.value.verdict) == (True, 7.5, None)


async def test_a_poll_of_a_server_that_is_down_fails() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as backend:
        with pytest.raises(PollError, match="ClientConnectorError"):
            await backend.poll(OPERATION)


# ---- who pays --------------------------------------------------------------------------------------------------------

PROJECT_PATH = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}:predictLongRunning"
EXPRESS_PATH = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"


def refresh_error(words: str, *, retryable: bool = False) -> RefreshError:
    return RefreshError(words, retryable=retryable)  # type: ignore[no-untyped-call]


def transport_error(words: str) -> TransportError:
    return TransportError(words)  # type: ignore[no-untyped-call]


class Purse(google.auth.credentials.Credentials):
    """Credentials that hold a token until they must fail."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = None if error else TOKEN
        self.error = error

    def refresh(self, request: object) -> None:
        assert self.error is not None
        raise self.error


def carry(monkeypatch: pytest.MonkeyPatch, credentials: Purse) -> None:
    """Put credentials where google.auth finds application default credentials."""
    monkeypatch.setattr(
        "aveo3.backends.credentials.application_default_credentials", lambda scopes: (credentials, "another-project")
    )


def credentials_file(directory: Path, **values: str) -> Path:
    path = directory / "credentials.json"
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", "token": TOKEN}
    path.write_text(json.dumps({**user, "expiry": "2999-01-01T00:00:00Z", **values}))
    return path


async def submitted(**values: Any) -> tuple[Verdict, list[Request]]:
    """One accepted submit of a backend with just these settings."""
    async with serving(NAMED) as wire:
        backend = await VertexBackend.open(settings(**{"base_url": wire.url, **values}))
        try:
            return await backend.submit(VideoPrompt(text="a boat"), MODEL), wire.requests
        finally:
            await backend.aclose()


async def test_a_key_alone_is_express_mode() -> None:
    verdict, [request] = await submitted(api_key=KEY)
    assert verdict.kind is VerdictKind.ACCEPTED
    assert request.path == EXPRESS_PATH
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers


async def test_a_project_with_a_credentials_file_pays_by_token(tmp_path: Path) -> None:
    file = credentials_file(tmp_path, quota_project_id="q")
    verdict, [request] = await submitted(project="p", credentials_file=file)
    assert verdict.kind is VerdictKind.ACCEPTED
    assert request.path == PROJECT_PATH
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-goog-user-project"] == "q"
    assert "x-goog-api-key" not in request.headers


async def test_a_project_without_a_file_pays_by_what_the_machine_provides(monkeypatch: pytest.MonkeyPatch) -> None:
    carry(monkeypatch, Purse())
    _, [request] = await submitted(project="p", location="europe-west4", api_key=KEY)
    assert request.path == PROJECT_PATH.replace("us-central1", "europe-west4")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "x-goog-api-key" not in request.headers


def without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))


async def test_a_project_on_a_machine_that_provides_nothing_pays_by_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_credentials(monkeypatch, tmp_path)
    monkeypatch.setattr("aveo3.backends.credentials.on_this_machine", lambda url: False)
    _, [request] = await submitted(project="p", api_key=KEY)
    assert request.path == PROJECT_PATH
    assert request.headers["x-goog-api-key"] == KEY
    assert "authorization" not in request.headers


async def test_a_mock_server_gets_no_key_for_a_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_credentials(monkeypatch, tmp_path)
    _, [request] = await submitted(project="p", api_key=KEY)
    assert request.headers["authorization"] == "Bearer none"
    assert "x-goog-api-key" not in request.headers


async def test_missing_credentials_are_a_usage_error_that_names_both_ways() -> None:
    with pytest.raises(UsageError) as caught:
        await VertexBackend.open(settings(backend="vertex"))
    assert str(caught.value) == (
        "Vertex AI needs to know who pays: set GOOGLE_CLOUD_PROJECT (and run `gcloud auth application-default login`), "
        "or set GOOGLE_API_KEY for express mode."
    )


async def test_a_project_without_credentials_is_a_usage_error_that_names_three_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_credentials(monkeypatch, tmp_path)
    with pytest.raises(UsageError) as caught:
        await VertexBackend.open(settings(project="p"))
    text = str(caught.value)
    assert text.startswith("No usable credentials for project 'p' (application default credentials): ")
    assert ".. " not in text
    assert text.endswith(
        ". Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's "
        "file, or set GOOGLE_API_KEY."
    )


@pytest.mark.parametrize("content", [None, b"", b"{}", b"not JSON", b"\xff\xfe", b'{"type": "service_account"}'])
async def test_a_credentials_file_that_is_none_is_named_even_if_there_is_a_key(
    content: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"^No usable credentials for project 'p' \(.*key\.json\): "):
        await VertexBackend.open(settings(project="p", credentials_file=file, api_key=KEY))


async def test_a_token_that_cannot_be_renewed_closes_the_lane_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carry(monkeypatch, Purse(refresh_error("invalid_grant: Token has been revoked.")))
    verdict, requests = await submitted(project="p")
    assert (verdict.kind, verdict.refusal, verdict.unsent) == (REFUSED, Refusal.BAD_KEY, True)
    assert verdict.message == "RefreshError: invalid_grant: Token has been revoked."
    assert requests == []


@pytest.mark.parametrize("error", [transport_error("no route"), refresh_error("503 try later", retryable=True)])
async def test_a_token_service_that_is_away_for_a_while_does_not_close_the_lane(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry(monkeypatch, Purse(error))
    verdict, requests = await submitted(project="p")
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)
    assert requests == []


async def test_a_machine_whose_token_service_is_out_of_reach_does_not_close_the_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """google.auth.compute_engine wraps the TransportError in a RefreshError that does not call itself retryable."""
    error = refresh_error("metadata server: connection reset")
    error.__cause__ = transport_error("connection reset")
    carry(monkeypatch, Purse(error))
    verdict, _ = await submitted(project="p")
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)


async def test_a_submit_that_left_is_not_mistaken_for_one_beside_it_that_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    purse, release = Purse(), asyncio.Event()

    async def drop_when_told(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.transport.abort()

    carry(monkeypatch, purse)
    async with serving(drop_when_told) as wire, opened(wire.url, project="p") as backend:
        first = asyncio.create_task(backend.submit(VideoPrompt(text="sent"), MODEL))
        await wire.arrived.wait()
        purse.token, purse.error = None, refresh_error("revoked")
        second = await backend.submit(VideoPrompt(text="never sent"), MODEL)
        release.set()
        verdict = await first
    assert (second.refusal, second.unsent) == (Refusal.BAD_KEY, True)
    assert (verdict.kind, verdict.unsent) == (UNCERTAIN, False)
    assert len(wire.requests) == 1


class Renewable(Purse):
    """Credentials that Google refuses until they are renewed, `good` times."""

    def __init__(self, good: int = 1, error: Exception | None = None) -> None:
        super().__init__()
        self.error, self.good, self.renewed = error, good, 0

    def refresh(self, request: object) -> None:
        self.renewed += 1
        if self.error is not None:
            raise self.error
        self.token = f"{TOKEN}-{self.renewed}"


STALE = rpc(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")


def refusing_old_tokens(act: Act) -> tuple[Act, list[Wire]]:
    """An act that refuses the first token; the list takes the server."""
    wires: list[Wire] = []

    async def either(writer: asyncio.StreamWriter) -> None:
        is_old = wires[0].requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
        await (STALE if is_old else act)(writer)

    return either, wires


@pytest.mark.parametrize("submits", [1, 30])
async def test_a_token_that_google_refuses_is_renewed_once_for_all_and_each_clip_is_paid_once(
    submits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    purse = Renewable()
    carry(monkeypatch, purse)
    act, wires = refusing_old_tokens(NAMED)
    async with serving(act) as wire, opened(wire.url, project="p") as backend:
        wires.append(wire)
        prompts = [VideoPrompt(text=f"boat {n}") for n in range(submits)]
        verdicts = await asyncio.gather(*(backend.submit(prompt, MODEL) for prompt in prompts))
        refused = [request for request in wire.requests if request.headers["authorization"] == f"Bearer {TOKEN}"]
    assert {verdict.kind for verdict in verdicts} == {VerdictKind.ACCEPTED}
    assert purse.renewed == 1
    assert len(wire.requests) == submits + len(refused), "one accepted POST each"


async def test_omnis_token_is_renewed_too_for_submits_and_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = Renewable()
    carry(monkeypatch, purse)
    act, wires = refusing_old_tokens(answer(200, {"id": "v1_a", "status": "in_progress"}))
    async with serving(act) as wire, opened(wire.url, project="p", location="global") as backend:
        wires.append(wire)
        verdict = await backend.submit(VideoPrompt(text="a boat"), "gemini-omni-1.2-flash")
        purse.token = TOKEN  # as if it were revoked again
        await asyncio.sleep(SHORTEST_GAP)
        state = await backend.poll("v1_a")
    assert (verdict.kind, verdict.operation, state) == (VerdictKind.ACCEPTED, "v1_a", Running())
    assert [request.method for request in wire.requests] == ["POST", "POST", "GET", "GET"]
    assert purse.renewed == 2


async def test_a_new_token_that_is_refused_too_closes_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = Renewable()
    carry(monkeypatch, purse)
    async with serving(STALE) as wire, opened(wire.url, project="p") as backend:
        verdicts = [await backend.submit(VideoPrompt(text="a boat"), MODEL) for _ in range(2)]
    assert {(verdict.kind, verdict.refusal) for verdict in verdicts} == {(REFUSED, Refusal.BAD_KEY)}
    assert (purse.renewed, len(wire.requests)) == (1, 3)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (transport_error("no route"), UNAVAILABLE),
        (refresh_error("503 try later", retryable=True), UNAVAILABLE),
        (refresh_error("invalid_grant: Token has been revoked."), REFUSED),
        (RuntimeError("a plug-in broke"), REFUSED),
    ],
    ids=str,
)
async def test_a_refused_token_that_cannot_be_renewed_says_both(
    error: Exception, kind: VerdictKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry(monkeypatch, Renewable(error=error))
    async with serving(STALE) as wire, opened(wire.url, project="p") as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, len(wire.requests)) == (kind, 1)
    assert verdict.message == (
        f"Request had invalid authentication credentials. (a new token: {type(error).__name__}: {error})"
    )


async def test_what_a_proxy_says_in_googles_place_renews_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = Renewable()
    carry(monkeypatch, purse)
    async with serving(answer(401, PAGE)) as wire, opened(wire.url, project="p") as backend:
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
        with pytest.raises(PollError):
            await backend.poll(OPERATION)
    assert (purse.renewed, len(wire.requests)) == (0, 2)


async def test_an_answer_of_any_length_is_read_up_to_a_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.inline.LONGEST_ANSWER", 1 << 20)
    for body in ({"name": "x" * (2 << 20)}, {"error": {"code": 400, "message": "x" * (2 << 20)}}):
        verdict, wire = await verdict_of(answer(200 if "name" in body else 400, body))
        assert (verdict.kind, len(wire.requests)) == (UNCERTAIN, 1)
        assert "the answer is longer than 1,048,576 bytes" in verdict.message
    async with serving(answer(200, {"name": OPERATION, "x": "x" * (2 << 20)})) as wire, opened(wire.url) as backend:
        with pytest.raises(PollError, match="is longer than"):
            await backend.poll(OPERATION)


async def test_a_video_in_an_answer_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.inline.LONGEST_ANSWER", 1 << 10)
    film = b64(MP4 + bytes(100_000))
    body = {"name": OPERATION, "done": True, "response": {"videos": [{"bytesBase64Encoded": film}]}}
    async with serving(answer(200, body)) as wire, opened(wire.url) as backend:
        result = await backend.poll(OPERATION)
        assert isinstance(result, Finished)
        assert len(result.videos) == 1
        assert result.videos[0].file is not None
        saving.drop(result.videos[0].file)
        monkeypatch.setattr("aveo3.backends.sieve.LONGEST", 1 << 10)
        with pytest.raises(PollError, match="the videos in the answer have more than 1,024 bytes"):
            await backend.poll(OPERATION)


@pytest.mark.parametrize("name", [OPERATION, OPERATION.replace("/p/", "/1234567/"), None])
async def test_an_answer_about_this_operation_counts_however_its_project_is_named(name: str | None) -> None:
    async with serving(answer(200, {"name": name})) as wire, opened(wire.url) as backend:
        assert await backend.poll(OPERATION) == Running()


async def test_an_answer_about_another_operation_is_a_failed_poll() -> None:
    """A cache that mixes up answers would give this clip the film of another."""
    other = OPERATION.replace("7d1f", "0000")
    async with serving(answer(200, {"name": other, "done": True})) as wire, opened(wire.url) as backend:
        with pytest.raises(PollError, match=f"the answer is about '{other}'"):
            await backend.poll(OPERATION)


async def test_a_poll_with_a_refused_token_is_repeated_with_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    purse = Renewable()
    carry(monkeypatch, purse)
    act, wires = refusing_old_tokens(answer(200, {"name": OPERATION}))
    async with serving(act) as wire, opened(wire.url, project="p") as backend:
        wires.append(wire)
        polls = await asyncio.gather(*(backend.poll(OPERATION) for _ in range(10)))
    assert (polls, purse.renewed) == ([Running()] * 10, 1)


async def test_a_service_account_fetches_a_token_and_pays_with_it(tmp_path: Path) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = answer(200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
    async with serving(token, NAMED) as wire:
        account = {"type": "service_account", "client_email": "a@p.iam", "private_key": pem.decode(), "project_id": "z"}
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "token_uri": f"{wire.url}/token"}))
        values = settings(base_url=wire.url, project="p", credentials_file=file)
        backend = await VertexBackend.open(values)
        assert wire.requests == []  # opening sends nothing
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await backend.aclose()
    assert verdict.kind is VerdictKind.ACCEPTED
    assert [request.path for request in wire.requests] == ["/token", PROJECT_PATH]
    assert wire.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("enterprise", ["true", "false", None])
@pytest.mark.parametrize("by", ["key", "token"])
async def test_explicit_settings_are_not_changed_by_the_environment(
    by: str, enterprise: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    if enterprise is not None:
        monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", enterprise)
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", enterprise)
    carry(monkeypatch, Purse())
    if by == "key":
        _, [request] = await submitted(api_key=KEY, project=None, location="us-central1")
        assert (request.path, request.headers["x-goog-api-key"]) == (EXPRESS_PATH, KEY)
        assert "authorization" not in request.headers
    else:
        _, [request] = await submitted(api_key=None, project="p", location="us-central1")
        assert (request.path, request.headers["authorization"]) == (PROJECT_PATH, f"Bearer {TOKEN}")
        assert "x-goog-api-key" not in request.headers


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_the_api_version_stands_in_every_path(version: str) -> None:
    async with serving(NAMED, LOOKS["running"][0]) as wire, opened(wire.url, api_version=version) as backend:
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await backend.poll(OPERATION)
    assert [request.path.split("/")[1] for request in wire.requests] == [version, version]


# ---- secrets ---------------------------------------------------------------------------------------------------------

ECHO = f"Permission denied: Consumer 'api_key:{KEY}' has been suspended. Bearer {TOKEN}"
"""Google's message quotes the key of a suspended caller."""


@pytest.mark.parametrize("act", [rpc(403, "PERMISSION_DENIED", ECHO), rpc(400, "INVALID_ARGUMENT", ECHO), drop, NAMED])
async def test_the_key_appears_nowhere(act: Act, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    async with serving(act) as wire:
        chosen = settings(base_url=wire.url, api_key=KEY, backend="vertex", output_dir=tmp_path, operation_timeout=0.02)
        told += [repr(chosen), str(chosen)]
        backend = await VertexBackend.open(chosen)
        told += [repr(backend), repr(await backend.submit(VideoPrompt(text="a boat"), MODEL))]
        await backend.aclose()
        async with VeoClient(chosen) as veo:
            [clip] = await veo.generate_many(["a boat"])
            told += [repr(clip), clip.model_dump_json(), repr(veo.stats()), repr(veo)]
    told += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert [text for text in told if KEY in text] == []
    assert wire.requests[0].headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("act", [rpc(403, "PERMISSION_DENIED", ECHO), rpc(404, "NOT_FOUND", ECHO), drop])
async def test_the_key_is_not_in_the_message_of_a_failed_poll(act: Act) -> None:
    async with serving(act) as wire, opened(wire.url) as backend:
        with pytest.raises((PollError, OperationGone)) as caught:
            await backend.poll(OPERATION)
    assert KEY not in str(caught.value) + repr(caught.value)


async def test_the_token_appears_nowhere(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    file = credentials_file(tmp_path)
    async with serving(rpc(403, "PERMISSION_DENIED"), drop) as wire:
        backend = await VertexBackend.open(settings(base_url=wire.url, project="p", credentials_file=file))
        told = [repr(await backend.submit(VideoPrompt(text="a boat"), MODEL)) for _ in range(2)]
        told.append(repr(backend))
        await backend.aclose()
    told += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert [text for text in told if TOKEN in text] == []
    assert wire.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("uri", "gets_key"),
    [
        ("https://generativelanguage.googleapis.com/v1beta/files/ab12:download?alt=media", True),
        ("https://storage.googleapis.com/b/film.mp4", True),
        ("https://Storage.GoogleAPIs.com/b/film.mp4", True),
        ("http://127.0.0.1:8787/files/ab12", True),
        ("HTTP://127.0.0.1:8787/files/ab12", True),
        ("https://storage.googleapis.com:443/b/film.mp4", True),
        ("https://storage.googleapis.com:8443/b/film.mp4", False),
        ("http://127.0.0.1:9999/files/ab12", False),
        ("http://127.0.0.1/files/ab12", False),
        ("https://127.0.0.1:8787/files/ab12", False),
        ("http://127.0.0.1:878787/files/ab12", False),
        ("https://evil.net\\.googleapis.com/film.mp4", False),
        ("ftp://127.0.0.1:8787/files/ab12", False),
        ("https://evil-googleapis.com/film.mp4", False),
        ("https://googleapis.com.evil.net/film.mp4", False),
        ("https://storage.googleapis.com.evil.net/film.mp4", False),
        ("https://storage.googleapis.com@evil.net/film.mp4", False),
        ("https://evil.net/storage.googleapis.com/film.mp4", False),
        ("https://evil.net/?.googleapis.com", False),
        ("https://evil.net#.googleapis.com", False),
        ("http://storage.googleapis.com/b/film.mp4", False),
        ("http://127.0.0.1.evil.net:8787/film.mp4", False),
        ("https://127.0.0.2/film.mp4", False),
        ("film.mp4", False),
        ("", False),
    ],
)
async def test_the_key_goes_to_google_and_to_the_configured_address_only(uri: str, gets_key: bool) -> None:
    async with opened("http://127.0.0.1:8787") as backend:
        assert await backend.locate(uri) == (uri, {"x-goog-api-key": KEY} if gets_key else {})


async def test_the_key_for_an_https_address_does_not_travel_over_plain_http() -> None:
    async with opened("https://gateway.example") as backend:
        for uri, gets_key in (
            ("https://gateway.example/f", True),
            ("https://gateway.example:443/f", True),
            ("https://Gateway.Example/f", True),
            ("http://gateway.example/f", False),
            ("http://gateway.example:443/f", False),
            ("https://gateway.example:8443/f", False),
        ):
            assert await backend.locate(uri) == (uri, {"x-goog-api-key": KEY} if gets_key else {})


async def test_without_a_configured_address_a_uri_without_host_gets_no_key() -> None:
    backend = await VertexBackend.open(settings(api_key=KEY))
    for uri in ("/film.mp4", "file:///film.mp4"):
        assert await backend.locate(uri) == (uri, {})
    await backend.aclose()


# ---- prompts that cannot be sent; those that can are in test_fields --------------------------------------------------


async def test_a_model_of_another_backend_is_refused_before_anything_leaves() -> None:
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), "gemini-omni-1.1-flash")
    assert (verdict.kind, verdict.unsent, wire.connections) == (REJECTED, True, 0)
    assert "set VEO3_BACKEND=gemini" in verdict.message


async def test_the_bucket_for_the_videos_goes_along() -> None:
    async with serving(NAMED) as wire:
        backend = await VertexBackend.open(settings(base_url=wire.url, api_key=KEY))
        await backend.submit(VideoPrompt(text="a boat"), MODEL, output_uri="gs://b/out/")
        await backend.aclose()
    assert wire.requests[0].json["parameters"] == {"sampleCount": 1, "storageUri": "gs://b/out/"}


@pytest.mark.parametrize(
    ("media", "words"),
    [
        ("missing.png", "No such file or directory: 'missing.png'"),
        (".", "Is a directory"),
        (Media(uri="https://example.com/a.png"), "Vertex AI reads media from gs:// only"),
    ],
)
async def test_media_that_cannot_be_sent_reject_the_prompt_before_anything_leaves(
    media: str | Media, words: str
) -> None:
    image = Media(path=Path(), mime_type="image/png") if media == "." else media
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(VideoPrompt.model_validate({"text": "a boat", "image": image}), MODEL)
    assert (verdict.kind, verdict.unsent) == (REJECTED, True)
    assert verdict.message.startswith("the prompt cannot be sent: ")
    assert words in verdict.message
    assert wire.connections == 0


async def test_an_image_that_vanishes_after_it_was_queued_is_a_rejected_clip(tmp_path: Path) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(PNG)

    class Vanishing(VertexBackend):
        async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
            image.unlink()
            return await super().submit(prompt, model, output_uri=output_uri)

    async with serving(NAMED) as wire:
        chosen = settings(base_url=wire.url, api_key=KEY)
        backend = await Vanishing.open(chosen)
        async with VeoClient(chosen, backend=backend) as veo:
            [clip] = await veo.generate_many([VideoPrompt(text="a boat", image=Media(path=image))])
        await backend.aclose()
    assert (clip.status, clip.attempts, clip.cost_usd) == (ClipStatus.REJECTED, 0, 0.0)
    assert wire.connections == 0


def test_no_variable_of_the_machine_leaks_into_these_tests() -> None:
    assert [name for name in os.environ if name.startswith(("VEO3_", "GOOGLE_", "GEMINI_"))] == []
    assert Settings().api_key is None


@pytest.mark.parametrize(("resend", "kind"), [(True, VerdictKind.UNAVAILABLE), (False, VerdictKind.UNCERTAIN)])
async def test_a_503_that_says_unavailable_is_believed_only_if_the_settings_do(
    resend: bool, kind: VerdictKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise errors.ServerError(503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}})

    backend = await VertexBackend.open(Settings(backend="vertex", api_key="k", resend_503=resend))
    monkeypatch.setattr(backend._client.aio.models, "generate_videos", unavailable)
    verdict = await backend.submit(VideoPrompt(text="a boat"), "veo-3.1-generate-001")
    await backend.aclose()
    assert (verdict.kind, verdict.message) == (kind, "overloaded")
