"""What the output directory keeps of a film's structure once it is planned or made: `film.json`, as `record` has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.film import record
from aveo3.film.record import FilmRecord, SceneRecord, TakeRecord

if TYPE_CHECKING:
    from aveo3.film.plan import FilmPlan, PlannedTake
    from aveo3.film.story import Story


def note(
    output_dir: Path,
    story: Story,
    plans: Iterable[FilmPlan],
    picks: Mapping[str, int],
    *,
    home: Path,
    file: Path | None,
) -> None:
    """Write the film's record as `plans` have its takes. Stages that are not among them stay as they were recorded.

    `home` is the directory that the journal's paths are relative to, `file` the story's. An error of the disk is
    logged.
    """
    stages = {plan.stage for plan in plans}

    def change(before: FilmRecord) -> FilmRecord:
        kept = {
            scene["id"]: ([take for take in scene["takes"] if take["stage"] not in stages], dict(scene["made_of"]))
            for scene in before["scenes"]
        }
        return {
            **before,
            "title": story.title,
            "story": str(file.absolute()) if file is not None else before["story"],
            "scenes": _scenes(story, plans, picks, home, kept),
        }

    record.try_update(output_dir, change)


def _scenes(
    story: Story,
    plans: Iterable[FilmPlan],
    picks: Mapping[str, int],
    home: Path,
    kept: Mapping[str, tuple[list[TakeRecord], dict[str, Any]]],
) -> list[SceneRecord]:
    takes = {scene.id: list(kept.get(scene.id, ([], {}))[0]) for scene in story.scenes}
    made_of = {scene.id: dict(kept.get(scene.id, ([], {}))[1]) for scene in story.scenes}
    for plan in plans:
        for planned in plan.takes:
            scene = planned.take.scene.id
            takes[scene] = [take for take in takes[scene] if take["id"] != planned.take.id]
            takes[scene].append(_take(planned, home))
            if planned.standing in ("made", "under way", "ended"):  # what was asked for last, to tell changes from
                made_of[scene][planned.take.stage] = dict(planned.made_of)
    return [
        {
            "id": scene.id,
            "prompt": scene.prompt,
            "begins": None if scene.begins is None else scene.begins.model_dump(mode="json", exclude_none=True),
            "picked": picks.get(scene.id, 1),
            "takes": takes[scene.id],
            "made_of": made_of[scene.id],
        }
        for scene in story.scenes
    ]


def _take(planned: PlannedTake, home: Path) -> TakeRecord:
    path = planned.path
    if path is not None and path.absolute().is_relative_to(home.absolute()):
        path = path.absolute().relative_to(home.absolute())
    return {
        "id": planned.take.id,
        "stage": planned.take.stage,
        "take": planned.take.number,
        "job": None if planned.record is None else planned.record.name,
        "status": None if planned.record is None else str(planned.record.state),
        "path": None if path is None else path.as_posix(),
    }
