"""Every field of a prompt on every wire: the JSON sent to Google, or the message that rejects it before that.

Through `VeoClient`, the backends and the real SDK, to a server that records each request and declines it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest

from aveo3 import ClipStatus, Media, VeoClient, VideoClip, VideoPrompt
from tests.support.raw_server import MP4, PNG, Wire, b64, rpc, serving
from tests.support.settings import settings

VEO, FAST, LITE = "veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"
OMNI, NEW_OMNI = "gemini-omni-1.1-flash", "gemini-omni-1.2-flash"
NEW = "a-model-of-tomorrow"
"""A catalog of the user's allows it every field: the backend rejects those that the wire does not have."""

CATALOG = f"""
[models."{NEW}"]
like = "{VEO}"
backend = "BACKEND"
generate_audio = true
negative_prompt = true
person_generation = true
style_references = 1
reference_videos = 3
safety_settings = true
service_tier = true
compression_quality = true
resize_mode = true
seed = true
previous = true
edit = true
"""

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # the SDK subclasses a session


class Sent(NamedTuple):
    """One request: its path and its JSON."""

    path: str
    body: dict[str, Any]


def veo(instance: dict[str, Any] | None = None, model: str = VEO, **parameters: Any) -> Sent:
    """The request to Vertex AI, as differences from that for a text alone; None in `instance` means absent."""
    shown = {name: value for name, value in {"prompt": "a boat", **(instance or {})}.items() if value is not None}
    path = f"/v1/publishers/google/models/{model}:predictLongRunning"
    return Sent(path, {"instances": [shown], "parameters": {"sampleCount": 1, **parameters}})


def omni(
    content: Any = "a boat", task: str | None = "text_to_video", previous: str = "", model: str = OMNI, **chosen: str
) -> Sent:
    """The request to the Gemini API; `chosen` is in the response format."""
    body = {
        "model": model,
        "background": True,
        "store": True,
        **_input(content),
        "response_format": {"type": "video", "delivery": "uri", **chosen},
        **({"generation_config": {"video_config": {"task": task}}} if task else {}),
        **({"previous_interaction_id": previous} if previous else {}),
    }
    return Sent("/v1/interactions", body)


def _input(content: Any) -> dict[str, Any]:
    if content is None:
        return {}
    return {"input": content if isinstance(content, str) else [{"type": "user_input", "content": content}]}


def omni_on_vertex(content: Any = "a boat", task: str | None = "text_to_video", **chosen: str) -> Sent:
    """The request for Omni to Vertex AI, without a bucket: the video comes with the answer."""
    sent = omni(content, task, model=NEW_OMNI, **chosen)
    video = {name: value for name, value in sent.body["response_format"].items() if name != "delivery"}
    return Sent("/v1/interactions", {**sent.body, "response_format": {**video, "delivery": "inline"}})


def seeded(sent: Sent, seed: int) -> Sent:
    return Sent(sent.path, {**sent.body, "generation_config": {**sent.body["generation_config"], "seed": seed}})


# ---- media as each wire has them -------------------------------------------------------------------------------------

JPEG, WEBP = b"\xff\xd8\xff\xe0", b"RIFF\x04\x00\x00\x00WEBP"
FILES = "https://generativelanguage.googleapis.com/v1beta/files/"
IMAGE_FILE = Media(uri=f"{FILES}a", mime_type="image/png")
VIDEO_FILE = Media(uri=f"{FILES}b", mime_type="video/mp4")
TEXT = {"type": "text", "text": "a boat"}


def on_veo(data: bytes | str, mime_type: str) -> dict[str, str]:
    place = {"gcsUri": data} if isinstance(data, str) else {"bytesBase64Encoded": b64(data)}
    return {**place, "mimeType": mime_type}


def on_omni(data: bytes | str, mime_type: str) -> dict[str, str]:
    place = {"uri": data} if isinstance(data, str) else {"data": b64(data)}
    return {"type": mime_type.partition("/")[0], "mime_type": mime_type, **place}


VEO_PNG, OMNI_PNG = on_veo(PNG, "image/png"), on_omni(PNG, "image/png")
VEO_MP4, OMNI_MP4 = on_veo(MP4, "video/mp4"), on_omni(MP4, "video/mp4")
GCS_PNG, GCS_MP4 = on_veo("gs://b/a.png", "image/png"), on_veo("gs://b/a.mp4", "video/mp4")
FILE_PNG, FILE_MP4 = on_omni(f"{FILES}a", "image/png"), on_omni(f"{FILES}b", "video/mp4")


def asset(image: dict[str, str], kind: str = "ASSET") -> dict[str, Any]:
    return {"image": image, "referenceType": kind}


def unreadable(uri: str, why: str) -> str:
    return f"{uri}: {why}; download it and give the file's path instead"


def no_bucket(uri: str) -> str:
    return unreadable(uri, "the Gemini API reads no buckets")


def bucket_only(uri: str) -> str:
    return unreadable(uri, "Vertex AI reads media from gs:// only")


# ---- the table -------------------------------------------------------------------------------------------------------

ANY_VEO = " or ".join(f"{model} (VEO3_BACKEND=vertex)" for model in (VEO, FAST, LITE))
OTHER_OMNI = "gemini-omni-1.2-flash"
WORDS = 'Löwenzahn 🌼 \u2028 "q" \\ </p>\n'
ID = "v1_ChYtOV9IaWQ"


def only_veo(name: str) -> str:
    return f"{OMNI} takes no {name}: leave it out, or use {ANY_VEO}"


def one_at_a_time(number: int) -> str:
    return f"number_of_videos={number}: {OMNI} makes at most 1 per request; give the prompt again for each further one"


def not_a_picture(kind: str) -> str:
    return f"image is {kind}, and {VEO} takes image/png or image/jpeg: convert it, or use {OTHER_OMNI}"


NO_SEED = f"{OMNI} takes no seed: leave it out, or use {NEW_OMNI}"


def no_style(model: str) -> str:
    return (
        f"{model} takes no reference_images of type style, which Google offers for veo-2.0-generate-exp only: use type "
        "asset, or describe the style in the text"
    )


def labelled(sent: Sent, **more: str) -> Sent:
    return Sent(sent.path, {**sent.body, "labels": {"team": "film", **more}})


def with_more(sent: Sent, **more: Any) -> Sent:
    return Sent(sent.path, {**sent.body, **more})


def no_veo(name: str) -> str:
    return f"the prompt cannot be sent: Veo has no {name}: leave it out"


def nowhere(name: str) -> str:
    return f"the prompt cannot be sent: the Interactions API has no {name}: leave it out"


def elsewhere(model: str, wrong: str, right: str, *ours: str) -> str:
    return (
        f"model {model} is not available with VEO3_BACKEND={wrong}: "
        f"set VEO3_BACKEND={right}, or use {' or '.join(ours)}"
    )


def not_offered(name: str, value: object, allowed: str, model: str) -> str:
    return f"{name}={value!r} is not offered by {model}: choose {allowed}"


ONE_TO_TEN = "3 to 10"
NO_EDITING = "the prompt cannot be sent: Veo can neither continue nor edit an earlier clip: leave previous and task out"
RETIRED = "model veo-3.0-generate-001 was retired on 2026-06-30: use veo-3.1-generate-001"

TABLE: dict[str, tuple[dict[str, Any], Sent | str, Sent | str]] = {
    # the prompt's fields besides a text: the requests to Vertex AI and to the Gemini API, or why nothing is sent
    "nothing else": ({}, veo(), omni()),
    "text": ({"text": WORDS}, veo({"prompt": WORDS}), omni(WORDS)),
    "no text": (
        {"text": "", "image": PNG},
        veo({"prompt": None, "image": VEO_PNG}),
        omni([OMNI_PNG], "image_to_video"),
    ),
    "negative_prompt": ({"negative_prompt": "rain"}, veo(negativePrompt="rain"), only_veo("negative_prompt")),
    "negative_prompt, empty": ({"negative_prompt": ""}, veo(negativePrompt=""), only_veo("negative_prompt")),
    "model of Vertex AI": (
        {"model": LITE},
        veo(model=LITE),
        elsewhere(LITE, "gemini", "vertex", OMNI, NEW_OMNI),
    ),
    "model of the Gemini API": (
        {"model": NEW_OMNI},
        omni_on_vertex(),
        omni(model=NEW_OMNI),
    ),
    "model that is new": ({"model": NEW}, veo(model=NEW), omni(model=NEW)),
    "model that is no more": ({"model": "veo-3.0-generate-001"}, RETIRED, RETIRED),
    "duration_seconds": ({"duration_seconds": 6}, veo(durationSeconds=6), omni(duration="6s")),
    "duration_seconds of Omni": (
        {"duration_seconds": 3},
        not_offered("duration_seconds", 3, "4 or 6 or 8", VEO),
        omni(duration="3s"),
    ),
    "duration_seconds of nobody": (
        {"duration_seconds": 11},
        not_offered("duration_seconds", 11, "4 or 6 or 8", VEO),
        not_offered("duration_seconds", 11, ONE_TO_TEN, OMNI),
    ),
    "aspect_ratio, wide": ({"aspect_ratio": "16:9"}, veo(aspectRatio="16:9"), omni(aspect_ratio="16:9")),
    "aspect_ratio, tall": ({"aspect_ratio": "9:16"}, veo(aspectRatio="9:16"), omni(aspect_ratio="9:16")),
    "aspect_ratio of nobody": (
        {"aspect_ratio": "1:1"},
        not_offered("aspect_ratio", "1:1", "16:9 or 9:16", VEO),
        not_offered("aspect_ratio", "1:1", "16:9 or 9:16", OMNI),
    ),
    "resolution of Omni": (
        {"resolution": "360p"},
        not_offered("resolution", "360p", "720p or 1080p or 4k", VEO),
        omni(resolution="360p"),
    ),
    "resolution": ({"resolution": "720p"}, veo(resolution="720p"), omni(resolution="720p")),
    "resolution, high": ({"resolution": "1080P"}, veo(resolution="1080p"), omni(resolution="1080p")),
    "resolution, highest": ({"resolution": "4K"}, veo(resolution="4k"), omni(resolution="4k")),
    "seed, least": ({"seed": 0}, veo(seed=0), NO_SEED),
    "seed, greatest": ({"seed": 2**32 - 1}, veo(seed=2**32 - 1), NO_SEED),
    "seed, to a new model": ({"seed": 7, "model": NEW}, veo(model=NEW, seed=7), seeded(omni(model=NEW), 7)),
    "seed, to the new Omni": (
        {"seed": 7, "model": NEW_OMNI},
        seeded(omni_on_vertex(), 7),
        seeded(omni(model=NEW_OMNI), 7),
    ),
    "number_of_videos, one": ({"number_of_videos": 1}, veo(), omni()),
    "number_of_videos, two": ({"number_of_videos": 2}, veo(sampleCount=2), one_at_a_time(2)),
    "number_of_videos, most": ({"number_of_videos": 4}, veo(sampleCount=4), one_at_a_time(4)),
    "number_of_videos, of a new model": (
        {"number_of_videos": 2, "model": NEW},
        veo(model=NEW, sampleCount=2),
        nowhere("number_of_videos"),
    ),
    "generate_audio": ({"generate_audio": True}, veo(generateAudio=True), omni()),  # it always has sound
    "generate_audio, silent": (
        {"generate_audio": False},
        veo(generateAudio=False),
        f"{OMNI} makes no silent videos: leave generate_audio out, or use {ANY_VEO}",
    ),
    "generate_audio, silent, of a new model": (
        {"generate_audio": False, "model": NEW},
        veo(model=NEW, generateAudio=False),
        nowhere("generate_audio=False"),
    ),
    "negative_prompt, to a new model": (
        {"negative_prompt": "rain", "model": NEW},
        veo(model=NEW, negativePrompt="rain"),
        nowhere("negative_prompt"),
    ),
    **{
        f"person_generation, {people}": (
            {"person_generation": people},
            veo(personGeneration=people),
            only_veo("person_generation"),
        )
        for people in ("allow_all", "allow_adult", "dont_allow", "disallow")
    },
    **{
        f"compression_quality, {quality}": (
            {"compression_quality": quality},
            veo(compressionQuality=quality.upper()),
            only_veo("compression_quality"),
        )
        for quality in ("optimized", "lossless")
    },
    **{
        f"resize_mode, {mode}": (
            {"resize_mode": mode, "image": PNG},
            veo({"image": VEO_PNG}, resizeMode=mode.upper()),
            only_veo("resize_mode"),
        )
        for mode in ("pad", "crop")
    },
    "compression_quality, to a new model": (
        {"compression_quality": "lossless", "model": NEW},
        veo(model=NEW, compressionQuality="LOSSLESS"),
        nowhere("compression_quality"),
    ),
    "resize_mode, to a new model": (
        {"resize_mode": "crop", "image": PNG, "model": NEW},
        veo({"image": VEO_PNG}, model=NEW, resizeMode="CROP"),
        nowhere("resize_mode"),
    ),
    "reference_images of a style": (
        {"reference_images": [{"data": PNG, "type": "style"}]},
        no_style(VEO),
        no_style(OMNI),
    ),
    "reference_images of a style, to a new model": (
        {"reference_images": [{"data": PNG, "type": "style"}], "model": NEW},
        veo({"referenceImages": [asset(VEO_PNG, "STYLE")]}, model=NEW),
        nowhere("reference_images of type style"),
    ),
    "reference_videos": (
        {"reference_videos": [MP4], "reference_images": [PNG]},
        f"{VEO} takes no reference_videos: leave it out, or use {OTHER_OMNI}",
        omni([OMNI_PNG, OMNI_MP4, TEXT], "reference_to_video"),
    ),
    "reference_videos, to a new model": (
        {"reference_videos": [MP4], "model": NEW},
        no_veo("reference_videos"),
        omni([OMNI_MP4, TEXT], "reference_to_video", model=NEW),
    ),
    "safety_settings": (
        {"safety_settings": {"jailbreak": "off"}},
        f"{VEO} takes no safety_settings: leave it out, or use {OTHER_OMNI}",
        with_more(omni(), safety_settings=[{"type": "jailbreak", "threshold": "off"}]),
    ),
    "safety_settings, to a new model": (
        {"safety_settings": {"jailbreak": "off"}, "model": NEW},
        no_veo("safety_settings"),
        with_more(omni(model=NEW), safety_settings=[{"type": "jailbreak", "threshold": "off"}]),
    ),
    **{
        f"service_tier, {tier}": (
            {"service_tier": tier},
            f"{VEO} takes no service_tier: leave it out, or use {OTHER_OMNI}",
            with_more(omni(), service_tier=tier),
        )
        for tier in ("flex", "standard", "priority", "deferred")
    },
    "service_tier, to a new model": (
        {"service_tier": "flex", "model": NEW},
        no_veo("service_tier"),
        with_more(omni(model=NEW), service_tier="flex"),
    ),
    "webhook_metadata without a webhook": ({"webhook_metadata": {"row": 7}}, veo(), omni()),
    "task, upscale": (
        {"text": "", "video": MP4, "task": "upscale", "resolution": "4k", "duration_seconds": 8, "model": NEW_OMNI},
        omni_on_vertex([OMNI_MP4], "upscale", resolution="4k"),
        omni([OMNI_MP4], "upscale", model=NEW_OMNI, resolution="4k"),
    ),
    "task, upscale of an earlier clip": (
        {"text": "", "previous": ID, "task": "upscale", "resolution": "1080p", "model": NEW_OMNI},
        f"{NEW_OMNI} takes no previous on Vertex AI: give the clip's file or address as video",
        omni(None, "upscale", previous=ID, model=NEW_OMNI, resolution="1080p"),
    ),
    "task, upscale, of a model that does not": (
        {"text": "", "video": MP4, "task": "upscale", "resolution": "1080p"},
        f"{VEO} upscales no videos, or use {NEW_OMNI}",
        f"{OMNI} upscales no videos, or use {NEW_OMNI}",
    ),
    "task, upscale, to less": (
        {"text": "", "video": MP4, "task": "upscale", "resolution": "360p", "model": NEW_OMNI},
        f"{NEW_OMNI} upscales to 720p or 1080p or 4k, not to 360p",
        f"{NEW_OMNI} upscales to 720p or 1080p or 4k, not to 360p",
    ),
    "duration_seconds in fractions": (
        {"duration_seconds": 4.5, "model": NEW_OMNI},
        omni_on_vertex(duration="4.5s"),
        omni(model=NEW_OMNI, duration="4.5s"),
    ),
    "duration_seconds in fractions, of a model that takes none": (
        {"duration_seconds": 4.5},
        not_offered("duration_seconds", 4.5, "4 or 6 or 8", VEO),
        omni(duration="4.5s"),
    ),
    "duration_seconds of the new Omni": (
        {"duration_seconds": 15, "model": NEW_OMNI},
        omni_on_vertex(duration="15s"),
        omni(model=NEW_OMNI, duration="15s"),
    ),
    "duration_seconds between two frames": (
        {"duration_seconds": 11, "image": PNG, "last_frame": PNG, "model": NEW_OMNI},
        f"duration_seconds=11 is not offered by {NEW_OMNI} with last_frame: at most 10",
        f"duration_seconds=11 is not offered by {NEW_OMNI} with last_frame: at most 10",
    ),
    "a task that takes no length on Vertex AI": (
        {"video": MP4, "task": "edit", "duration_seconds": 5, "model": NEW_OMNI},
        f"{NEW_OMNI} takes no duration_seconds with task edit there: leave it out",
        omni([OMNI_MP4, TEXT], "edit", model=NEW_OMNI, duration="5s"),
    ),
    "media in a bucket, for Omni": (
        {"image": "gs://b/a.png", "model": NEW_OMNI},
        omni_on_vertex([on_omni("gs://b/a.png", "image/png"), TEXT], "image_to_video"),
        no_bucket("gs://b/a.png"),
    ),
    "labels": ({"labels": {"team": "film"}}, labelled(veo()), labelled(omni())),
    "labels as a text": (
        {"labels": "team=film, customer="},
        labelled(veo(), customer=""),
        labelled(omni(), customer=""),
    ),
    "person_generation, to a new model": (
        {"person_generation": "allow_adult", "model": NEW},
        veo(model=NEW, personGeneration="allow_adult"),
        nowhere("person_generation"),
    ),
    "image by path": ({"image": "a.png"}, veo({"image": VEO_PNG}), omni([OMNI_PNG, TEXT], "image_to_video")),
    "image by bytes": (
        {"image": JPEG},
        veo({"image": on_veo(JPEG, "image/jpeg")}),
        omni([on_omni(JPEG, "image/jpeg"), TEXT], "image_to_video"),
    ),
    "image of another kind": (
        {"image": WEBP},
        not_a_picture("image/webp"),
        omni([on_omni(WEBP, "image/webp"), TEXT], "image_to_video"),
    ),
    "image of a kind that is told": (
        {"image": {"path": "a.png", "mime_type": "image/heic"}},
        not_a_picture("image/heic"),
        omni([on_omni(PNG, "image/heic"), TEXT], "image_to_video"),
    ),
    "image in a bucket": ({"image": "gs://b/a.png"}, veo({"image": GCS_PNG}), no_bucket("gs://b/a.png")),
    "image of the Files API": (
        {"image": IMAGE_FILE},
        bucket_only(f"{FILES}a"),
        omni([FILE_PNG, TEXT], "image_to_video"),
    ),
    "image that is not there": (
        {"image": "b.png"},
        "cannot read b.png: No such file or directory",
        "cannot read b.png: No such file or directory",
    ),
    "last_frame": (
        {"image": PNG, "last_frame": JPEG},
        veo({"image": VEO_PNG, "lastFrame": on_veo(JPEG, "image/jpeg")}),
        omni([OMNI_PNG, on_omni(JPEG, "image/jpeg"), TEXT], "image_to_video"),
    ),
    "last_frame in a bucket": (
        {"image": PNG, "last_frame": "gs://b/a.png"},
        veo({"image": VEO_PNG, "lastFrame": GCS_PNG}),
        no_bucket("gs://b/a.png"),
    ),
    "last_frame of the Files API": (
        {"image": PNG, "last_frame": IMAGE_FILE},
        bucket_only(f"{FILES}a"),
        omni([OMNI_PNG, FILE_PNG, TEXT], "image_to_video"),
    ),
    "reference_images": (
        {"reference_images": [PNG, "a.png"]},
        veo({"referenceImages": [asset(VEO_PNG), asset(VEO_PNG)]}),
        omni([OMNI_PNG, OMNI_PNG, TEXT], "reference_to_video"),
    ),
    "reference_images in a bucket": (
        {"reference_images": [PNG, "gs://b/a.png"]},
        veo({"referenceImages": [asset(VEO_PNG), asset(GCS_PNG)]}),
        no_bucket("gs://b/a.png"),
    ),
    "reference_images of the Files API": (
        {"reference_images": [IMAGE_FILE]},
        bucket_only(f"{FILES}a"),
        omni([FILE_PNG, TEXT], "reference_to_video"),
    ),
    "reference_images, more than Veo takes": (
        {"reference_images": [PNG] * 4},
        f"4 reference_images: {VEO} takes at most 3",
        omni([OMNI_PNG] * 4 + [TEXT], "reference_to_video"),
    ),
    "reference_images, more than anybody takes": (
        {"reference_images": [PNG] * 11},
        f"11 reference_images: {VEO} takes at most 3",
        f"11 reference_images: {OMNI} takes at most 10",
    ),
    "reference_images, none": ({"reference_images": []}, veo(), omni()),
    "video by path": ({"video": "a.mp4"}, veo({"video": VEO_MP4}), omni([OMNI_MP4, TEXT], "extend")),
    "video by bytes": ({"video": MP4}, veo({"video": VEO_MP4}), omni([OMNI_MP4, TEXT], "extend")),
    "video in a bucket": ({"video": "gs://b/a.mp4"}, veo({"video": GCS_MP4}), no_bucket("gs://b/a.mp4")),
    "video of the Files API": ({"video": VIDEO_FILE}, bucket_only(f"{FILES}b"), omni([FILE_MP4, TEXT], "extend")),
    "video alone": ({"text": "", "video": MP4}, veo({"prompt": None, "video": VEO_MP4}), omni([OMNI_MP4], "extend")),
    "task, extend": (
        {"video": MP4, "task": "extend"},
        veo({"video": VEO_MP4}),
        omni([OMNI_MP4, TEXT], "extend"),
    ),
    "task, edit": (
        {"video": MP4, "task": "edit"},
        f"{VEO} edits no videos: leave task out to extend, or use {OTHER_OMNI}",
        omni([OMNI_MP4, TEXT], "edit"),
    ),
    "task, edit, to a new model": (
        {"video": MP4, "task": "edit", "model": NEW},
        NO_EDITING,
        omni([OMNI_MP4, TEXT], "edit", model=NEW),
    ),
    "previous": (
        {"previous": ID},
        f"{VEO} takes no previous: leave it out, or use {OTHER_OMNI}",
        omni(task=None, previous=ID),
    ),
    "previous, to a new model": ({"previous": ID, "model": NEW}, NO_EDITING, omni(task=None, previous=ID, model=NEW)),
    "previous, extended": (
        {"previous": ID, "task": "extend", "duration_seconds": 4},
        f"{VEO} takes no previous: leave it out, or use {OTHER_OMNI}",
        omni(task="extend", previous=ID, duration="4s"),
    ),
    "previous, edited": (
        {"previous": ID, "task": "edit"},
        f"{VEO} takes no previous: leave it out, or use {OTHER_OMNI}; "
        f"{VEO} edits no videos: leave task out to extend, or use {OTHER_OMNI}",
        omni(task="edit", previous=ID),
    ),
    "much at once": (
        {"image": PNG, "duration_seconds": 8, "resolution": "1080p", "aspect_ratio": "9:16", "generate_audio": True},
        veo({"image": VEO_PNG}, durationSeconds=8, resolution="1080p", aspectRatio="9:16", generateAudio=True),
        omni([OMNI_PNG, TEXT], "image_to_video", duration="8s", resolution="1080p", aspect_ratio="9:16"),
    ),
}

NEVER: dict[str, tuple[dict[str, Any], str]] = {
    # invalid prompts on every backend
    "nothing to show": ({"text": " "}, "a prompt needs a text, an image or a video to extend"),
    "text too long": ({"text": "a" * 20_001}, "text: string should have at most 20000 characters (it is 'aaa"),
    "a misspelt field": ({"duration": 8}, "duration is not a field of a prompt: did you mean duration_seconds?"),
    "no seconds": ({"duration_seconds": 0}, "duration_seconds: must be greater than 0 (it is 0)"),
    "seconds in words": (
        {"duration_seconds": "eight"},
        "duration_seconds: must be a number of seconds (it is 'eight')",
    ),
    "aspect in words": ({"aspect_ratio": "wide"}, "aspect_ratio: must look like 16:9 or 9:16 (it is 'wide')"),
    "resolution of nobody": (
        {"resolution": "8k"},
        "resolution: must be '360p', '720p', '1080p' or '4k' (it is '8k')",
    ),
    "seed below zero": ({"seed": -1}, "seed: must be greater than or equal to 0 (it is -1)"),
    "seed too great": ({"seed": 2**32}, "seed: must be less than 4294967296 (it is 4294967296)"),
    "no videos": ({"number_of_videos": 0}, "number_of_videos: must be greater than or equal to 1 (it is 0)"),
    "too many videos": ({"number_of_videos": 5}, "number_of_videos: must be less than or equal to 4 (it is 5)"),
    "people in other words": (
        {"person_generation": "nobody"},
        "person_generation: must be 'allow_all', 'allow_adult', 'dont_allow' or 'disallow' (it is 'nobody')",
    ),
    "webhook_metadata that is no JSON": (
        {"webhook_metadata": {"at": object()}},
        "webhook_metadata.at: input was not a valid JSON value",
    ),
    "a label in capitals": (
        {"labels": {"team": "Film"}},
        "labels: label team='Film': a value holds only small letters",
    ),
    "a label that begins with a digit": ({"labels": {"7": "film"}}, "labels: label name '7' must begin with a small"),
    "a field of Veo 2, fps": ({"fps": 30}, "fps: Veo 3.1 and Omni make 24 frames a second"),
    "a field of Veo 2, enhance_prompt": ({"enhance_prompt": False}, "enhance_prompt: Veo 3 and later always rewrite"),
    "a field of Veo 2, mask": ({"mask": "a.png"}, "mask: only Veo 2, which is shut down, edited a part of a video"),
    "a resize mode without an image": ({"resize_mode": "pad"}, "resize_mode needs image, the picture to fit"),
    "an unknown task": ({"task": "dream"}, "task: must be 'extend', 'edit' or 'upscale' (it is 'dream')"),
    "a task without a clip": ({"task": "edit"}, "task='edit' needs video or previous, the clip to edit"),
    "a last frame alone": ({"last_frame": PNG}, "last_frame needs image, the first frame"),
    "image and references": (
        {"image": PNG, "reference_images": [PNG]},
        "reference_images cannot go with image, last_frame or video: give one or the other",
    ),
    "image and video": (
        {"image": PNG, "video": MP4},
        "image and video cannot go together: give one or the other",
    ),
    "previous and image": (
        {"previous": ID, "image": PNG},
        "previous cannot go with image, last_frame, reference_images or video: it names the clip",
    ),
    "previous without words": (
        {"previous": ID, "text": ""},
        "a prompt needs a text, an image or a video to extend",
    ),
    "previous that leads elsewhere": ({"previous": "../files/a"}, "previous: must look like v1_ChYtOV9IaWQ (it is"),
    "image of no known kind": (
        {"image": b"BM"},
        "image: cannot tell the media type of these bytes: set mime_type, such as 'image/png'",
    ),
}

OWN = {"id": "own-id", "project_id": "own-project", "metadata": {"own-key": ["own-value"]}}
"""The user's own data. Every prompt here has it, and no request holds it."""


# ---- there and back --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def files_to_send(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "a.mp4").write_bytes(MP4)
    for backend in ("vertex", "gemini"):
        (tmp_path / f"{backend}.toml").write_text(CATALOG.replace("BACKEND", backend), "utf-8")


async def sent(backend: str, fields: dict[str, Any]) -> tuple[VideoClip, Wire]:
    """The clip of one prompt, and the requests to the server of `backend`."""
    async with serving(rpc(400, "INVALID_ARGUMENT", "written down")) as wire:
        own = Path.cwd() / f"{backend}.toml" if fields.get("model") == NEW else None
        address = {"base_url": wire.url, "backend": backend, "api_key": "AIzaSy-secret-key"}
        chosen = settings(**address, catalog=own, request_timeout=20.0, model=OMNI if backend == "gemini" else VEO)
        async with VeoClient(chosen) as client:
            [clip] = await client.generate_many([{"text": "a boat", **OWN, **fields}])
    return clip, wire


def assert_sent(expected: Sent | str, clip: VideoClip, wire: Wire) -> None:
    assert clip.status is ClipStatus.REJECTED
    if isinstance(expected, str):
        assert (clip.error_message, clip.attempts, wire.connections) == (expected, 0, 0)
        return
    assert clip.error_message == "written down"
    [request] = wire.requests
    assert (request.method, request.path) == ("POST", expected.path)
    assert request.json == expected.body
    assert request.headers["content-type"] == "application/json"
    assert b"own-" not in request.body + f"{request.path} {request.headers}".encode()


@pytest.mark.parametrize("case", TABLE)
async def test_what_vertex_ai_is_sent(case: str) -> None:
    fields, expected, _ = TABLE[case]
    assert_sent(expected, *await sent("vertex", fields))


@pytest.mark.parametrize("case", TABLE)
async def test_what_the_gemini_api_is_sent(case: str) -> None:
    fields, _, expected = TABLE[case]
    assert_sent(expected, *await sent("gemini", fields))


@pytest.mark.parametrize("backend", ["vertex", "gemini"])
@pytest.mark.parametrize("case", NEVER)
async def test_an_invalid_prompt_is_not_sent(case: str, backend: str) -> None:
    fields, sentence = NEVER[case]
    clip, wire = await sent(backend, fields)
    assert (clip.status, clip.attempts, wire.connections) == (ClipStatus.REJECTED, 0, 0)
    assert (clip.error_message or "").startswith(sentence)


# ---- nothing is forgotten --------------------------------------------------------------------------------------------


def choices(kind: Any) -> set[Any]:
    """The allowed values of a field of this type; empty if it has no fixed choice."""
    if kind is bool:
        return {True, False}
    if get_origin(kind) is dict:
        return set()
    return set(get_args(kind)) if get_origin(kind) is Literal else {c for part in get_args(kind) for c in choices(part)}


def taken(name: str) -> list[Any]:
    """The values of a field in prompts that the table sends to at least one service."""
    rows = [fields for fields, *wires in TABLE.values() if name in fields and any(isinstance(w, Sent) for w in wires)]
    return [getattr(VideoPrompt.model_validate({"text": "a boat", **fields}), name) for fields in rows]


def test_the_table_has_every_field_of_a_prompt_but_the_users_own() -> None:
    assert {name for fields, *_ in TABLE.values() for name in fields} == set(VideoPrompt.model_fields) - set(OWN)
    assert set(OWN) <= set(VideoPrompt.model_fields)


@pytest.mark.parametrize("name", [name for name in VideoPrompt.model_fields if name not in OWN])
def test_the_table_has_every_choice_of_a_field_on_a_wire_that_takes_it(name: str) -> None:
    values = taken(name)
    assert values
    assert [choice for choice in choices(VideoPrompt.model_fields[name].annotation) if choice not in values] == []
