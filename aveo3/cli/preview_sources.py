"""What a comparison with the journal needs to know of prompts that depend on clips: see `Media.from_clip`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aveo3.dispatch.clip_graph import ClipGraph, name_in, unknown_clip, unusable
from aveo3.dispatch.found_clips import directory_of
from aveo3.dispatch.prompt_media import RecalledMedia, read_media
from aveo3.errors import UsageError
from aveo3.files import frames
from aveo3.journal.next_step import NextStep
from aveo3.journal.rows import JobRecord, is_job_id
from aveo3.lifecycle import TO_SEND, UNDER_WAY, State
from aveo3.media import Media
from aveo3.models import VideoPrompt

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.lanes.routing import Routes


class Sources:
    """The clips that the prompts of a batch depend on, as the journal has them.

    Raises `UsageError` if a clip is unknown, or PyAV is missing.
    """

    def __init__(
        self, graph: ClipGraph, prompts: Sequence[VideoPrompt], records: Sequence[JobRecord], settings: Settings
    ) -> None:
        self._graph = graph
        self._prompts = prompts
        self._records = records
        self._frames = directory_of(settings.output_dir)
        if graph.takes_frames and not frames.can_cut():
            raise UsageError(f"nothing was sent: {frames.NEEDS_PYAV}")
        self._made: dict[str, JobRecord] = {}
        self._blocked: set[str] = set()
        self._recalled: RecalledMedia | None = None
        self._digests: set[str] | None = None
        self._names = {index: name for name, index in graph.makers.items()}
        found = self._in_journal(graph.elsewhere)
        if unknown := [name for name in graph.elsewhere if name not in found]:
            ids = [name for prompt in prompts if (name := name_in(prompt)) is not None]
            path = settings.journal_path
            raise unusable([f"prompt {graph.user_of(name) + 1}: {unknown_clip(name, ids, path)}" for name in unknown])
        for name, record in found.items():
            if record.files:
                self._made[name] = record
            else:  # nothing in this batch makes it
                self._blocked.add(name)

    def _in_journal(self, names: Sequence[str]) -> dict[str, JobRecord]:
        """The newest job whose prompt has this `id`, else the job of this ID, as `JobMatcher.clips_named` finds it."""
        wanted = set(names)
        found = {str(record.prompt.get("id")): record for record in self._records if record.prompt.get("id") in wanted}
        for name in wanted - found.keys():
            start, _, ordinal = name.partition(".")
            for record in self._records if is_job_id(name) else ():
                if record.digest.startswith(start) and str(record.ordinal) == (ordinal or "1"):
                    found[name] = record
        return found

    @property
    def order(self) -> Iterator[int]:
        """The indices of all prompts, each after those that it depends on."""
        needs, makers = self._graph.needs, self._graph.makers
        done: set[int] = set()
        for index in range(len(self._prompts)):
            path = [index]
            while path:  # not by recursion: a chain may have a hundred thousand links
                at = path[-1]
                left = [m for n in needs.get(at, ()) if (m := makers.get(n)) is not None and m not in done]
                if left:
                    path += left
                    continue
                path.pop()
                if at not in done:
                    done.add(at)
                    yield at

    def resolved(self, index: int) -> VideoPrompt:
        """The prompt with the clips that are made in place of their names."""
        prompt = self._prompts[index]
        return prompt.with_media(self._found) if index in self._graph.needs else prompt

    def _found(self, medium: Media) -> Media:
        if not medium.is_waiting or (record := self._made.get(medium.clip or "")) is None:
            return medium
        sha256 = str(record.files[0]["sha256"])
        path = self._frames / "whole" if medium.frame is None else frames.place_of(self._frames, sha256, medium.frame)
        return medium.found(path, sha256)

    def note(self, index: int, record: JobRecord | None, step: NextStep) -> None:
        """Note what the batch does with the prompt at `index`."""
        if (name := self._names.get(index)) is None or record is None:
            return
        if record.files and step is not NextStep.SUBMIT:
            self._made[name] = record
        elif step is NextStep.HAND_OUT and record.state not in (*TO_SEND, *UNDER_WAY, State.SUCCEEDED):
            self._blocked.add(name)

    def is_blocked(self, index: int) -> bool:
        """Whether a clip that the prompt depends on ended without a video, so that it is not sent."""
        if not self._blocked.intersection(self._graph.needs[index]):
            return False
        if (name := self._names.get(index)) is not None:
            self._blocked.add(name)
        return True

    def is_made_anew(self, prompt: VideoPrompt, routes: Routes) -> bool:
        """Whether the prompt has a clip that began from other bytes than it would now."""
        if self._recalled is None or self._digests is None:
            self._recalled = RecalledMedia(record.prompt for record in self._records)
            self._digests = {record.digest for record in self._records if record.state is State.SUCCEEDED}
        route, _ = routes.of(prompt)
        reading = read_media(prompt)
        return any(
            prompt.digest(model, hashes) in self._digests
            for hashes in self._recalled.hashes_of(prompt, reading)
            for model in routes.models_of(prompt, route)
        )
