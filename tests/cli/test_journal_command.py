"""`aveo3 journal move` says what it did, what it refuses and why; passwords stay out of the list of processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aveo3.cli.exit_codes import Exit
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from tests.support.journals import FILE, PLAIN_PATH, plan, walk
from tests.support.terminal import run


@pytest.fixture
def clips() -> Path:
    with Journal(Path("clips") / FILE) as journal:
        job = plan(journal)
        walk(journal, job.id, *PLAIN_PATH[:4])
        journal.move(job.id, State.FETCHING, State.SUCCEEDED, files=[{"path": "boat.mp4", "size": 1, "sha256": "0"}])
    return Path("clips")


def test_a_directorys_journal_moves_and_what_is_left_to_do_is_said(clips: Path) -> None:
    code, out, err = run("journal", "move", "clips", "there")
    assert (code, err) == (0, "")
    assert "1 jobs, 5 events, 0 requests; each of 8 rows was compared with its copy" in out
    assert "1 videos are not in there: move them there" in out
    assert "is made and paid again" in out
    code, _, err = run("generate", "--prompt", "a boat", "--mock", "-o", "clips")
    assert code == Exit.USAGE
    assert f"was moved to {Path('there', FILE).absolute()} at " in err
    assert f"was moved to {Path('there', FILE).absolute()} at " in run("status", "clips")[1]
    code, out, _ = run("journal", "move", "clips", "there", "--json")
    assert json.loads(out)["state"] == "before"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("clips", "postgresql://me:s3cr3t@db/veo"), "it holds a password, and each user of this machine can see it"),
        (("clips", "mysql://db/s3cr3t"), "and not of mysql"),
        (("clips", "VEO3_DATABASE"), "VEO3_DATABASE is not set"),
        (("nowhere", "there"), "there is no journal nowhere/.aveo3/journal.db"),
    ],
)
def test_a_move_that_cannot_be_is_refused_and_nothing_is_changed(
    clips: Path, arguments: tuple[str, str], why: str
) -> None:
    code, out, err = run("journal", "move", *arguments)
    assert (code, out) == (Exit.USAGE, "")
    assert why in err
    assert "s3cr3t" not in err
    Journal(clips / FILE).close()


def test_a_move_that_was_not_interrupted_cannot_be_taken_back(clips: Path) -> None:
    code, out, _ = run("journal", "move", "clips", "there", "--give-up")
    assert code == 0
    assert "takes writers: no move of it was interrupted" in out
