"""GeminiBackend through the real google-genai SDK, against a scripted server.

The server is the one of `test_vertex`: sockets, not the emulator.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aveo3 import (
    FetchError,
    Media,
    UsageError,
    VeoClient,
    VideoPrompt,
)
from aveo3.backends import gemini, one_post
from aveo3.backends.base import Failure, Finished, LateRefusal, OperationGone, PollError, PollResult, Running, Video
from aveo3.backends.gemini import GeminiBackend
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

MODEL = "gemini-omni-1.1-flash"
KEY = "AIzaSy-secret-key-0123456789"
ID = "v1_ChYtOV9IaWQ"
FILE = "https://generativelanguage.googleapis.com/v1beta/files/ak5xpg0kiews:download?alt=media"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class:DeprecationWarning",  # google-genai subclasses aiohttp's session
    "ignore:Sending a large body directly with raw bytes:ResourceWarning",
)

REFUSED, REJECTED = VerdictKind.REFUSED, VerdictKind.REJECTED
UNAVAILABLE, UNCERTAIN = VerdictKind.UNAVAILABLE, VerdictKind.UNCERTAIN

NAMED = answer(200, {"id": ID, "status": "in_progress", "object": "interaction", "model": MODEL})
NAMED_BYTES = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"id": "v1_abc"}'


def said(status: int, code: str, message: str = "Google's words", **headers: str) -> Act:
    """An error as the Interactions API writes it."""
    return answer(status, {"error": {"message": message, "code": code}}, **headers)


@asynccontextmanager
async def opened(url: str, **values: Any) -> AsyncIterator[GeminiBackend]:
    given: dict[str, Any] = {"base_url": url, "api_key": KEY, "request_timeout": 20.0, "backend": "gemini"}
    backend = await GeminiBackend.open(settings(**{**given, **values}))
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

QUOTA = (
    "You exceeded your current quota.\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
    "generate_content_paid_tier_2_requests, limit: 8, model: gemini-omni-1.1-flash\nPlease retry in 23.397s."
)

ANSWERS: dict[str, tuple[Act, VerdictKind, str]] = {
    "429": (said(429, "too_many_requests"), REFUSED, "shared_capacity"),
    "429 that names a quota": (said(429, "too_many_requests", QUOTA), REFUSED, "minute_quota"),
    "429 as of old": (rpc(429, "RESOURCE_EXHAUSTED"), REFUSED, "shared_capacity"),
    "429 to be repeated at once": (said(429, "too_many_requests", Retry_After="0"), REFUSED, "shared_capacity"),
    "429 html": (answer(429, PAGE), REFUSED, "shared_capacity"),
    "429 empty": (answer(429), REFUSED, "shared_capacity"),
    "400": (said(400, "invalid_request"), REJECTED, "bad_request"),
    "400 safety": (said(400, "invalid_request", "violates our usage guidelines"), REJECTED, "safety"),
    "400 billing": (rpc(400, "FAILED_PRECONDITION", "enable billing"), REFUSED, "billing"),
    "400 precondition": (said(400, "failed_precondition", "not here"), REFUSED, "no_access"),
    "400 key": (rpc(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"}), REFUSED, "bad_key"),
    "400 key in words": (said(400, "invalid_request", "API key not valid. Please pass …"), REFUSED, "bad_key"),
    "401": (said(401, "unauthenticated"), REFUSED, "bad_key"),
    "402": (said(402, "payment_required"), REFUSED, "billing"),
    "403 of the front end": (
        answer(403, [{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]),
        REFUSED,
        "permission",
    ),
    **{f"{n} html": (answer(n, PAGE), UNAVAILABLE, "not_google") for n in (401, 402, 407, 413, 511)},
    **{f"{n} html": (answer(n, PAGE), UNCERTAIN, "answer_lost") for n in (403, 405, 451)},
    "407 of a gateway": (answer(407, {"message": "no"}), UNAVAILABLE, "not_google"),
    **{f"{n} of a gateway": (answer(n, {"message": "no"}), UNCERTAIN, "answer_lost") for n in (403, 405)},
    "400 html": (answer(400, PAGE), UNCERTAIN, "answer_lost"),
    "409 html": (answer(409, PAGE), UNCERTAIN, "answer_lost"),
    "404": (said(404, "not_found", "models/x is no longer available"), REFUSED, "model_not_found"),
    "408": (said(408, "timeout"), UNCERTAIN, "answer_lost"),
    "409": (said(409, "conflict"), REJECTED, "bad_request"),
    "422": (said(422, "unprocessable"), REJECTED, "bad_request"),
    "500": (said(500, "api_error"), UNCERTAIN, "answer_lost"),
    "500 in a list": (answer(500, [{"error": {"code": 500, "status": "INTERNAL"}}]), UNCERTAIN, "answer_lost"),
    "502": (answer(502, PAGE), UNCERTAIN, "answer_lost"),
    "503": (said(503, "service_unavailable"), UNAVAILABLE, "unavailable"),
    "503 of another kind": (said(503, "api_error"), UNCERTAIN, "answer_lost"),
    "503 as of old": (rpc(503, "UNAVAILABLE"), UNAVAILABLE, "unavailable"),
    "503 html": (answer(503, PAGE), UNCERTAIN, "answer_lost"),
    "504 empty": (answer(504), UNCERTAIN, "answer_lost"),
    "302": (answer(302, PAGE, Location="/elsewhere"), UNCERTAIN, "answer_lost"),
    "303": (answer(303, PAGE, Location="/elsewhere"), UNCERTAIN, "answer_lost"),
    "307": (answer(307, PAGE, Location="/elsewhere"), UNAVAILABLE, "unavailable"),
    "308": (answer(308, PAGE, Location="/elsewhere"), UNAVAILABLE, "unavailable"),
    "307 to itself": (answer(307, PAGE, Location="/v1/interactions"), UNAVAILABLE, "unavailable"),
    "202": (answer(202, {"id": ID}), UNCERTAIN, "answer_lost"),
    "204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), UNCERTAIN, "answer_lost"),
    "dropped": (drop, UNCERTAIN, "answer_lost"),
    "dropped within the headers": (then_close(raw(NAMED_BYTES[:30])), UNCERTAIN, "answer_lost"),
    "truncated 200": (then_close(raw(NAMED_BYTES[:-4])), UNCERTAIN, "answer_lost"),
    "truncated 500": (then_close(raw(b"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\n{")), UNCERTAIN, "answer_lost"),
    "not HTTP": (then_close(raw(b"SSH-2.0-OpenSSH_9.6\r\n")), UNCERTAIN, "answer_lost"),
    "200 html": (answer(200, PAGE), UNCERTAIN, "answer_lost"),
    "200 empty": (answer(200), UNCERTAIN, "answer_lost"),
    "200 not JSON": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{'id'"), UNCERTAIN, "answer_lost"),
    "200 not UTF-8": (raw(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"\xff\xfe"x'), UNCERTAIN, "answer_lost"),
    "200 without an id": (answer(200, {"status": "in_progress"}), UNCERTAIN, "answer_lost"),
    "200 with an empty id": (answer(200, {"id": "", "status": "in_progress"}), UNCERTAIN, "answer_lost"),
    "200 whose id is a number": (answer(200, {"id": 7}), UNCERTAIN, "answer_lost"),
    "200 whose id is a way elsewhere": (answer(200, {"id": "../files/a?x="}), UNCERTAIN, "answer_lost"),
    "200 with a list": (answer(200, [{"id": ID}]), UNCERTAIN, "answer_lost"),
    "200 with an error": (answer(200, {"error": {"code": "too_many_requests"}}), UNCERTAIN, "answer_lost"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_every_answer_has_its_verdict_and_no_second_post(case: str) -> None:
    act, kind, error_kind = ANSWERS[case]
    verdict, wire = await verdict_of(act)
    assert (verdict.kind, verdict.error_kind, verdict.unsent) == (kind, error_kind, False), verdict
    assert [request.method for request in wire.requests] == ["POST"]
    assert verdict.message


async def test_an_sdk_that_sends_again_all_the_same_is_stopped() -> None:
    async with serving(said(429, "too_many_requests", Retry_After="0"), NAMED) as wire, opened(wire.url) as backend:

        class Stubborn:
            with_raw_response: Any

            async def create(self, **request: Any) -> Any:
                try:
                    return await raw_response.create(**request)
                except Exception:
                    return await raw_response.create(**request)

        raw_response = backend._client.aio.interactions.with_raw_response
        Stubborn.with_raw_response = Stubborn()
        backend._client.aio._interactions = Stubborn()  # type: ignore[assignment]
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, len(wire.requests)) == (UNCERTAIN, 1)
    assert "about to send a paid request a second time" in verdict.message


async def test_an_answer_of_any_length_is_read_up_to_a_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aveo3.backends.inline.LONGEST_ANSWER", 1 << 20)
    for body in ({"id": "x" * (2 << 20)}, {"error": {"code": 400, "message": "x" * (2 << 20)}}):
        verdict, wire = await verdict_of(answer(200 if "id" in body else 400, body))
        assert (verdict.kind, len(wire.requests)) == (UNCERTAIN, 1)
    async with (
        serving(answer(200, {"id": ID, "status": "queued", "x": "x" * (2 << 20)})) as wire,
        opened(wire.url) as backend,
    ):
        with pytest.raises(PollError, match="is longer than"):
            await backend.poll(ID)


async def test_a_packed_answer_cannot_unfold_without_a_bound() -> None:
    packed = gzip.compress(json.dumps({"id": "x" * (64 << 20)}).encode())
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    verdict, wire = await verdict_of(raw(head + packed))
    assert (verdict.kind, len(wire.requests)) == (UNCERTAIN, 1)
    assert "is longer than" in verdict.message, verdict.message


async def test_the_answer_hoped_for_names_the_interaction() -> None:
    verdict, wire = await verdict_of(NAMED)
    assert verdict == Verdict(VerdictKind.ACCEPTED, operation=ID)
    [request] = wire.requests
    assert (request.method, request.path) == ("POST", "/v1/interactions")
    assert request.headers["x-goog-api-key"] == KEY


async def test_a_refusal_for_the_quota_of_generating_tells_limit_and_delay() -> None:
    verdict, _ = await verdict_of(said(429, "too_many_requests", QUOTA, Retry_After="7"))
    assert (verdict.refusal, verdict.limit, verdict.retry_after) == (Refusal.MINUTE, 8, 23.397)


@pytest.mark.parametrize("act", [hang, dribble(NAMED_BYTES, 0.05)], ids=["no answer", "slow headers"])
async def test_an_answer_that_takes_too_long_is_lost_not_asked_for_again(act: Act) -> None:
    verdict, wire = await verdict_of(act, request_timeout=0.25)
    assert (verdict.kind, verdict.unsent) == (UNCERTAIN, False)
    assert len(wire.requests) == 1


async def test_a_server_that_hangs_up_unread_may_have_read_and_is_not_called_twice() -> None:
    async with serving(NAMED, reads=False) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await asyncio.sleep(0.01)
    assert (verdict.kind, verdict.unsent, wire.connections) == (UNCERTAIN, False, 1)


async def test_a_large_body_cut_off_halfway_counts_as_sent() -> None:
    prompt = VideoPrompt(text="a boat", image=Media(data=PNG + bytes(8 << 20)))
    async with serving(drop, reads=False) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(prompt, MODEL)
    assert (verdict.kind, wire.connections) == (UNCERTAIN, 1)


async def test_a_refused_connection_sent_nothing() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)
    assert verdict.message.startswith("nothing was sent: APIConnectionError")


async def test_a_failed_handshake_sent_nothing() -> None:
    async with serving(NAMED, reads=False) as wire, opened(wire.url.replace("http:", "https:")) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True)


async def test_a_proxy_that_does_not_let_it_through_was_sent_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answer(403, PAGE)) as wire:
        monkeypatch.setenv("HTTPS_PROXY", wire.url)
        async with opened("https://gemini.invalid") as backend:
            verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert [request.method for request in wire.requests] == ["CONNECT"]
    assert (verdict.kind, verdict.unsent) == (UNAVAILABLE, True), verdict


async def test_what_is_for_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    verdict, wire = await verdict_of(NAMED)
    assert (verdict.kind, len(wire.requests)) == (VerdictKind.ACCEPTED, 1)


async def test_a_submit_that_left_is_not_mistaken_for_one_beside_it_that_did_not(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def drop_when_told(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.transport.abort()

    async with serving(drop_when_told) as wire, opened(wire.url) as backend:
        first = asyncio.create_task(backend.submit(VideoPrompt(text="sent"), MODEL))
        await wire.arrived.wait()
        wire.reads = False
        async with opened(f"http://127.0.0.1:{free_port()}") as elsewhere:
            second = await elsewhere.submit(VideoPrompt(text="never sent"), MODEL)
        release.set()
        verdict = await first
    assert (second.kind, second.unsent) == (UNAVAILABLE, True)
    assert (verdict.kind, verdict.unsent) == (UNCERTAIN, False)


async def test_a_connection_that_the_server_closed_while_idle_loses_no_answer() -> None:
    async with serving(then_close(NAMED)) as wire, opened(wire.url) as backend:
        for _ in range(3):
            verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL)
            assert verdict.kind is VerdictKind.ACCEPTED
            await asyncio.sleep(0.01)
    assert (len(wire.requests), wire.connections) == (3, 3)


@pytest.mark.parametrize(("seconds", "connections"), [(0.02, 2), (60.0, 1)])
async def test_a_connection_is_used_again_after_a_moment_not_after_long(
    seconds: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aveo3.backends.one_post.KEEP_ALIVE", seconds)
    monkeypatch.setattr("time.monotonic", asyncio.get_running_loop().time)  # which the SDK's httpx reads
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await asyncio.sleep(0.04)
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
    assert (len(wire.requests), wire.connections) == (2, connections)


@pytest.mark.parametrize(
    "error", [rpc(503, "UNAVAILABLE", "overloaded"), said(503, "service_unavailable", "overloaded")]
)
@pytest.mark.parametrize(("resend", "kind"), [(True, UNAVAILABLE), (False, UNCERTAIN)])
async def test_a_503_that_says_unavailable_is_believed_only_if_the_settings_do(
    resend: bool, kind: VerdictKind, error: Act
) -> None:
    verdict, _ = await verdict_of(error, resend_503=resend)
    assert (verdict.kind, verdict.message) == (kind, "overloaded")


# ---- prompts that cannot be sent; those that can are in test_fields --------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": "missing.png"}, "No such file or directory: 'missing.png'"),
        ({"image": Media(path=Path(), mime_type="image/png")}, "Is a directory"),
        ({"image": "gs://b/a.png"}, "the Gemini API reads no buckets"),
        ({"model": "veo-3.1-generate-001"}, "set VEO3_BACKEND=vertex"),
    ],
)
async def test_what_cannot_be_sent_rejects_the_prompt_before_anything_leaves(
    fields: dict[str, Any], words: str
) -> None:
    prompt = VideoPrompt(text="a boat", **fields)
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(prompt, prompt.model or MODEL)
    assert (verdict.kind, verdict.unsent, wire.connections) == (REJECTED, True, 0)
    assert verdict.message.startswith("the prompt cannot be sent: ")
    assert words in verdict.message


# ---- looks -----------------------------------------------------------------------------------------------------------

USAGE = {
    "total_input_tokens": 19,
    "total_output_tokens": 17_873,
    "total_thought_tokens": 235,
    "total_tokens": 18_127,
    "output_tokens_by_modality": [{"modality": "video", "tokens": 17_376}, {"modality": "text", "tokens": 497}],
}
WORDS = {**USAGE, "total_output_tokens": 30, "total_tokens": 284, "output_tokens_by_modality": []}
TOKENS = {"input": 19, "video": 17_376, "output": 732}
ASKED = {"type": "user_input", "content": [{"type": "text", "text": "a boat"}]}
THOUGHT = {"type": "thought", "signature": "x" * 6_000}
GCS = "gs://b/a.mp4"


def put_out(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "model_output", "content": list(parts)}


def film(**more: Any) -> dict[str, Any]:
    return {"type": "video", "mime_type": "video/mp4", **more}


def interaction(status: Any, *steps: Any, **more: Any) -> Act:
    return answer(200, {"id": ID, "status": status, "model": MODEL, "steps": [ASKED, *steps], **more})


def rejected(message: str) -> Verdict:
    return Verdict(REJECTED, message, filtered=True)


SORRY = "the model answered with text instead of a video: I can't make that."
LOOKS: dict[str, tuple[Act, PollResult]] = {
    "running": (interaction("in_progress"), Running()),
    "queued": (interaction("queued"), Running()),
    "a word that nobody knows": (interaction("evaporated"), Running()),
    "made": (
        interaction("completed", THOUGHT, put_out(film(uri=GCS)), usage=USAGE),
        Finished((Video(uri=GCS),), tokens=TOKENS, usage=USAGE),
    ),
    "the thought comes last": (
        interaction("completed", put_out(film(uri=GCS)), THOUGHT, usage=USAGE),
        Finished((Video(uri=GCS),), tokens=TOKENS, usage=USAGE),
    ),
    "made, under a word that nobody knows": (
        interaction("evaporated", put_out(film(uri=GCS))),
        Finished((Video(uri=GCS),)),
    ),
    "made, with an account that nobody can read": (
        interaction("completed", put_out(film(uri=GCS)), usage={"total_tokens": "x" * 9_999, "total_input_tokens": 19}),
        Finished((Video(uri=GCS),), tokens={"input": 19, "video": 0, "output": 0}, usage={"total_input_tokens": 19}),
    ),
    "the last of two": (
        interaction("completed", put_out(film(uri="gs://b/draft.mp4")), put_out(film(uri=GCS))),
        Finished((Video(uri=GCS),)),
    ),
    "a clip that was only shown to it": (
        answer(
            200,
            {"id": ID, "status": "completed", "usage": WORDS, "steps": [put_out(film(uri=GCS)), ASKED]},
        ),
        LateRefusal(
            rejected(
                "it ended without a video, a text or a charge (in the EEA, CH and UK uploaded clips cannot be edited)"
            ),
            {"input": 19, "video": 0, "output": 265},
            by_absence=True,
            usage=WORDS,
        ),
    ),
    "words instead": (
        interaction("completed", put_out({"type": "text", "text": "I can't make that."}), THOUGHT, usage=WORDS),
        LateRefusal(rejected(SORRY), {"input": 19, "video": 0, "output": 265}, usage=WORDS),
    ),
    "words and no usage": (
        interaction("completed", put_out({"type": "text", "text": "I can't make that."})),
        LateRefusal(rejected(SORRY)),
    ),
    "billed, but not there": (
        interaction("completed", put_out({"type": "hologram"}, {"type": "text", "text": "look"}), usage=USAGE),
        Finished(tokens=TOKENS, note="it ended completed and is billed as a video, but holds none"),
    ),
    "neither video nor words nor usage": (interaction("completed"), Finished()),
    "a video that is nowhere": (interaction("completed", put_out(film())), Finished()),
    "cancelled": (interaction("cancelled"), Finished(note="it was cancelled at Google")),
    "incomplete": (interaction("incomplete"), Failure(None, "it ended incomplete: no message")),
    "over budget": (interaction("budget_exceeded"), Failure(None, "it ended budget_exceeded: no message")),
    "failed, error": (interaction("failed", error={"code": "api_error", "message": "oh"}), Failure(13, "oh")),
    "failed, errors": (interaction("failed", errors=[{"code": "invalid_request", "message": "oh"}]), Failure(3, "oh")),
    "failed, in a step": (
        interaction("failed", {"type": "model_output", "error": {"code": 14}}),
        Failure(14, "no message"),
    ),
    "failed, as of old": (
        interaction("failed", error={"code": 500, "status": "INTERNAL", "message": "oh"}),
        Failure(13, "oh"),
    ),
    "failed, in words": (interaction("failed", error="oh"), Failure(None, "oh")),
    "failed, mute": (interaction("failed"), Failure(None, "no message")),
    "failed, high load": (
        interaction("failed", error={"code": "too_many_requests", "message": "high load"}),
        Failure(8, "high load"),
    ),
    "failed for want of quota": (
        interaction("failed", error={"code": "too_many_requests", "message": QUOTA}),
        LateRefusal(Verdict(REFUSED, QUOTA, refusal=Refusal.MINUTE, retry_after=23.397, limit=8, status=429)),
    ),
    "failed, yet billed": (
        interaction("failed", usage=USAGE, error={"code": "too_many_requests", "message": QUOTA}),
        Finished(tokens=TOKENS, note="it ended failed and is billed as a video, but holds none"),
    ),
    "odd shapes": (
        interaction(
            "completed", 7, {"type": "model_output", "content": 7}, put_out({"type": "text", "text": 7}), usage=7
        ),
        Finished(),
    ),
}


@pytest.mark.parametrize("case", LOOKS)
async def test_a_poll_returns_the_state_of_the_interaction(case: str) -> None:
    act, expected = LOOKS[case]
    async with serving(act) as wire, opened(wire.url) as backend:
        assert await backend.poll(ID) == expected
    [request] = wire.requests
    assert (request.method, request.path) == ("GET", f"/v1/interactions/{ID}?stream=false")
    assert request.headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("size", [0, 700_000])
async def test_an_inline_video_is_in_a_file_of_the_output_directory(size: int, tmp_path: Path) -> None:
    whole = MP4 + b"\x07" * size
    clips = tmp_path / "to" / "come"
    shown = {"type": "user_input", "content": [{"type": "image", "mime_type": "image/png", "data": b64(PNG)}]}
    body = {"id": ID, "status": "completed", "steps": [shown, put_out(film(data=b64(whole)))]}
    async with serving(answer(200, body)) as wire, opened(wire.url, output_dir=clips) as backend:
        seen = await backend.poll(ID)
    assert isinstance(seen, Finished)
    [video] = seen.videos
    assert (video.data, video.uri) == (None, None)
    assert video.file is not None
    assert video.file.read_bytes() == whole
    assert names(clips) == [video.file.name]  # of the model's input nothing remains
    saving.drop(video.file)


async def test_a_video_that_is_inline_and_a_file_is_both_and_not_waited_for(tmp_path: Path) -> None:
    act = interaction("completed", put_out(film(uri=FILE, data=b64(MP4))))
    async with serving(act) as wire, opened(wire.url, output_dir=tmp_path) as backend:
        seen = await backend.poll(ID)
    assert isinstance(seen, Finished)
    [video] = seen.videos
    assert (video.uri, len(wire.requests)) == (FILE, 1)
    assert video.file is not None
    saving.drop(video.file)


async def test_a_disk_that_refuses_a_video_is_no_failed_poll(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("not a directory")
    act = interaction("completed", put_out(film(data=b64(MP4))))
    async with serving(act) as wire, opened(wire.url, output_dir=tmp_path / "clips") as backend:
        with pytest.raises(FetchError, match=r"^cannot write .*clips: File exists\. The video is made and paid"):
            await backend.poll(ID)


@pytest.mark.parametrize(
    "act",
    [
        said(400, "invalid_request", f"Invalid interaction name: interactions/{ID}"),
        said(404, "not_found", "gone"),
    ],
)
async def test_an_interaction_that_google_does_not_know_is_gone(act: Act) -> None:
    async with serving(act) as wire, opened(wire.url) as backend:
        with pytest.raises(OperationGone, match=f"^Google does not know {ID}: "):
            await backend.poll(ID)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a#b", "a b", "a%2f", "projects/p/operations/7d1f", "ä"])
async def test_a_name_that_is_none_is_asked_for_nowhere(name: str) -> None:
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        with pytest.raises(OperationGone):
            await backend.poll(name)
    assert wire.connections == 0


FAILED_POLLS = {
    "400 that passes": said(400, "invalid_request", "Multiple authentication credentials received"),
    "500": said(500, "api_error"),
    "429": said(429, "too_many_requests"),
    "401": said(401, "unauthenticated"),
    "403": answer(403, [{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]),
    "503 html": answer(503, PAGE),
    "404 html": answer(404, PAGE),  # a proxy's: the operation may be known to Google
    "404 of a gateway": answer(404, {"message": "no route"}),
    "504 empty": answer(504),
    "redirect": answer(307, PAGE, Location="/elsewhere"),
    "dropped": drop,
    "no answer": hang,
    "not JSON": answer(200, PAGE),
    "a list": answer(200, []),
    "no status": answer(200, {"id": ID}),
    "a status that is a number": interaction(7),
    "an error with 200": answer(200, {"error": {"code": "too_many_requests", "message": QUOTA}}),
    "another interaction": answer(200, {"id": "v1_other", "status": "completed"}),
    "a video that is not base64": interaction("completed", put_out(film(data="?"))),
    "half": then_close(raw(NAMED_BYTES[:-4])),
}


@pytest.mark.parametrize("case", FAILED_POLLS)
async def test_a_failed_poll_names_the_interaction_and_proves_nothing(case: str, tmp_path: Path) -> None:
    timeout = 0.25 if case == "no answer" else 20.0
    async with (
        serving(FAILED_POLLS[case]) as wire,
        opened(wire.url, request_timeout=timeout, output_dir=tmp_path) as backend,
    ):
        with pytest.raises(PollError, match=rf"^polling {ID}: \w+") as failed:
            await backend.poll(ID)
        await asyncio.sleep(0.01)
    assert len(wire.requests) == 1  # the engine repeats it
    assert failed.value.verdict is None
    assert failed.value.refused == (case == "429")
    assert names(tmp_path) == []


async def test_a_poll_of_a_server_that_is_down_fails() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as backend:
        with pytest.raises(PollError, match="APIConnectionError"):
            await backend.poll(ID)


# ---- accepted, then refused ------------------------------------------------------------------------------------------

LATE = said(429, "too_many_requests", QUOTA)


async def late(backend: GeminiBackend) -> PollError:
    with pytest.raises(PollError) as failed:
        await backend.poll(ID)
    return failed.value


@pytest.mark.parametrize(
    ("message", "refusal", "proof", "delay"),
    [
        (QUOTA, Refusal.MINUTE, 24.0, 23.397),
        ("Resource exhausted. Please retry in 23.4s.", Refusal.UNKNOWN, 601.0, 23.4),
    ],
)
async def test_a_429_to_every_poll_beyond_its_delay_is_the_submits(
    message: str, refusal: Refusal, proof: float, delay: float
) -> None:
    async with serving(said(429, "too_many_requests", message)) as wire, opened(wire.url) as backend:
        polls = [await late(backend) for _ in range(4)]  # often enough, but too soon
        assert [(error.refused, error.retry_after) for error in polls] == [(True, delay)] * 4
        # Only one that names a quota concerns submits; the other may mean too many polls.
        named = [refusal] * 4 if refusal is Refusal.MINUTE else []
        assert [error.verdict.refusal for error in polls if error.verdict] == named
        backend._interactions._doubts[ID].until -= proof
        seen = await backend.poll(ID)
    assert isinstance(seen, LateRefusal)
    assert (seen.verdict.kind, seen.verdict.refusal, seen.verdict.message) == (REFUSED, refusal, message)
    assert {request.method for request in wire.requests} == {"GET"}


async def test_long_ago_is_not_often() -> None:
    async with serving(LATE) as wire, opened(wire.url) as backend:
        assert (await late(backend)).verdict
        backend._interactions._doubts[ID].until -= 1e6
        assert (await late(backend)).verdict
        assert isinstance(await backend.poll(ID), LateRefusal)


async def test_a_poll_that_succeeds_removes_the_doubt() -> None:
    async with serving(LATE, LATE, interaction("in_progress"), LATE) as wire, opened(wire.url) as backend:
        await late(backend)
        await late(backend)
        assert await backend.poll(ID) == Running()
        await late(backend)
        assert backend._interactions._doubts[ID].polls == 1


# ---- the file --------------------------------------------------------------------------------------------------------

MADE = interaction("completed", put_out(film(uri=FILE)))


def state(name: str) -> Act:
    return answer(200, {"name": "files/ak5xpg0kiews", "state": name})


@pytest.mark.parametrize(
    ("act", "ready"),
    [
        (state("PROCESSING"), False),
        (state("ACTIVE"), True),
        (answer(200, {"name": "files/ak5xpg0kiews"}), True),
        (rpc(404, "NOT_FOUND"), True),
        (rpc(403, "PERMISSION_DENIED"), True),
    ],
)
async def test_a_finished_video_is_running_until_its_file_is_there(act: Act, ready: bool) -> None:
    async with serving(MADE, act) as wire, opened(wire.url) as backend:
        seen = await backend.poll(ID)
    assert seen == (Finished((Video(uri=FILE),)) if ready else Running())
    assert [request.path for request in wire.requests][1] == "/v1/files/ak5xpg0kiews"


@pytest.mark.parametrize("why", ["The file could not be processed.", None])
async def test_a_video_whose_file_failed_is_not_there_and_never_will_be(why: str | None) -> None:
    failed = {
        "name": "files/ak5xpg0kiews",
        "state": "FAILED",
        **({"error": {"code": 13, "message": why}} if why else {}),
    }
    async with serving(MADE, answer(200, failed)) as wire, opened(wire.url) as backend:
        seen = await backend.poll(ID)
    note = f"it is made, but Google failed to store its file files/ak5xpg0kiews: {why or 'no reason given'}"
    assert seen == Finished(note=note)


@pytest.mark.parametrize("act", [rpc(500, "INTERNAL"), rpc(429, "RESOURCE_EXHAUSTED"), drop])
async def test_a_failed_request_for_the_file_is_repeated(act: Act) -> None:
    async with serving(MADE, act) as wire, opened(wire.url) as backend:
        with pytest.raises(PollError, match=f"^polling {ID}: its file files/ak5xpg0kiews: "):
            await backend.poll(ID)
    assert {request.method for request in wire.requests} == {"GET"}


async def test_a_file_is_not_waited_for_for_ever() -> None:
    async with serving(MADE, state("PROCESSING"), MADE) as wire, opened(wire.url) as backend:
        assert await backend.poll(ID) == Running()
        backend._processing[ID] -= gemini.PROCESSING_PATIENCE
        assert await backend.poll(ID) == Finished((Video(uri=FILE),))
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("uri", "url", "gets_key"),
    [
        (FILE, FILE, True),
        ("https://127.0.0.1:8787/v1/files/a:download", "http://127.0.0.1:8787/v1/files/a:download", True),
        ("http://127.0.0.1:8787/v1/files/a:download", "http://127.0.0.1:8787/v1/files/a:download", True),
        ("http://127.0.0.1:9999/v1/files/a:download", "http://127.0.0.1:9999/v1/files/a:download", False),
        ("https://127.0.0.1.evil.net:8787/files/a", "https://127.0.0.1.evil.net:8787/files/a", False),
        ("https://evil-googleapis.com/files/a", "https://evil-googleapis.com/files/a", False),
        ("http://storage.googleapis.com/files/a", "http://storage.googleapis.com/files/a", False),
        ("https://storage.googleapis.com@evil.net/a", "https://storage.googleapis.com@evil.net/a", False),
        ("", "", False),
    ],
)
async def test_the_key_goes_to_google_and_to_the_configured_address_only(uri: str, url: str, gets_key: bool) -> None:
    async with opened("http://127.0.0.1:8787") as backend:
        assert await backend.locate(uri) == (url, {"x-goog-api-key": KEY} if gets_key else {})


async def test_a_mock_server_that_is_asked_without_a_key_is_asked_so_for_the_film_too() -> None:
    url = "http://127.0.0.1:8787"
    backend = await GeminiBackend.open(settings(base_url=url, backend="gemini"))
    assert await backend.locate(f"{url}/film.mp4") == (f"{url}/film.mp4", {"x-goog-api-key": "none"})
    await backend.aclose()


async def test_without_a_configured_address_https_stays_https() -> None:
    backend = await GeminiBackend.open(settings(api_key=KEY))
    assert await backend.locate(FILE) == (FILE, {"x-goog-api-key": KEY})
    assert await backend.locate("/film.mp4") == ("/film.mp4", {})
    await backend.aclose()


# ---- who pays, and secrets that must not appear --------------------------------------------------------------------


async def test_missing_credentials_are_a_usage_error_that_names_the_ways() -> None:
    with pytest.raises(UsageError, match=r"^The Gemini API needs a key: set GEMINI_API_KEY"):
        await GeminiBackend.open(settings(backend="gemini"))


async def test_a_server_on_this_machine_takes_anybody() -> None:
    async with serving(NAMED) as wire, opened(wire.url, api_key=None) as backend:
        assert (await backend.submit(VideoPrompt(text="a boat"), MODEL)).kind is VerdictKind.ACCEPTED


async def test_a_bucket_is_refused_before_anything_is_paid() -> None:
    with pytest.raises(UsageError, match=r"^VEO3_OUTPUT_GCS_URI=gs://b: the Gemini API cannot write to buckets\."):
        await GeminiBackend.open(settings(api_key=KEY, output_gcs_uri="gs://b"))
    async with serving(NAMED) as wire, opened(wire.url) as backend:
        verdict = await backend.submit(VideoPrompt(text="a boat"), MODEL, output_uri="gs://b/1/")
        with pytest.raises(PollError):
            await backend.find("gs://b/1/")
    assert (verdict.kind, verdict.unsent, wire.connections) == (REJECTED, True, 0)


@pytest.mark.parametrize("enterprise", ["true", "false", None])
async def test_explicit_settings_are_not_changed_by_the_environment(
    enterprise: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    if enterprise is not None:
        monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", enterprise)
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", enterprise)
    verdict, wire = await verdict_of(NAMED, project=None)
    assert verdict.kind is VerdictKind.ACCEPTED
    [request] = wire.requests
    assert (request.path, request.headers["x-goog-api-key"]) == ("/v1/interactions", KEY)
    assert "authorization" not in request.headers


async def test_without_a_configured_address_it_is_google_whatever_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    backend = await GeminiBackend.open(settings(api_key=KEY))
    assert str(backend._client._api_client._http_options.base_url).rstrip("/") == gemini.GOOGLE
    await backend.aclose()


async def test_the_api_version_stands_in_every_path() -> None:
    async with serving(NAMED, MADE, state("ACTIVE")) as wire, opened(wire.url, api_version="v1beta") as backend:
        await backend.submit(VideoPrompt(text="a boat"), MODEL)
        await backend.poll(ID)
    assert [request.path.split("/")[1] for request in wire.requests] == ["v1beta"] * 3


ECHO = f"Permission denied: Consumer 'api_key:{KEY}' has been suspended. {QUOTA}"


@pytest.mark.parametrize("act", [said(403, "denied", ECHO), said(400, "x", ECHO), said(429, "x", ECHO), drop, NAMED])
async def test_the_key_appears_nowhere(act: Act, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    outputs: list[str] = []
    async with serving(act) as wire:
        chosen = settings(
            base_url=wire.url,
            api_key=KEY,
            output_dir=tmp_path,
            operation_timeout=0.02,
            quota_patience=0.0,
        )
        backend = await GeminiBackend.open(chosen)
        outputs += [repr(backend), repr(await backend.submit(VideoPrompt(text="a boat"), MODEL))]
        try:
            outputs.append(repr(await backend.poll(ID)))
        except (PollError, OperationGone) as error:
            outputs += [repr(error), repr(getattr(error, "verdict", None))]
        await backend.aclose()
        async with VeoClient(chosen) as veo:
            [clip] = await veo.generate_many(["a boat"])
            outputs += [repr(clip), clip.model_dump_json(), repr(veo.stats()), repr(veo)]
    outputs += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert [text for text in outputs if KEY in text] == []
    assert wire.requests[0].headers["x-goog-api-key"] == KEY


# ---- with the client -------------------------------------------------------------------------------------------------


async def test_the_client_makes_a_clip_and_pays_what_google_bills(tmp_path: Path) -> None:
    from aveo3.testing.scripted import FILM

    body = {"id": ID, "status": "completed", "usage": USAGE, "steps": [put_out(film(data=b64(FILM)))]}
    async with serving(NAMED, answer(200, body)) as wire:
        chosen = settings(base_url=wire.url, api_key=KEY, model=MODEL, output_dir=tmp_path, poll_interval=0.001)
        async with VeoClient(chosen) as veo:
            clip = await veo.generate({"text": "a boat", "duration_seconds": 3})
    assert (clip.status, clip.model, clip.operation) == (ClipStatus.SUCCEEDED, MODEL, ID)
    assert clip.path is not None
    assert clip.path.read_bytes() == FILM
    assert clip.cost_usd == 0.3107  # 17,376 of 17.50, 732 of 9 and 19 of 1.50 US$ a million


async def test_a_prompt_answered_in_words_is_filtered_and_costs_the_words(tmp_path: Path) -> None:
    async with serving(NAMED, LOOKS["words instead"][0]) as wire:
        chosen = settings(base_url=wire.url, api_key=KEY, output_dir=tmp_path, poll_interval=0.001)
        async with VeoClient(chosen) as veo:
            [clip] = await veo.generate_many(["a boat"])
    assert (clip.status, clip.error_kind, clip.error_message) == (ClipStatus.FILTERED, "safety", SORRY)
    assert clip.cost_usd == 0.0024


def test_the_sdk_is_not_imported_before_a_backend_is_built() -> None:
    code = "import sys, aveo3.client, aveo3.backends.omni; print('google.genai' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


async def test_the_sdk_makes_its_models_for_the_first_submit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes milliseconds in which the loop stands still; a batch of 2,000 stood still for seconds."""

    def make(*_: object, **__: object) -> None:
        raise AssertionError("a model was made again")

    async with serving(NAMED) as wire, opened(wire.url) as backend:
        first = await backend.submit(VideoPrompt(text="a boat"), MODEL)
        models: Any = sys.modules["google.genai._gaos.utils.serializers"]
        monkeypatch.setattr(models.create_model, "_make", make)
        second = await backend.submit(VideoPrompt(text="a kite"), MODEL)
    assert (first.kind, second.kind) == (VerdictKind.ACCEPTED, VerdictKind.ACCEPTED), second.message


def test_only_models_of_one_field_are_kept() -> None:
    made: list[str] = []

    def make(name: str, **_: object) -> object:
        made.append(name)
        return object()

    models = one_post._Models(make)
    config: dict[str, object] = {}
    kept = models("A", body=(int | str, ...), __config__=config)
    assert models("A", body=(int | str, ...), __config__=config) is kept
    assert models("A", body=(str | int, ...), __config__=config) is not kept
    assert models("A", body=(int | str, ...), __config__={"strict": True}) is not kept
    assert models("A", body=(int | str, ...)) is not models("A", body=(int | str, ...))
    assert len(made) == 5
