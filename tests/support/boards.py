"""A directory that holds a film as `aveo3 film make` leaves it, for tests of the storyboard: one clip is filtered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aveo3.lifecycle import State
from aveo3.mock.state.films import bundled
from tests.support.reports import Past


def take(scene: str, number: int, job: int | None) -> dict[str, Any]:
    """A take as `film.json` has it; `job` is its number in the journal."""
    name = None if job is None else f"{job:08x}"
    return {"id": f"{scene}.take-{number}", "stage": "final", "take": number, "job": name, "status": None, "path": None}


def scene(name: str, takes: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A scene as `film.json` has it."""
    return {"id": name, "prompt": f"{{mara}} in {name}", "begins": None, "picked": 1, "made_of": {}, **fields} | {
        "takes": takes
    }


def film(past: Past) -> dict[str, Any]:
    """Make the clips in the journal, and the film; return the content of its `film.json`, which is not written."""
    home = past.directory
    for number in (1, 2):
        past.make(past.plan(f"storm {number}", id=f"storm.take-{number}"))
    past.end(past.plan("beam", id="beam.take-1"), State.FILTERED, "safety", "Google filtered it.", after=State.RUNNING)
    (home / "film.mp4").write_bytes(bundled())
    made = {"path": str(home / "film.mp4"), "made_of": "a" * 64, "size": len(bundled())}
    last = {"scene": "beam", "frame": "last"}
    return {
        "version": 1,
        "title": "The <b>Last</b> Boat",
        "story": str(home / "boat.yaml"),
        "scenes": [
            scene("storm", [take("storm", 1, 1), take("storm", 2, 2)]),
            scene("beam", [take("beam", 1, 3)], begins={"scene": "storm", "frame": "last"}),
            scene("harbour", [take("harbour", 1, None)], begins=last),
        ],
        "films": {"final": made},
    }


def write(home: Path, content: Any, picks: dict[str, int] | None = None) -> None:
    """Write `film.json`, and the picks."""
    folder = home / ".aveo3"
    folder.mkdir(exist_ok=True)
    (folder / "film.json").write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    if picks is not None:
        (folder / "film-picks.json").write_text(json.dumps(picks), "utf-8")
