"""A job's moves are those of the design, and no others; no way leads from money that may be owed to a new order; and
what a state means is said once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aveo3 import lifecycle
from aveo3.lifecycle import NEXT, REOPEN, IllegalMove, State, as_found, check_move, check_reopen, is_emulated
from aveo3.models import MAY_BE_PAID as CLIPS_THAT_MAY_BE_PAID
from aveo3.models import ClipStatus

Move = tuple[State, State]

WITHIN_A_RUN = """
    planned    -> submitting rejected deferred cancelled failed
    submitting -> running planned rejected filtered uncertain
    running    -> fetching planned filtered rejected failed uncertain
    fetching   -> succeeded uncertain
    uncertain  -> fetching
"""
"""The design's diagram (architecture.md, section 6), and what can befall a job that was never sent."""

BETWEEN_RUNS = """
    deferred   -> planned
    cancelled  -> planned
    failed     -> planned
    filtered   -> planned
    rejected   -> planned
    uncertain  -> planned running
    fetching   -> running
    succeeded  -> fetching running
"""
"""What the next run does with what the last one left, and what a person may ask of it."""

MAY_BE_PAID = {State.SUBMITTING, State.RUNNING, State.FETCHING, State.UNCERTAIN, State.SUCCEEDED}
NOTHING_OWED = {State.FILTERED, State.REJECTED, State.FAILED, State.DEFERRED, State.CANCELLED}
ANSWERED = {
    (old, new)
    for old, new in product((State.SUBMITTING, State.RUNNING), {State.PLANNED, *NOTHING_OWED})
    if new in NEXT[old]
}
"""Google's answers that prove that nothing was made: to the request, or to the question what became of it."""
BY_A_PERSON = {(State.UNCERTAIN, State.PLANNED)}
"""`aveo3 retry`: it may be paid a second time, and somebody has said yes to that."""


def moves(table: str) -> set[Move]:
    return {
        (State(old), State(new))
        for line in table.strip().splitlines()
        for old, following in [line.split(" -> ")]
        for old, new in product([old.strip()], following.split())
    }


LEGAL, REOPENED = moves(WITHIN_A_RUN), moves(BETWEEN_RUNS)


def reachable(start: Iterable[State], following: Mapping[State, Iterable[State]]) -> set[State]:
    """Where a job may come to, `start` included."""
    found = set(start)
    frontier = [*found]
    while frontier:
        new = set(following.get(frontier.pop(), ())) - found
        found |= new
        frontier += new
    return found


def without(taken_out: set[Move]) -> dict[State, set[State]]:
    """Both tables as one, less some moves."""
    return {old: {new for o, new in LEGAL | REOPENED if o is old and (o, new) not in taken_out} for old in State}


@pytest.mark.parametrize(("old", "new"), [*product(State, State)], ids=str)
def test_a_job_goes_where_the_design_lets_it_and_nowhere_else(old: State, new: State) -> None:
    assert (new in NEXT[old]) == ((old, new) in LEGAL)
    if (old, new) in LEGAL:
        assert check_move(old, new) is new
    else:
        with pytest.raises(IllegalMove, match=f"^a job cannot go from {old} to {new}; from {old} it may go to "):
            check_move(old, new)


@pytest.mark.parametrize(("old", "new"), [*product(State, State)], ids=str)
def test_a_job_that_a_run_left_is_taken_up_as_the_design_says(old: State, new: State) -> None:
    assert (new in REOPEN.get(old, ())) == ((old, new) in REOPENED)
    if (old, new) in REOPENED:
        assert check_reopen(old, new) is new
    else:
        with pytest.raises(IllegalMove, match=f"^a job cannot go from {old} to {new}; from {old} it may go to "):
            check_reopen(old, new)


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


def test_the_statuses_of_a_clip_are_the_ends_of_a_run_and_that_it_goes_on() -> None:
    ends = {state for state in State if not NEXT[state]} | {State.UNCERTAIN}
    assert {status.value for status in ClipStatus} == {state.value for state in ends} | {"unfinished"}


def test_every_state_can_be_reached_and_every_job_can_end() -> None:
    assert set(NEXT) == set(State) == reachable([State.PLANNED], NEXT)
    assert all(reachable([state], NEXT) & {State.SUCCEEDED, *NOTHING_OWED} for state in State)


def test_money_is_owed_through_a_request_and_in_no_other_way() -> None:
    before = reachable([State.PLANNED], without({(State.PLANNED, State.SUBMITTING)}))
    assert not before & MAY_BE_PAID
    assert {old for old, new in LEGAL | REOPENED if new is State.SUBMITTING} == {State.PLANNED}


def test_what_may_be_paid_is_ordered_again_only_after_an_answer_or_by_a_person() -> None:
    assert reachable(MAY_BE_PAID, without(ANSWERED | BY_A_PERSON)) == MAY_BE_PAID
    for needed in ANSWERED | BY_A_PERSON:  # each of these ways is one of its own: the property has something to say
        assert State.SUBMITTING in reachable([needed[0]], without((ANSWERED | BY_A_PERSON) - {needed}))


def test_a_video_that_exists_is_never_made_again_without_a_person_or_its_operation() -> None:
    assert State.PLANNED not in reachable([State.FETCHING, State.SUCCEEDED, State.UNCERTAIN], NEXT)
    assert State.SUBMITTING not in NEXT[State.RUNNING] | NEXT[State.FETCHING] | NEXT[State.UNCERTAIN]


def test_nothing_that_was_accepted_ever_counts_as_never_sent() -> None:
    """Deferred and cancelled promise that nothing is owed: only a planned job may end so."""
    assert {old for old, new in LEGAL if new in (State.DEFERRED, State.CANCELLED)} == {State.PLANNED}


def test_no_move_is_legal_both_within_a_run_and_between_two() -> None:
    assert not LEGAL & REOPENED


# ---- what a state means ----------------------------------------------------------------------------------------------

MEANINGS = """
    UNSENT           planned deferred cancelled
    AT_STAKE         submitting running uncertain
    IN_FLIGHT        submitting running
    PAID             fetching succeeded
    OWED             submitting running uncertain fetching succeeded
    BILLED           fetching succeeded filtered rejected failed
    SPENT            submitting running uncertain fetching succeeded filtered rejected failed
    NOTHING_CREATED  planned rejected filtered
    TO_SEND          planned deferred cancelled failed
    UNDER_WAY        running fetching
    ENDED            succeeded filtered rejected uncertain
    WITHOUT_FILE     running fetching uncertain
    FOUND_AGAIN      fetching succeeded
"""


def test_each_named_set_holds_the_states_that_it_should() -> None:
    table = {name: set(map(State, states)) for name, *states in map(str.split, MEANINGS.strip().splitlines())}
    assert table == {name: value for name, value in vars(lifecycle).items() if isinstance(value, frozenset)}
    assert table["OWED"] == MAY_BE_PAID


def test_every_state_is_unsent_or_at_stake_or_billed_and_in_one_of_them_only() -> None:
    for state in State:
        assert [state in those for those in (lifecycle.UNSENT, lifecycle.AT_STAKE, lifecycle.BILLED)].count(True) == 1


def test_the_next_run_has_one_thing_to_do_for_each_state_that_it_finds() -> None:
    """Sends it, goes on with it, or hands out how it ended. An open submit is found as one whose answer was lost."""
    for state in map(as_found, State):
        steps = [state in those for those in (lifecycle.TO_SEND, lifecycle.UNDER_WAY, lifecycle.ENDED)]
        assert steps.count(True) == 1


def test_what_is_spent_is_more_than_what_is_owed() -> None:
    """A rejected clip may have a bill (Omni answers in words): a budget that forgot it would fail open."""
    assert {State.FILTERED, State.REJECTED, State.FAILED} == lifecycle.SPENT - lifecycle.OWED
    assert set(State) - lifecycle.UNSENT == lifecycle.SPENT


def test_what_is_sent_by_the_next_run_owes_nothing() -> None:
    assert not lifecycle.TO_SEND & lifecycle.OWED
    assert {State.FAILED} == lifecycle.TO_SEND - lifecycle.UNSENT  # it was sent, and came to nothing


def test_a_fresh_job_is_made_beside_what_ended_and_never_beside_what_is_sent_anyway_or_under_way() -> None:
    assert not lifecycle.ENDED & (lifecycle.TO_SEND | lifecycle.UNDER_WAY)
    assert State.SUBMITTING not in lifecycle.ENDED  # a run that has the journal never finds it: see `as_found`


def test_an_open_submit_is_found_as_uncertain_and_all_else_as_it_was_left() -> None:
    assert {state: as_found(state) for state in State if as_found(state) is not state} == {
        State.SUBMITTING: State.UNCERTAIN
    }
    assert as_found(State.SUBMITTING) in NEXT[State.SUBMITTING]


def test_a_step_that_may_be_lost_to_a_power_cut_comes_after_the_operation_s_name() -> None:
    """Else the next run would neither find the operation nor know that it may be paid."""
    for state in lifecycle.FOUND_AGAIN:
        assert {old for old, new in LEGAL if new is state} <= {State.RUNNING, State.FETCHING, State.UNCERTAIN}
    assert not lifecycle.FOUND_AGAIN & lifecycle.AT_STAKE


def test_clips_that_may_be_paid_show_jobs_that_are_owed_and_have_no_file() -> None:
    """`unfinished` is the status of a job under way; submitting never ends a run."""
    shown = {ClipStatus.UNFINISHED if s in lifecycle.UNDER_WAY else ClipStatus(s) for s in lifecycle.WITHOUT_FILE}
    assert shown == CLIPS_THAT_MAY_BE_PAID
    assert lifecycle.OWED - {State.SUBMITTING, State.SUCCEEDED} == lifecycle.WITHOUT_FILE


def test_only_the_emulator_is_emulated() -> None:
    assert [is_emulated(service) for service in ("mock", "google", "local", "custom")] == [True, False, False, False]


# ---- at random -------------------------------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """One job at random. Beside it a ledger with what a paying person would write down."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.PLANNED
        self.debt = False  # a request may have been accepted, and nobody has said what became of it
        self.agreed = False

    def go(self, new: State) -> None:
        if new is State.SUBMITTING:
            assert not self.debt or self.agreed, "ordered again while the first may be paid"
            self.debt, self.agreed = True, False
        elif (self.state, new) in ANSWERED:
            self.debt = False
        self.state = new

    @rule(new=st.sampled_from(State))
    def within_a_run(self, new: State) -> None:
        try:
            check_move(self.state, new)
        except IllegalMove:
            assert (self.state, new) not in LEGAL
        else:
            assert (self.state, new) in LEGAL
            self.go(new)

    @rule(new=st.sampled_from(State))
    def between_runs(self, new: State) -> None:
        try:
            check_reopen(self.state, new)
        except IllegalMove:
            assert (self.state, new) not in REOPENED
        else:
            assert (self.state, new) in REOPENED
            self.agreed |= (self.state, new) in BY_A_PERSON
            self.go(new)

    @precondition(lambda self: bool(NEXT[self.state]))
    @rule(data=st.data())
    def onwards(self, data: st.DataObject) -> None:
        """Without this, most random moves would be illegal ones."""
        self.go(check_move(self.state, data.draw(st.sampled_from(sorted(NEXT[self.state])))))

    @invariant()
    def what_may_be_paid_never_looks_unpaid(self) -> None:
        if self.state in MAY_BE_PAID:
            assert self.debt
        if self.debt and self.state not in MAY_BE_PAID:
            assert self.agreed  # somebody has said: once more, although it may be paid

    @invariant()
    def there_is_a_way_out(self) -> None:
        assert reachable([self.state], NEXT) & {State.SUCCEEDED, *NOTHING_OWED}


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
