"""What a page shows: all who follow the pieces have the same view in the end, from wherever and however slowly."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.report.view import LaneStep, Step
from aveo3.server.page import shown
from aveo3.server.page.shown import CLIPS_AT_ONCE, Cursor, Shown
from tests.support.page import MONEY, clip


class Follower:
    """Does what the script of the page does with a view and its patches."""

    def __init__(self, of: Shown) -> None:
        text, self.cursor = of.first()
        self.view: dict[str, Any] = json.loads(text)
        self.of = of
        self.biggest = len(self.view["clips"])

    def step(self) -> bool:
        """Take one piece; False if there is none."""
        if (piece := self.of.since(self.cursor)) is None:
            return False
        text, self.cursor = piece
        patch = json.loads(text)
        self.biggest = max(self.biggest, len(patch.get("clips", ())))
        for name, value in patch.items():
            if name in ("clips", "lanes"):
                key = "key" if name == "clips" else "name"
                rows = {row[key]: row for row in self.view[name]} | {row[key]: row for row in value}
                self.view[name] = list(rows.values())
            elif name in ("steps", "lane_steps"):
                self.view[name] += value
            else:
                self.view[name] = value
        return True


def sorted_view(view: Any) -> Any:
    return {**view, "clips": sorted(view["clips"], key=lambda row: row["key"])}


def step(number: int) -> Step:
    return Step(at_utc="2026-11-27T12:00:00+00:00", key=f"{number}", kind="submitted", lane=None)


@given(st.integers(0, 2**32))
def test_every_follower_ends_with_the_same_view(seed: int) -> None:
    rng = random.Random(seed)
    one = Shown(title="a", live=True, run=None, money=MONEY)
    followers = [Follower(one)]
    for number in range(rng.randrange(400)):
        match rng.randrange(8):
            case 0:
                one.set(title=f"{rng.randrange(3)}")
            case 1:
                row: Any = {"name": f"{rng.randrange(3)}", "used": rng.randrange(3)}
                one.put_lane(row)
            case 2:
                one.add_step(step(number))
            case 3:
                lane_step: LaneStep = {"lane": f"{number}"}  # type: ignore[typeddict-item]
                one.add_lane_step(lane_step)
            case 4:
                if rng.random() < 0.1:
                    followers.append(Follower(one))
                rng.choice(followers).step()
            case _:
                one.put_clip(clip(f"{rng.randrange(30)}", index=rng.randrange(5)), ended=rng.random() < 0.5)
    for follower in followers:
        while follower.step():
            pass
        assert sorted_view(follower.view) == sorted_view(one.view()) == sorted_view(one.copy().view())
        assert follower.cursor == one.now()


def test_a_clip_that_changes_all_the_time_is_sent_once_in_its_newest_form() -> None:
    one = Shown(title="a")
    follower = Follower(one)
    for number in range(100_000):
        one.put_clip(clip("a", index=number), ended=False)
        one.put_clip(clip("b"), ended=False)
    assert follower.step()
    assert not follower.step()
    assert [(row["key"], row.get("index")) for row in follower.view["clips"]] == [("b", None), ("a", 99_999)]
    assert len(one._keys) < 2_000  # what nobody needs any more is forgotten


def test_what_is_the_same_already_is_no_change() -> None:
    one = Shown(title="a")
    one.put_clip(clip("a"), ended=True)
    one.set(title="b", run=None)
    before = one.changes
    one.put_clip(clip("a"), ended=True)
    one.set(title="b", run=None)
    assert one.changes == before
    assert Follower(one).of.since(one.now()) is None


def test_no_piece_is_larger_than_may_hold_the_loop_up() -> None:
    one = Shown(title="a")
    follower = Follower(one)
    for number in range(5 * CLIPS_AT_ONCE):
        one.put_clip(clip(f"{number}"), ended=False)
    while follower.step():
        pass
    assert follower.biggest == CLIPS_AT_ONCE


def test_the_newest_steps_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "STEPS_KEPT", 10)
    one = Shown(title="a")
    early = Cursor()
    for number in range(25):
        one.add_step(step(number))
    text, cursor = one.since(early) or (b"", early)
    assert [each["key"] for each in json.loads(text)["steps"]] == [f"{number}" for number in range(15, 25)]
    assert cursor.covers(one.now())


def test_the_row_of_an_ended_clip_is_packed_and_comes_back_as_it_was() -> None:
    one = Shown(title="a")
    row = clip(
        "a",
        text="a paper boat on a river, " * 20,
        error_message="ä \u2028 \x00 😀",
        operation="projects/p/operations/1",
    )
    one.put_clip(row, ended=True)
    assert len(one._rows["a"]) < len(json.dumps(row)) / 3
    assert one.clip("a") == row
    assert (one.clip("b"), "a" in one, len(one)) == (None, True, 1)


def test_half_a_surrogate_pair_in_a_prompt_breaks_nothing() -> None:
    one = Shown(title="a")
    one.put_clip(clip("a", text="\ud83d boat"), ended=False)
    assert json.loads(one.first()[0])["clips"][0]["text"] == "? boat"


def test_no_text_ends_an_event_of_the_stream() -> None:
    one = Shown(title="a\nevent: view\ndata: {}\n\n")
    one.put_clip(clip("a", text="\r\n\n\ndata: {}"), ended=False)
    assert b"\n" not in one.first()[0]
    assert b"\r" not in one.first()[0]
