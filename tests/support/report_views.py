"""Views for tests of the page, without a journal: clips of every status, their films, and the page as a file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aveo3.mock.state.films import FilmSpec, bundled, can_draw, draw
from aveo3.report import assets
from aveo3.report.view import ClipRow, LaneRow, View

BEGIN = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
PRICES = (3.2, 1.2)
STATUSES = ("succeeded",) * 5 + ("filtered", "rejected", "failed", "uncertain", "deferred", "cancelled")
TEXTS = (
    "a paper boat on a river at dawn, slow dolly in, mist over the water",
    "a kite over the dunes",
    "rain on a tin roof, close up; a cat looks out of the window and waits for its end, in the style of an old film",
    "two robots play chess in a park",
    "a lighthouse in a storm, seen from a small boat, waves break over the bow",
)
ERRORS: dict[str, tuple[str, str, str, str | None]] = {
    "filtered": (
        "safety",
        "Google filtered the video: support code 29310472.",
        "Change the prompt; nothing was billed.",
        "aveo3 retry filtered --output-dir clips",
    ),
    "rejected": (
        "bad_request",
        "durationSeconds: 12 is not allowed; this model makes 4, 6 or 8 seconds.",
        "Fix the prompt and run it again.",
        "aveo3 retry rejected --output-dir clips",
    ),
    "failed": (
        "unavailable",
        "The service is overloaded (code 14), four times in a row.",
        "Run the same command again: it makes what is missing.",
        "aveo3 generate prompts.txt --output-dir clips",
    ),
    "uncertain": (
        "answer_lost",
        "The connection broke after the request was sent. A clip may be paid.",
        "Look whether the clip is there before you send it again.",
        "aveo3 resume --output-dir clips",
    ),
    "deferred": (
        "quota_day",
        "The quota of the day is used up until midnight in Los Angeles.",
        "Run the same command again tomorrow.",
        "aveo3 generate prompts.txt --output-dir clips",
    ),
    "cancelled": ("stopped", "The run was stopped before it was sent.", "Run the same command again.", None),
}


def iso(seconds: float) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat()


def clip(index: int, status: str = "succeeded", **changes: Any) -> ClipRow:
    """One row; its video, if it has one, is `clips/N.mp4` beside the page."""
    kind, message, move, command = ERRORS.get(status, (None, None, None, None))
    sent = status not in ("planned", "waiting", "deferred", "cancelled")
    ended = status in STATUSES
    row: ClipRow = {
        "key": f"job-{index}",
        "index": index,
        "prompt_id": f"shot-{index:03d}",
        "project_id": ("spring", "autumn")[index % 2],
        "text": TEXTS[index % len(TEXTS)],
        "parameters": {"duration_seconds": 8, "resolution": "720p", "aspect_ratio": "16:9"},
        "labels": {"team": ("red", "blue", "green")[index % 3]},
        "status": status,
        "model": ("veo-3.1-generate-001", "veo-3.1-fast-generate-001")[index % 4 == 3],
        "lane": ("vertex us-central1", "vertex europe-west4")[index % 2] if sent else None,
        "instead_of": None,
        "cost_usd": PRICES[index % 4 == 3] if status in ("succeeded", "uncertain", "running") else 0.0,
        "spent_usd": PRICES[index % 4 == 3] if status == "succeeded" else 0.0,
        "in_flight_usd": PRICES[index % 4 == 3] if status == "running" else 0.0,
        "may_be_paid_usd": PRICES[index % 4 == 3] if status == "uncertain" else 0.0,
        "attempts": int(sent),
        "retries": 3 if status == "failed" else 0,
        "queued_utc": iso(0),
        "submitted_utc": iso(6 * index) if sent else None,
        "finished_utc": iso(6 * index + 40 + 7 * (index % 6)) if ended and sent else None,
        "fetched_utc": iso(6 * index + 43 + 7 * (index % 6)) if status == "succeeded" else None,
        "videos": [],
        "error_kind": kind,
        "error_message": message,
        "next_move": move,
        "command": command,
        "operation": f"projects/demo/locations/us-central1/operations/{index:08x}" if sent else None,
    }
    if status == "succeeded":
        row["videos"] = [
            {
                "src": f"clips/{index}.mp4",
                "poster": None,
                "bytes": 1_234_567,
                "seconds": 8.0,
                "width": 1280,
                "height": 720,
                "missing": False,
            }
        ]
    row.update(changes)  # type: ignore[typeddict-item]
    return row


def lane(name: str = "vertex us-central1", **changes: Any) -> LaneRow:
    row: LaneRow = {
        "name": name,
        "model": "veo-3.1-generate-001",
        "limit": 10,
        "period": 60,
        "learnt": False,
        "used": 7,
        "running": None,
        "breaker": None,
        "opens_utc": None,
        "closed": None,
        "reason": None,
        "waits": None,
    }
    row.update(changes)  # type: ignore[typeddict-item]
    return row


def clips(number: int) -> list[ClipRow]:
    return [clip(index, STATUSES[index % len(STATUSES)]) for index in range(number)]


def view(rows: Sequence[ClipRow], **changes: Any) -> View:
    """A view of a run that has ended."""
    made: View = {
        "v": 1,
        "title": "Spring campaign",
        "directory": "clips",
        "service": "google",
        "made_utc": iso(900),
        "live": False,
        "run": {
            "active": False,
            "begun_utc": iso(0),
            "ended_utc": iso(600),
            "total": len(rows),
            "next_submit_utc": None,
            "done_utc": None,
            "stopping": None,
            "paused": False,
        },
        "clips": list(rows),
        "lanes": [lane(), lane("vertex europe-west4", learnt=True, limit=4, used=4)] if rows else [],
        "money": {
            "spent_usd": sum(row["cost_usd"] or 0 for row in rows if row["status"] == "succeeded"),
            "in_flight_usd": 0.0,
            "may_be_paid_usd": sum(row["cost_usd"] or 0 for row in rows if row["status"] == "uncertain"),
            "unpriced": 0,
            "budget_usd": 100.0 if rows else None,
        },
        "steps": [],
        "lane_steps": [],
    }
    made.update(changes)  # type: ignore[typeddict-item]
    return made


def with_films(made: View, home: Path) -> View:
    """`made`, with a film in `home` for each video, and a poster in it."""
    (home / "clips").mkdir(exist_ok=True)
    for row in made["clips"]:
        for video in row["videos"]:
            film = bundled()
            if can_draw():
                film = draw(FilmSpec(row["text"], 2, row["parameters"]["aspect_ratio"], "720p", 0))
            (home / video["src"]).write_bytes(film)
            video["poster"], video["bytes"], video["seconds"] = still(film), len(film), 2.0
    return made


def still(film: bytes) -> str | None:
    """The first picture of a film as a `data:` URL."""
    if not can_draw():
        return None
    import av

    file = io.BytesIO()
    with av.open(io.BytesIO(film), "r") as container:
        frame: Any = next(container.decode(video=0))  # partly untyped in PyAV
        frame.to_image().save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def page(made: View, *, charts: object = None, bokeh: str | None = None) -> str:
    """The page of a report as HTML."""
    return assets.page_template().render(
        title=made["title"],
        live=False,
        scripts=[*([bokeh] if bokeh else []), *map(assets.source, assets.SCRIPTS)],
        styles=[*map(assets.source, assets.STYLES)],
        view_json=json.dumps(made),
        charts_json=json.dumps(charts) if charts is not None else "",
    )
