"""Finds the clips that prompts depend on: just made, or in the journal. Puts them, or their frames, in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aveo3 import _threads
from aveo3.config.settings import JOURNAL
from aveo3.dispatch.clip_graph import unknown_clip
from aveo3.dispatch.matching import JobMatcher
from aveo3.engine.job import Job
from aveo3.files import frames, saving
from aveo3.files.saving import SavedFile
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import UNDER_WAY, State
from aveo3.media import Media
from aveo3.models import ClipStatus, VideoClip, VideoPrompt

SOURCE = "source"
"""The `error_kind` of a clip that was not sent because a clip that it depends on was not made."""


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A clip that is made: its first video on disk, or where it lies in a bucket."""

    file: SavedFile | None
    uri: str | None


class NotMade(Exception):
    """A clip that others depend on is not there. `words` say so in the clips of the others."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Unusable(Exception):
    """A clip is there, but has no such frame."""


def directory_of(output_dir: Path) -> Path:
    """Where the frames of an output directory are kept."""
    return output_dir.absolute() / JOURNAL.parent / "frames"


def outcome_of(name: str, job: Job, clip: VideoClip) -> FoundClip | NotMade:
    """What became of the clip that others know as `name`."""
    if clip.succeeded or job.files:  # once made: what began from it is known, even if it cannot be sent again
        return FoundClip(job.files[0] if job.files else None, clip.uri)
    return NotMade(_not_made(name, _ENDS[clip.status]))


def _not_made(name: str, end: str) -> str:
    return f"not sent: {name!r}, on which it depends, {end}"


_ENDS = {
    ClipStatus.FILTERED: "was filtered: change its prompt",
    ClipStatus.REJECTED: "was rejected: fix what its message names",
    ClipStatus.FAILED: "failed: run the same prompts again later",
    ClipStatus.UNCERTAIN: "has an unknown outcome and may be paid: settle that first",
    ClipStatus.UNFINISHED: "is not on disk yet: run the same prompts again",
    ClipStatus.DEFERRED: "was not sent either",
    ClipStatus.CANCELLED: "was not sent: the run was stopped",
}


class FoundClips:
    """Finds the clips of earlier runs by name. `matcher` None: no journal is kept. `output_dir` also holds frames."""

    def __init__(self, matcher: JobMatcher | None, output_dir: Path) -> None:
        self._matcher = matcher
        self.directory = directory_of(output_dir)

    def in_journal(self, names: Iterable[str]) -> Mapping[str, FoundClip | NotMade]:
        """Those of `names` that the journal has: the newest job whose prompt has this `id`, else the job of this ID.

        Raises `JournalError`.
        """
        found: dict[str, FoundClip | NotMade] = {}
        if self._matcher is not None:
            for name, record in self._matcher.clips_named(names).items():
                found[name] = self._outcome_of(name, record, self._matcher)
        return found

    @staticmethod
    def _outcome_of(name: str, record: JobRecord, matcher: JobMatcher) -> FoundClip | NotMade:
        if record.state is State.SUCCEEDED or record.files:
            files = matcher.files_of(record)
            return FoundClip(files[0] if files else None, record.uris[0] if record.uris else None)
        if record.state in (State.PLANNED, State.SUBMITTING):
            return NotMade(_not_made(name, "is not made yet"))
        status = ClipStatus.UNFINISHED if record.state in UNDER_WAY else ClipStatus(record.state)
        return NotMade(_not_made(name, _ENDS[status]))

    def unknown(self, name: str, others: Iterable[str]) -> str:
        """A sentence about a name that nobody has; `others` are the names of the call."""
        return unknown_clip(name, others, None if self._matcher is None else self._matcher.journal_path)


def with_clips(prompt: VideoPrompt, found: Mapping[str, FoundClip | NotMade], directory: Path) -> VideoPrompt:
    """`prompt` with the clips, or their frames, in place of their names: enough to know its job.

    The frames need not be there yet: `put_in_place` cuts them. Raises `NotMade` if a clip is not there.
    """

    def placed(medium: Media) -> Media:
        if not medium.is_waiting:
            return medium
        clip = _of(medium, found)
        if clip.file is None:
            if medium.frame is None and clip.uri is not None:
                return medium.model_copy(update={"uri": clip.uri, "clip": None})
            where = f"lies in {clip.uri} only" if clip.uri else "has no file"
            raise NotMade(_not_made(medium.clip or "", f"{where}: fetch it, without VEO3_KEEP_REMOTE"))
        if medium.frame is None:
            return medium.found(clip.file.path, clip.file.sha256)
        return medium.found(frames.place_of(directory, clip.file.sha256, medium.frame), clip.file.sha256)

    return prompt.with_media(placed)


async def put_in_place(prompt: VideoPrompt, found: Mapping[str, FoundClip | NotMade]) -> None:
    """Cut the frames that `prompt`, which came from `with_clips`, is to be sent with. Works in a thread.

    Raises `NotMade` if a clip is not on disk as it was saved, `Unusable` if it has no such frame.
    """
    for medium in prompt.media:
        if medium.clip is not None and medium.file is not None:
            await _put(medium, medium.clip, medium.file, _of(medium, found))


async def _put(medium: Media, name: str, target: Path, clip: FoundClip) -> None:
    if medium.frame is not None and await _threads.reading.run(frames.is_kept, target):
        return
    assert clip.file is not None
    path = clip.file.path
    if not await saving.is_intact(clip.file):
        raise NotMade(_not_made(name, f"is not on disk as it was saved: {path} is missing or was changed"))
    if medium.frame is None:
        return
    try:
        await _threads.reading.run(frames.keep, path, medium.frame, target)
    except ModuleNotFoundError:
        raise Unusable(frames.NEEDS_PYAV) from None
    except frames.NoFrame as error:
        raise Unusable(f"the clip {name!r} {error}") from error
    except OSError as error:
        words = f"gave no frame: {error.filename or path}: {error.strerror or error}"
        raise NotMade(_not_made(name, words)) from error


def _of(medium: Media, found: Mapping[str, FoundClip | NotMade]) -> FoundClip:
    name = medium.clip or ""
    clip = found.get(name, NotMade(_not_made(name, "is not known any more")))
    if isinstance(clip, NotMade):
        raise clip
    return clip
