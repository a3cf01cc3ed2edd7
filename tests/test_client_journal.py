"""Status, history and retry of a client: the facts of the command line, as values."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aveo3 import ClipStatus, JournalError, Settings, UsageError, VeoClient, verdicts
from aveo3.cli import app
from aveo3.lifecycle import State
from aveo3.testing import ScriptedBackend
from tests.support.desk import OPERATION, PATH, Desk
from tests.support.virtual import client, statuses, virtual

UNCERTAIN = verdicts.uncertain("HTTP 500", 500)


def google() -> VeoClient:
    return VeoClient(Settings(api_key="AIza", backend="vertex"))


def ours(backend: ScriptedBackend, **values: Any) -> VeoClient:
    return client(backend, journal="auto", **values)


# ---- status ---------------------------------------------------------------------------------------------------------


def test_a_status_says_of_every_job_what_the_command_line_says() -> None:
    with Desk() as desk:
        for state in State:
            desk.job(state)
        desk.job(State.SUCCEEDED, service="mock")
    found = google().status()
    printed = [json.loads(line) for line in CliRunner().invoke(app, ["status", "--json"]).stdout.splitlines()]
    assert [job.name for job in found.jobs] == [row["job"] for row in printed]
    assert [job.state for job in found.jobs] == [row["state"] for row in printed]
    assert [[file["path"] for file in job.files] for job in found.jobs] == [
        [file["path"] for file in row["files"]] for row in printed
    ]
    assert found.path == PATH
    assert found.counts == dict.fromkeys(State, 1) | {State.SUCCEEDED: 2}
    assert (found.active, found.last_run is not None) == (False, True)


def test_a_status_sums_what_is_spent_in_flight_and_may_be_paid() -> None:
    with Desk() as desk:
        for state in (State.SUCCEEDED, State.RUNNING, State.RUNNING, State.UNCERTAIN):
            desk.job(state)
        desk.job(State.SUCCEEDED, service="mock")
        unpriced = desk.job(State.UNCERTAIN)
        desk.journal.note(unpriced.id, State.UNCERTAIN, cost_usd=None, sunk_usd=1.0)
        busy = google().status()
    assert (busy.active, busy.money.spent, busy.money.in_flight) == (True, (3.2, 0), (6.4, 0))
    assert (busy.money.may_be_paid, busy.money.given_up) == ((4.2, 1), (1.0, 0))
    idle = google().status().money
    assert (idle.spent.usd, idle.in_flight.usd, round(idle.may_be_paid.usd, 2)) == (3.2, 0.0, 10.6)


def test_a_status_can_be_asked_for_before_while_and_after_a_client_is_open() -> None:
    async def main() -> None:
        veo = ours(ScriptedBackend())
        with pytest.raises(JournalError, match="clips does not exist, so there is no journal"):
            veo.status()
        async with veo:
            await veo.generate("a boat")
            assert (veo.status().active, veo.status().counts) == (True, {State.SUCCEEDED: 1})
        assert (veo.status().active, veo.status().counts) == (False, {State.SUCCEEDED: 1})

    virtual(main)


def test_without_a_journal_there_is_no_status() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            with pytest.raises(UsageError, match="there is no journal to read: VEO3_JOURNAL=none"):
                veo.status()

    virtual(main)


def test_an_open_client_answers_in_its_own_loop_only() -> None:
    async def main() -> None:
        async with ours(ScriptedBackend()) as veo:
            with pytest.raises(UsageError, match="belongs to another event loop"):
                await asyncio.to_thread(veo.status)

    virtual(main)


# ---- history --------------------------------------------------------------------------------------------------------


def test_a_history_has_every_step_of_a_job() -> None:
    async def main() -> None:
        async with ours(ScriptedBackend()) as veo:
            clip = await veo.generate("a boat")
            told = veo.history(clip)
        assert [event.state for event in told.events] == [
            *(State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING, State.SUCCEEDED),
        ]
        assert told.events[2].changes["operation"] == clip.operation == told.job.operation
        assert told.events[0].at_utc == clip.queued_utc
        assert veo.history(str(clip.job)[:4]) == told  # after closing, too
        assert [Path(file["path"]) for file in told.job.files] == [path.absolute() for path in clip.paths]

    virtual(main)


def test_an_id_of_no_job_or_of_several_is_an_error() -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED, digest="1a2b")
        desk.job(State.SUCCEEDED, digest="1a3c")
    with pytest.raises(UsageError, match="'1a' matches 2 jobs"):
        google().history("1a")
    with pytest.raises(UsageError, match=r"no job in .* has the ID 'ff'"):
        google().history("ff")


def test_of_equal_jobs_of_the_emulator_and_google_the_clients_own_is_meant() -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED, digest="1a2b")
        desk.job(State.FAILED, digest="1a2b", service="mock")
    assert google().history("1a2b").job.service == "google"
    assert VeoClient(Settings(mock_mode=True)).history("1a2b").job.service == "mock"
    assert VeoClient(Settings()).history("1a2b").job.service == "mock"  # no credentials: the latest


# ---- retry ----------------------------------------------------------------------------------------------------------


def test_an_uncertain_clip_is_sent_again_by_consent_only_and_stays_counted() -> None:
    async def main() -> None:
        backend = ScriptedBackend([UNCERTAIN])
        async with ours(backend, budget=6.4) as veo:
            [clip] = await veo.generate_many(["a boat"])
            assert clip.status is ClipStatus.UNCERTAIN
            with pytest.raises(UsageError) as refused:
                veo.retry(clip)
            assert str(refused.value) == (
                "1 job may be paid already, and the video may be at Google. Making it again may cost US$ 3.20 a second "
                "time. Use may_pay_twice=True if you want that. Nothing was changed."
            )
            assert veo.status().counts == {State.UNCERTAIN: 1}
            [before] = veo.retry(clip, may_pay_twice=True)
            assert (before.name, before.state) == (clip.job, State.UNCERTAIN)
            assert veo.status().counts == {State.PLANNED: 1}
            assert veo.status().money.may_be_paid.usd == 3.2
            [again] = await veo.generate_many(["a boat"])
            assert (again.status, again.job) == (ClipStatus.SUCCEEDED, clip.job)
            money = veo.status().money
            assert (money.spent.usd, money.given_up.usd) == (3.2, 3.2)
            assert statuses(await veo.generate_many(["a kite"])) == ["deferred"]  # the budget is used up
        assert len(backend.submits) == 2

    virtual(main)


def test_a_kind_can_be_retried_as_a_whole_by_a_client_that_is_not_open() -> None:
    with Desk() as desk:
        jobs = [desk.job(state).name for state in (State.FAILED, State.FILTERED, State.FAILED, State.SUCCEEDED)]
    assert [job.name for job in google().retry(failed=True)] == [jobs[0], jobs[2]]
    assert google().retry(failed=True) == ()
    assert [job.name for job in google().retry(jobs[1])] == [jobs[1]]
    assert google().status().counts == {State.PLANNED: 3, State.SUCCEEDED: 1}


def test_what_needs_no_retry_is_left_out_and_what_can_have_none_is_an_error() -> None:
    with Desk() as desk:
        deferred, made = desk.job(State.DEFERRED).name, desk.job(State.SUCCEEDED).name
    assert google().retry(deferred) == ()
    with pytest.raises(UsageError, match=f"{made} is succeeded: its video is ready"):
        google().retry(deferred, made)
    with pytest.raises(UsageError, match=r"by ID, clip or kind, such as retry\(failed=True\)"):
        google().retry()


def test_a_running_job_can_be_given_up_by_its_id_and_not_while_this_client_works_on_it() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=1000)
        async with ours(backend) as veo:
            at_work = asyncio.create_task(veo.generate("a boat"))
            await asyncio.sleep(100)
            [job] = veo.status().jobs
            assert job.state is State.RUNNING
            with pytest.raises(UsageError, match=f"this client works on {job.name}: wait for the clips"):
                veo.retry(job.name, may_pay_twice=True)
            at_work.cancel()
            await asyncio.wait({at_work})
            [given_up] = veo.retry(job.name, may_pay_twice=True)
            assert given_up.state is State.RUNNING
            assert await veo.generate("a boat")
        assert max(backend.accepted.values()) == 2

    virtual(main)


def test_while_another_run_is_active_nothing_is_planned_again() -> None:
    with Desk() as desk:
        failed = desk.job(State.FAILED)
        desk.job(State.RUNNING)
        with pytest.raises(JournalError, match="is in use by process"):
            google().retry(failed.name)
        assert google().history(failed.name).job.state is State.FAILED
    assert google().history(failed.name).job.operation == OPERATION + failed.digest[:12]


def test_a_clip_without_a_journal_has_no_job() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            clip = await veo.generate("a boat")
        with pytest.raises(UsageError, match="made without a journal"):
            google().history(clip)
        with pytest.raises(UsageError, match="made without a journal"):
            google().retry(clip)

    Desk().journal.close()
    virtual(main)
