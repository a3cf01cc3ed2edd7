"""Several lanes share a batch: each clip goes where it can go soonest, closed lanes leave theirs to the others, and
nothing is made twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import count
from math import inf
from typing import Any

import pytest

from aveo3 import (
    ClipStatus,
    UsageError,
    VeoClient,
    VideoClip,
    VideoPrompt,
    verdicts,
)
from aveo3.backends.base import Failure, Finished, LateRefusal, PollResult, Running, Video
from aveo3.config.settings import Settings
from aveo3.mock.quota_rules import Moment, QuotaLane, QuotaRule
from aveo3.mock.quotas import Quotas
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.lanes import BEST, LATENCY, Places, lane, made
from tests.support.settings import settings
from tests.support.virtual import now, now_utc, statuses, virtual

FAST, OMNI = "veo-3.1-fast-generate-001", "gemini-omni-1.2-flash"
UNAVAILABLE = Verdict(VerdictKind.UNAVAILABLE, "the service is away", status=503)
CLOSED = Verdict(VerdictKind.REFUSED, "billing is off", refusal=Refusal.BILLING)
NO_DAY = Verdict(VerdictKind.REFUSED, "the day is used up", refusal=Refusal.DAY)
BUSY = Verdict(VerdictKind.REFUSED, "wait", refusal=Refusal.MINUTE, retry_after=1800.0, limit=50)
PASSING = [refusal for refusal in Refusal if not refusal.for_good]


def counting(name: str, limit: int, dies_at: float) -> Callable[[VideoPrompt], Verdict]:
    """A project that accepts `limit` in any minute by the emulator's rules, until its billing is off."""
    ledger = Quotas([QuotaRule(kind="minute", limit=limit)])

    def answer(_: VideoPrompt) -> Verdict:
        if now() >= dies_at:
            return CLOSED
        moment = Moment(now(), now_utc())
        if ledger.judge(QuotaLane(name, "us-central1", BEST), moment, usd=3.2, running=0):
            return Verdict(VerdictKind.REFUSED, "too many", refusal=Refusal.MINUTE)
        operations[0] += 1
        return verdicts.accepted(f"operations/{operations[0]}")

    operations = [0]
    return answer


def optimum(clips: int, dies_at: float) -> float:
    """The shortest possible time with 2, 5 and 10 a minute, the 5 until `dies_at`: whole minutes, then the latency."""
    sent, at = 0, 0.0
    while True:
        sent += 12 + (5 if at < dies_at else 0)
        if sent >= clips:
            return at + LATENCY
        at += 60.0


@pytest.mark.parametrize(("clips", "dies_at"), [(200, 330.0), (200, float("inf")), (60, 90.0)])
def test_three_lanes_together_are_as_fast_as_the_sum_of_their_quotas(
    clips: int, dies_at: float, places: Places
) -> None:
    async def main() -> None:
        limits = {"two": 2, "five": 5, "ten": 10}
        for name, limit in limits.items():
            dies = dies_at if name == "five" else float("inf")
            places[name] = made(answer=counting(name, limit, dies), round_trip=0.1)
        async with places.client(*(lane(name, limit) for name, limit in limits.items())) as veo:
            begun = now()
            found = await veo.generate_many([f"{n}" for n in range(clips)])
            took = now() - begun
            stats = veo.stats()
        assert {clip.status for clip in found} == {ClipStatus.SUCCEEDED}
        assert sum((place.accepted for place in places.values()), Counter()) == Counter(
            {f"{n}": 1 for n in range(clips)}
        )
        assert took <= 1.10 * optimum(clips, dies_at)
        assert stats.refusals <= (5 if dies_at < took else 0), "those that were out when it died, and no storm"
        assert Counter(clip.lane for clip in found) == Counter(
            {name: sum(place.accepted.values()) for name, place in places.items()}
        )

    virtual(main)


def test_prompts_that_never_get_through_hold_up_none_of_another_line_for_the_same_lane(
    places: Places,
) -> None:
    async def main() -> None:
        operations = count()
        places["a"] = made(
            answer=lambda prompt: (
                UNAVAILABLE if prompt.text.startswith("bad") else verdicts.accepted(f"operations/{next(operations)}")
            )
        )
        places["b"] = made(answer=lambda _: CLOSED)
        async with places.client(lane("a", 100), lane("b", 100, model=FAST), quota_patience=900.0) as veo:
            bad = [{"text": f"bad {number}", "model": BEST} for number in range(3)]
            found = await veo.generate_many([*bad, *(f"good {number}" for number in range(20))])
        assert [clip.index for clip in found if clip.succeeded] == [*range(3, 23)]

    virtual(main)


def test_clips_that_several_lanes_could_take_are_shared_by_weight(places: Places) -> None:
    async def main() -> None:
        async with places.client(lane("a", 100, weight=3), lane("b", 100)) as veo:
            many = await veo.generate_many([f"{n}" for n in range(8)])
            single = [await veo.generate(f"one by one {n}") for n in range(8)]
        # Not clip by clip: a lane that has yet to answer is not free.
        assert Counter(clip.lane for clip in (*many, *single)) == {"a": 12, "b": 4}

    virtual(main)


@pytest.mark.parametrize("why", [CLOSED, NO_DAY], ids=["for good", "for the day"])
def test_a_closed_lane_leaves_its_clips_to_the_others(why: Verdict, places: Places) -> None:
    async def main() -> None:
        places["a"] = made(*[verdicts.accepted(f"operations/{n}") for n in (1, 2)], answer=lambda _: why)
        async with places.client(lane("a"), lane("b", 2)) as veo:
            found = await veo.generate_many([f"{n}" for n in range(9)])
            assert veo.stats().gates["a"].refused <= 8  # all that were in flight at once
        assert Counter(clip.lane for clip in found) == {"a": 2, "b": 7}

    virtual(main)


def test_a_reserve_gets_nothing_until_every_lane_before_it_is_closed(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(*[verdicts.accepted(f"operations/{n}") for n in range(1, 5)], answer=lambda _: CLOSED)
        async with places.client(lane("a", 2), lane("b", order=2)) as veo:
            found = await veo.generate_many([f"{n}" for n in range(8)])
        assert [clip.lane for clip in found] == ["a"] * 4 + ["b"] * 4
        assert min(at for at, _ in places["b"].submits) > 60, "a was at its pace, not closed"

    virtual(main)


def test_a_lane_that_has_closed_for_a_while_is_asked_again_when_it_opens(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(BUSY)
        async with places.client(lane("a", 50), lane("b", 1), quota_patience=60) as veo:
            found = await veo.generate_many([f"{n}" for n in range(80)])
        by_lane = Counter(clip.lane for clip in found)
        assert statuses(found) == ["succeeded"] * 80
        assert 28 <= by_lane["b"] <= 34, "half an hour alone, at one a minute"

    virtual(main)


def test_where_all_lanes_are_closed_a_clip_is_deferred_and_says_why(places: Places) -> None:
    async def main() -> None:
        places["a"], places["b"] = made(answer=lambda _: CLOSED), made(answer=lambda _: NO_DAY)
        async with places.client(lane("a"), lane("b")) as veo:
            found = await veo.generate_many(["x", "y", "z"])
        assert statuses(found) == ["deferred"] * 3
        told = found[2].error_message or ""
        assert "every lane is closed: a: billing is off" in told
        assert "b: no submit is possible before 2026-11-24 08:01:00 UTC" in told
        assert found[2].error_kind == "daily_quota", "the one that opens first"

    virtual(main)


def test_a_batch_ends_though_a_lane_without_jobs_is_closed(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(BUSY)
        async with places.client(lane("a"), lane("b")) as veo:
            found = await veo.generate_many([f"{n}" for n in range(5)])
            assert now() < 100
            assert veo.stats().gates["a"].running == 0
            again = await veo.generate_many([f"again {n}" for n in range(5)])
        assert {clip.lane for clip in (*found, *again)} == {"b"}

    virtual(main)


def test_a_stop_leaves_every_prompt_with_a_clip_and_sends_nothing_more(places: Places) -> None:
    async def main() -> None:
        async with places.client(lane("a", 3), lane("b", 2)) as veo:
            async with veo.stream([f"{n}" for n in range(50)]) as clips:
                await asyncio.sleep(61)
                sent = sum(len(place.submits) for place in places.values())
                clips.stop()
                found = [clip async for clip in clips]
            assert sum(len(place.submits) for place in places.values()) == sent == 10
        assert Counter(statuses(found)) == {"succeeded": 10, "cancelled": 40}

    virtual(main)


def test_a_clip_that_failed_on_one_lane_may_be_made_by_another(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(ending=lambda _: Failure(13, "internal"))
        async with places.client(lane("a", 1), lane("b", 1), max_retries=1) as veo:
            found = await veo.generate_many(["x", "y"])
        assert {clip.lane for clip in found if clip.succeeded} == {"b"}
        assert any(clip.retry_count for clip in found)

    virtual(main)


# ---- fallbacks -------------------------------------------------------------------------------------------------------

KEY = {"name": "key", "api_key_env": "KEY", "rate_limit": 10}


def test_a_fallback_makes_clips_when_all_else_is_closed_and_says_so(places: Places) -> None:
    seen: list[VideoPrompt] = []

    def poll(prompt: VideoPrompt) -> PollResult:
        seen.append(prompt)
        return Finished((Video(data=FILM),))

    async def main() -> None:
        places["a"], places["gemini"] = made(answer=lambda _: CLOSED), made(ending=poll)
        async with places.client(lane("a"), KEY, fallback=f"{BEST} -> {OMNI}", journal="auto") as veo:
            prompts: list[Any] = [
                {"text": "x", "model": BEST, "negative_prompt": "rain"},
                {"text": "y", "model": BEST, "number_of_videos": 2},
            ]
            made_, not_ = await veo.generate_many(prompts)
            assert veo.stats().substituted == {(BEST, OMNI): 1}
        assert (made_.status, made_.model, made_.instead_of, made_.lane) == ("succeeded", OMNI, BEST, "key")
        assert made_.translated == ("duration_seconds=8", "negative_prompt is in the text")
        assert made_.prompt.negative_prompt == "rain", "as it was given"
        assert [(p.text, p.duration_seconds, p.negative_prompt) for p in seen] == [("x\nAvoid: rain", 8, None)]
        assert (not_.status, not_.instead_of) == ("deferred", None), "a seed is nothing that Omni takes"

    virtual(main)


def test_without_a_fallback_another_model_makes_nothing(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(answer=lambda _: CLOSED)
        async with places.client(lane("a"), KEY) as veo:
            [clip] = await veo.generate_many([VideoPrompt(text="x", model=BEST)])
        assert clip.status is ClipStatus.DEFERRED
        assert places["gemini"].submits == []

    virtual(main)


# ---- later runs ------------------------------------------------------------------------------------------------------


def test_a_clip_is_known_again_by_whatever_model_has_made_it(places: Places) -> None:
    """Lanes come, go and move; their earlier clips are paid."""

    async def run(*lanes: dict[str, Any], **values: object) -> list[tuple[str, bool]]:
        async with places.client(*lanes, journal="auto", **values) as veo:
            found = await veo.generate_many(["x", "y"])
        return [(clip.model, clip.cached) for clip in found]

    async def main() -> None:
        fast = lane("f", 1, model=FAST)
        first = await run(lane("a", 1), fast)
        assert sorted(first) == [(FAST, False), (BEST, False)]
        assert await run(fast, lane("a", 1)) == [(model, True) for model, _ in first]
        assert await run(lane("other", 9), {**fast, "name": "called_otherwise"}) == [(m, True) for m, _ in first]
        # Only the one model is asked for now: the clip of the other is not one of it.
        assert Counter(await run(fast)) == {(FAST, True): 1, (FAST, False): 1}

    virtual(main)


def test_a_clip_of_a_fallback_serves_requests_for_either_model(places: Places) -> None:
    async def run(*lanes: dict[str, Any], **values: object) -> tuple[str, bool, str | None]:
        async with places.client(*lanes, journal="auto", **values) as veo:
            clip = await veo.generate("x")
        return clip.model, clip.cached, clip.instead_of

    async def main() -> None:
        places["a"] = made(CLOSED)
        fast = lane("f", model=FAST)
        assert await run(lane("a"), fast, model=BEST, fallback=FAST) == (FAST, False, BEST)
        assert await run(lane("a"), fast, model=BEST) == (FAST, True, BEST)
        assert await run(lane("a"), fast, model=FAST) == (FAST, True, BEST)
        assert await run(lane("a"), model=BEST, fallback=()) == (FAST, True, BEST)
        assert sum(len(place.submits) for place in places.values()) == 2  # the refused one, and the clip

    virtual(main)


def test_equal_prompts_of_one_batch_are_as_many_clips_on_whatever_lanes(places: Places) -> None:
    async def main() -> None:
        lanes = lane("a", 2), lane("f", 2, model=FAST)
        prompts: list[Any] = ["x", "x", {"text": "x", "model": FAST}, "x", {"text": "x", "model": BEST}]
        for cached in (False, True, True):
            async with places.client(*lanes, journal="auto") as veo:
                found = await veo.generate_many(prompts)
            assert [clip.cached for clip in found] == [cached] * 5
            assert len({clip.path for clip in found}) == 5
            assert (found[2].model, found[4].model) == (FAST, BEST)
        assert sum(len(place.submits) for place in places.values()) == 5

    virtual(main)


def test_running_operations_are_polled_where_they_were_sent_whatever_the_lanes_are_now(
    places: Places,
) -> None:
    async def main() -> None:
        a, b = lane("a", 1), lane("b", 1)
        async with places.client(a, b, journal="auto") as veo, veo.stream(["x", "y"]) as clips:
            await asyncio.sleep(5)
            await clips.leave()
        polls = {name: place.polls for name, place in places.items()}
        async with places.client({**b, "name": "bee"}, journal="auto") as veo:
            found = await veo.generate_many(["x", "y"])
        assert statuses(found) == ["succeeded"] * 2
        assert all(place.polls > polls[name] for name, place in places.items())
        assert sum(len(place.submits) for place in places.values()) == 2

    virtual(main)


def test_a_clip_that_one_model_was_asked_for_by_name_is_never_another_s_that_was_asked_for_by_name(
    places: Places,
) -> None:
    """The fallback was tried and made no video: its later video of the prompt is not that clip."""

    async def run(model: str, **values: object) -> tuple[str, str, bool]:
        async with places.client(lane("a"), lane("f", model=FAST), journal="auto", **values) as veo:
            [clip] = await veo.generate_many([VideoPrompt(text="x", model=model)])
        return clip.status.value, clip.model, clip.cached

    async def main() -> None:
        places.update(a=made(CLOSED), f=made(CLOSED))
        assert (await run(BEST, fallback=FAST))[0] == "deferred"
        assert await run(FAST) == ("succeeded", FAST, False)
        assert await run(BEST) == ("succeeded", BEST, False)

    virtual(main)


def test_a_refusal_of_what_a_lane_sent_that_is_gone_closes_no_other(places: Places) -> None:
    async def main() -> None:
        places["gone"] = made(ending=lambda _: LateRefusal(CLOSED))
        async with places.client(lane("gone"), journal="auto") as veo, veo.stream(["x"]) as clips:
            await asyncio.sleep(5)
            await clips.leave()
        async with places.client(lane("b", 2), journal="auto") as veo:
            found = await veo.generate_many(["x", *(f"{n}" for n in range(8))])
            assert veo.stats().gates["b"].refused == 0
        assert statuses(found) == ["succeeded"] * 9

    virtual(main)


def test_a_refusal_of_what_another_model_was_asked_for_closes_no_lane_of_the_same_project(
    places: Places,
) -> None:
    async def main() -> None:
        places["p"] = made(
            ending=lambda prompt: LateRefusal(CLOSED) if prompt.text == "x" else Finished((Video(data=FILM),))
        )
        async with places.client(lane("p"), journal="auto") as veo, veo.stream(["x"]) as clips:
            await asyncio.sleep(5)
            await clips.leave()
        async with places.client(lane("p", 2, model=FAST), journal="auto") as veo:
            found = await veo.generate_many([{"text": "x", "model": BEST}, *(f"{n}" for n in range(4))])
            assert veo.stats().gates["p"].refused == 0
        assert statuses(found) == ["deferred", *["succeeded"] * 4]
        assert found[0].error_kind == "no_lane"

    virtual(main)


def test_a_key_of_an_earlier_run_is_in_no_message(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setenv("OLD", "old-key")
        key = {"name": "k", "api_key_env": "OLD", "model": OMNI}
        places["gemini"] = made(ending=lambda _: Failure(3, "who is old-key?"))
        async with places.client(key, journal="auto") as veo, veo.stream(["x"]) as clips:
            await asyncio.sleep(5)
            await clips.leave()
        async with places.client(lane("b"), journal="auto") as veo, veo.resume() as clips:
            [clip] = [clip async for clip in clips]
        assert "who is (the API key)?" in (clip.error_message or "")

    virtual(main)


# ---- money -----------------------------------------------------------------------------------------------------------


def test_a_clip_that_is_too_dear_for_one_lane_goes_to_a_cheaper_one(places: Places) -> None:
    async def main() -> None:
        async with places.client(lane("a"), lane("f", 1, model=FAST), budget=4.9) as veo:
            found = await veo.generate_many(["x", "y", "z", "w"])
            assert veo.stats().cost_usd == pytest.approx(4.8)
        assert Counter((clip.lane, clip.status.value) for clip in found) == {
            ("a", "succeeded"): 1,
            ("f", "succeeded"): 2,
            (None, "deferred"): 1,
        }

    virtual(main)


def test_a_clip_that_was_put_otherwise_costs_what_was_sent(places: Places) -> None:
    async def main() -> None:
        places["a"] = made(answer=lambda _: CLOSED)
        key = {"name": "k", "api_key_env": "KEY", "model": OMNI}
        async with places.client(lane("a"), key, model=BEST, fallback=OMNI) as veo:
            [clip] = await veo.generate_many(["x"])
        assert (clip.model, clip.translated) == (OMNI, ("duration_seconds=8",))
        assert clip.cost_usd == pytest.approx(8 * 0.0695), "not the ten seconds that Omni makes unless it is told"

    virtual(main)


@pytest.mark.parametrize("why", ["closed for good", "a fallback, and not asked"])
def test_a_clip_that_only_a_lane_could_pay_which_does_not_take_it_is_deferred(why: str, places: Places) -> None:
    async def main() -> None:
        values: dict[str, Any] = {"model": BEST, "fallback": FAST}
        if why == "closed for good":
            places["f"], values = made(answer=lambda _: CLOSED), {}
        async with places.client(lane("a"), lane("f", model=FAST), budget=4.5, **values) as veo:
            found = await veo.generate_many(["x", "y"])
            assert now() < 3600
        assert [(clip.status, clip.error_kind) for clip in found] == [("succeeded", None), ("deferred", "budget")]

    virtual(main)


def test_a_budget_is_that_of_a_directory_for_all_its_runs(places: Places) -> None:
    async def run(*prompts: str, **values: object) -> list[str]:
        async with places.client(lane("a"), journal="auto", budget=7.0, **values) as veo:
            return statuses(await veo.generate_many(prompts))

    async def main() -> None:
        assert await run("x") == ["succeeded"]
        assert await run("x", "y", "z") == ["succeeded", "succeeded", "deferred"]
        async with places.client(lane("a"), journal="auto", budget=7.0) as veo:
            [clip] = await veo.generate_many(["z"])
            assert veo.stats().cost_usd == 0
        assert clip.error_message == (
            "US$ 3.20 would exceed the budget of US$ 7 (US$ 6.40 spent, US$ 6.40 of it by earlier runs)"
        )

    virtual(main)


# ---- all at once -----------------------------------------------------------------------------------------------------


class Rough(ScriptedBackend):
    """A service with random failures from `rng`, until it is `calm`. It counts what must be paid."""

    calm = False

    def __init__(self, name: str, rng: random.Random, paid: Counter[str]) -> None:
        super().__init__()
        self.name, self.rng, self.paid = name, rng, paid
        self.operations: dict[str, tuple[float, PollResult]] = {}
        self.odds = {kind: rng.choice([0.0, 0.1]) for kind in ("refused", "away", "lost", "late", "failed")}
        self.round_trip, self.latency = rng.choice([0.0, 0.3, 5.0]), rng.choice([1.0, 30.0, 90.0])
        self.dies_at = rng.choice([inf, inf, rng.uniform(0, 300)])

    def happens(self, kind: str) -> bool:
        return self.rng.random() < self.odds[kind] and not self.calm

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        await asyncio.sleep(self.round_trip / 2)
        verdict = self.answer(prompt.text)
        await asyncio.sleep(self.round_trip / 2)
        return verdict

    def answer(self, text: str) -> Verdict:
        if now() >= self.dies_at and not self.calm:
            return CLOSED
        if self.happens("refused"):
            named: dict[str, Any] = self.rng.choice([{"retry_after": 5.0}, {"retry_after": 1800.0}, {"limit": 3}, {}])
            return Verdict(VerdictKind.REFUSED, "no", refusal=self.rng.choice(PASSING), **named)
        if self.happens("away"):
            return Verdict(VerdictKind.UNAVAILABLE, "away", status=503)
        if self.happens("lost"):
            self.paid[text] += 1
            return verdicts.uncertain("HTTP 500", 500)
        name = f"{self.name}/{len(self.operations)}"
        end: PollResult = Finished((Video(data=FILM),))
        if self.happens("late"):
            end = LateRefusal(Verdict(VerdictKind.REFUSED, "late", refusal=Refusal.MINUTE))
        elif self.happens("failed"):
            end = Failure(13, "internal")
        self.operations[name] = now() + self.latency * self.rng.uniform(0.3, 2), end
        self.paid[text] += isinstance(end, Finished)
        return verdicts.accepted(name)

    async def poll(self, operation: str) -> PollResult:
        done_at, end = self.operations[operation]
        return end if now() >= done_at else Running()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_each_prompt_has_one_clip_and_is_paid_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random lanes, failures, stops and prompts; then one calm run."""
    rng, paid, there = random.Random(seed), Counter[str](), dict[str, Rough]()

    async def connect(name: str, settings: Settings) -> Rough:
        name = settings.project or name
        return there.setdefault(name, Rough(name, rng, paid))

    async def fed(prompts: list[Any]) -> AsyncIterator[Any]:
        for prompt in prompts:
            await asyncio.sleep(rng.choice([0, 0, rng.uniform(0, 40)]))
            yield prompt

    def any_lanes() -> list[dict[str, Any]]:
        some = [
            lane(f"p{n}", rng.randint(1, 20), model=rng.choice([BEST, FAST]), weight=rng.randint(1, 3))
            | rng.choice([{}, {}, {"order": 2}, {"max_concurrency": 2}, {"spend_limit": 8.0}, {"quota_patience": 0}])
            for n in range(rng.randint(1, 4))
        ]
        return [*some, lane("best", 3, order=rng.randint(1, 3)), lane("fast", 3, model=FAST)]

    async def run(prompts: list[Any], ends: str, lanes: list[dict[str, Any]], **values: Any) -> list[VideoClip]:
        common = settings(poll_interval=1.0, journal="auto", **values)
        async with VeoClient(common, lanes=lanes, connect=connect, rng=rng, now_utc=now_utc) as veo:
            lazy = ends == "end" and rng.random() < 0.5
            async with veo.stream(fed(prompts) if lazy else prompts) as clips:
                if ends != "end":
                    await asyncio.sleep(rng.choice([0, rng.uniform(0, 3), rng.uniform(0, 300)]))
                    await clips.leave() if ends == "leave" else clips.stop()
                found = [clip async for clip in clips]
            gates = [opened.gate for opened in veo._session.lane_pool.open_lanes.values()]
            assert [(gate.stats().running, gate._unanswered) for gate in gates] == [(0, 0)] * len(gates)
        assert sorted(clip.index for clip in found) == list(range(len(prompts)))
        return found

    async def main() -> None:
        prompts = [{"text": f"{n}", **rng.choice([{}, {"model": BEST}, {"model": FAST}])} for n in range(20)]
        for _ in range(rng.randint(1, 3)):
            values: dict[str, Any] = rng.choice([{}, {"fallback": FAST}, {"fallback": f"{BEST} -> {FAST}"}])
            values |= {"budget": rng.choice([None, 20.0]), "quota_patience": rng.choice([60, 3600])}
            await run(prompts, rng.choice(["end", "stop", "leave"]), any_lanes(), **values)
        Rough.calm = True
        await asyncio.sleep(86_400)
        for _ in range(2):  # an operation that was left running may yet come to nothing, its retries used up
            found = await run(prompts, "end", [lane("best", 50), lane("fast", 50, model=FAST)])
        assert {clip.status.value for clip in found} <= {"succeeded", "uncertain"}
        assert paid == Counter({clip.prompt.text: 1 for clip in found})

    monkeypatch.setattr(Rough, "calm", False)
    virtual(main)


async def test_a_lane_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(UsageError, match="lane a: Vertex AI needs to know who pays: set GOOGLE_CLOUD_PROJECT"):
        async with VeoClient(settings(), lanes=[{"name": "a", "backend": "vertex"}]):
            pass


def test_no_lane_at_all_is_not_taken_for_none_set() -> None:
    with pytest.raises(UsageError, match="lanes: give at least one, or leave them out"):
        VeoClient(settings(), lanes=[])
