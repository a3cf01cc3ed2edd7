"""`aveo3 enqueue` puts each prompt into a shared journal once, and waits for what becomes of them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.cli.exit_codes import Exit
from aveo3.config.settings import Settings
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_session import connect
from aveo3.lifecycle import State
from aveo3.server.door.callers import Caller, CallerFile
from tests.support.journals import PLAIN_PATH, walk
from tests.support.raw_server import PNG
from tests.support.terminal import run


@pytest.fixture(autouse=True)
def place(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedJournal:
    monkeypatch.setenv("VEO3_DATABASE", postgres_url)
    monkeypatch.setenv("VEO3_OUTPUT_DIR", str(tmp_path / "all"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    Path("p.txt").write_text("a boat\na kite\na boat\n")
    return SharedJournal(SecretStr(postgres_url), tmp_path / "all")


def counted(*arguments: str) -> dict[str, int]:
    code, out, err = run("enqueue", *arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    return {name: found[name] for name in ("prompts", "enqueued", "there_before")}


def test_an_order_is_there_once_however_often_it_is_placed_and_grows_by_what_is_new(place: SharedJournal) -> None:
    assert counted("p.txt") == {"prompts": 3, "enqueued": 3, "there_before": 0}
    assert counted("p.txt") == {"prompts": 3, "enqueued": 0, "there_before": 3}
    Path("p.txt").write_text("a cat\na boat\na boat\na boat\na kite\n")
    assert counted("p.txt") == {"prompts": 5, "enqueued": 2, "there_before": 3}
    assert counted("p.txt", "--key", "again") == {"prompts": 5, "enqueued": 5, "there_before": 0}
    with Journal(place, writes=False) as journal:
        texts = sorted(str(record.prompt["text"]) for record in journal.records(State.PLANNED))
        assert texts == sorted(["a boat"] * 6 + ["a kite"] * 2 + ["a cat"] * 2)


def test_a_caller_must_be_known_and_one_prompt_that_cannot_work_stops_the_whole_order(place: SharedJournal) -> None:
    CallerFile(Settings().output_dir).add(Caller(name="shop"))
    assert counted("p.txt", "--caller", "shop")["enqueued"] == 3
    for arguments, why in (
        (("p.txt",), "--caller: say for whom: shop"),
        (("p.txt", "--caller", "nobody"), "nobody is called so; there are shop"),
        (("p.txt", "--caller", "shop", "--key", "x" * 121), "up to 120 printable characters"),
        (("bad.jsonl", "--caller", "shop"), "bad.jsonl: prompt 2 ('seven'): duration_seconds=7 is not offered"),
    ):
        Path("bad.jsonl").write_text('{"text": "new"}\n{"text": "seven", "duration_seconds": 7}\n')
        code, _, err = run("enqueue", *arguments)
        assert code == Exit.USAGE
        assert why in " ".join(err.split())
    with Journal(place, writes=False) as journal:
        assert len([*journal.records()]) == 3


def test_a_limit_of_the_caller_takes_what_there_is_room_for() -> None:
    CallerFile(Settings().output_dir).add(Caller(name="shop", max_queued=2))
    for there in (0, 2):
        code, out, err = run("enqueue", "p.txt", "--caller", "shop", "--json")
        assert code == Exit.DEFERRED
        assert "1 prompt not taken: " in err
        assert "Run it again later." in err
        assert json.loads(out)["enqueued"] == 2 - there


def test_a_refused_prompt_takes_no_picture_away_from_those_that_wait(place: SharedJournal) -> None:
    CallerFile(Settings().output_dir).add(Caller(name="shop", max_queued=1))
    Path("a.png").write_bytes(PNG)
    Path("p.jsonl").write_text("".join(json.dumps({"text": text, "image": "a.png"}) + "\n" for text in ("one", "two")))
    for there in (0, 1):
        code, out, _ = run("enqueue", "p.jsonl", "--caller", "shop", "--json")
        assert (code, json.loads(out)["enqueued"]) == (Exit.DEFERRED, 1 - there)
    with Journal(place, writes=False) as journal:
        [record] = journal.records()
        assert (journal.home / record.prompt["image"]["path"]).read_bytes() == PNG


def test_who_waits_hears_of_each_clip_and_of_those_that_were_not_made(place: SharedJournal) -> None:
    assert counted("p.txt")["enqueued"] == 3
    with Journal(place) as journal:
        journal._database.writer.lead(connect(place), lambda: None)  # type: ignore[attr-defined]
        first, *others = journal.records()

        def work() -> None:
            for record in others:
                walk(journal, record.id, *PLAIN_PATH[:3])
                journal.move(record.id, State.RUNNING, State.FAILED, error_kind="code_13", error_message="internal")
            journal.commit()

        walk(journal, first.id, *PLAIN_PATH[:4])
        journal.move(first.id, State.FETCHING, State.SUCCEEDED, files=[{"path": "boat.mp4", "size": 1, "sha256": "0"}])
        journal.commit()
        timer = threading.Timer(0.5, work)
        timer.start()
        code, out, err = run("enqueue", "p.txt", "--wait", "--json")
        timer.join()
    assert code == Exit.SOME_NOT, err
    *clips, summary = map(json.loads, out.splitlines())
    assert [clip["state"] for clip in clips] == ["succeeded", "failed", "failed"]
    assert clips[0]["files"][0]["path"] == str(place.home / "boat.mp4")
    assert summary["ended"] == {"succeeded": 1, "failed": 2}


def test_without_a_database_there_is_nowhere_to_put_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VEO3_DATABASE")
    code, _, err = run("enqueue", "p.txt")
    assert code == Exit.USAGE
    assert "VEO3_DATABASE is not set" in err
    code, _, err = run("enqueue", "p.txt", "--database", "postgresql://me:s3cr3t@db/veo")
    assert code == Exit.USAGE
    assert "s3cr3t" not in err
