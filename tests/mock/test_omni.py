"""The Interactions API over real sockets: create, get, cancel, delete, on both surfaces, and the books."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from aveo3.mock.state.films import bundled
from tests.support.interactions import (
    KEY,
    MODEL,
    PATH,
    PRICE,
    TOKEN,
    URI,
    VERTEX,
    VERTEX_MODEL,
    film_path,
    talking,
    video,
)

# -- create and get ----------------------------------------------------------------------------------------------------


async def test_an_accepted_interaction_is_short_and_a_running_one_repeats_the_request() -> None:
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    async with talking(latency="1000", speed=1, now_utc=lambda: now) as talk:
        status, accepted, headers = await talk.create(labels={"job": "j1"})
        assert (status, headers["Content-Type"]) == (200, "application/json; charset=UTF-8")
        assert accepted == {
            "id": accepted["id"],
            "status": "in_progress",
            "created": "2026-11-23T12:00:00Z",
            "updated": "2026-11-23T12:00:00Z",
            "service_tier": "standard",
            "object": "interaction",
            "model": MODEL,
        }
        secret = accepted["id"].removeprefix("v1_")
        assert base64.urlsafe_b64decode(secret + "==")[:2] == b"\n\x17"
        assert (await talk.get(accepted["id"])).body == {
            **accepted,
            "response_format": URI,
            "labels": {"job": "j1"},
            "steps": [{"type": "user_input", "content": [{"type": "text", "text": "a boat"}]}],
        }
        assert talk.server.books.running == 1


async def test_a_completed_interaction_has_usage_and_the_uri_of_its_film() -> None:
    async with talking() as talk:
        done = await talk.done(response_format={**URI, "duration": "3s"})
        assert (done["status"], done["created"]) == ("completed", done["updated"])
        assert [step["type"] for step in done["steps"]] == ["user_input", "thought", "model_output"]
        assert done["usage"]["output_tokens_by_modality"] == [{"modality": "video", "tokens": 17376}]  # as recorded
        parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
        assert done["usage"]["total_tokens"] == sum(done["usage"][part] for part in parts)
        status, film, headers = await talk.ask("GET", film_path(done))
        assert (status, film, headers["Content-Type"]) == (200, bundled(), "video/mp4")
        books = talk.server.books.as_dict()
        assert books["accepted_by_prompt"] == {"a boat": 1}
        assert (books["submits"], books["polls"], books["videos"], books["billed_seconds"]) == (1, 1, 1, 3)
        assert books["billed_usd"] == pytest.approx(3 * PRICE, abs=1e-6)
        assert books["posts"] == {PATH: 1}


async def test_without_a_delivery_the_film_comes_inline() -> None:
    async with talking() as talk:
        for response_format in (None, {"type": "video"}, {**URI, "delivery": "inline"}):
            block = video(await talk.done(response_format=response_format))
            assert (base64.b64decode(block["data"]), block["mime_type"], "uri" in block) == (
                bundled(),
                "video/mp4",
                False,
            )
        assert talk.server.books.billed_seconds == 10 + 10 + 8


@pytest.mark.parametrize(
    "shape",
    [
        "a boat",
        {"type": "text", "text": "a boat"},
        [{"type": "text", "text": "a boat"}],
        [{"type": "user_input", "content": [{"type": "text", "text": "a boat"}]}],
        [{"type": "user_input", "content": "a boat"}],
    ],
)
async def test_all_shapes_of_input_are_echoed_in_one(shape: Any) -> None:
    async with talking() as talk:
        done = await talk.done(input=shape)
        assert done["steps"][0] == {"type": "user_input", "content": [{"text": "a boat", "type": "text"}]}
        response = await talk.ask("GET", f"{PATH}/{done['id']}?include_input=true&stream=false")
        assert response.body["input"] == [{"text": "a boat", "type": "text"}]
        assert talk.server.books.accepted_by_prompt == {"a boat": 1}


async def test_media_are_echoed_without_their_bytes() -> None:
    async with talking() as talk:
        image = {"type": "image", "mime_type": "image/png", "data": base64.b64encode(b"picture").decode()}
        done = await talk.done(input=[image, {"type": "text", "text": "it sails"}])
        assert done["steps"][0]["content"][0] == {"type": "image", "mime_type": "image/png"}
        assert {"modality": "image", "tokens": 258} in done["usage"]["input_tokens_by_modality"]


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta1"])
async def test_every_version_answers(version: str) -> None:
    async with talking() as talk:
        path = f"/{version}/interactions"
        accepted = await talk.create(path)
        done = await talk.get(accepted.body["id"], path)
        assert film_path(done.body).startswith(f"/{version}/files/")


async def test_in_the_foreground_the_response_waits_for_the_film() -> None:
    async with talking(latency="20") as talk:
        status, done, _ = await talk.create(background=None)
        assert (status, done["status"], "uri" in video(done)) == (200, "completed", True)
        assert (await talk.get(done["id"])).body == done
        unstored = (await talk.create(background=None, store=False)).body
        assert unstored["status"] == "completed"
        assert (await talk.get(unstored["id"])).status == 400


async def test_the_server_stops_without_waiting_for_a_stuck_film() -> None:
    async with talking("stuck") as talk:
        waiting = asyncio.create_task(talk.create(background=None))
        await asyncio.wait([waiting], timeout=0.05)
        assert talk.server.books.running == 1
        left_at = asyncio.get_running_loop().time()
    assert (await waiting).status == "ServerDisconnectedError"
    assert asyncio.get_running_loop().time() - left_at < 1


async def test_an_unknown_interaction_is_a_400_and_not_a_404() -> None:
    async with talking() as talk:
        for method, path in (("GET", "v1_x?stream=false"), ("POST", "v1_x/cancel"), ("DELETE", "v1_x")):
            heard = await talk.ask(method, f"{PATH}/{path}")
            error = {"message": "Invalid interaction name: interactions/v1_x", "code": "invalid_request"}
            assert (heard.status, heard.body) == (400, {"error": error})


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        (PATH, {}, 403, "Method doesn't allow unregistered callers"),
        (PATH, TOKEN, 200, ""),
        (VERTEX, {}, 401, "Request is missing required authentication credential."),
        (VERTEX, KEY, 401, "API keys are not supported by this API."),
    ],
)
async def test_the_front_end_checks_credentials(path: str, headers: Any, status: int, words: str) -> None:
    async with talking() as talk:
        heard = await talk.create(path, headers)
        assert heard.status == status
        if status != 200:
            [body] = heard.body if path == PATH else [heard.body]  # inside a list on the Developer API
            assert (body["error"]["code"], body["error"]["message"].startswith(words)) == (status, True)
            assert talk.server.books.rejected == {status: 1}


async def test_omni_works_only_with_interactions_and_veo_only_without() -> None:
    async with talking() as talk:
        heard = await talk.ask("POST", f"/v1beta/models/{MODEL}:generateContent", {"contents": []})
        assert (heard.status, heard.body["error"]["message"]) == (400, "This model only supports Interactions API.")
        assert (await talk.ask("POST", f"/v1beta/models/{MODEL}:predictLongRunning", {"instances": [{}]})).status == 404
        for model, words in (
            ("veo-3.1-generate-preview", "is not found for API version v1, or is not supported for interactions."),
            ("gemini-omni-flash-preview", "This model models/gemini-omni-flash-preview is no longer available."),
        ):
            error = (await talk.create(model=model)).body["error"]
            assert (error["code"], words in error["message"]) == ("model_not_found", True)


# -- previous_interaction_id -------------------------------------------------------------------------------------------


async def test_an_edit_lasts_as_long_as_its_clip_and_an_extension_longer() -> None:
    async with talking() as talk:
        first = await talk.done(response_format={**URI, "aspect_ratio": "9:16"})
        edit = await talk.done(previous_interaction_id=first["id"], input="make it red", response_format=None)
        assert (edit["previous_interaction_id"], edit["usage"]["total_output_tokens"] > 8 * 5792) == (first["id"], True)
        assert talk.server.books.billed_seconds == 16
        task = {"video_config": {"task": "extend"}}
        longer = {"previous_interaction_id": first["id"], "generation_config": task}
        extended = await talk.done(**longer, response_format={**URI, "duration": "5s"})
        assert talk.server.books.billed_seconds == 21
        file = await talk.ask("GET", film_path(extended).partition(":")[0])
        assert file.body["videoMetadata"] == {"videoDuration": "13s"}


async def test_only_a_stored_interaction_with_a_video_can_be_continued() -> None:
    async with talking("filtered-safety@1", latency="0") as talk:
        refused = await talk.done()
        assert "has no video" in (await talk.create(previous_interaction_id=refused["id"])).body["error"]["message"]
        unknown = await talk.create(previous_interaction_id="v1_x")
        assert unknown.body["error"]["message"] == "Invalid interaction name: interactions/v1_x"


async def test_a_cancelled_interaction_is_over_and_not_billed() -> None:
    async with talking(latency="1000", speed=1) as talk:
        name = (await talk.create()).body["id"]
        cancelled = await talk.ask("POST", f"{PATH}/{name}/cancel")
        assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")
        assert [step["type"] for step in cancelled.body["steps"]] == ["user_input"]
        assert (await talk.get(name)).body == cancelled.body
        assert "usage" not in cancelled.body
        books = talk.server.books
        assert (books.running, books.outcomes, books.billed_usd) == (0, {"cancelled": 1}, 0)
        assert (await talk.ask("POST", f"{PATH}/{name}/cancel")).status == 400


async def test_a_deleted_interaction_is_unknown_and_still_billed() -> None:
    async with talking() as talk:
        name = (await talk.create()).body["id"]
        deleted = await talk.ask("DELETE", f"{PATH}/{name}")
        assert (deleted.status, deleted.body) == (200, {})
        assert (await talk.get(name)).status == 400
        assert talk.server.books.billed_seconds == 8


# -- Vertex AI ---------------------------------------------------------------------------------------------------------


async def test_on_vertex_a_film_goes_into_a_bucket_or_comes_inline() -> None:
    async with talking() as talk:
        place = {"type": "video", "delivery": "uri", "gcs_uri": "gs://bucket/films"}
        accepted = await talk.create(VERTEX, TOKEN, model=VERTEX_MODEL, response_format=place)
        done = await talk.get(accepted.body["id"], VERTEX, TOKEN)
        uri = video(done.body)["uri"]
        assert uri.startswith("gs://bucket/films/")
        name = uri.removeprefix("gs://bucket/").replace("/", "%2F")
        film = await talk.ask("GET", f"/storage/v1/b/bucket/o/{name}?alt=media", headers=TOKEN)
        assert film.body == bundled()
        accepted = await talk.create(VERTEX, TOKEN, model=VERTEX_MODEL, response_format=None)
        done = await talk.get(accepted.body["id"], VERTEX, TOKEN)
        assert base64.b64decode(video(done.body)["data"]) == bundled()
        assert (await talk.get(accepted.body["id"])).status == 400  # another surface


async def test_on_vertex_errors_are_googles_and_only_global_knows_the_model() -> None:
    async with talking() as talk:
        regional = VERTEX.replace("global", "us-central1")
        heard = await talk.create(regional, TOKEN, model=VERTEX_MODEL, response_format=None)
        assert (heard.status, heard.body["error"]["status"]) == (404, "NOT_FOUND")
        heard = await talk.create(VERTEX, TOKEN, model=VERTEX_MODEL)
        assert (heard.status, heard.body["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert "'response_format.gcs_uri' is required" in heard.body["error"]["message"]
