"""`aveo3 generate` with a database: its own door takes the prompts, and its client has a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aveo3 import mock_mode
from aveo3.cli.exit_codes import Exit
from aveo3.config.settings import Settings
from aveo3.errors import UsageError
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.farm.loopback import LoopbackDoor
from tests.support.terminal import run

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PROMPT = ("--prompt", "a boat")


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_DATABASE", "postgresql://me:s3cr3t@127.0.0.1:1/veo")
    monkeypatch.setenv("VEO3_OUTPUT_DIR", "all")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "all is the directory of all machines: name another one for the videos of this command (--output-dir)"),
        (("-o", "all"), "that is the directory of all machines (VEO3_OUTPUT_DIR)"),
        (("-o", "mine", "--mock"), "VEO3_MOCK_MODE cannot go with it"),
        (("-o", "mine", "--server", "http://127.0.0.1:1"), "VEO3_SERVER cannot go with it"),
    ],
)
def test_the_videos_of_a_command_need_a_directory_of_their_own(arguments: tuple[str, ...], why: str) -> None:
    code, _, err = run("generate", *PROMPT, *arguments)
    assert code == Exit.USAGE
    assert why in " ".join(err.split())
    assert "s3cr3t" not in err


def test_a_farm_with_callers_wants_the_key_of_one() -> None:
    CallerFile(Path("all")).add(Caller(name="shop"))
    code, _, err = run("generate", *PROMPT, "-o", "mine")
    assert code == Exit.USAGE
    assert "all has callers (shop): set VEO3_SERVER_KEY to the key of one of them" in " ".join(err.split())


def test_a_dry_run_asks_no_database_and_names_no_time() -> None:
    code, out, err = run("generate", *PROMPT, "-o", "mine", "--dry-run")
    assert code == 0, err
    assert "as soon as the server's queue allows" in out + err


def test_a_door_of_this_process_makes_the_clips_of_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VEO3_DATABASE")
    monkeypatch.setattr(mock_mode, "FASTEST", 0.1)
    monkeypatch.setattr(mock_mode, "SLOWEST", 0.1)
    with LoopbackDoor(Settings(mock_mode=True, output_dir="all")) as door:
        assert door.url.startswith("http://127.0.0.1:")
        code, _, err = run("generate", *PROMPT, "-o", "mine", "--server", door.url)
        assert code == 0, err
    assert len([*Path("mine").glob("*.mp4")]) == len([*Path("all").glob("*.mp4")]) == 1


def test_what_keeps_a_door_from_opening_is_raised_where_it_was_wanted() -> None:
    with pytest.raises(UsageError, match="VEO3_JOURNAL=none: a server keeps its requests"):
        LoopbackDoor(Settings(mock_mode=True, journal=None, database=None)).__enter__()
