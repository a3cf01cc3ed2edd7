"""Each fault on the Interactions API, on the right side of the commit point. The books prove it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aveo3.mock import FAULTS
from aveo3.mock.config.faults import OF_NO_CLIP, Point
from tests.support.interactions import KEY, PATH, PRICE, TOKEN, URI, VERTEX, VERTEX_MODEL, film_path, talking, video

GONE = "ServerDisconnectedError"
BEFORE: dict[str, tuple[int | str, str | None]] = {
    "drop-before": (GONE, None),
    "timeout-before": (GONE, None),
    "500-before": (500, "api_error"),
    "500-bare": (500, None),
    "502-before": (502, None),
    "503": (503, "service_unavailable"),
    "503-bare": (503, None),
    "504-before": (504, "deadline_exceeded"),
    "overloaded": (429, "too_many_requests"),
    "redirect": (307, None),
    "bad-key": (400, "[400]"),
    "country": (400, "failed_precondition"),
    "billing": (402, "payment_required"),
    "prepaid": (429, "too_many_requests"),
    "permission": (403, "[403]"),
    "key-blocked": (403, "[403]"),
    "api-disabled": (403, "[403]"),
    "no-billing": (403, "[403]"),
    "no-access": (429, "too_many_requests"),
    "late-429": (200, None),
}
AFTER: dict[str, tuple[int | str, str | None]] = {
    "drop-after": (GONE, None),
    "timeout-after": (GONE, None),
    "500-after": (500, "api_error"),
    "502-after": (502, None),
    "503-after": (503, "service_unavailable"),
    "504-after": (504, "deadline_exceeded"),
    "array-after": (500, "[500]"),
    "truncated-after": ("ClientPayloadError", None),
    "nameless-after": (200, None),
    "garbage-after": (200, None),
}


def code_of(body: Any) -> str | None:
    """Return the code of an error, in brackets if it came inside a list."""
    if isinstance(body, list):
        return f"[{body[0]['error']['code']}]"
    return body["error"]["code"] if isinstance(body, dict) and "error" in body else None


@pytest.mark.parametrize(("name", "expected"), [*BEFORE.items(), *AFTER.items()])
async def test_a_fault_on_create_keeps_to_its_side_of_the_commit_point(
    name: str, expected: tuple[int | str, str | None]
) -> None:
    async with talking(f"{name}@1") as talk:
        request = {"model": "gemini-omni-1.1-flash", "input": "a boat", "background": True, "response_format": URI}
        status, body, _ = await talk.ask("POST", PATH, request, allow_redirects=False)
        assert (status, code_of(body)) == expected
        owed = 1 if name in AFTER else 0
        assert (talk.server.books.accepted, talk.server.books.faults) == (owed, {name: 1})
        assert (await talk.create()).status == 200  # the fault strikes only the first request
        books = talk.server.books
        assert (books.submits, books.posts[PATH], books.accepted) == (2, 2, owed + 1)
        assert books.billed_usd == pytest.approx((owed + 1) * 8 * PRICE)


async def test_a_200_without_an_id_is_otherwise_complete() -> None:
    async with talking("nameless-after") as talk:
        body = (await talk.create()).body
        assert (body["status"], "id" in body) == ("in_progress", False)


async def test_a_client_that_follows_a_redirect_sends_the_request_again() -> None:
    async with talking("redirect@1") as talk:
        assert (await talk.create()).status == 200
        assert (talk.server.books.submits, talk.server.books.accepted) == (2, 1)


async def test_a_late_429_creates_nothing_and_comes_with_every_poll() -> None:
    async with talking("late-429@1", speed=1) as talk:
        name = (await talk.create()).body["id"]
        for _ in range(2):
            response = await talk.get(name)
            assert (response.status, response.body["error"]["code"]) == (429, "too_many_requests")
            assert response.body["error"]["message"].endswith(" Please retry in 23.397s.")
        assert (await talk.ask("POST", f"{PATH}/{name}/cancel")).status == 400
        assert talk.server.books.running == 0


REFUSED = ("partial", "filtered-audio", "filtered-safety", "filtered-input")
FAILED: dict[str, Callable[[Any], bool]] = {
    "error-8": lambda body: body["errors"][0]["code"] == "too_many_requests",
    "error-13": lambda body: body["errors"][0]["code"] == "api_error",
    "error-14": lambda body: body["errors"][0]["code"] == "service_unavailable",
    "failed-error": lambda body: body["error"]["code"] == "api_error",
    "failed-step": lambda body: body["steps"][-1]["error"]["code"] == 13,
    "failed-mute": lambda body: not {"error", "errors"} & set(body) and len(body["steps"]) == 1,
}
STATUSES = {"incomplete": "incomplete", "over-budget": "budget_exceeded", "odd-status": "evaporated"}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_filtered_interaction_is_completed_with_a_text_and_without_video_tokens(name: str) -> None:
    async with talking(f"{name}@1") as talk:
        done = await talk.done()
        assert (done["status"], "error" in done, "errors" in done) == ("completed", False, False)
        [content] = [step["content"] for step in done["steps"] if step["type"] == "model_output"]
        assert [block["type"] for block in content] == ["text"]
        assert done["usage"]["output_tokens_by_modality"] == []
        assert done["usage"]["total_output_tokens"] > 0
        books = talk.server.books
        assert (books.accepted, books.outcomes, books.billed_usd) == (1, {name: 1}, 0)


@pytest.mark.parametrize("name", [*FAILED, *STATUSES])
async def test_an_end_without_a_video_is_not_billed(name: str) -> None:
    async with talking(f"{name}@1") as talk:
        done = await talk.done()
        assert done["status"] == STATUSES.get(name, "failed")
        assert name not in FAILED or FAILED[name](done)
        assert "usage" not in done
        books = talk.server.books
        assert (books.accepted, books.outcomes, books.billed_usd) == (1, {name: 1}, 0)


async def test_an_empty_end_has_no_tokens_or_no_steps() -> None:
    async with talking("empty@1", "empty-done@2") as talk:
        done = await talk.done()
        assert ([step["type"] for step in done["steps"]], done["usage"]["total_output_tokens"]) == (["user_input"], 0)
        done = await talk.done()
        assert (done["status"], {"steps", "usage"} & set(done)) == ("completed", set())
        assert talk.server.books.billed_usd == 0


async def test_a_billed_but_unreadable_video_has_video_tokens() -> None:
    async with talking("unread@1") as talk:
        done = await talk.done()
        assert done["usage"]["output_tokens_by_modality"] == [{"modality": "video", "tokens": 8 * 5792}]
        assert done["steps"][-1]["content"][0]["type"] not in ("video", "text")
        assert (talk.server.books.videos, talk.server.books.billed_seconds) == (1, 8)


async def test_a_billed_video_can_be_in_the_bucket_and_not_in_the_answer() -> None:
    ask = {"delivery": "uri", "gcs_uri": "gs://bucket/out"}
    async with talking("unshown@1") as talk:
        created = await talk.create(VERTEX, TOKEN, model=VERTEX_MODEL, response_format={"type": "video", **ask})
        done = (await talk.get(created.body["id"], VERTEX, TOKEN)).body
        assert (done["status"], {"steps", "usage"} & set(done)) == ("completed", set())
        listed = (await talk.ask("GET", "/storage/v1/b/bucket/o?prefix=out/", headers=TOKEN)).body
        assert len(listed["items"]) == 1
        assert (talk.server.books.videos, talk.server.books.billed_seconds) == (1, 10)


async def test_a_file_can_fail_after_its_interaction_has_completed() -> None:
    async with talking("file-failed@1") as talk:
        path = film_path(await talk.done())
        file = (await talk.ask("GET", path.partition(":")[0])).body
        assert (file["state"], file["error"]["code"]) == ("FAILED", 13)
        assert (await talk.ask("GET", path)).status == 400
        assert talk.server.books.billed_seconds == 8


async def test_slow_and_stuck_interactions() -> None:
    async with talking("slow@1", "stuck@2", latency="1000") as talk:
        for _ in range(3):
            await talk.create()
        instants = [instant for instant, _, _ in sorted(talk.server.emulator.operations._ending)]
        assert instants[1] - instants[0] > 8000
        assert instants[2] == float("inf")


POLLS: dict[str, tuple[int | str, str | None]] = {
    "poll-500": (500, "api_error"),
    "poll-503": (503, "service_unavailable"),
    "poll-429": (429, "too_many_requests"),
    "poll-404": (400, "invalid_request"),  # as for an unknown interaction
    "poll-400": (400, "invalid_request"),
    "poll-array": (500, "[500]"),
    "poll-drop": (200, None),  # aiohttp itself repeats a cut GET once
    "poll-hang": (200, None),
    "poll-garbage": (200, None),
    "poll-nameless": (200, None),
    "poll-pending": (200, None),
    "poll-queued": (200, None),
    "poll-inline": (200, None),
}


@pytest.mark.parametrize(("name", "expected"), POLLS.items())
async def test_a_failed_poll_changes_nothing(name: str, expected: tuple[int | str, str | None]) -> None:
    async with talking(f"{name}@2") as talk:
        done = await talk.done()
        status, body, _ = await talk.get(done["id"])
        assert (status, code_of(body)) == expected
        repeated = name in ("poll-drop", "poll-hang")
        if repeated or name in ("poll-garbage", "poll-nameless"):
            assert body == {"poll-garbage": b"<html>It works!</html>", "poll-nameless": {}}.get(name, done)
        if name in ("poll-pending", "poll-queued"):
            assert body["status"] == {"poll-pending": "in_progress", "poll-queued": "queued"}[name]
        if name == "poll-inline":
            assert (len(video(body)["data"]) > 1000, "uri" in video(body)) == (True, False)
        assert (talk.server.books.polls, talk.server.books.faults) == (2 + repeated, {name: 1})
        assert (await talk.get(done["id"])).body == done


@pytest.mark.parametrize("name", [name for name, (point, _) in FAULTS.items() if point is Point.DOWNLOAD])
async def test_a_failed_download_can_be_repeated(name: str) -> None:
    async with talking(f"{name}@1") as talk:
        path = film_path(await talk.done())
        await talk.ask("GET", path, headers={**KEY, "Range": "bytes=0-"})
        again = await talk.ask("GET", path)
        assert (again.status, again.body[4:8]) == (200, b"ftyp")
        assert (talk.server.books.downloads, talk.server.books.faults) == (2, {name: 1})


@pytest.mark.parametrize(("name", "code"), [("503", 503), ("bad-key", 400), ("500-after", 500), ("poll-503", 503)])
async def test_on_vertex_faults_have_googles_numbers(name: str, code: int) -> None:
    async with talking(f"{name}@1") as talk:
        heard = await talk.create(VERTEX, TOKEN, model=VERTEX_MODEL, response_format=None)
        if name == "poll-503":
            heard = await talk.get(heard.body["id"], VERTEX, TOKEN)
        assert (heard.status, heard.body["error"]["code"]) == (code, code)


def test_every_fault_that_can_strike_an_interaction_has_a_test() -> None:
    tested = {*BEFORE, *AFTER, *REFUSED, *FAILED, *STATUSES, *POLLS}
    tested |= {"empty", "empty-done", "unread", "unshown", "file-failed", "slow", "stuck"}
    elsewhere = (Point.DOWNLOAD, Point.STORAGE, *OF_NO_CLIP)
    assert tested == {name for name, (point, _) in FAULTS.items() if point not in elsewhere}
