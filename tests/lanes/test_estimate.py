"""The estimate of a batch: its cost and its time before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3 import Media, Settings, VideoPrompt
from aveo3.lanes.estimate import StandIn, estimate, stand_ins
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes


def routes(**settings: Any) -> Routes:
    return Routes(Lanes(Settings(backend="vertex", **settings)))


FAST = "veo-3.1-fast-generate-001"


def prompts(count: int, **fields: object) -> list[VideoPrompt]:
    return [VideoPrompt.model_validate({"text": f"prompt {n}", **fields}) for n in range(count)]


@pytest.mark.parametrize(
    ("limits", "seconds", "bound_by"),
    [
        ({"rate_limit": 12}, 70, "latency"),
        ({"rate_limit": 5}, 2 * 60 + 70, "rate"),
        ({"rate_limit": 12, "max_concurrency": 4}, 2 * 70 + 70, "running slots"),
        ({"rate_limit": 12, "spend_limit": 10.0}, 3 * 600 + 70, "spend limit"),  # 12 × $3.20, three at a time
        ({"rate_limit": 12, "daily_limit": 6}, 86_400 + 70, "daily limit"),
    ],
)
def test_the_slowest_rule_sets_the_time(limits: dict[str, float], seconds: float, bound_by: str) -> None:
    [share] = estimate(prompts(12), routes(**limits))
    assert (share.clips, share.cost_usd, share.bound_by) == (12, 38.4, bound_by)
    assert share.seconds == seconds


def test_a_chain_takes_as_long_as_its_clips_one_after_another() -> None:
    def scene(name: str, *begins: str) -> VideoPrompt:
        pictures = [Media.from_clip(clip, "last") for clip in begins]
        return VideoPrompt(id=name, text=name, reference_images=pictures)

    chain = [scene("d", "c", "a", "made before"), scene("c", "b"), scene("b", "a"), scene("a"), *prompts(4)]
    [share] = estimate(chain, routes(rate_limit=50))
    assert (share.clips, share.seconds, share.bound_by, share.waits["latency"]) == (8, 4 * 70, "latency", 3 * 70)
    [share] = estimate([scene("b", "c"), scene("c", "b")], routes(rate_limit=50))  # a circle is an error elsewhere
    assert share.clips == 2


def test_each_model_gets_its_share_and_its_price(tmp_path: Path) -> None:
    own = tmp_path / "catalog.toml"
    own.write_text(f'[models.new-model]\nlike = "{FAST}"\n', "utf-8")
    shares = estimate(prompts(2) + prompts(3, model=FAST) + prompts(1, model="new-model"), routes(catalog=own))
    assert [(s.model, s.clips, s.cost_usd) for s in shares] == [
        ("veo-3.1-generate-001", 2, 6.4),
        (FAST, 3, 2.4),
        ("new-model", 1, None),
    ]


def test_prompts_that_cannot_work_are_named_and_not_counted() -> None:
    [share] = estimate(prompts(1) + prompts(1, duration_seconds=5), routes())
    assert share.clips == 1
    assert share.problems == (
        "'prompt 0': duration_seconds=5 is not offered by veo-3.1-generate-001: choose 4 or 6 or 8",
    )


def test_an_empty_batch_has_no_shares() -> None:
    assert estimate([], routes()) == []


def test_the_clips_of_fallbacks_are_counted_apart() -> None:
    lite = "veo-3.1-lite-generate-001"
    chained = routes(fallback=f"{FAST} -> {lite}")
    batch = prompts(3) + prompts(1, resolution="4k") + prompts(1, model=FAST)
    assert stand_ins(batch, chained) == [StandIn(FAST, 4, 4.8), StandIn(lite, 4, 1.6)]
    assert stand_ins(prompts(1), routes()) == []


def test_the_time_of_a_clip_can_be_given() -> None:
    [share] = estimate(prompts(12), routes(rate_limit=10, rate_period=5), clip_seconds=2.0)
    assert (share.seconds, share.bound_by) == (7.0, "rate")
    [share] = estimate(prompts(3), routes(), clip_seconds=2.0)
    assert (share.seconds, share.bound_by) == (2.0, "latency")
