"""The emulator accepts every prompt that the catalog allows, and declines every prompt that the catalog refuses.
Two independent descriptions of the models, checked against each other through the real backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest

from aveo3 import VideoPrompt
from aveo3.backends.base import Backend
from aveo3.backends.gemini import GeminiBackend
from aveo3.backends.vertex import VertexBackend
from aveo3.config import catalog
from aveo3.config.catalog import LONGEST_SOURCE, ModelCard
from aveo3.mock import MockOptions, MockServer
from aveo3.mock.models import MODELS as VEO
from aveo3.mock.models import OMNI, Surface
from aveo3.verdicts import VerdictKind
from tests.support.guide import NOT_AN_ABILITY
from tests.support.raw_server import MP4, PNG
from tests.support.settings import settings

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # the SDK subclasses a session

CARDS = catalog.load()
SURFACES: dict[str, Surface] = {"vertex": "vertex", "gemini": "developer"}
MODELS = list(CARDS.models)
DOORS = [(model, backend) for model, card in CARDS.models.items() for backend in card.backends]
"""Every model on each backend that has it."""
EARLIER = "an earlier clip"
"""A placeholder for the id of a clip that the emulator made."""

LENGTHS = [{"duration_seconds": seconds} for seconds in (2, 3, 4, 5, 6, 7, 8, 10, 11, 15, 16)]
SIZES = [{"resolution": size} for size in ("360p", "720p", "1080p", "4k")]
SHAPES = [{"aspect_ratio": shape} for shape in ("16:9", "9:16", "1:1", "4:3")]
MEDIA: list[dict[str, Any]] = [
    {"image": PNG},
    {"image": PNG, "last_frame": PNG},
    {"reference_images": [PNG]},
    {"video": MP4},
    {"video": MP4, "task": "edit"},
    {"previous": EARLIER},
    {"previous": EARLIER, "task": "extend"},
    {"previous": EARLIER, "task": "edit"},
]

ABILITIES: dict[str, list[dict[str, Any]]] = {
    # a card's field: prompts that test it, some beyond the abilities of every model
    "backend": [{}],
    "durations": LENGTHS,
    "default_duration": [{}],
    "fractional": [{"duration_seconds": seconds} for seconds in (2.9, 3.5, 9.999, 15.1)],
    "most_seconds": [{**one, **other} for one, other in product(LENGTHS, MEDIA)],
    "reference_videos": [
        {"reference_videos": [MP4] * number, **more}
        for number in (1, 3, 4)
        for more in ({}, {"reference_images": [PNG]})
    ],
    "safety_settings": [{"safety_settings": {"jailbreak": "block_none"}}],
    "service_tier": [{"service_tier": tier} for tier in ("flex", "standard", "priority", "deferred")],
    "upscale_prices": [
        {"text": "", "task": "upscale", "video": MP4, **size} for size in SIZES if size["resolution"] != "720p"
    ],  # the emulator takes an uploaded video for one of 720p, which the catalog cannot know
    "task_fields": [{**one, **other} for one, other in product([*LENGTHS, *SIZES, *SHAPES], MEDIA)],
    "also_on": [{}],
    "prompt_tokens": [{}],
    "locations": [{}],
    "resolutions": SIZES,
    "default_resolution": [{}],
    "aspect_ratios": SHAPES,
    "image": [{"image": PNG}, {"image": PNG, "text": ""}],
    "image_types": [
        {name: [picture] if name == "reference_images" else picture, **more}
        for kind in ("png", "jpeg", "webp", "heic", "heif", "gif")
        for picture in [{"data": PNG, "mime_type": f"image/{kind}"}]
        for name, more in (("image", {}), ("last_frame", {"image": PNG}), ("reference_images", {}))
    ],
    "last_frame": [{"image": PNG, "last_frame": PNG}],
    "reference_images": [{"reference_images": [PNG] * number} for number in (1, 3, 4, 10, 11)],
    "video": [{"video": MP4}, {"video": MP4, "task": "extend"}],
    "extends": [{"video": MP4, **size} for size in SIZES],
    "previous": [{"previous": EARLIER}, {"previous": EARLIER, "task": "extend"}],
    "edit": [{"video": MP4, "task": "edit"}, {"previous": EARLIER, "task": "edit"}],
    "only_seconds": [{**one, **other} for one, other in product(LENGTHS, MEDIA)],
    "generate_audio": [{"generate_audio": True}, {"generate_audio": False}],
    "seed": [{"seed": 0}, {"seed": 2**32 - 1}],
    "negative_prompt": [{"negative_prompt": "rain"}],
    "person_generation": [
        {"person_generation": people} for people in ("allow_all", "allow_adult", "dont_allow", "disallow")
    ],
    "compression_quality": [{"compression_quality": quality} for quality in ("optimized", "lossless")],
    "resize_mode": [{"resize_mode": mode, "image": PNG} for mode in ("pad", "crop")],
    "style_references": [{"reference_images": [{"data": PNG, "type": kind}]} for kind in ("asset", "style")],
    "max_videos": [{"number_of_videos": number} for number in (1, 2, 4)],
}
TOGETHER = [{**one, **other} for one, other in product([*SIZES, *SHAPES], MEDIA)]


def has_no_place(prompt: VideoPrompt, backend: str) -> bool:
    """True if the wire has no field for it: the backend sends nothing, so nothing can be declined."""
    if backend == "vertex":
        omnis = (prompt.previous, prompt.service_tier) != (None, None) or prompt.task in ("edit", "upscale")
        rest = prompt.reference_videos or prompt.safety_settings or isinstance(prompt.duration_seconds, float)
        return bool(omnis or rest)
    unknown = (
        *(prompt.negative_prompt, prompt.person_generation, prompt.compression_quality),
        prompt.resize_mode,
    )
    styles = any(image.type == "style" for image in prompt.reference_images)
    return (
        any(value is not None for value in unknown)
        or styles
        or prompt.generate_audio is False
        or prompt.number_of_videos > 1
    )


class Desk:
    """An emulator, the backend of `model`, and a clip to continue."""

    def __init__(self, model: str, door: str, server: MockServer, backend: Backend, earlier: str) -> None:
        self.model, self.door = model, door
        self._server, self._backend, self._earlier = server, backend, earlier

    async def tried(self, fields: dict[str, Any]) -> tuple[bool, bool]:
        """Whether the catalog allows a prompt, and whether the emulator accepts it without the catalog."""
        prompt, before = prompt_of(fields, self._earlier), self._server.books.accepted
        verdict = await self._backend.submit(prompt, self.model)
        taken = verdict.kind is VerdictKind.ACCEPTED
        assert self._server.books.accepted - before == taken
        if not taken:
            assert verdict.kind is VerdictKind.REJECTED, verdict
            nothing_sent = has_no_place(prompt, "gemini" if CARDS.is_omni(self.model) else "vertex")
            assert (verdict.status, verdict.unsent) == ((None, True) if nothing_sent else (400, False)), verdict
        return not CARDS.problems(prompt, self.model, self.door), taken


def prompt_of(fields: dict[str, Any], earlier: str = "v1_a") -> VideoPrompt:
    known = {"previous": earlier} if "previous" in fields else {}
    return VideoPrompt.model_validate({"text": "a boat", **fields, **known})


@asynccontextmanager
async def desk(model: str, door: str) -> AsyncIterator[Desk]:
    options = MockOptions.model_validate({"latency": "0", "films": "bundled", "rpm": None})
    kind = VertexBackend if door == "vertex" else GeminiBackend
    who = (
        {"project": "p", "location": "global"} if door == "vertex" and CARDS.is_omni(model) else {"api_key": "AIzaSy-x"}
    )
    async with MockServer(options) as server:
        backend: Backend = await kind.open(settings(base_url=server.url, **who))
        try:
            made = await backend.submit(VideoPrompt(text="a boat"), model)
            # Veo's names have slashes, and it continues none of them.
            yield Desk(model, door, server, backend, str(made.operation).rpartition("/")[2])
        finally:
            await backend.aclose()


async def disagreements(model: str, door: str, tries: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Prompts that one allows and the other does not."""
    found = []
    async with desk(model, door) as at:
        for fields in tries:
            allowed, taken = await at.tried(fields)
            if allowed != taken:
                found.append((fields, f"allowed: {allowed}, taken: {taken}"))
    return found


@pytest.mark.parametrize(("model", "door"), DOORS)
@pytest.mark.parametrize("ability", ABILITIES)
async def test_the_emulator_takes_what_the_catalog_allows_and_nothing_else(ability: str, model: str, door: str) -> None:
    assert await disagreements(model, door, ABILITIES[ability]) == []


@pytest.mark.parametrize(("model", "door"), DOORS)
async def test_they_agree_on_media_in_every_size_and_shape(model: str, door: str) -> None:
    assert await disagreements(model, door, TOGETHER) == []


def test_every_ability_that_a_card_has_is_tried() -> None:
    assert set(ABILITIES) == set(ModelCard.model_fields) - NOT_AN_ABILITY


@pytest.mark.parametrize("ability", [name for name in ABILITIES if not name.startswith(("backend", "default_"))])
def test_every_ability_is_tried_with_what_some_model_can_do(ability: str) -> None:
    prompts = [prompt_of(fields) for fields in ABILITIES[ability]]
    assert any(CARDS.problems(prompt, model) == [] for prompt in prompts for model in MODELS)


# ---- numbers, which stand in two places ------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "door"), [(model, door) for model, door in DOORS if not CARDS.is_omni(model)])
def test_catalog_and_emulator_have_the_same_numbers_for_veo(model: str, door: str) -> None:
    card, there = CARDS.models[model].at(door), VEO[SURFACES[door], model]
    assert (card.prices, card.silent) == (there.usd, there.usd_silent)
    assert (card.durations, card.aspect_ratios) == (there.seconds, there.aspects)
    assert (card.reference_images, card.video) == (there.references, there.extension)
    assert card.negative_prompt == there.negative_prompt


@pytest.mark.parametrize(("model", "door"), [(model, door) for model, door in DOORS if CARDS.is_omni(model)])
def test_catalog_and_emulator_have_the_same_numbers_for_omni(model: str, door: str) -> None:
    card, there = CARDS.models[model].at(door), OMNI[SURFACES[door], model]

    def dollars(tokens: int) -> float:
        return round(tokens * there.usd_per_million / 1e6, 4)

    assert card.token_prices["video"] == there.usd_per_million
    assert card.prices == {size: dollars(tokens) for size, tokens in there.tokens.items()}
    upscaling = {(source, to): price for source, prices in card.upscale_prices.items() for to, price in prices.items()}
    assert upscaling == {pair: dollars(tokens) for pair, tokens in there.upscale.items()}
    assert (card.durations[0], card.durations[-1], card.default_duration) == (
        there.shortest,
        there.longest,
        there.usual,
    )
    most = {"last_frame": there.longest_with_last_frame, "extend": there.longest_extension}
    assert dict(card.most_seconds) == {name: seconds for name, seconds in most.items() if seconds < there.longest}
    assert (card.resolutions, card.aspect_ratios) == (there.resolutions, there.aspects)
    assert (card.reference_images, card.reference_videos, card.seed) == (there.images, there.videos, there.seed)
    assert there.longest_extended == LONGEST_SOURCE


def test_every_model_that_the_emulator_sells_on_vertex_is_in_the_catalog() -> None:
    sold = {model for surface, model in (*VEO, *OMNI) if surface == "vertex"} - {"gemini-omni-1.1-flash-preview"}
    assert sold == {model for model, door in DOORS if door == "vertex"}
