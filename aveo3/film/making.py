"""`make_film`: from a story to a film, by one stream of a client. What it does is durable: a second call goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aveo3.errors import UsageError
from aveo3.film import record, storyboard
from aveo3.film.plan import FilmPlan, JournalFacts, plan_of
from aveo3.film.rehearsal import check_extra, check_film
from aveo3.film.takes import Stage, Takes, takes_of
from aveo3.models import VideoClip

if TYPE_CHECKING:
    from aveo3.client import VeoClient
    from aveo3.config.settings import Settings
    from aveo3.film.cut import AssembledFilm, Cut, Progress
    from aveo3.film.record import FilmRecord
    from aveo3.film.story import Story
    from aveo3.journal.journal import Journal
    from aveo3.lanes.routing import Routes

log = logging.getLogger(__name__)

FILES = {Stage.FINAL: "film.mp4", Stage.DRAFT: "film-draft.mp4"}
"""The film's file in the output directory, by stage."""


@dataclass(frozen=True, slots=True)
class FilmResult:
    """What `make_film` made."""

    path: Path | None
    """The film; None if it was not assembled: see `reason`."""
    clips: Mapping[str, tuple[VideoClip, ...]]
    """By scene, its clips, the takes in order; with upscaled finals the drafts before the final."""
    picked: Mapping[str, VideoClip]
    """By scene, the clip that the film has."""
    missing: tuple[str, ...] = ()
    """The scenes whose picked clip has no video."""
    reason: str | None = None
    """Why there is no film, in a sentence."""
    film: AssembledFilm | None = None
    """Lengths and notes of the film; None if it was not assembled now, because it is unchanged."""
    notes: tuple[str, ...] = ()
    """What was not sent as the story says, a sentence each."""

    @property
    def cost_usd(self) -> float | None:
        """What its clips cost at list price, those of earlier runs included; None if a price is unknown."""
        costs = [clip.cost_usd for clips in self.clips.values() for clip in clips if clip.succeeded]
        return None if None in costs else round(sum(cost or 0.0 for cost in costs), 4)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from aveo3.display.film import film_page

        return film_page(self)


async def make_film(
    story: Story,
    veo: VeoClient,
    *,
    draft: bool = False,
    path: Path | str | None = None,
    on_clip: Callable[[VideoClip], object] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> FilmResult:
    """Make the clips of `story` by `veo`, an open client, and the film of them.

    Scenes that depend on no other run at once, others as soon as their source is there. Clips that earlier calls made
    are used again; a scene that has changed is made anew, and what begins from it. A scene that fails stops only what
    begins from it: then the film is not assembled unless the story says `film: {missing: card}` or `skip`.

    `draft`: the story's drafts instead of its finals. `path`: the film's file; default: `film.mp4` (`film-draft.mp4`)
    in the output directory. `on_clip` is called with each clip as it ends, `on_progress` while the film is assembled,
    from its thread. Cancelling leaves the clips to the next call.

    Raises `UsageError` for a story that cannot be made, before anything is sent, and `FilmError` if its files cannot be
    cut together: the clips are then on disk.
    """
    check_extra()
    if veo.settings.keep_remote:
        raise UsageError("nothing was sent: a film is cut from files. Leave keep_remote (VEO3_KEEP_REMOTE) out.")
    stage = Stage.DRAFT if draft else Stage.FINAL
    output_dir = veo.settings.output_dir
    picks = await asyncio.to_thread(record.read_picks, output_dir)
    takes = takes_of(story, veo.routes, stage=stage, picks=picks)
    if problems := [f"{take.id}: {'; '.join(take.problems)}" for take in takes.all if take.problems]:
        raise UsageError("nothing was sent:\n" + "\n".join(problems[:20]))
    if story.fallback and tuple(veo.settings.fallback) != story.fallback:
        log.warning(
            "the story's fallback (%s) is not that of the client: open it with Settings(fallback=story.fallback)",
            " -> ".join(story.fallback),
        )
    target = Path(path) if path is not None else output_dir / FILES[stage]
    await asyncio.to_thread(check_film, story, target, facts_of(veo.journal, veo.settings, veo.service))
    for note in takes.notes:
        log.info("%s", note)
    done: dict[str, VideoClip] = {}
    async with veo.stream(takes.prompts) as clips:
        async for clip in clips:
            done[clip.prompt.id or ""] = clip
            if on_clip is not None:
                on_clip(clip)
    if veo.journal is not None:
        plan = plan_of(
            story, takes, veo.routes, facts_of(veo.journal, veo.settings, veo.service), record.read(output_dir)
        )
        storyboard.note(output_dir, story, [plan], picks, home=veo.journal.home, file=None)
    by_scene = {
        scene.id: tuple(done[take.id] for take in takes.all if take.scene is scene and take.id in done)
        for scene in story.scenes
    }
    picked = {scene: done[take.id] for scene, take in takes.picked.items() if take.id in done}
    paths = {scene: clip.path if clip.succeeded else None for scene, clip in picked.items()}
    missing = tuple(scene.id for scene in story.scenes if paths.get(scene.id) is None)
    film, reason = None, None
    from aveo3.film.editing import MissingScenes, cut_of

    try:
        cut = cut_of(story, paths)
    except MissingScenes as error:
        reason = str(error)
    else:
        film = await _in_thread(cut, target, output_dir, stage, on_progress)
    return FilmResult(
        None if reason is not None else target, by_scene, picked, missing, reason, film, tuple(takes.notes)
    )


async def _in_thread(
    cut: Cut, target: Path, output_dir: Path, stage: Stage, on_progress: Callable[[Progress], None] | None
) -> AssembledFilm | None:
    """Assemble in a thread, which is stopped if the caller is cancelled."""
    stop = threading.Event()
    work = asyncio.ensure_future(
        asyncio.to_thread(assemble, cut, target, output_dir, stage, on_progress=on_progress, stop=stop)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise


def assemble(
    cut: Cut,
    target: Path,
    output_dir: Path,
    stage: Stage,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    anew: bool = False,
) -> AssembledFilm | None:
    """Assemble a film, unless it is there and unchanged; then None. Blocks. Raises `FilmError`.

    `anew`: also if it is unchanged.
    """
    from aveo3.film import cut as cutting
    from aveo3.film.editing import digest_of

    made_of = digest_of(cut)
    whole = target.absolute()
    before = record.read(output_dir)["films"].get(stage)
    if not anew and before == {"path": str(whole), "made_of": made_of, **_facts_of_file(whole)}:
        return None
    film = cutting.assemble(cut, target, on_progress=on_progress, stop=stop)
    facts = {"path": str(whole), "made_of": made_of, **_facts_of_file(whole)}
    record.try_update(output_dir, lambda kept: {**kept, "films": {**kept["films"], stage: facts}})
    return film


def _facts_of_file(path: Path) -> dict[str, int]:
    try:
        stat = path.stat()
    except OSError:
        return {}
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def facts_of(journal: Journal | None, settings: Settings, service: str) -> JournalFacts:
    """What an open journal says for a plan; None: there is no journal (yet)."""
    if journal is None:
        return JournalFacts(service, fetches=not settings.keep_remote)
    records = [each for each in journal.records() if each.service == service]
    return JournalFacts(
        service, records, frozenset(journal.requested()), journal.home, fetches=not settings.keep_remote
    )


def planned(
    story: Story,
    settings: Settings,
    routes: Routes,
    service: str,
    stage: Stage,
    *,
    picks: Mapping[str, int] | None = None,
) -> tuple[FilmPlan, Takes, JournalFacts]:
    """The plan of one stage, read from the output directory of `settings`. Sends nothing."""
    from aveo3.journal.reading import reading
    from aveo3.mock_mode import clip_seconds

    chosen = record.read_picks(settings.output_dir) if picks is None else picks
    takes = takes_of(story, routes, stage=stage, picks=chosen)
    facts = facts_of(None, settings, service)
    if settings.journal_path is not None:
        with reading(settings.journal_path) as journal:
            facts = facts_of(journal, settings, service)
    before: FilmRecord = record.read(settings.output_dir)
    return plan_of(story, takes, routes, facts, before, clip_seconds=clip_seconds(settings)), takes, facts
