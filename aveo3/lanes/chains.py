"""How long prompts wait for the clips that they depend on, for estimates. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aveo3.models import VideoPrompt


class Chains:
    """The clips of a batch that others may depend on, and how many seconds each of them takes."""

    def __init__(self) -> None:
        self._clips: dict[str, tuple[float, Sequence[str]]] = {}
        self._made_at: dict[str, float] = {}

    def add(self, prompt: VideoPrompt, seconds: float) -> None:
        """Add a prompt whose clip takes so long."""
        if prompt.id is not None:
            self._clips.setdefault(prompt.id, (seconds, prompt.clips))

    def ready_at(self, names: Sequence[str]) -> float:
        """Seconds until all of these clips are made, if each is sent as soon as it can be.

        A clip that is not in the batch is there already.
        """
        path, open_names = [*names], set[str]()
        while path:  # not by recursion: a chain may have a hundred thousand links
            name = path[-1]
            if name in self._made_at or name not in self._clips:
                path.pop()
                continue
            seconds, needs = self._clips[name]
            left = [need for need in needs if need in self._clips and need not in self._made_at]
            if left and name not in open_names:
                open_names.add(name)
                path += left
            else:  # in a circle, which is an error elsewhere, it is taken as it is
                self._made_at[name] = seconds + max((self._made_at.get(need, 0.0) for need in needs), default=0.0)
                path.pop()
        return max((self._made_at.get(name, 0.0) for name in names), default=0.0)
