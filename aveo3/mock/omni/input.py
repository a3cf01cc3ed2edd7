"""Reads the `input` of an interaction: text and media blocks, in any of the allowed shapes. Pure.

The shapes are a text, one block, a list of blocks, and a list of steps that contain blocks. SDKs send other shapes than
people write, and the API accepts all of them.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aveo3.mock.error_bodies import RequestError, invalid
from aveo3.mock.models import Omni
from aveo3.mock.omni.errors import unsupported_value

_KINDS = ("text", "image", "video")
_IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_LIMIT = 100 * 2**20  # characters of base64


@dataclass(frozen=True, slots=True)
class Input:
    """The blocks of a request, without the bytes of their media: a server that runs for days must not keep them."""

    blocks: tuple[dict[str, Any], ...]

    @property
    def prompt(self) -> str:
        return "\n".join(block["text"] for block in self.blocks if block["type"] == "text")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [block for block in self.blocks if block["type"] == kind]


def read_input(value: Any, model: Omni, *, required: bool = True) -> Input:
    """Parse and check an `input`. Raises RequestError with Google's 400."""
    blocks = tuple(_checked(block, at) for block, at in _blocks(value, "input"))
    parsed = Input(blocks)
    if not blocks and not required:
        return parsed
    if not blocks or not (parsed.prompt.strip() or len(parsed.of("text")) < len(blocks)):
        raise RequestError(invalid("The parameter 'input' is required: it has neither text nor media."))  # guessed
    for kind, most in (("image", model.images), ("video", model.videos)):
        if (count := len(parsed.of(kind))) > most:
            # guessed
            raise RequestError(invalid(f"'input' takes at most {most} blocks of type '{kind}'; it has {count}."))
    return parsed


def _blocks(value: Any, at: str) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(value, str):
        yield {"type": "text", "text": value}, at
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _blocks(item, f"{at}[{place}]")
    elif isinstance(value, dict):
        if value.get("type") == "user_input":
            yield from _blocks(value.get("content"), f"{at}.content")
        # A client that keeps the conversation itself sends the model's steps back; they order nothing.
        elif value.get("type") not in ("model_output", "thought"):
            yield value, at
    elif value is not None:
        raise RequestError(invalid(f"Invalid value at '{at}': expected a string, an object or a list."))  # guessed


def _checked(block: dict[str, Any], at: str) -> dict[str, Any]:
    kind = block.get("type")
    if kind not in _KINDS:
        raise RequestError(unsupported_value(kind, f"{at}.type", _KINDS))
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise RequestError(invalid(f"Invalid value at '{at}.text': expected a string."))  # guessed
        return {"text": block["text"], "type": "text"}
    if kind == "image" and block.get("mime_type") not in _IMAGES:
        raise RequestError(unsupported_value(block.get("mime_type"), f"{at}.mime_type", _IMAGES))
    if block.get("uri") is None:
        _check_data(block.get("data"), at)
    return {name: value for name, value in block.items() if name != "data"}


def _check_data(data: Any, at: str) -> None:
    if not isinstance(data, str) or not data or len(data) > _LIMIT:
        # guessed
        raise RequestError(invalid(f"Invalid value at '{at}': 'data' (base64, at most 100 MB) or 'uri' is required."))
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        # guessed
        raise RequestError(invalid(f"Invalid value at '{at}.data' (TYPE_BYTES), Base64 decoding failed.")) from None
