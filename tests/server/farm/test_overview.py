"""`aveo3 status` with a database: who leads which lane, since when, and what waits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.server.farm.leading import ALL, LEADERS
from aveo3.server.farm.overview import farm_of
from tests.support.terminal import run

ABOUT = {"lane": "fast", "worker": "w", "host": "render-3", "pid": 77, "since_utc": "2026-11-27T10:00:00+00:00"}


@pytest.fixture
def place(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedJournal:
    monkeypatch.setenv("VEO3_DATABASE", postgres_url)
    monkeypatch.setenv("VEO3_OUTPUT_DIR", str(tmp_path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    return SharedJournal(SecretStr(postgres_url), tmp_path)


@pytest.mark.real_time
@pytest.mark.parametrize("lock", ["google veo | p", f"google {ALL}"])
async def test_a_lane_is_led_as_long_as_its_lock_is_held(place: SharedJournal, lock: str) -> None:
    with Journal(place) as journal:
        journal.keep("google", LEADERS, "veo | p", ABOUT)
        journal.commit()
        locks = journal.lane_locks()
        assert [each["leads"] for each in farm_of(journal)["leaders"]] == [False]
        await locks.take_free([lock])
        assert farm_of(journal)["leaders"] == [
            {**{name: value for name, value in ABOUT.items() if name != "worker"}, "service": "google", "leads": True}
        ]
        await locks.release()
        async with asyncio.timeout(5):
            while farm_of(journal)["leaders"][0]["leads"]:  # noqa: ASYNC110 - the server sees the end a moment later
                await asyncio.sleep(0.02)


def test_status_tells_of_all_machines_and_of_what_waits_for_whom(place: SharedJournal, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a boat\na kite\n")
    assert run("enqueue", str(tmp_path / "p.txt"))[0] == 0
    code, out, _ = run("status")
    assert code == 0
    assert out.startswith(f"{place}: 2 jobs\nnobody leads: nothing is sent until")
    assert "2 requests wait for veo-3.1-generate-001, of local, the oldest for" in out
    assert "whoever leads its lane sends it, in its turn" in out
    assert "run the same prompts again" not in out
    assert json.loads(run("status", "--farm", "--json")[1])["waiting"][0]["requests"] == 2
    assert "2 requests wait" in run("serve", "status")[1]
    assert json.loads(run("serve", "status", "--json")[1])["farm"]["leaders"] == []
    code, _, err = run("resume")
    assert (code, "whoever leads goes on with what runs" in " ".join(err.split())) == (2, True)


def test_a_directory_with_a_journal_of_its_own_is_looked_at_beside_a_database(
    place: SharedJournal, tmp_path: Path
) -> None:
    with Journal(tmp_path / "own" / ".aveo3" / "journal.db"):
        pass
    code, out, _ = run("status", str(tmp_path / "own"))
    assert (code, out.splitlines()[0]) == (0, f"{tmp_path / 'own' / '.aveo3' / 'journal.db'}: 0 jobs")
    code, _, err = run("status", str(tmp_path / "own"), "--farm")
    assert (code, "--farm: it is for a database" in err) == (2, True)
