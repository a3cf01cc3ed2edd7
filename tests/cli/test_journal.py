"""`aveo3 status`, `history`, `retry`, `resume` and a second `generate`: they show and use the journal correctly."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from aveo3.cli import terminal
from aveo3.cli.commands import retry, status
from aveo3.cli.exit_codes import Exit
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.journal import sqlite_schema
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.mock import MockOptions, MockServer
from tests.support.desk import NOON, OPERATION, PATH, Desk
from tests.support.emulator_clock import let_pass
from tests.support.journals import walk
from tests.support.ssl_context import SSL_CONTEXT
from tests.support.terminal import run

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

HOST = socket.gethostname()
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time to three minutes after the journal's last entry."""
    monkeypatch.setattr(status, "now_utc", lambda: NOON + timedelta(minutes=3))


def states() -> dict[str, str]:
    """The state of each job by its name."""
    with Journal(PATH, writes=False) as journal:
        return {entry.name: entry.state.value for entry in journal.records()}


# ---- status ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["status"], ["history", "1a2b"], ["retry", "clips/", "--failed"], ["resume", "clips"]], ids=" ".join
)
def test_without_a_journal_each_command_says_so_and_creates_nothing(command: list[str]) -> None:
    sentence = "aveo3: clips does not exist, so there is no journal. Name the directory with the videos.\n"
    assert run(*command) == (Exit.USAGE, "", sentence)
    assert not Path("clips").exists()
    Path("clips").mkdir()
    sentence = f"aveo3: there is no journal {PATH}: no run has written to clips yet.\n"
    assert run(*command) == (Exit.USAGE, "", sentence)
    assert not any(Path("clips").iterdir())


def test_a_journal_that_is_turned_off_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_JOURNAL", "none")
    sentence = "aveo3: there is no journal to read: VEO3_JOURNAL=none. Unset it to keep a journal.\n"
    assert run("status", "clips") == (Exit.USAGE, "", sentence)


def test_a_file_that_is_no_journal_is_explained(tmp_path: Path) -> None:
    PATH.parent.mkdir(parents=True)
    PATH.write_bytes(b"no database" * 100)
    code, stdout, stderr = run("status")
    assert (code, stdout) == (Exit.USAGE, "")
    assert stderr.startswith(f"aveo3: the journal {PATH} cannot be read: ")


def test_status_shows_the_last_run_the_money_and_each_next_move() -> None:
    with Desk() as desk:
        for state in set(State) - {State.SUBMITTING}:
            desk.job(state)
        desk.job(State.SUCCEEDED, service="mock")
    code, stdout, stderr = run("status")
    assert (code, stderr) == (Exit.ALL_MADE, "")
    head, counts, warning, _ = stdout.split("\n\n")
    assert head.splitlines() == [
        f"{PATH}: 11 jobs",
        f"no run is active; the last one (process {os.getpid()} on {HOST}) ended 2026-11-20 12:00:00 UTC",
        "spent: US$ 6.40; in flight: US$ 0.00; may be paid, too: US$ 6.40 (list prices)",
    ]
    assert counts.splitlines() == [
        "uncertain        1  sent, outcome unknown, may be billed: check at Google before you send it again "
        "(aveo3 retry)",
        "fetching         1  made and paid, not on disk yet: aveo3 resume clips",
        "running          1  Google is making it or has made it: aveo3 resume clips",
        "failed           1  the retries are used up: run it again later",
        "rejected         1  the request can never work: fix what the message names",
        "filtered         1  blocked by a safety filter, not billed: change the prompt",
        "planned          1  not sent yet, nothing is owed: run the same prompts again",
        "deferred         1  never sent, not billed: run it again when quota or budget allows",
        "cancelled        1  never sent, not billed: run it again",
        "succeeded        2  the video is ready",
    ]
    assert warning == (
        "2 jobs left at Vertex AI, the oldest sent 3 min ago: Google does not document how long an operation can be "
        "polled. Finish soon: aveo3 resume clips"
    )


def test_status_tells_which_models_google_has_shut_down() -> None:
    with Desk() as desk:
        desk.job(State.REJECTED)
        PriorRuns(desk.journal, "google", NOON).keep_answer("m", closed="It is no longer available.", accepted=0)
        PriorRuns(desk.journal, "google", NOON).keep_answer("veo", closed="It was retired.", accepted=0)
        desk.job(State.REJECTED, service="local")
    _, stdout, _ = run("status")
    assert f"on {NOON:%Y-%m-%d} Google said of model m: It is no longer available. (`aveo3 models`" in stdout
    of_google, of_another = map(json.loads, run("status", "--json")[1].splitlines())
    assert of_google["model_gone"].startswith(f"on {NOON:%Y-%m-%d} Google said of model veo: It was retired.")
    assert of_another["model_gone"] is None


def test_status_names_the_active_run_and_shows_its_jobs_in_progress() -> None:
    with Desk() as desk:
        for state in (State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING):
            desk.job(state)
        desk.journal.note(2, State.SUBMITTING)  # commits the waiting changes
        stdout = run("status")[1]
        stderr = run("retry", "--failed")[2]
    active = f"a run is active: process {os.getpid()} on {HOST}, since 2026-11-20 12:00:00 UTC"
    assert stdout.splitlines()[1] == active
    for words in (
        "waits for its turn",
        "waiting for the answer",
        "Google is making it\n",
        "being downloaded",
    ):
        assert words in stdout
    assert "left at Vertex AI" not in stdout
    assert f"clips/.aveo3/journal.db is in use by process {os.getpid()} on " in stderr


def test_status_distinguishes_a_killed_run_from_one_that_ended() -> None:
    desk = Desk()
    desk.job(State.SUBMITTING)
    desk.killed()
    stdout = run("status")[1]
    assert "started 2026-11-20 12:00:00 UTC) was killed: the next run continues it" in stdout
    assert "submitting       1  sent by a run that was killed before the answer came; may be billed" in stdout
    assert "may be paid, too: US$ 3.20 " in stdout


def test_a_row_has_the_file_the_cause_or_the_operation_and_is_not_cut_in_a_pipe() -> None:
    with Desk() as desk:
        made, lost, running = (
            desk.job(State.SUCCEEDED, "a\tboat\nat sea"),
            desk.job(State.UNCERTAIN),
            desk.job(State.RUNNING, "x" * 60),
        )
        waiting = desk.job(State.PLANNED)
    rows = run("status")[1].split("\n\n")[-1].splitlines()
    assert rows == [
        "job      state         age sent   US$ prompt                                   file or reason",
        f"{lost.name} uncertain   3 min    1  3.20 a boat                                   "
        "answer_lost: no answer in time",
        f"{running.name} running     3 min    1  3.20 {'x' * 39}… {OPERATION}{running.digest[:12]}",
        f"{waiting.name} planned     3 min    0       a boat",
        f"{made.name} succeeded   3 min    1  3.20 a boat at sea                            {made.name}.mp4",
    ]


def test_jobs_that_need_a_person_come_first_and_the_rest_is_counted() -> None:
    with Desk() as desk:
        for _ in range(60):
            desk.job(State.DEFERRED)
        for _ in range(5):
            desk.job(State.SUCCEEDED)
        lost = desk.job(State.UNCERTAIN)
    rows = run("status")[1].split("\n\n")[-1].splitlines()
    assert len(rows) == 1 + status.SHOWN + 1
    assert rows[1].startswith(lost.name)
    assert rows[-1] == "and 21 deferred, 5 succeeded (--all lists every one)"
    rows = run("status", "--all")[1].split("\n\n")[-1].splitlines()
    assert len(rows) == 1 + 66


def test_many_succeeded_jobs_are_only_counted() -> None:
    with Desk() as desk:
        for _ in range(status.SHOWN + 1):
            desk.job(State.SUCCEEDED)
    stdout = run("status")[1]
    assert stdout.endswith("succeeded       41  the video is ready\n\n41 succeeded (--all lists every one)\n")


@pytest.mark.parametrize("width", [60, 80, 132])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_screen", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    with Desk() as desk:
        for state in set(State) - {State.SUBMITTING}:
            desk.job(state, "日本の川に浮かぶ紙の船 \x1b[31mand a very long prompt that goes on and on " * 3)
    stdout = run("status", "clips")[1]
    assert "\x1b[" in stdout  # the command's own colours
    assert "\x1b[31mand" not in stdout  # no escape codes from the prompt
    lines = ANSI.sub("", stdout).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len([line for line in lines if "…" in line]) >= 10


def test_a_reason_that_does_not_fit_beside_the_prompt_stands_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "veo-3.1-generate-001 takes no negative_prompt: leave it out, or use veo-3.1-lite-generate-001 or veo-2"
    with Desk() as desk:
        job = desk.job(State.PLANNED, "a boat on a long river that goes on and on")
        desk.journal.move(job.id, State.PLANNED, State.REJECTED, error_kind="bad_request", error_message=reason)
        again = desk.job(State.PLANNED, "a second boat on a long river that goes on")
        desk.journal.move(again.id, State.PLANNED, State.REJECTED, error_kind="bad_request", error_message=reason)
        desk.job(State.SUCCEEDED, "another boat")
    monkeypatch.setattr(terminal, "is_screen", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("status", "clips")[1].splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{job.name} rejected"))
    assert "a boat on a long river that goes on and on" in lines[at]
    below = [line.strip() for line in lines[at + 1 :] if line.startswith(" " * 9)]
    assert "a second boat" in lines[at + 1 + len(below)], "an equal reason is not repeated below it"
    assert " ".join(below) == f"bad_request: {reason}"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", [["status", "clips"], ["history", "clips", "1a2b"]])
def test_a_file_gets_whole_lines_even_with_colours(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    life()
    plain = run(*command)[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert [line.rstrip() for line in ANSI.sub("", run(*command)[1]).splitlines()] == plain.splitlines()


def test_json_is_one_complete_object_a_job_with_absolute_paths() -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED)
        desk.job(State.DEFERRED)
    code, stdout, _ = run("status", "--json")
    made, waiting = map(json.loads, stdout.splitlines())
    assert code == Exit.ALL_MADE
    assert made["files"] == [
        {"path": str(Path("clips", f"{made['job']}.mp4").absolute()), "size": 2_345_678, "sha256": "f" * 64}
    ]
    assert (made["state"], made["fetched_utc"], made["cost_usd"]) == ("succeeded", NOON.isoformat(), 3.2)
    assert made["prompt"] == {"text": "a boat", "duration_seconds": 8}
    assert (waiting["state"], waiting["error_kind"], waiting["files"]) == ("deferred", "why", [])


@pytest.mark.parametrize(
    ("hours", "sentence"),
    [
        (23.9, None),
        (24.5, "1 video will be deleted: the Gemini API keeps videos for 48 h, and the oldest has 23 h left. Download"),
        (48.5, "1 video may be deleted already: the Gemini API keeps videos for 48 h. Try to download: aveo3 resume "),
    ],
)
def test_status_warns_before_google_deletes_videos(
    hours: float, sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "now_utc", lambda: NOON + timedelta(hours=hours))
    with Desk() as desk:
        desk.job(State.FETCHING, backend="gemini")
        desk.job(State.SUCCEEDED, backend="gemini")
    stdout = run("status")[1]
    assert (sentence or "aveo3 resume") in stdout
    assert ("deleted" in stdout) == (sentence is not None)


def test_what_runs_is_in_flight_during_a_run_and_may_be_paid_without_one() -> None:
    def money() -> list[tuple[float | None, ...]]:
        lines = map(json.loads, run("status", "--json")[1].splitlines())
        return [tuple(line[name] for name in ("spent_usd", "in_flight_usd", "may_be_paid_usd")) for line in lines]

    with Desk() as desk:
        for state in (State.SUCCEEDED, State.RUNNING, State.UNCERTAIN, State.FAILED):
            desk.job(state)
        desk.job(State.RUNNING, service="mock")
        desk.journal.note(4, State.FAILED, sunk_usd=0.5)
        assert "spent: US$ 3.20; in flight: US$ 3.20; may be paid, too: US$ 3.70 " in run("status")[1]
        assert money() == [(3.2, 0, 0), (0, 3.2, 0), (0, 0, 3.2), (0, 0, 0.5), (0, 0, 0)]
        assert sum(usd or 0.0 for each in money() for usd in each) == pytest.approx(desk.journal.spent("google"))
        desk.journal.note(1, State.SUCCEEDED, cost_usd=None)
        desk.journal.note(4, State.FAILED, sunk_unpriced=1)
    assert "may be paid, too: US$ 6.90 and 1 of unknown price (list" in run("status")[1]
    assert money() == [(None, 0, 0), (0, 0, 3.2), (0, 0, 3.2), (0, 0, None), (0, 0, 0)]


def test_emulated_jobs_cost_nothing_and_need_no_warning() -> None:
    with Desk() as desk:
        desk.job(State.RUNNING, service="mock")
    stdout = run("status")[1]
    assert "may be paid, too: US$ 0.00 " in stdout
    assert "left at Vertex AI" not in stdout


# ---- history ---------------------------------------------------------------------------------------------------------


def life() -> JobRecord:
    """Record a job that was refused once and whose first operation failed."""
    with Desk() as desk:
        move = desk.journal.move
        entry = desk.journal.claims.plan(
            desk.stream, "google", "1a2b" + "0" * 60, position=0, model="veo", prompt={"text": "a boat\nat sea"}
        )
        at = entry.id, State.PLANNED, State.SUBMITTING
        desk.wait(0.25)
        move(*at, attempts=1, cost_usd=3.2, place={"backend": "vertex", "project": "p", "location": None})
        desk.wait(1.5)
        move(
            entry.id, at[2], at[1], attempts=1, error_kind="per_minute", error_message="Quota exceeded", operation=None
        )
        desk.wait(60)
        move(*at, attempts=2, cost_usd=3.2, output_uri="gs://b/x/")
        move(entry.id, State.SUBMITTING, State.RUNNING, operation=OPERATION + "one")
        desk.wait(4000)
        move(entry.id, State.RUNNING, State.PLANNED, retries=1, error_kind="operation_failed", error_message="code 13")
        move(*at, attempts=3, cost_usd=3.2)
        move(entry.id, State.SUBMITTING, State.RUNNING, operation=OPERATION + "two")
        move(entry.id, State.RUNNING, State.FETCHING, uris=["gs://b/x/1.mp4"], cost_usd=3.2)
        file = {"path": "0001-a-boat.mp4", "size": 2_345_678, "sha256": "0123456789abcdef"}
        move(entry.id, State.FETCHING, State.SUCCEEDED, files=[file])
    return entry


def test_history_shows_a_job_step_by_step() -> None:
    life()
    code, stdout, stderr = run("history", "1a2b")
    assert (code, stderr) == (Exit.ALL_MADE, "")
    assert stdout.splitlines() == [
        "job        1a2b0000 (succeeded)",
        "prompt     a boat at sea",
        "model      veo (vertex, p)",
        f"operation  {OPERATION}two",
        f"file       {Path('clips/0001-a-boat.mp4').absolute()}",
        "uri        gs://b/x/1.mp4",
        "",
        "UTC                      after  state       what happened",
        "2026-11-20 12:00:00             planned     recorded",
        "2026-11-20 12:00:00      0.2 s  submitting  attempt 1; US$ 3.20 at stake",
        "2026-11-20 12:00:01      1.5 s  planned     not accepted; per_minute: Quota exceeded",
        "2026-11-20 12:01:01       60 s  submitting  attempt 2; output to gs://b/x/; US$ 3.20 at stake",
        "2026-11-20 12:01:01      0.0 s  running     operation one",
        "2026-11-20 13:07:41  1 h 7 min  planned     its operation made no video; retry 1; operation_failed: code 13",
        "2026-11-20 13:07:41      0.0 s  submitting  attempt 3; US$ 3.20 at stake",
        "2026-11-20 13:07:41      0.0 s  running     operation two",
        "2026-11-20 13:07:41      0.0 s  fetching    at gs://b/x/1.mp4; US$ 3.20",
        "2026-11-20 13:07:41      0.0 s  succeeded   0001-a-boat.mp4, 2.3 MB, SHA-256 0123456789ab…",
    ]


def test_history_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_screen", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    life()
    stdout = ANSI.sub("", run("history", "1a2b")[1])
    steps = stdout.partition("\n\n")[2].splitlines()
    assert max(map(len, steps)) <= 80
    assert {line[:42].strip() for line in steps if not line.startswith(("2026", "UTC"))} == {
        ""
    }  # wrapped under the words


def test_history_of_a_directory_asks_for_a_job_of_it() -> None:
    life()
    Path("empty").mkdir()
    for name in ("clips", "./clips/"):
        where = name.rstrip("/").removeprefix("./")
        assert run("history", name) == (
            Exit.USAGE,
            "",
            f"aveo3: history shows one job: aveo3 history {where} 1a2b0000. `aveo3 status {where}` lists the IDs.\n",
        )
    assert "there is no journal empty/.aveo3/journal.db" in run("history", "empty")[2]
    assert "no job in clips/.aveo3/journal.db has the ID 'clisp'" in run("history", "clisp")[2]


def test_history_as_json_is_one_object_with_every_step() -> None:
    life()
    [line] = run("history", "clips", "1a2b0000", "--json")[1].splitlines()
    assert run("history", "1a2b0000", "./clips", "--json")[1] == f"{line}\n", "the ID may come first"
    values = json.loads(line)
    assert (values["job"], values["state"], len(values["history"])) == ("1a2b0000", "succeeded", 10)
    assert values["history"][1]["changes"]["attempts"] == 1
    assert values["history"][-1]["at_utc"].startswith("2026-11-20T13:07:41")


def test_an_ambiguous_id_lists_longer_ids_that_are_unique() -> None:
    with Desk() as desk:
        desk.job(State.RUNNING, "a boat", digest="1a2b3c4d5")
        desk.job(State.DEFERRED, "a fox", digest="1a2b3c4d6")
        desk.job(State.PLANNED, "an owl", digest="1a3")
    assert run("history", "1A2B") == (
        Exit.USAGE,
        "",
        "aveo3: '1A2B' matches 2 jobs. Use a longer ID:\n  1a2b3c4d5  running  a boat\n  1a2b3c4d6  deferred  a fox\n",
    )
    assert run("history", "1a2b3c4d6")[0] == Exit.ALL_MADE


@pytest.mark.parametrize("name", ["ffff", "a boat", "1a2b.2", ""])
def test_an_unknown_id_is_explained_with_an_example(name: str) -> None:
    with Desk() as desk:
        desk.job(State.PLANNED, digest="1a2b3c4d")
    assert run("history", name) == (
        Exit.USAGE,
        "",
        f"aveo3: no job in {PATH} has the ID {name!r}: use an ID that `aveo3 status` shows, or its beginning, such as "
        "'1a2b3c4d'\n",
    )


def test_the_same_prompt_at_an_emulator_and_at_google_is_shown_twice() -> None:
    with Desk() as desk:
        for service in ("mock", "google"):
            desk.job(State.SUCCEEDED, digest="1a2b3c4d", service=service)
    assert run("history", "1a2b")[1].count("job        1a2b3c4d (succeeded)") == 2


# ---- retry -----------------------------------------------------------------------------------------------------------


def shelf() -> None:
    """Record one job in each state that a run can leave."""
    with Desk() as desk:
        for number, state in enumerate(set(State) - {State.SUBMITTING}):
            desk.job(state, f"{state} boat", digest=f"{number:x}{state.encode().hex()[:7]}")


def name_of(state: State) -> str:
    return next(name for name, value in states().items() if value == state.value)


def test_retry_plans_jobs_again_by_kind_and_says_what_to_run() -> None:
    shelf()
    failed, filtered, rejected = map(name_of, (State.FAILED, State.FILTERED, State.REJECTED))
    assert run("retry", "clips", "--failed", "--filtered") == (
        Exit.ALL_MADE,
        "2 jobs planned again (1 failed and 1 filtered). Nothing is sent yet: run the same prompts again, such as\n"
        "  aveo3 generate prompts.txt --output-dir clips\n",
        "",
    )
    now = states()
    assert [now[name] for name in (failed, filtered, rejected)] == ["planned", "planned", "rejected"]
    with Journal(PATH, writes=False) as journal:
        assert {entry.error_message for entry in journal.match(failed)} == {None}
        assert [event.state for event in journal.history(journal.match(failed)[0].id)][-2:] == ["failed", "planned"]


def test_retry_by_id_works_with_and_without_a_directory() -> None:
    shelf()
    rejected, failed = name_of(State.REJECTED), name_of(State.FAILED)
    assert run("retry", rejected)[0] == Exit.ALL_MADE
    assert run("retry", "./clips/", failed)[0] == Exit.ALL_MADE
    assert states()[rejected] == states()[failed] == "planned"


def test_without_a_terminal_a_job_that_may_be_paid_twice_needs_yes() -> None:
    shelf()
    lost = name_of(State.UNCERTAIN)
    sentence = (
        "aveo3: 1 job may be paid already, and the video may be at Google. Making it again may cost US$ 3.20 a second "
        "time. Use --yes if you want that. Nothing was changed.\n"
    )
    for arguments in (["--uncertain"], [lost], ["--uncertain", "--failed"]):
        assert run("retry", *arguments) == (Exit.USAGE, "", sentence)
    assert states()[lost] == "uncertain"
    assert name_of(State.FAILED)
    assert run("retry", "--uncertain", "--yes")[0] == Exit.ALL_MADE
    assert states()[lost] == "planned"


@pytest.mark.parametrize(("answer", "code", "state"), [("y\n", 0, "planned"), ("n\n", 1, "uncertain")])
def test_on_a_terminal_retry_asks_about_jobs_that_may_be_paid_twice(
    answer: str, code: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "keyboard", lambda: nullcontext(io.StringIO(answer)))
    shelf()
    lost = name_of(State.UNCERTAIN)
    got, stdout, stderr = run("retry", "--uncertain")
    assert (got, states()[lost]) == (code, state)
    assert stderr.startswith(f"  {lost}  uncertain boat\n1 job may be paid already")
    assert ("nothing was changed" in stdout) == (code == 1)


@pytest.mark.parametrize(
    ("answer", "code", "state"), [("y\n", 1, "uncertain"), ("n\ny\n", 0, "planned"), ("n\nn\n", 1, "uncertain")]
)
def test_retry_offers_what_is_free_before_what_may_be_paid_twice(
    answer: str, code: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Desk() as desk:
        lost = desk.job(State.RUNNING)
        desk.journal.move(lost.id, State.RUNNING, State.UNCERTAIN, error_kind="no_video")
    offer = "The next run of the same prompts first asks Google for 1 job of these again, for free"
    refused, _, stderr = run("retry", "--uncertain")
    assert (refused, f"{offer}. Nothing was changed." in stderr) == (Exit.USAGE, True)
    person = io.StringIO(answer)
    monkeypatch.setattr(retry, "keyboard", lambda: nullcontext(person))
    got, _, stderr = run("retry", "--uncertain")
    assert (got, states()[lost.name]) == (code, state)
    asked = " ".join(stderr.split())
    assert f"{offer}. Leave them for that? [Y/n]" in asked
    assert ("may be paid already" in asked) == answer.startswith("n")
    assert run("retry", "--uncertain", "--yes")[0] == Exit.ALL_MADE


def test_retry_counts_a_submit_that_a_kill_cut_off_as_uncertain() -> None:
    desk = Desk()
    sent = desk.job(State.SUBMITTING)
    desk.killed()
    assert run("retry", "--uncertain", "--yes")[0] == Exit.ALL_MADE
    assert states()[sent.name] == "planned"


def test_what_a_rejected_job_cost_stays_spent_when_it_is_planned_again() -> None:
    """Omni bills the words that come without a video: the directory's budget must not forget them."""
    with Desk() as desk:
        entry = desk.job(State.FILTERED)
        desk.journal.note(entry.id, State.FILTERED, cost_usd=0.0024)
        assert desk.journal.spent("google") == 0.0024
    with Desk() as desk:
        desk.journal.note(entry.id, State.FILTERED, cost_usd=0.5)
    assert "spent: US$ 0.50; in flight: US$ 0.00; may be paid, too: US$ 0.00" in run("status")[1]
    assert run("retry", "--filtered")[0] == Exit.ALL_MADE
    with Journal(PATH, writes=False) as journal:
        assert journal.spent("google") == 0.5


@pytest.mark.parametrize("state", [State.UNCERTAIN, State.RUNNING, State.FETCHING])
def test_money_that_was_given_up_stays_told_and_counts_as_the_budget_counts_it(state: State) -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED)
        entry = desk.job(state)
    for times in (1, 2):
        assert run("retry", entry.name, "--yes")[0] == Exit.ALL_MADE
        lost = f"{3.2 * times:.2f}"
        stdout = run("status")[1]
        assert f"spent: US$ 3.20; in flight: US$ 0.00; may be paid, too: US$ {lost} (list " in stdout
        assert f"prices, US$ {lost} of it for attempts that were given up)" in stdout
        assert f"(and US$ {lost} given up: may be paid)" in stdout
        [line] = [fields for fields in map(json.loads, run("status", "--json")[1].splitlines()) if fields["sunk_usd"]]
        assert (line["job"], line["sunk_usd"]) == (entry.name, 3.2 * times)
        stdout = run("history", entry.name)[1]
        assert f"given up   US$ {lost} for earlier attempts, which may be paid all the same" in stdout
        assert f"planned again by aveo3 retry; US$ {lost} given up so far" in stdout
        with Journal(PATH) as journal:
            assert journal.spent("google") == pytest.approx(3.2 + 3.2 * times)
            walk(journal, entry.id, State.PLANNED, State.SUBMITTING, State.UNCERTAIN)
            journal.note(entry.id, State.UNCERTAIN, cost_usd=3.2)


def test_status_does_not_say_that_nothing_is_owed_where_something_was_given_up() -> None:
    with Desk() as desk:
        desk.job(State.UNCERTAIN)
    run("retry", "--uncertain", "--yes")
    words = "run the same prompts again (but US$ 3.20 given up before may be paid)"
    assert f"planned          1  not sent yet, nothing is owed: {words}" in run("status")[1]


def test_status_names_the_fresh_batches_that_have_not_ended() -> None:
    with Desk() as desk:
        desk.stream = desk.journal.claims.begin_stream(True)
        for state in (State.SUCCEEDED, State.SUCCEEDED, State.CANCELLED):
            desk.job(state)
        desk.journal.note(1, State.SUCCEEDED)  # commits the waiting changes
        assert "fresh batch" not in run("status")[1]  # a run works on it
    assert (
        "the fresh batch of 2026-11-20 12:00:00 UTC has not ended: 2 of its 3 jobs are made (--fresh goes on with it, "
        "--fresh=new begins another)"
    ) in run("status")[1]


def test_what_was_given_up_at_an_unknown_price_keeps_a_budget_from_starting() -> None:
    with Desk() as desk:
        entry = desk.job(State.UNCERTAIN)
        desk.journal.note(entry.id, State.UNCERTAIN, cost_usd=None)
        assert desk.journal.unpriced("google") == 1
    assert run("retry", "--uncertain", "--yes")[0] == Exit.ALL_MADE
    with Journal(PATH, writes=False) as journal:
        assert journal.unpriced("google") == 1
    assert "may be paid, too: US$ 0.00 and 1 of unknown price (list prices, US$ 0.00 and 1 of" in run("status")[1]
    assert "given up   US$ 0.00 and 1 of unknown price for earlier attempts" in run("history", entry.name)[1]


def test_an_emulated_uncertain_job_needs_no_yes() -> None:
    with Desk() as desk:
        desk.job(State.UNCERTAIN, service="mock")
    assert run("retry", "--uncertain")[0] == Exit.ALL_MADE


def test_a_succeeded_job_is_refused_and_the_others_stay_unchanged() -> None:
    shelf()
    before, name, failed = states(), name_of(State.SUCCEEDED), name_of(State.FAILED)
    words = "its video is ready; to make another one, run `aveo3 generate --fresh` with the same prompt"
    sentence = f"aveo3: nothing was changed:\n{name} is succeeded: {words}\n"
    assert run("retry", failed, name, "--yes") == (Exit.USAGE, "", sentence)
    assert states() == before


@pytest.mark.parametrize("state", [State.RUNNING, State.FETCHING])
def test_a_running_job_is_given_up_only_by_its_id_and_with_yes(state: State) -> None:
    """Otherwise an operation that never ends would block its prompt for ever."""
    shelf()
    name = name_of(state)
    code, _, refusal = run("retry", name)
    assert (code, "may be paid already" in refusal, states()[name]) == (Exit.USAGE, True, state)
    assert run("retry", name, "--yes")[0] == Exit.ALL_MADE
    assert states()[name] == State.PLANNED


@pytest.mark.parametrize("state", [State.PLANNED, State.DEFERRED, State.CANCELLED])
def test_a_job_that_the_next_run_sends_anyway_stays_unchanged(state: State) -> None:
    shelf()
    name = name_of(state)
    message = f"{name} is {state}: nothing to do, the next run of the same prompts sends it\n"
    assert run("retry", "clips", name) == (Exit.ALL_MADE, message, "")
    assert states()[name] == state


def test_retry_without_a_choice_lists_the_possible_jobs() -> None:
    shelf()
    assert run("retry", "clips") == (
        Exit.USAGE,
        "",
        "aveo3: name the jobs to send again, by ID or by kind: 1 uncertain (--uncertain), 1 failed "
        "(--failed), 1 filtered (--filtered) and 1 rejected (--rejected). `aveo3 status` lists the IDs.\n",
    )


def test_retry_says_if_no_job_needs_it() -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED)
    code, _, stderr = run("retry", "clips")
    assert (code, "no job needs a retry" in stderr) == (Exit.USAGE, True)
    assert run("retry", "clips", "--failed") == (Exit.ALL_MADE, "no job is failed: nothing to do\n", "")


def test_if_several_services_have_the_job_retry_takes_the_one_that_can_be_retried() -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED, digest="1a2b3c4d", service="mock")
        desk.job(State.FAILED, digest="1a2b3c4d")
        desk.job(State.SUCCEEDED, digest="1a2b3c4d", service="local")
    assert run("retry", "1a2b3c4d")[0] == Exit.ALL_MADE
    with Journal(PATH, writes=False) as journal:
        assert [(e.service, e.state) for e in journal.match("1a2b")][1] == ("google", "planned")


# ---- resume, and a second generate -----------------------------------------------------------------------------------


def test_without_running_jobs_there_is_nothing_to_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with Desk() as desk:
        for state in (State.PLANNED, State.SUCCEEDED, State.FAILED, State.DEFERRED, State.UNCERTAIN):
            desk.job(state)
    assert run("resume", "clips") == (0, "nothing to finish in clips: no job is running\n", "")
    assert run("resume", "--json") == (0, "", "nothing to finish in clips: no job is running\n")
    assert run("resume", "--quiet") == (0, "", "")


class House:
    """An emulator on its own thread. Commands use it from this process, or from one that can be killed."""

    def __init__(self, server: MockServer) -> None:
        self.server = server

    @property
    def accepted(self) -> int:
        return self.server.books.accepted

    def process(self, *arguments: str, stdin: str, accepted: int) -> subprocess.Popen[str]:
        """Start a run in its own process, and return when it has printed that many accepted submits."""
        code = [sys.executable, "-c", "from aveo3.cli import app; app()"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen([*code, *arguments], text=True, **pipes)  # type: ignore[call-overload]
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        output = ""
        while output.count("accepted: ") < accepted:
            line = process.stderr.readline()
            assert line, output
            output += line
        return process  # type: ignore[no-any-return]

    def killed(self, *arguments: str, stdin: str, accepted: int) -> None:
        """Start a run and kill it (kill -9) after that many accepted submits."""
        process = self.process(*arguments, stdin=stdin, accepted=accepted)
        process.kill()
        process.communicate()


@contextmanager
def house(**options: Any) -> Iterator[House]:
    chosen = MockOptions.model_validate({"films": "bundled", "rpm": None, "latency": "0.01", **options})
    server, ready, done = MockServer(chosen), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        while not ready.wait(1):
            assert thread.is_alive(), "the emulator did not start"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)  # reading it takes 25 ms
            settings = {"BASE_URL": server.url, "BACKEND": "vertex", "POLL_INTERVAL": "0.02"}
            for name, value in settings.items():
                patch.setenv(f"VEO3_{name}", value)
            patch.setenv("GOOGLE_API_KEY", "k")
            yield House(server)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def films() -> int:
    return len(list(Path("clips").glob("*.mp4")))


def texts(name: str) -> list[str]:
    """The prompts in a file of the output directory; none without the file."""
    path = Path("clips", name)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return sorted(json.loads(line)["text"] for line in lines)


def test_the_same_command_again_sends_nothing_but_fresh_does() -> None:
    prompts = "boat\nfox\n"
    with house() as at:
        code, stdout, stderr = run("generate", "-", stdin=prompts)
        assert (code, at.accepted, "cached" in stdout) == (0, 2, False)
        code, stdout, stderr = run("generate", "-", stdin=prompts + "owl\n")
        assert (code, at.accepted) == (0, 3)
        assert "2 of these prompts already have a clip here: not sent again (--fresh makes new ones)" in stderr
        assert "1 clip, US$ 3.20 at list price" in stderr  # the estimate counts only unsent prompts
        assert re.search(r"(?m)^succeeded +3 *$", stdout)
        assert re.search(r"(?m)^cached +2  of these are from earlier runs", stdout)
        assert len(re.findall(r"\] cached +000\d-", stderr)) == 2
        assert texts("manifest.jsonl") == ["boat", "fox", "owl"]
        code, stdout, stderr = run("generate", "-", "--fresh", stdin="boat\n")
        assert (code, at.accepted, "have a clip here" in stderr) == (0, 4, False)
        code, stdout, _ = run("generate", "-", "--dry-run", stdin="boat\nelk\n")
        assert stdout.startswith("1 of these prompts already has a clip here")
        assert "1 clip, US$ 3.20" in stdout
        code, stdout, _ = run("generate", "-", "--dry-run", "--budget", "1", stdin="boat\n")
        assert "the budget of" not in stdout, "there is nothing left to stop"
    assert films() == 4


def test_a_fresh_batch_that_was_interrupted_is_gone_on_with_and_pays_for_no_clip_twice() -> None:
    prompts = "boat\nfox\nowl\nowl\n"
    another = "--fresh goes on with this batch until each of its prompts has a video; --fresh=new begins another."
    with house() as at:
        assert run("generate", "-", "--quiet", stdin=prompts)[0] == 0
        code, stdout, _ = run("generate", "-", "--fresh", "--budget", "19.2", stdin=prompts)
        assert (code, at.accepted, another in stdout) == (Exit.DEFERRED, 6, True)
        code, stdout, _ = run("generate", "--fresh", "-", "--dry-run", stdin=prompts)
        assert re.search(
            r"going on with the fresh batch of 20\d\d-.* UTC: 2 of these prompts have a clip in it, and are not sent "
            r"again \(--fresh=new begins another\)",
            stdout,
        )
        assert "2 clips, US$ 6.40" in stdout
        code, stdout, _ = run("generate", "--fresh", "-", stdin=prompts)
        assert (code, at.accepted, another in stdout) == (0, 8, False)
        code, _, stderr = run("generate", "--fresh", "-", stdin=prompts)
        assert (code, at.accepted, "going on" in stderr) == (0, 12, False)
    assert films() == 12


def test_fresh_new_always_begins_another_batch_and_says_how_to_go_on_with_it() -> None:
    with house() as at:
        code, stdout, _ = run("generate", "--fresh=new", "-", "--budget", "3.2", stdin="boat\nfox\n")
        assert (code, at.accepted) == (Exit.DEFERRED, 1)
        code, stdout, _ = run("generate", "--fresh=new", "-", "--budget", "6.4", stdin="boat\nfox\n")
        assert (code, at.accepted) == (Exit.DEFERRED, 2)
        assert "--fresh=new begins another" in stdout
        code, stdout, _ = run("generate", "--fresh", "-", stdin="boat\nfox\n")
        assert (code, at.accepted) == (0, 3)
        assert run("generate", "--fresh=maybe", "-", stdin="boat\n")[0] == Exit.USAGE
        assert run("generate", "--prompt", "boat", "--", "--fresh=new")[0] == Exit.USAGE  # a file of that name


@pytest.mark.parametrize("flags", [["--quiet"], []])
def test_a_clip_that_may_be_paid_is_told_once_and_so_is_what_to_do(flags: list[str]) -> None:
    with house(faults=["500-after@1"]):
        code, stdout, stderr = run("generate", "-", *flags, stdin="boat\nfox\n")
        assert code == Exit.SOME_NOT
        assert stderr.count("An internal error has occurred") == 1
        assert stdout.count("may be paid already") == (not flags)
        if not flags:
            assert re.search(r"(?m)^spent +about US\$ 3.20 at list price\s*$", stdout)
            assert re.search(r"(?m)^may be paid +about US\$ 3.20\s*$", stdout)
        run("retry", "--uncertain", "--yes")
        stdout = run("generate", "-", stdin="boat\nfox\n")[1]
        assert "about US$ 3.20, US$ 3.20 of it for attempts that were given up" in " ".join(stdout.split())


def test_without_a_journal_what_may_be_paid_is_told_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_JOURNAL", "none")
    with house(faults=["500-after@1"]):
        stdout = run("generate", "-", stdin="boat\n")[1]
    assert stdout.count("may be paid already") == 1
    assert "1 clip may be paid already: see manifest.jsonl." in stdout


def test_many_cached_clips_are_counted_and_not_listed() -> None:
    prompts = "".join(f"boat {number}\n" for number in range(21))
    with house():
        run("generate", "-", "--quiet", stdin=prompts)
        code, stdout, stderr = run("generate", "-", "--json", stdin=prompts)
    assert (code, len(stdout.splitlines())) == (0, 21)
    assert {json.loads(line)["cached"] for line in stdout.splitlines()} == {True}
    assert "21 of these prompts already have a clip here" in stderr
    assert ".mp4" not in stderr


def test_a_run_migrates_a_journal_of_an_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with Desk() as desk:
        desk.job(State.SUCCEEDED)
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, ("CREATE TABLE more (n INTEGER)",)))
    with house():
        assert run("status")[0] == 0  # it reads a copy in memory
        assert run("generate", "-", "--quiet", stdin="boat\n") == (0, "", "")
        assert run("status")[0] == 0


def test_a_prompt_that_an_earlier_run_filtered_is_not_sent_again() -> None:
    with house(faults=["filtered-safety@1"]) as at:
        run("generate", "-", stdin="boat\n")
        code, _, stderr = run("generate", "-", stdin="boat\n")
        assert (code, at.accepted) == (Exit.SOME_NOT, 1)
        assert "1 filtered in an earlier run: not sent again (to change that: aveo3 retry)" in stderr
        assert texts("failed.jsonl") == ["boat"]
        assert (run("retry", "--filtered"))[0] == 0
        code, _, _ = run("generate", "-", stdin="boat\n")
        assert (code, at.accepted) == (0, 2)
    assert texts("failed.jsonl") == []


def test_a_clip_that_google_could_not_deliver_is_resumed_and_told_so_before() -> None:
    """Users who read instead that only a retry helps paid for a second clip."""
    with house() as at:
        run("generate", "-", stdin="boat\n")
        with Journal(PATH) as journal:
            [entry] = journal.records()
            journal.move(entry.id, State.SUCCEEDED, State.FETCHING, files=[], uris=[])
            journal.move(entry.id, State.FETCHING, State.UNCERTAIN, error_kind="fetch")
        code, _, stderr = run("generate", "-", stdin="boat\n")
        assert (code, at.accepted) == (0, 1)
    assert "1 of these prompts was sent by an earlier run: it is resumed, not sent again" in stderr
    assert "aveo3 retry" not in stderr


def test_the_same_command_continues_a_killed_run() -> None:
    prompts = "boat\nfox\nowl\n"
    with house(latency="1000") as at:
        at.killed("generate", "-", stdin=prompts, accepted=3)
        let_pass(at.server, 1000)
        code, _, stderr = run("generate", "-", stdin=prompts)
        assert (code, at.accepted) == (0, 3)
    assert "3 of these prompts were sent by an earlier run: they are resumed, not sent again" in stderr
    assert "0 clips" not in stderr
    assert texts("manifest.jsonl") == ["boat", "fox", "owl"]


def test_resume_finishes_a_killed_run_without_its_prompts() -> None:
    with house(latency="1000") as at:
        at.killed("generate", "-", stdin="boat\nfox\n", accepted=2)
        at.server.change(latency="0.01")
        code, stdout, _ = run("generate", "-", stdin="owl\n")
        assert code == 0
        assert "Earlier runs left 2 clips unfinished: aveo3 resume clips" in stdout
        code, stdout, _ = run("status")
        assert re.search(r"(?m)^running +2 ", stdout)
        let_pass(at.server, 1000)
        code, stdout, stderr = run("resume", "clips")
        assert (code, at.accepted) == (0, 3), stderr
        assert "finishing 2 jobs of earlier runs; nothing is sent" in stderr
        assert re.search(r"(?m)^succeeded +2 *$", stdout)
        assert run("resume") == (0, "nothing to finish in clips: no job is running\n", "")
    assert texts("manifest.jsonl") == ["boat", "fox", "owl"]
    assert films() == 3


@pytest.mark.parametrize("names", [[], ["clips"], ["clips", "videos"], ["1a2b", "3c4d"]], ids=" ".join)
def test_history_needs_exactly_one_id(names: list[str]) -> None:
    Path("clips").mkdir()
    Path("videos").mkdir()
    code, stdout, stderr = run("history", *names)
    assert (code, stdout) == (Exit.USAGE, "")
    message = "there is no journal" if "clips" in names else "history shows one job: aveo3 history [DIR] ID."
    assert message in stderr


@pytest.mark.parametrize("command", [["history", "clisp", "1a2b"], ["retry", "clisp", "--failed"], ["status", "clisp"]])
def test_a_directory_that_does_not_exist_is_named(command: list[str]) -> None:
    rest = "so there is no journal. Name the directory with the videos."
    assert run(*command) == (Exit.USAGE, "", f"aveo3: clisp does not exist, {rest}\n")
    Path("clisp").touch()
    assert run(*command) == (Exit.USAGE, "", f"aveo3: clisp is a file, {rest}\n")


def test_a_run_that_leaves_running_clips_says_how_to_continue() -> None:
    with house(latency="1000") as at:
        process = at.process("generate", "-", stdin="boat\n", accepted=1)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    output = " ".join(stdout.split())
    assert "unfinished 1 accepted, not on disk yet: run it again to resume it, it is not sent twice" in output
    assert "Run the same command again to continue: finished and running clips are not sent a second time." in output
    assert "Earlier runs left" not in output  # the clip belongs to this run
    assert texts("failed.jsonl") == []


def test_a_second_run_at_the_same_time_is_refused() -> None:
    with house(latency="1000") as at:
        process = at.process("generate", "-", stdin="boat\n", accepted=1)
        for command in (["generate", "-"], ["resume"], ["retry", "--failed"]):
            code, stdout, stderr = run(*command, stdin="boat\n")
            assert (code, stdout) == (Exit.USAGE, "")
            assert f"clips/.aveo3/journal.db is in use by process {process.pid} on " in stderr
        code, stdout, _ = run("status")
        assert f"process {process.pid} on " in stdout
        process.kill()
        process.communicate()


def test_emulated_clips_do_not_block_real_clips_in_the_same_directory() -> None:
    with Desk() as desk:
        name = desk.job(State.SUCCEEDED, service="mock").name
        [emulated] = [entry for entry in desk.journal.records() if entry.name == name]
    line = {"job": emulated.name, "status": "succeeded", "operation": emulated.operation}
    Path("clips/manifest.jsonl").write_text(json.dumps(line) + "\n")
    with house() as at:
        assert run("generate", "-", "--quiet", stdin="boat\n")[0] == Exit.ALL_MADE
        shutil.rmtree("clips/.aveo3")
        code, _, stderr = run("generate", "-", stdin="boat\n")
        assert (code, at.accepted) == (Exit.USAGE, 1)
    assert "clips/manifest.jsonl lists 2 clips that are made or may be paid, but their journal clips/.aveo3/" in stderr


def test_an_emulated_clip_does_not_replace_the_real_clip_of_the_same_prompt() -> None:
    with house() as at:
        assert run("generate", "-", "--quiet", stdin="boat\n")[0] == Exit.ALL_MADE
        shutil.rmtree("clips/.aveo3")
        [real] = [json.loads(line) for line in Path("clips/manifest.jsonl").read_text().splitlines()]
        with Desk() as desk:
            assert desk.job(State.SUCCEEDED, service="mock", digest=real["job"]).name == real["job"]
        code, _, stderr = run("generate", "-", stdin="boat\n")
        assert (code, at.accepted) == (Exit.USAGE, 1)
    assert "clips/manifest.jsonl lists 1 clips that are made or may be paid" in stderr
