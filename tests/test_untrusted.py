"""A prompt from a stranger names no file, no address and no clip of ours."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aveo3 import UntrustedPrompt, VideoPrompt
from aveo3.models import as_prompt, explain

PNG = b"\x89PNG\r\n\x1a\n\xff\x00"
BASE64 = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{BASE64}"

NAMED: dict[str, Any] = {
    "a path": "/etc/passwd.png",
    "a path in an object": {"path": "secret.png", "mime_type": "image/png"},
    "a bucket": "gs://ours/secret.png",
    "an address": "https://generativelanguage.googleapis.com/v1beta/files/abc.png",
    "a clip": {"clip": "theirs"},
    "a frame of a clip": "clip:theirs#last",
    "a file address": "file:///etc/passwd.png",
}


@pytest.mark.parametrize("medium", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("field", ["image", "last_frame", "video", "reference_images"])
def test_it_names_no_file_and_no_address(field: str, medium: Any) -> None:
    body: dict[str, Any] = {"text": "a", field: [medium] if field == "reference_images" else medium}
    if field == "last_frame":
        body["image"] = URL
    with pytest.raises(ValidationError) as refused:
        UntrustedPrompt.model_validate(body)
    assert [problem["loc"][0] for problem in refused.value.errors()] == [field]
    if medium != NAMED["a file address"]:
        assert explain(refused.value)[0].startswith(
            f"{field}: must be bytes in base64, or a data: URL; paths and addresses are not accepted"
        )


def test_it_names_no_clip_of_ours() -> None:
    with pytest.raises(ValidationError, match="is not accepted: it names a clip of this account"):
        UntrustedPrompt(text="a", previous="v1_abc")


@pytest.mark.parametrize("medium", [URL, {"data": BASE64}, {"data": URL}, PNG, {"data": PNG}])
def test_bytes_are_accepted_and_make_the_same_clip(medium: Any) -> None:
    prompt = UntrustedPrompt.model_validate({"text": "a", "image": medium})
    trusted = VideoPrompt(text="a", image=PNG)
    assert prompt.image is not None
    assert (prompt.image.data, prompt.digest("veo")) == (PNG, trusted.digest("veo"))
    assert as_prompt(prompt) is prompt


@pytest.mark.parametrize("text", ["no base64!", BASE64[:-2], "\N{SAILBOAT}"])
def test_bytes_that_are_no_base64_are_refused_and_never_sent_as_they_are(text: str) -> None:
    with pytest.raises(ValidationError, match="the base64 of these bytes is broken"):
        VideoPrompt.model_validate({"text": "a", "image": {"data": text, "mime_type": "image/png"}})


def test_the_alphabet_of_addresses_is_base64_too() -> None:
    data = bytes(range(248, 256)) * 3
    safe = base64.urlsafe_b64encode(data).decode()
    prompt = VideoPrompt.model_validate({"text": "a", "image": {"data": safe, "mime_type": "image/png"}})
    assert prompt.image is not None
    assert prompt.image.data == data


def test_a_validated_prompt_cannot_be_changed_to_name_a_file() -> None:
    with pytest.raises(ValidationError):
        UntrustedPrompt.model_validate(UntrustedPrompt(text="a").model_dump() | {"image": Path("a.png")})
