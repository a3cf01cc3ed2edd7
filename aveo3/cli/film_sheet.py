"""The contact sheet of a film: every take of every scene, the picked ones marked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aveo3.cli.film_desk import FilmDesk
    from aveo3.film.plan import PlannedTake
    from aveo3.report.view import ClipRow, View


def write(desk: FilmDesk, path: Path) -> list[Path]:
    """Write the sheets of a film's takes, in the order of the story. Returns the files.

    Raises `UsageError` if Pillow is missing, or a sheet cannot be written.
    """
    from importlib.util import find_spec

    from aveo3.errors import UsageError
    from aveo3.report import sheet
    from aveo3.report.from_journal import Film
    from aveo3.report.posters import Posters

    if find_spec("PIL") is None or find_spec("av") is None:
        raise UsageError("a contact sheet needs PyAV and Pillow: pip install 'aveo3[film]'")
    plans = [desk.plan(stage)[0] for stage in desk.stages]
    begun = [plan for plan in plans if any(each.record is not None for each in plan.takes)]
    plans = begun or plans  # a stage that nobody has begun would be empty pictures
    places = {scene.id: at for at, scene in enumerate(desk.story.scenes)}
    found = {each.take.id: each for plan in plans for each in plan.takes}
    picked = {each.take.id for plan in plans for each in plan.picked.values()}
    takes = sorted(found.values(), key=lambda each: places[each.take.scene.id])
    rows = [_row(each, places[each.take.scene.id], each.take.id in picked) for each in takes]
    posters = Posters(desk.settings.output_dir)

    def still(row: ClipRow) -> bytes | None:
        planned = found[row["key"]]
        if planned.path is None or planned.record is None:
            return None
        file = planned.record.files[0]
        return posters.of(Film(planned.path, int(file.get("size", 0)), str(file.get("sha256", ""))))

    spent = sum(each.record.counted_usd for each in takes if each.record is not None)
    view: Any = {"title": desk.story.title, "clips": rows, "money": {"spent_usd": spent}}
    return sheet.write(cast("View", view), path, still)


def _row(planned: PlannedTake, place: int, picked: bool) -> dict[str, Any]:
    status = "succeeded" if planned.standing == "made" else str(planned.record.state) if planned.record else "planned"
    words = " ".join(planned.take.scene.prompt.split())
    return {
        "key": planned.take.id,
        "index": place,
        "status": status,
        "text": f"{planned.take.id}{' (picked)' if picked else ''}: {words}",
    }
