"""Validation of interactions: accepted requests, their cost, and the errors of the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aveo3 import mock
from aveo3.mock.error_bodies import RequestError
from aveo3.mock.models import OMNI, RETIRED, Surface
from aveo3.mock.omni.errors import worded
from aveo3.mock.omni.requests import Wish, find_omni, read_wish
from aveo3.mock.state.operations import Order

TEXT = {"type": "text", "text": "a boat"}
IMAGE = {"type": "image", "mime_type": "image/png", "data": "aVZCT1J3"}
CLIP = {"type": "video", "mime_type": "video/mp4", "uri": "https://x/v1/files/ab12:download?alt=media"}
IDS = {"developer": "gemini-omni-1.1-flash", "vertex": "gemini-omni-1.1-flash-preview"}
PARENT = Order("a boat", 8, 8, 1, "9:16", "720p", 0.1)
SHELF = {
    "ab12": Order("a boat", 5, 5, 1, "16:9", "360p", 0.03),
    "long": Order("a boat", 10, 35, 1, "16:9", "720p", 0.1),
}
SECOND = {"360p": 0.0338, "720p": 0.10136, "1080p": 0.15204, "4k": 0.30408}
"""US$ for a second of Omni 1.1."""


def wish(surface: Surface = "developer", parent: Order | None = None, model: str = "", **body: Any) -> Wish:
    omni = OMNI[surface, model or IDS[surface]]
    return read_wish({"model": omni.id, "input": "a boat", **body}, omni, parent, SHELF.get)


def video(**chosen: Any) -> dict[str, Any]:
    return {"response_format": {"type": "video", **chosen}}


def task(name: str) -> dict[str, Any]:
    return {"generation_config": {"video_config": {"task": name}}}


def refusal_of(refused: pytest.ExceptionInfo[RequestError]) -> tuple[int, str, str]:
    error = worded(refused.value.answer).body["error"]
    return refused.value.answer.status, error["code"], error["message"]


@pytest.mark.parametrize(
    ("surface", "body", "seconds", "film_seconds"),
    [
        ("developer", {}, 10, 10),
        ("developer", video(duration="3s", resolution="4k", aspect_ratio="9:16", delivery="uri"), 3, 3),
        ("developer", video(duration="8.5s", resolution="360p"), 8.5, 8.5),
        ("developer", {"response_format": [{"type": "video", "duration": "4s"}]}, 4, 4),
        ("developer", {"input": [IMAGE, TEXT], **task("image_to_video")}, 10, 10),
        ("developer", {"input": [IMAGE, IMAGE]}, 10, 10),
        ("developer", {"input": [IMAGE] * 6 + [TEXT], **task("reference_to_video")}, 10, 10),
        ("developer", {"input": [TEXT, {"type": "model_output"}, {"type": "user_input", "content": [IMAGE]}]}, 10, 10),
        ("developer", {"input": [CLIP, TEXT]}, 5, 5),
        ("developer", {"input": [CLIP, TEXT], **task("extend"), **video(duration="4s")}, 4, 9),
        ("developer", {"input": [{**CLIP, "uri": "https://x/files/nope"}, TEXT], **task("edit")}, 8, 8),
        ("developer", {"labels": {"a": "b"}, "service_tier": "flex"}, 10, 10),
        ("developer", {"background": True, "webhook_config": {"uris": ["http://x"]}}, 10, 10),
        ("vertex", video(delivery="uri", gcs_uri="gs://bucket/out", duration="4s"), 4, 4),
        ("vertex", {"input": [CLIP, TEXT], **task("edit"), **video(resolution="720p")}, 5, 5),
    ],
)
def test_accepted_requests(surface: Surface, body: dict[str, Any], seconds: float, film_seconds: float) -> None:
    order = wish(surface, **body).order
    assert (order.seconds, order.film_seconds) == (seconds, film_seconds)
    assert order.usd == pytest.approx(seconds * SECOND[order.resolution], rel=1e-3)


def test_a_second_of_1_2_is_cheaper() -> None:
    assert wish(model="gemini-omni-1.2-flash").order.usd == pytest.approx(10 * 0.0695, abs=1e-4)


@pytest.mark.parametrize(
    ("body", "seconds", "tokens"),
    [
        ({"input": [CLIP], **video(resolution="720p")}, 5, 2896),
        ({"input": [CLIP], **video(resolution="1080p")}, 5, 5792),
        ({"input": [{**CLIP, "uri": "https://x/files/nope"}], **video(resolution="4k")}, 8, 11_584),
        ({"input": None, "previous_interaction_id": "v1_x", **video(resolution="1080p")}, 8, 2896),
    ],
)
@pytest.mark.parametrize("surface", ["developer", "vertex"])
def test_upscaling_costs_by_source_and_target(
    surface: Surface, body: dict[str, Any], seconds: float, tokens: int
) -> None:
    parent = PARENT if "previous_interaction_id" in body else None
    order = wish(surface, parent, "gemini-omni-1.2-flash", **task("upscale"), **body).order
    assert (order.seconds, order.film_seconds, order.tokens_per_second) == (seconds, seconds, tokens)
    assert order.usd == pytest.approx(seconds * tokens * 12e-6)


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("1.1", {"input": [CLIP], **task("upscale")}, "Task 'upscale' is not supported by gemini-omni-1.1-flash."),
        ("1.1", {"generation_config": {"seed": 7}}, "'generation_config.seed'"),
        ("1.2", {"input": "a boat", **task("upscale")}, "Task 'upscale' needs one video"),
        ("1.2", {"input": [CLIP], **task("upscale"), **video(resolution="360p")}, "A video of 360p cannot be upscaled"),
        ("1.2", {**video(duration="16s")}, "'16s' is out of range for 'response_format.duration': 3s to 15s."),
        ("1.2", {"input": [IMAGE, IMAGE], **video(duration="11s")}, "3s to 10s."),
        ("1.2", {"input": [CLIP], **task("extend"), **video(duration="11s")}, "3s to 10s."),
    ],
)
def test_what_the_new_model_rejects(model: str, body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        wish(model=f"gemini-omni-{model}-flash", **body)
    assert message in refusal_of(refused)[2]


def test_a_continuation_has_the_shape_of_its_source() -> None:
    edit = wish(parent=PARENT, previous_interaction_id="v1_x")
    assert (edit.order.aspect, edit.order.film_seconds, edit.previous) == ("9:16", 8, "v1_x")


@pytest.mark.parametrize(
    ("surface", "body", "code", "message"),
    [
        (
            "developer",
            video(aspect_ratio="1:7"),
            "invalid_request",
            "The value '1:7' is not supported for 'response_format.aspect_ratio'. Supported values: '16:9', '9:16'.",
        ),
        ("developer", video(resolution="480p"), "invalid_request", "Supported values: '360p', '720p', '1080p', '4k'."),
        ("developer", video(delivery="post"), "invalid_request", "Supported values: 'inline', 'uri'."),
        ("developer", video(duration=8), "invalid_request", "A duration is a string such as '8s'."),
        ("developer", video(duration="8"), "invalid_request", "A duration is a string such as '8s'."),
        ("developer", video(duration="11s"), "invalid_request", "'11s' is out of range for 'response_format.duration'"),
        ("developer", video(gcs_uri="gs://b"), "invalid_request", "The parameter 'response_format.gcs_uri' is not"),
        ("developer", video(fps=24), "parameter_unknown", 'Unknown name "response_format.fps"'),
        ("developer", {"response_format": {"type": "audio"}}, "invalid_request", "Supported values: 'video'."),
        ("developer", {"response_format": "video"}, "invalid_request", "'response_format': expected an object."),
        ("developer", {"negative_prompt": "rain"}, "parameter_unknown", 'Unknown name "negative_prompt"'),
        ("developer", {"system_instruction": "x"}, "invalid_request", "The parameter 'system_instruction' is not"),
        ("developer", {"generation_config": {"temperature": 1}}, "invalid_request", "'generation_config.temperature'"),
        ("developer", {"background": True, "store": False}, "invalid_request", "'background' needs 'store'"),
        ("developer", {"background": "yes"}, "invalid_request", "Invalid value at 'background' (TYPE_BOOL)"),
        ("developer", {"stream": True}, "invalid_request", "The mock server does not stream"),
        ("developer", {"webhook_config": {"uris": ["http://x"]}}, "invalid_request", "needs 'background'."),
        ("developer", {"service_tier": "gold"}, "invalid_request", "The value 'gold' is not supported"),
        ("developer", {"input": None}, "invalid_request", "The parameter 'input' is required"),
        ("developer", {"input": " "}, "invalid_request", "The parameter 'input' is required"),
        ("developer", {"input": 7}, "invalid_request", "Invalid value at 'input': expected a string, an object or a"),
        ("developer", {"input": [TEXT, {"type": "audio"}]}, "invalid_request", "The value 'audio' is not supported"),
        ("developer", {"input": [{"type": "text", "text": 7}]}, "invalid_request", "Invalid value at 'input[0].text'"),
        ("developer", {"input": [{**IMAGE, "mime_type": "image/gif"}]}, "invalid_request", "'input[0].mime_type'"),
        ("developer", {"input": [{**IMAGE, "data": "\x00PNG"}]}, "invalid_request", "Base64 decoding failed."),
        ("developer", {"input": [{**IMAGE, "data": None}]}, "invalid_request", "or 'uri' is required."),
        ("developer", {"input": [IMAGE] * 11}, "invalid_request", "at most 10 blocks of type 'image'; it has 11."),
        ("developer", task("dream"), "invalid_request", "The value 'dream' is not supported"),
        ("developer", task("image_to_video"), "invalid_request", "Task 'image_to_video' needs one image"),
        ("developer", task("reference_to_video"), "invalid_request", "Task 'reference_to_video' needs an image or"),
        ("developer", task("extend"), "invalid_request", "Task 'extend' needs one video"),
        ("developer", {"input": [IMAGE, TEXT], **task("text_to_video")}, "invalid_request", "takes text and nothing"),
        (
            "developer",
            {"input": [{**CLIP, "uri": "https://x/files/long"}], **task("extend")},
            "invalid_request",
            "The extended video would last 45 seconds; at most 40 are supported.",
        ),
        ("vertex", video(delivery="uri"), "invalid_request", "'response_format.gcs_uri' is required"),
        ("vertex", video(gcs_uri="gs://b"), "invalid_request", "needs 'response_format.delivery' to be 'uri'."),
        (
            "vertex",
            {"input": [CLIP], **task("edit"), **video(duration="8s")},
            "invalid_request",
            "'response_format.duration' is not supported for task 'edit'.",
        ),
    ],
)
def test_rejected_requests(surface: Surface, body: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        wish(surface, **body)
    status, word, sentence = refusal_of(refused)
    assert (status, word, message in sentence) == (400, code, True), sentence


@pytest.mark.parametrize(
    ("surface", "name", "status", "message"),
    [
        ("developer", "models/gemini-omni-1.2-flash", 200, ""),
        ("vertex", "gemini-omni-1.1-flash-preview", 200, ""),
        ("vertex", "gemini-omni-1.2-flash", 200, ""),
        ("developer", None, 400, "The parameter 'model' is required."),
        ("developer", "gemini-omni-1.1-flash-preview", 404, "models/gemini-omni-1.1-flash-preview is not found for"),
        ("vertex", "gemini-omni-1.1-flash", 404, "is not found for API version v1, or is not supported for inter"),
        ("developer", "gemini-omni-flash-preview", 404, "is no longer available."),
    ],
)
def test_unknown_models_are_rejected(surface: Surface, name: Any, status: int, message: str) -> None:
    if status == 200:
        assert find_omni(name, surface, "v1", RETIRED, "models").surface == surface
        return
    with pytest.raises(RequestError) as refused:
        find_omni(name, surface, "v1", RETIRED, "models")
    heard, code, sentence = refusal_of(refused)
    word = "model_not_found" if status == 404 else "invalid_request"
    assert (heard, code, message in sentence) == (status, word, True)


MARKS = ("# live", "# guessed", "# our own")
WRITERS = {"invalid", "error", "no_model"}
"""The functions that take the words of an error."""


def unmarked(source: str) -> Iterator[str]:
    """The statements that write words of an error, and have no mark of where these come from."""
    lines = source.splitlines()
    for part in ast.walk(ast.parse(source)):
        if not isinstance(part, ast.Raise | ast.Return | ast.Assign | ast.Expr):
            continue
        calls = [each.func for each in ast.walk(part) if isinstance(each, ast.Call)]
        names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}
        before, *itself = lines[max(0, part.lineno - 2) : part.end_lineno]
        alone = before.strip() if before.strip().startswith("#") else ""
        if names & WRITERS and not any(mark in line for mark in MARKS for line in (alone, *itself)):
            yield ast.unparse(part)


def test_the_words_of_each_error_are_googles_or_marked_as_guessed() -> None:
    home = Path(mock.__file__).parent
    sources = [path.read_text("utf-8") for path in (home / "labels.py", *(home / "omni").glob("*.py"))]
    assert [words for source in sources for words in unmarked(source)] == []
    assert sum(source.count("# live") for source in sources) >= 8
    code = "def f():\n    x = 1  # live\n    raise E(invalid('a'))\n    # guessed\n    return invalid('b')\n"
    assert list(unmarked(code)) == ["raise E(invalid('a'))"]
