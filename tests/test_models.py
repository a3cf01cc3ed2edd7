"""Prompts, media and clips: the values they accept, the values they refuse, and when two prompts are equal."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aveo3 import ClipError, ClipStatus, Media, VideoClip, VideoPrompt
from aveo3.input_forms import rows_of
from aveo3.lifecycle import State
from aveo3.models import as_prompt, explain

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 20
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 "
MP4 = b"\x00\x00\x00\x18ftypisom" + b"\x00" * 12


def complaint(make: type[Any], value: Any) -> str:
    """The message about the one mistake in `value`."""
    with pytest.raises(ValidationError) as raised:
        make.model_validate(value)
    [problem] = raised.value.errors()
    return str(problem["msg"]).removeprefix("Value error, ")


# ---- media -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shorthand", "media"),
    [
        ("frame.png", Media(path=Path("frame.png"))),
        (Path("frame.png"), Media(path=Path("frame.png"))),
        ("gs://bucket/frame.png", Media(uri="gs://bucket/frame.png")),
        ("https://host/frame.png", Media(uri="https://host/frame.png")),
        (PNG, Media(data=PNG)),
        ({"data": b"x", "mime_type": "image/png"}, Media(data=b"x", mime_type="image/png")),
        (Media(data=PNG), Media(data=PNG)),
    ],
)
def test_a_medium_can_be_written_as_a_path_an_address_or_bytes(shorthand: Any, media: Media) -> None:
    assert Media.model_validate(shorthand) == media
    assert VideoPrompt(image=shorthand).image == media


@pytest.mark.parametrize(
    ("source", "mime_type"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (WEBP, "image/webp"),
        (MP4, "video/mp4"),
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("some.dir/a.mp4", "video/mp4"),
        ("gs://bucket/a.jpeg", "image/jpeg"),
    ],
)
def test_the_media_type_comes_from_the_name_or_the_first_bytes(source: Any, mime_type: str) -> None:
    assert Media.model_validate(source).mime_type == mime_type


def test_a_media_type_that_is_set_wins() -> None:
    assert Media(path=Path("frame.png"), mime_type="image/webp").mime_type == "image/webp"
    assert Media(data=b"??", mime_type="image/png").mime_type == "image/png"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "give exactly one of path, data, uri, clip; got none of them"),
        ({"path": "a.png", "data": PNG}, "give exactly one of path, data, uri, clip; got path and data"),
        (
            {"path": "a.png", "data": PNG, "uri": "gs://b/a.png"},
            "give exactly one of path, data, uri, clip; got path and data and uri",
        ),
        (b"??", "cannot tell the media type of these bytes: set mime_type, such as 'image/png'"),
        (b"", "cannot tell the media type of these bytes: set mime_type, such as 'image/png'"),
        ("frame", "cannot tell the media type of frame: set mime_type, such as 'image/png'"),
        ("gs://bucket/frame", "cannot tell the media type of gs://bucket/frame: set mime_type, such as 'image/png'"),
        ("ftp://host/a.png", "String should match pattern '^(gs|https)://.+'"),
        (
            {"path": "a.png", "colour": "red"},
            "there is no such field: the fields are path, data, uri, mime_type, clip, frame",
        ),
    ],
)
def test_an_invalid_medium_is_refused(value: Any, sentence: str) -> None:
    assert complaint(Media, value) == sentence


def test_a_file_is_read_on_demand_and_not_before(tmp_path: Path) -> None:
    media = Media(path=tmp_path / "later.png")
    with pytest.raises(FileNotFoundError):
        media.read()
    (tmp_path / "later.png").write_bytes(PNG)
    assert media.read() == Media(data=PNG).read() == PNG
    with pytest.raises(ValueError, match=r"^gs://b/a\.png is not a local file$"):
        Media(uri="gs://b/a.png").read()


def test_a_repr_leaves_out_the_bytes_of_media() -> None:
    assert "PNG" not in repr(VideoPrompt(image=PNG))


# ---- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "a prompt needs a text, an image or a video to extend"),
        ({"text": " \n"}, "a prompt needs a text, an image or a video to extend"),
        ({"reference_images": [PNG]}, "a prompt needs a text, an image or a video to extend"),
        ({"text": "x", "last_frame": PNG}, "last_frame needs image, the first frame"),
        ({"video": MP4, "last_frame": PNG}, "last_frame needs image, the first frame"),
        (
            {"text": "x", "reference_images": [PNG], "image": PNG},
            "reference_images cannot go with image, last_frame or video: give one or the other",
        ),
        (
            {"text": "x", "reference_images": [PNG], "video": MP4},
            "reference_images cannot go with image, last_frame or video: give one or the other",
        ),
        ({"image": PNG, "video": MP4}, "image and video cannot go together: give one or the other"),
        ({"text": "x", "duration_seconds": 0}, "Input should be greater than 0"),
        ({"text": "x", "aspect_ratio": "wide"}, r"String should match pattern '^\d+:\d+$'"),
        ({"text": "x", "resolution": "8k"}, "Input should be '360p', '720p', '1080p' or '4k'"),
        ({"text": "x", "seed": -1}, "Input should be greater than or equal to 0"),
        ({"text": "x", "seed": 2**32}, "Input should be less than 4294967296"),
        ({"text": "x", "number_of_videos": 0}, "Input should be greater than or equal to 1"),
        ({"text": "x", "number_of_videos": 5}, "Input should be less than or equal to 4"),
        (
            {"text": "x", "person_generation": "all"},
            "Input should be 'allow_all', 'allow_adult', 'dont_allow' or 'disallow'",
        ),
        ({"text": "x", "video": MP4, "task": "upscale"}, "task='upscale' needs resolution, the size to reach"),
        (
            {"text": "x", "video": MP4, "task": "upscale", "resolution": "4k"},
            "task='upscale' changes nothing but the size: leave text, aspect_ratio and seed out",
        ),
        ({"task": "upscale", "resolution": "4k"}, "a prompt needs a text, an image or a video to extend"),
        (
            {"text": "x", "reference_videos": [MP4], "image": PNG},
            "reference_videos cannot go with image, last_frame or video: give one or the other",
        ),
        ({"text": "x", "lables": {}}, "there is no such field: did you mean labels?"),
        ({"text": "x" * 20_001}, "String should have at most 20000 characters"),
    ],
)
def test_an_invalid_prompt_is_refused(fields: dict[str, Any], sentence: str) -> None:
    assert complaint(VideoPrompt, fields) == sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a boat"},
        {"image": PNG},
        {"video": MP4},
        {"image": PNG, "last_frame": JPEG},
        {"text": "a boat", "reference_images": [PNG, JPEG]},
        {"text": "a boat", "resolution": "4K"},  # as Google's pages write it
    ],
)
def test_a_valid_prompt_is_accepted(fields: dict[str, Any]) -> None:
    VideoPrompt.model_validate(fields)


def test_a_prompt_lists_its_media_in_order() -> None:
    prompt = VideoPrompt(image=PNG, last_frame=JPEG)
    assert [media.mime_type for media in prompt.media] == ["image/png", "image/jpeg"]
    prompt = VideoPrompt(text="x", reference_images=(JPEG, PNG))
    assert [media.mime_type for media in prompt.media] == ["image/jpeg", "image/png"]
    assert VideoPrompt(text="x").media == ()


@pytest.mark.parametrize(
    "frozen", [VideoPrompt(text="x"), VideoClip(prompt=VideoPrompt(text="x"), status=ClipStatus.FAILED, model="m")]
)
def test_prompts_and_clips_are_frozen(frozen: Any) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        frozen.model = "another"


def test_a_prompt_can_be_written_as_a_text_or_a_mapping() -> None:
    prompt = VideoPrompt(text="a boat", seed=3)
    assert as_prompt(prompt) is prompt
    assert as_prompt("a boat") == VideoPrompt(text="a boat")
    assert as_prompt({"text": "a boat", "seed": 3}) == prompt
    with pytest.raises(ValidationError, match="a prompt needs a text"):
        as_prompt("")


# ---- the digest ------------------------------------------------------------------------------------------------------

SENT: dict[str, dict[str, Any]] = {
    "text": {"text": "another boat"},
    "negative_prompt": {"negative_prompt": "rain"},
    "duration_seconds": {"duration_seconds": 8},
    "aspect_ratio": {"aspect_ratio": "16:9"},
    "resolution": {"resolution": "720p"},
    "seed": {"seed": 0},
    "number_of_videos": {"number_of_videos": 2},
    "generate_audio": {"generate_audio": False},
    "person_generation": {"person_generation": "allow_all"},
    "image": {"image": PNG},
    "last_frame": {"image": PNG, "last_frame": PNG},
    "reference_images": {"reference_images": (PNG,)},
    "video": {"video": MP4},
    "previous": {"previous": "v1_a"},
    "task": {"video": MP4, "task": "edit"},
    "compression_quality": {"compression_quality": "lossless"},
    "resize_mode": {"resize_mode": "crop", "image": PNG},
    "reference_videos": {"reference_videos": (MP4,)},
    "safety_settings": {"safety_settings": {"jailbreak": "off"}},
}
NEVER_SENT = {"id": {"id": "7"}, "project_id": {"project_id": "spring"}, "metadata": {"metadata": {"scene": 3}}}
NOT_THE_CLIP = {
    "labels": {"labels": {"customer": "acme"}},
    "service_tier": {"service_tier": "flex"},
    "webhook_metadata": {"webhook_metadata": {"row": 7}},
}


def digest(model: str = "m", **fields: Any) -> str:
    return VideoPrompt(**{"text": "a boat", **fields}).digest(model)


def test_the_lists_of_sent_and_unsent_fields_are_complete() -> None:
    assert {*SENT, *NEVER_SENT, *NOT_THE_CLIP, "model"} == set(VideoPrompt.model_fields)


def test_a_digest_survives_a_new_release() -> None:
    """A job that was paid before a field was added must still match afterwards."""
    prompt = VideoPrompt(text="a boat", duration_seconds=8, seed=7, video=Media(uri="gs://b/film.mp4"))
    known = "6d582470becab5bccab823300f323b65de9bab848d59004145e21d7790fc7303"
    assert prompt.digest("veo-3.1-generate-001") == known


def test_every_field_that_is_sent_changes_the_digest() -> None:
    digests = {digest(), digest("another-model"), *(digest(**fields) for fields in SENT.values())}
    assert len(digests) == 2 + len(SENT)


@pytest.mark.parametrize("fields", [*NEVER_SENT.values(), *NOT_THE_CLIP.values()], ids=[*NEVER_SENT, *NOT_THE_CLIP])
def test_a_field_that_is_no_part_of_the_clip_does_not_change_the_digest(fields: dict[str, Any]) -> None:
    assert digest(**fields) == digest()


def test_a_length_is_the_same_however_it_is_written() -> None:
    assert {digest(duration_seconds=seconds) for seconds in (8, 8.0, "8", "8.0")} == {digest(duration_seconds=8)}
    assert digest(duration_seconds=8.5) != digest(duration_seconds=8)


@pytest.mark.parametrize("seconds", [True, "eight", float("nan"), float("inf"), "", [8], 10**400])
def test_what_is_no_length_is_refused(seconds: Any) -> None:
    with pytest.raises(ValidationError, match="duration_seconds"):
        VideoPrompt(text="x", duration_seconds=seconds)


def test_the_length_of_an_upscales_source_is_for_its_cost_only() -> None:
    film: dict[str, Any] = {"text": "", "video": MP4, "task": "upscale", "resolution": "4k"}
    assert digest(**film, duration_seconds=8) == digest(**film)
    assert digest(**{**film, "resolution": "1080p"}) != digest(**film)


def test_a_reference_for_its_style_is_another_clip_than_one_for_what_it_shows() -> None:
    style, asset = ({"data": PNG, "type": kind} for kind in ("style", "asset"))
    assert digest(reference_images=[style]) != digest(reference_images=[asset]) == digest(reference_images=[PNG])
    assert digest(reference_images=[Media(data=PNG)]) == digest(reference_images=[PNG])


def test_the_digest_counts_the_model_that_the_prompt_is_sent_to() -> None:
    named, unnamed = VideoPrompt(text="a boat", model="m"), VideoPrompt(text="a boat")
    assert named.digest("m") == unnamed.digest("m") != named.digest("other")


def test_the_bytes_of_a_medium_count_and_not_its_path(tmp_path: Path) -> None:
    for name, data in {"a.png": PNG, "b.png": PNG, "c.png": PNG + b"!"}.items():
        (tmp_path / name).write_bytes(data)
    a, b, c = (digest(image=tmp_path / name) for name in ("a.png", "b.png", "c.png"))
    assert a == b == digest(image=PNG)
    assert a != c
    (tmp_path / "a.png").write_bytes(JPEG)
    assert digest(image=tmp_path / "a.png") != a


def test_an_address_counts_as_text() -> None:
    assert digest(image="gs://b/a.png") == digest(image="gs://b/a.png") != digest(image="gs://b/c.png")


def test_the_type_and_the_role_of_a_medium_count() -> None:
    png, jpeg = Media(data=PNG), Media(data=PNG, mime_type="image/jpeg")
    assert digest(image=png) != digest(image=jpeg)
    assert digest(image=PNG, last_frame=JPEG) != digest(image=JPEG, last_frame=PNG)
    assert digest(reference_images=(PNG, JPEG)) != digest(reference_images=(JPEG, PNG))
    assert digest(reference_images=(PNG,)) != digest(reference_images=(PNG, PNG))


def test_a_digest_never_changes() -> None:
    """It names files and rows of the journal: a release that changes it would make every clip again."""
    assert digest() == "03a9d807ea2e4f26451334b805b4c0591cd091775349bf274c289deb980a7e30"
    assert (
        digest(image=PNG, seed=7, resolution="4k") == "9f5f64ea3c5840e26a32cba247281d5970d16d5b3a115ed40d13d24b61759b21"
    )


def test_a_missing_file_raises_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        digest(image="nowhere.png")


# ---- clips -----------------------------------------------------------------------------------------------------------


def clip(status: ClipStatus = ClipStatus.SUCCEEDED, **fields: Any) -> VideoClip:
    return VideoClip(prompt=VideoPrompt(text="a boat"), status=status, model="m", **fields)


def test_path_and_uri_are_those_of_the_first_video() -> None:
    made = clip(paths=(Path("a_1.mp4"), Path("a_2.mp4")), uris=("gs://b/1", "gs://b/2"))
    assert (made.path, made.uri, made.succeeded) == (Path("a_1.mp4"), "gs://b/1", True)
    assert (clip().path, clip().uri) == (None, None)


@pytest.mark.parametrize("status", ClipStatus)
def test_only_a_succeeded_clip_has_succeeded(status: ClipStatus) -> None:
    assert clip(status).succeeded == (status == "succeeded")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("succeeded", "the video is ready"),
        ("filtered", "blocked by a safety filter, not billed: change the prompt"),
        ("rejected", "the request can never work: fix what the message names"),
        ("failed", "the retries are used up: run it again later"),
        ("uncertain", "sent, outcome unknown, may be billed: check at Google before you send it again"),
        ("deferred", "never sent, not billed: run it again when quota or budget allows"),
        ("cancelled", "never sent, not billed: run it again"),
    ],
)
def test_every_status_advises_the_next_move(status: str, advice: str) -> None:
    assert ClipStatus(status).advice == advice


def test_a_status_is_a_word_and_a_state() -> None:
    assert len(ClipStatus) == 8
    assert f"{ClipStatus.DEFERRED}" == "deferred" == State(ClipStatus.DEFERRED)


def test_a_clip_survives_a_round_trip_through_json() -> None:
    made = clip(paths=(Path("a.mp4"),), cost_usd=3.2)
    assert VideoClip.model_validate_json(made.model_dump_json()) == made


def test_a_clip_error_names_the_prompt_and_the_cause() -> None:
    failed = VideoClip(
        prompt=VideoPrompt(text="b" * 100), status=ClipStatus.FILTERED, model="m", error_message="15236754: no faces"
    )
    error = ClipError(failed)
    assert error.clip is failed
    assert str(error) == f"no video for '{'b' * 60}': filtered: 15236754: no faces"


# ---- what other programs make of prompts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ratio", ["9:16", "09:16", " 9:16 ", "9:16:00", "9 : 16", "9/16", "9x16", 556, datetime.time(9, 16)]
)
def test_a_ratio_that_a_spreadsheet_or_yaml_has_changed_is_what_it_was(ratio: Any) -> None:
    assert VideoPrompt(text="x", aspect_ratio=ratio).aspect_ratio == "9:16"


@pytest.mark.parametrize("ratio", ["9", "9:", "tall", 0.39, True, 9])
def test_what_is_no_ratio_is_refused(ratio: Any) -> None:
    with pytest.raises(ValidationError):
        VideoPrompt(text="x", aspect_ratio=ratio)


@pytest.mark.parametrize(
    ("name", "field"), [("prompt", "text"), ("Prompt", "text"), ("duration", "duration_seconds"), ("Seed", "seed")]
)
def test_a_name_that_other_programs_use_is_answered_with_the_field_it_means(name: str, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        as_prompt({"text": "x", name: "5"})
    assert f"{name} is not a field of a prompt: did you mean {field}?" in explain(caught.value)


class NAType:
    """Neither equal nor unequal to anything, as that of pandas."""

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class NumpyNumber:
    dtype, shape = "int64", ()

    def __init__(self, value: object) -> None:
        self.value = value

    def item(self) -> object:
        return self.value


class Row:
    """As much of a row of pandas as counts here."""

    index = ("text", "seed", "duration_seconds", "id", "resolution")

    def to_dict(self) -> dict[str, Any]:
        cells = ("a boat", NumpyNumber(7), 8.0, NAType(), float("nan"))
        return dict(zip(self.index, cells, strict=True))


class Table:
    columns = Row.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def to_dict(self, kind: str) -> list[dict[str, Any]]:
        assert kind == "records"
        return [Row().to_dict()] * 2


def test_a_row_of_a_table_is_a_prompt_without_its_empty_cells() -> None:
    prompt = VideoPrompt(text="a boat", seed=7, duration_seconds=8)
    assert as_prompt(Row()) == as_prompt(Row().to_dict()) == prompt  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="a prompt needs a text"):
        as_prompt({"text": float("nan")})


def test_a_table_is_its_rows_and_not_the_names_of_its_columns() -> None:
    assert [as_prompt(row).seed for row in rows_of(Table())] == [7, 7]
    assert rows_of(["a"]) == ["a"]


# ---- pictures that are not what their name says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic", "a.png holds image/heic, not image/png: convert it, or name another file"),
        (b"<!DOCTYPE html><p>404", "a.png holds text/html, not image/png: convert it, or name another file"),
        (b"GIF89a...", "a.png holds image/gif, not image/png: convert it, or name another file"),
        (b'{"error": 404}', "a.png holds application/json, not image/png: convert it, or name another file"),
        (MP4, "a.png holds video/mp4, not image/png: convert it, or name another file"),
        (b"version https://git-lfs.github.com/spec/v1", "a.png holds text/plain, not image/png: convert it, or"),
        (b"", "a.png is empty"),
    ],
)
def test_a_picture_that_is_none_is_told(content: bytes, words: str) -> None:
    Path("a.png").write_bytes(content)
    [why] = VideoPrompt(text="x", image=Path("a.png")).mismatches()
    assert why.startswith(words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mp4", b"a boat on a river", "does not begin like video/mp4: convert it, or name another file"),
        ("a.mov", b"a boat on a river", "does not begin like video/quicktime: convert it, or name another file"),
        ("a.mp4", b"", "is empty"),
        ("a.mp4", PNG, "holds image/png, not video/mp4: convert it, or name another file"),
        ("a.mp4", MP4, None),
        ("a.mov", b"\0\0\0\x08wide\0\0\x10\0mdat", None),  # of QuickTime before it had a type
        ("a.mpg", b"\0\0\1\xba", None),
        ("a.ogv", b"OggS", None),  # nobody here knows how that begins: Google decides
    ],
)
@pytest.mark.parametrize("field", ["video", "reference_videos"])
def test_a_text_under_the_name_of_a_video_is_told(field: str, name: str, content: bytes, words: str | None) -> None:
    Path(name).write_bytes(content)
    prompt = VideoPrompt.model_validate({"text": "x", field: name if field == "video" else [name]})
    assert prompt.mismatches() == ([] if words is None else [f"{name} {words}"])


@pytest.mark.parametrize(("content", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (b"??", "image/png")])
def test_a_picture_under_another_kinds_name_goes_out_as_what_it_is(content: bytes, kind: str) -> None:
    Path("a.png").write_bytes(content)
    prompt = VideoPrompt(text="x", image=Path("a.png"))
    assert prompt.image is not None
    assert (prompt.mismatches(), prompt.image.sent_type(prompt.image.read())) == ([], kind)


def test_a_type_that_the_user_names_counts() -> None:
    Path("a.png").write_bytes(b"GIF89a...")
    media = Media(path=Path("a.png"), mime_type="image/gif")
    assert (media.mismatch(), media.sent_type(media.read())) == (None, "image/gif")
