"""Validation of Veo requests: accepted requests, and the errors of the others."""

from typing import Any

import pytest

from aveo3.mock.error_bodies import RequestError
from aveo3.mock.models import MODELS, RETIRED, Surface
from aveo3.mock.state.operations import Order
from aveo3.mock.veo.requests import find_model, read_order

PNG = {"bytesBase64Encoded": "iVBORw0K", "mimeType": "image/png"}
REFERENCE = {"image": PNG, "referenceType": "ASSET"}
FULL = {"vertex": "veo-3.1-generate-001", "developer": "veo-3.1-generate-preview"}
LITE = {"vertex": "veo-3.1-lite-generate-001", "developer": "veo-3.1-lite-generate-preview"}
SHELF = {"ab12": 8, "long": 148}


def order(surface: Surface, instance: dict[str, Any], parameters: dict[str, Any], model: str = "", **top: Any) -> Order:
    body = {"instances": [{"prompt": "a boat", **instance}], "parameters": parameters, **top}
    return read_order(body, MODELS[surface, model or FULL[surface]], SHELF.get)


def message_of(error: pytest.ExceptionInfo[RequestError]) -> str:
    body = error.value.answer.body["error"]
    assert (error.value.answer.status, body["code"], body["status"]) == (400, 400, "INVALID_ARGUMENT")
    return str(body["message"])


@pytest.mark.parametrize(
    ("surface", "instance", "parameters"),
    [
        ("developer", {}, {}),
        ("developer", {}, {"sampleCount": 1, "durationSeconds": 4, "aspectRatio": "9:16", "resolution": "720p"}),
        ("developer", {}, {"durationSeconds": 8, "resolution": "1080p", "negativePrompt": "text", "seed": 7}),
        ("developer", {}, {"personGeneration": "allow_all", "enhancePrompt": True}),
        ("developer", {"image": PNG}, {"personGeneration": "allow_adult"}),
        ("developer", {"image": PNG, "lastFrame": PNG}, {}),
        ("developer", {"referenceImages": [REFERENCE] * 3}, {"durationSeconds": 8}),
        ("developer", {"video": {"uri": "https://x/v1beta/files/ab12:download?alt=media"}}, {}),
        ("vertex", {}, {"sampleCount": 4, "durationSeconds": 6, "resolution": "1080p", "storageUri": "gs://b/out/"}),
        ("vertex", {}, {"generateAudio": False, "fps": 24, "compressionQuality": "OPTIMIZED", "resizeMode": "PAD"}),
        ("vertex", {"image": {"gcsUri": "gs://b/in.png", "mimeType": "image/png"}}, {"personGeneration": "dont_allow"}),
        ("vertex", {"video": {"gcsUri": "gs://b/in.mp4", "mimeType": "video/mp4"}}, {"seed": 2**32 - 1}),
        ("vertex", {"video": {"gcsUri": "gs://b/in.mp4"}}, {"durationSeconds": 7, "resolution": "1080p"}),
        ("vertex", {"referenceImages": [REFERENCE]}, {"durationSeconds": 8, "resolution": "1080p"}),
    ],
)
def test_accepted_requests(surface: Surface, instance: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert order(surface, instance, parameters).prompt == "a boat"


UNSUPPORTED = "isn't supported by this model. Please remove it or refer to the Gemini API documentation"


@pytest.mark.parametrize(
    ("surface", "instance", "parameters", "message"),
    [
        ("developer", {}, {"durationSeconds": "8"}, "The value type for `durationSeconds` needs to be a number."),
        ("vertex", {}, {"durationSeconds": True}, "The value type for `durationSeconds` needs to be a number."),
        (
            "developer",
            {},
            {"durationSeconds": 5},
            "`durationSeconds` is out of bound. Please provide a value between 4",
        ),
        ("vertex", {}, {"durationSeconds": 5}, "Unsupported output video duration 5 seconds, supported durations are"),
        ("vertex", {"image": PNG}, {"durationSeconds": 5}, "durations are [4,6,8] for feature image_to_video."),
        (
            "vertex",
            {"referenceImages": [REFERENCE]},
            {"durationSeconds": 4},
            "durations are [8] for feature reference_to_video.",
        ),
        (
            "vertex",
            {"video": {"gcsUri": "gs://b/in.mp4"}},
            {"durationSeconds": 8},
            "durations are [7] for feature video_extension.",
        ),
        (
            "vertex",
            {"video": {"gcsUri": "gs://b/in.mp4"}},
            {"resolution": "4k"},
            "4k is not supported for video extension.",
        ),
        ("developer", {}, {"durationSeconds": 6, "resolution": "1080p"}, "1080p is not supported for a duration of 6"),
        (
            "developer",
            {},
            {"durationSeconds": 4, "resolution": "4k"},
            "4k is not supported for a duration of 4 seconds.",
        ),
        ("developer", {}, {"resolution": "480p"}, "`resolution` 480p isn't supported by this model."),
        ("vertex", {}, {"aspectRatio": "1:1"}, "`aspectRatio` 1:1 isn't supported by this model."),
        ("developer", {}, {"sampleCount": 2}, "Please provide a value between 1 and 1, inclusive."),
        ("vertex", {}, {"sampleCount": 5}, "Please provide a value between 1 and 4, inclusive."),
        ("vertex", {}, {"sampleCount": 1.5}, "The value type for `sampleCount` needs to be a number."),
        ("vertex", {}, {"seed": -1}, "The number value for `seed` is out of bound."),
        ("vertex", {}, {"storageUri": "b/out"}, "`storageUri` needs to be a Cloud Storage URI"),
        ("vertex", {}, {"storageUri": "gs:///out"}, "`storageUri` needs to be a Cloud Storage URI"),
        ("vertex", {}, {"generateAudio": "no"}, "The value type for `generateAudio` needs to be a boolean."),
        ("vertex", {}, {"wat": 1}, f"`wat` {UNSUPPORTED}"),
        ("developer", {}, {"generateAudio": True}, f"`generateAudio` {UNSUPPORTED}"),
        ("developer", {}, {"storageUri": "gs://b"}, f"`storageUri` {UNSUPPORTED}"),
        ("developer", {"wat": 1}, {}, f"`wat` {UNSUPPORTED}"),
        ("vertex", {"mask": PNG}, {}, f"`mask` {UNSUPPORTED}"),
        ("developer", {"image": {"inlineData": {}}}, {}, f"`inlineData` {UNSUPPORTED}"),
        ("developer", {"image": {"gcsUri": "gs://b"}}, {}, f"`gcsUri` {UNSUPPORTED}"),
        ("developer", {"video": {"encodedVideo": "A"}}, {}, f"`encodedVideo` {UNSUPPORTED}"),
        ("developer", {"image": {}}, {}, "`image` has no content"),
        (
            "developer",
            {"image": {**PNG, "mimeType": "image/gif"}},
            {},
            "`mimeType` of `image` needs to be image/png or",
        ),
        ("developer", {"image": {**PNG, "bytesBase64Encoded": "A" * 28_000_000}}, {}, "string of at most 20 MB."),
        ("developer", {"lastFrame": PNG}, {}, "`lastFrame` needs `image`"),
        (
            "developer",
            {"image": PNG, "referenceImages": [REFERENCE]},
            {},
            "`image` and `referenceImages` can't be used",
        ),
        (
            "vertex",
            {"video": {"gcsUri": "gs://b"}, "referenceImages": [REFERENCE]},
            {},
            "`video` and `referenceImages`",
        ),
        ("vertex", {"image": PNG, "video": {"gcsUri": "gs://b"}}, {}, "`image` and `video` can't be used together."),
        ("vertex", {"referenceImages": [REFERENCE] * 4}, {}, "`referenceImages` takes 1 to 3 images."),
        ("vertex", {"referenceImages": [{**REFERENCE, "referenceType": "STYLE"}]}, {}, "`referenceType` STYLE isn't"),
        (
            "developer",
            {"referenceImages": [REFERENCE]},
            {"durationSeconds": 4},
            "Reference images is not supported for",
        ),
        ("developer", {"video": {"uri": "https://x/files/nope:download"}}, {}, "Input video must be a video that was"),
        ("developer", {"video": {"uri": "https://x/files/long:download"}}, {}, "Input video must be a video that was"),
        (
            "developer",
            {"video": {"uri": "https://x/files/ab12"}},
            {"resolution": "1080p"},
            "1080p is not supported for",
        ),
        ("developer", {}, {"personGeneration": "allow_adult"}, "allow_adult for personGeneration is currently not"),
        (
            "developer",
            {"image": PNG},
            {"personGeneration": "dont_allow"},
            "dont_allow for personGeneration is currently",
        ),
        ("developer", {"prompt": 7}, {}, "The value type for `prompt` needs to be a string."),
        ("developer", {"prompt": ""}, {}, "The prompt is required"),
    ],
)
def test_rejected_requests(
    surface: Surface, instance: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        order(surface, instance, parameters)
    assert message in message_of(refused)


@pytest.mark.parametrize(
    ("surface", "instance", "parameters"),
    [
        ("developer", {}, {"negativePrompt": "text"}),
        ("developer", {"video": {"uri": "https://x/files/ab12:download"}}, {}),
        ("developer", {"referenceImages": [REFERENCE]}, {}),
        ("vertex", {"referenceImages": [REFERENCE]}, {}),
    ],
)
def test_lite_models_support_less(surface: Surface, instance: dict[str, Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        order(surface, instance, parameters, LITE[surface])
    assert UNSUPPORTED in message_of(refused)


def test_labels_are_for_vertex_and_webhooks_for_the_developer_api() -> None:
    order("vertex", {}, {}, labels={"job": "42"})
    order("developer", {}, {}, webhookConfig={"uris": []})
    with pytest.raises(RequestError) as refused:
        order("developer", {}, {}, labels={})
    assert message_of(refused) == 'Invalid JSON payload received. Unknown name "labels": Cannot find field.'


@pytest.mark.parametrize("body", [None, [], {}, {"instances": []}, {"instances": [{}, {}]}, {"instances": ["a"]}])
def test_a_body_of_another_shape_is_rejected(body: Any) -> None:
    with pytest.raises(RequestError) as refused:
        read_order(body, MODELS["vertex", FULL["vertex"]], SHELF.get)
    message_of(refused)


@pytest.mark.parametrize(
    ("surface", "model", "parameters", "usd"),
    [
        ("vertex", "veo-3.1-generate-001", {}, 3.20),
        ("vertex", "veo-3.1-generate-001", {"resolution": "4k", "sampleCount": 2}, 9.60),
        ("vertex", "veo-3.1-fast-generate-001", {"generateAudio": False, "resolution": "1080p"}, 0.80),
        ("vertex", "veo-3.1-lite-generate-001", {"durationSeconds": 4}, 0.20),
        ("developer", "veo-3.1-fast-generate-preview", {"durationSeconds": 6}, 0.60),
    ],
)
def test_an_order_costs_its_list_price(surface: Surface, model: str, parameters: dict[str, Any], usd: float) -> None:
    assert order(surface, {}, parameters, model).usd == pytest.approx(usd)


def test_an_extension_adds_seven_seconds_and_bills_only_them() -> None:
    extended = order("developer", {"video": {"uri": "https://x/files/ab12:download?alt=media"}}, {})
    assert (extended.seconds, extended.film_seconds) == (7, 15)


@pytest.mark.parametrize(
    ("name", "surface", "message"),
    [
        ("veo-3.0-generate-001", "vertex", "This model here is no longer available."),
        ("veo-2.0-generate-001", "developer", "This model here is no longer available."),
        ("veo-9", "developer", "here is not found for API version v1beta, or is not supported for predictLongRunning."),
        ("veo-9", "vertex", "Publisher Model `here` was not found or your project does not have access to it."),
        ("veo-3.1-generate-001", "developer", "here is not found for API version v1beta"),
    ],
)
def test_unknown_models_are_rejected(name: str, surface: Surface, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        find_model(name, surface, "v1beta", RETIRED, "here")
    assert refused.value.answer.status == 404
    assert message in refused.value.answer.body["error"]["message"]
