"""What the commands of `aveo3 film` work with: the story, its directory and settings, its lanes, and its plans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.film.plan import FilmPlan, JournalFacts
    from aveo3.film.story import Story
    from aveo3.film.takes import Stage, Takes
    from aveo3.lanes.routing import Routes

NAME = "{id}-{job}"
"""The names of a film's clips, unless the user chose others: `storm.take-2-1a2b3c4d.mp4`."""


@dataclass(frozen=True, slots=True)
class FilmDesk:
    """A story and where its film is made."""

    file: Path
    story: Story
    settings: Settings
    routes: Routes
    service: str
    """The service that makes the clips; that of Google if there are no credentials yet."""

    def plan(self, stage: Stage, picks: dict[str, int] | None = None) -> tuple[FilmPlan, Takes, JournalFacts]:
        """What a run of one stage would do, by the journal as it is now."""
        from aveo3.film.making import planned

        return planned(self.story, self.settings, self.routes, self.service, stage, picks=picks)

    @property
    def stages(self) -> list[Stage]:
        """The stages that the story has."""
        from aveo3.film.takes import Stage

        return [Stage.DRAFT, Stage.FINAL] if self.story.draft is not None else [Stage.FINAL]

    def note(self, *plans: FilmPlan, home: Path) -> None:
        """Keep the film's structure in its directory, as `plans` have it."""
        from aveo3.film import record, storyboard

        picks = record.read_picks(self.settings.output_dir)
        storyboard.note(self.settings.output_dir, self.story, plans, picks, home=home, file=self.file)


def desk(where: Path, chosen: dict[str, Any], *, as_found: bool = False) -> FilmDesk:
    """The story at `where`, which is its file or the directory of its film. `chosen` are settings of the command line.

    The film is made in `output_dir`, else in VEO3_OUTPUT_DIR, else in a directory with the name of the story's file.
    `as_found`: a directory that only the emulator worked in is read as the emulator's, without --mock.
    Raises `UsageError`.
    """
    from aveo3.cli import services
    from aveo3.client import VeoClient
    from aveo3.config.file_names import DEFAULT
    from aveo3.config.settings import Settings
    from aveo3.errors import UsageError
    from aveo3.film import record
    from aveo3.film.story import Story
    from aveo3.lanes.lanes import Lanes
    from aveo3.lanes.routing import Routes

    file, home = where, chosen.get("output_dir")
    if where.is_dir():
        recorded = record.read(where)["story"]
        if recorded is None:
            raise UsageError(f"{where} is a directory in which no film was made: name the story's file")
        file, home = Path(recorded), home or where
    story = Story.load(file)
    settings = Settings(**{**chosen, **({} if home is None else {"output_dir": home})})
    changes: dict[str, Any] = {"keep_remote": False}  # a film is cut from files
    if "output_dir" not in settings.model_fields_set:
        changes["output_dir"] = Path(file.stem)
    if "fallback" not in settings.model_fields_set and story.fallback:
        changes["fallback"] = story.fallback
    if "name" not in chosen and settings.name == DEFAULT:
        changes["name"] = NAME
    settings = settings.model_copy(update=changes)
    if as_found and settings.journal_path is not None and settings.journal_path.is_file():
        settings = services.of_directory(settings)
    record.check_story(settings.output_dir, record.read(settings.output_dir), file)
    client = VeoClient(settings)
    try:
        return FilmDesk(file, story, settings, client.routes, client.service)
    except UsageError:  # no credentials: what would be made can be told all the same
        if settings.lanes is not None:
            raise
        routes = Routes(Lanes(settings.model_copy(update={"mock_mode": True})))
        return FilmDesk(file, story, settings, routes, "google")
