"""A job's moves are those of the design, and no others."""

from __future__ import annotations

from itertools import product

import pytest

from aveo3.lifecycle import FINAL, NEXT, IllegalMove, State, check_move
from aveo3.models import ClipStatus

MOVES = """
    planned    -> submitting rejected deferred cancelled failed
    submitting -> running planned rejected filtered uncertain
    running    -> fetching planned filtered rejected failed uncertain
    fetching   -> succeeded uncertain
"""
"""The design's diagram (architecture.md, section 6), and what can befall a job that was never sent."""

LEGAL = {
    (State(old), State(new))
    for line in MOVES.strip().splitlines()
    for old, following in [line.split(" -> ")]
    for old, new in product([old.strip()], following.split())
}


@pytest.mark.parametrize(("old", "new"), [*product(State, State)], ids=str)
def test_a_job_goes_where_the_design_lets_it_and_nowhere_else(old: State, new: State) -> None:
    assert (new in NEXT[old]) == ((old, new) in LEGAL)
    if (old, new) in LEGAL:
        assert check_move(old, new) is new
    else:
        with pytest.raises(IllegalMove, match=f"^a job cannot go from {old} to {new}; from {old} it may go to "):
            check_move(old, new)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            State.PLANNED,
            State.RUNNING,
            "a job cannot go from planned to running; from planned it may go to "
            "cancelled, deferred, failed, rejected, submitting",
        ),
        (
            State.FETCHING,
            State.PLANNED,
            "a job cannot go from fetching to planned; from fetching it may go to succeeded, uncertain",
        ),
        (
            State.SUCCEEDED,
            State.PLANNED,
            "a job cannot go from succeeded to planned; from succeeded it may go to nothing: it is final",
        ),
    ],
)
def test_an_illegal_move_names_the_legal_ones(old: State, new: State, sentence: str) -> None:
    with pytest.raises(IllegalMove) as raised:
        check_move(old, new)
    assert str(raised.value) == sentence


def test_the_final_states_are_the_statuses_of_a_clip() -> None:
    assert {state.value for state in FINAL} == {status.value for status in ClipStatus}


def reachable(start: State) -> set[State]:
    found, frontier = {start}, [start]
    while frontier:
        new = NEXT[frontier.pop()] - found
        found |= new
        frontier += new
    return found


def test_every_state_can_be_reached_and_every_job_can_end() -> None:
    assert set(NEXT) == set(State) == reachable(State.PLANNED)
    assert all(reachable(state) & FINAL for state in State)


def test_nothing_that_was_accepted_ever_counts_as_never_sent() -> None:
    """Deferred and cancelled promise that nothing is owed: only a planned job may end so."""
    assert {old for old, new in LEGAL if new in (State.DEFERRED, State.CANCELLED)} == {State.PLANNED}
    assert State.SUBMITTING not in NEXT[State.RUNNING] | NEXT[State.FETCHING]
    assert State.PLANNED not in reachable(State.FETCHING)  # a paid video is never made again
