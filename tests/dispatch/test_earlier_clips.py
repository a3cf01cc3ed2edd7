"""What editing or upscaling a clip may cost goes by that clip: its file, its job in the journal, else the dearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, VideoPrompt, verdicts
from aveo3.backends.base import Finished, Video
from aveo3.cli.preview import know
from aveo3.config.catalog import LONGEST_SOURCE, load
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes
from aveo3.mock.state.films import bundled
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client, virtual

OMNI = "gemini-omni-1.2-flash"
SECOND = load().models[OMNI].prices["720p"]
EDIT = {"text": "by night", "task": "edit"}


def film(seconds: int, width: int = 1280, height: int = 720) -> bytes:
    """The emulator's film, with an index that says another length and size."""
    old = (320 << 16).to_bytes(4, "big") + (180 << 16).to_bytes(4, "big")
    data = bundled().replace(old, (width << 16).to_bytes(4, "big") + (height << 16).to_bytes(4, "big"))
    return data.replace(b"\0\0\3\xe8\0\0\x1f\x40\0\1\0\0", b"\0\0\3\xe8" + (1000 * seconds).to_bytes(4) + b"\0\1\0\0")


def at_most(**fields: Any) -> float | None:
    """What a dry run says that a prompt may cost."""
    route, _ = Routes(Lanes(Settings(model=OMNI, backend="gemini"))).for_estimate(VideoPrompt(**fields))
    assert route is not None
    return route.tiers[0][0].cost_usd


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({**EDIT, "video": film(13)}, 13),
        ({**EDIT, "video": film(13), "duration_seconds": 5}, 13),
        ({**EDIT, "video": film(3), "duration_seconds": 5}, 5),
        ({**EDIT, "video": "https://files/1.mp4"}, LONGEST_SOURCE),
        ({**EDIT, "video": "https://files/1.mp4", "duration_seconds": 5}, 5),
        ({**EDIT, "video": "missing.mp4"}, LONGEST_SOURCE),
        ({**EDIT, "previous": "v1_a"}, LONGEST_SOURCE),
        ({"text": "by night", "previous": "v1_a"}, LONGEST_SOURCE),  # Omni may edit it, or make ten seconds more
        ({"text": "and on", "previous": "v1_a", "task": "extend"}, 10),
        ({"text": "and on", "video": film(13)}, 10),
    ],
)
def test_an_edit_costs_what_the_seconds_of_its_source_cost(fields: dict[str, Any], seconds: int) -> None:
    assert at_most(**fields) == round(SECOND * seconds, 4)


@pytest.mark.parametrize(
    ("source", "cost"),
    [
        (film(5, 640, 360), 5 * 0.1738),
        (film(5, 720, 1280), 5 * 0.1390),
        (film(5, 800, 450), 5 * 0.1738),  # of no size with a price: the dearest
        (b"\x1aE\xdf\xa3 no mp4", 40 * 0.1738),
    ],
)
def test_an_upscale_costs_what_its_sources_size_and_length_cost(source: bytes, cost: float) -> None:
    video = {"data": source, "mime_type": "video/mp4"}
    assert at_most(video=video, task="upscale", resolution="4k") == round(cost, 4)


def scripted() -> ScriptedBackend:
    names = iter("abcdefgh")
    return ScriptedBackend(answer=lambda _: verdicts.accepted(f"v1_{next(names)}"))


def test_a_budget_sets_aside_the_length_of_a_local_clip() -> None:
    Path("long.mp4").write_bytes(film(20))

    async def main() -> None:
        for budget, sent in ((20 * SECOND - 0.01, 0), (20 * SECOND + 0.01, 1)):
            backend = scripted()
            async with client(backend, model=OMNI, budget=budget) as veo:
                [clip] = await veo.generate_many([{**EDIT, "video": "long.mp4"}])
            assert (len(backend.submits), clip.error_kind == "budget") == (sent, not sent)
            assert clip.cost_usd == (round(20 * SECOND, 4) if sent else 0)

    virtual(main)


@pytest.mark.parametrize("file", [True, False])
def test_a_budget_sets_aside_the_length_that_the_journal_knows_of_an_earlier_clip(file: bool) -> None:
    """The file says how long it is; without it, the length that was ordered counts."""

    async def main() -> None:
        backend = scripted()
        if file:
            backend._ending = lambda _: Finished((Video(data=film(14)),))
        async with client(backend, model=OMNI, journal="auto", budget=100.0) as veo:
            first = await veo.generate({"text": "a boat", "duration_seconds": 13})
            edited = await veo.generate({**EDIT, "previous": first.operation})
            assert edited.cost_usd == round(SECOND * (14 if file else 13), 4)
            there, new = veo.routes, VideoPrompt(text="at dawn", task="edit", previous=first.operation)
            assert know([new], veo.settings, there, service=veo.service).to_send == [new]
            route, _ = there.for_estimate(new)
            assert route is not None
            assert route.tiers[0][0].cost_usd == edited.cost_usd, "a dry run says the same"
            again = await veo.generate({"text": "by day", "task": "edit", "previous": edited.operation})
            assert again.cost_usd == round(SECOND * (14 if file else LONGEST_SOURCE), 4)

    virtual(main)
