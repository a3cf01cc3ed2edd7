"""Which prompts depend on the clips of others, and whether these can be made: no circles, no names twice. Pure."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aveo3.errors import UsageError
from aveo3.input_forms import MEDIA_FIELDS
from aveo3.media import Media
from aveo3.models import VideoPrompt, as_prompt

SHOWN = 10
"""Problems that a message lists."""


@dataclass(frozen=True, slots=True)
class ClipGraph:
    """The dependencies among the prompts of one call."""

    needs: Mapping[int, tuple[str, ...]]
    """The clips that a prompt depends on, by its index."""
    makers: Mapping[str, int]
    """Which prompt makes a clip that others depend on."""
    uses: Counter[str]
    """How many prompts depend on each clip."""
    takes_frames: bool

    @property
    def elsewhere(self) -> list[str]:
        """The clips that no prompt of the call makes."""
        return [name for name in self.uses if name not in self.makers]

    def user_of(self, name: str) -> int:
        """The first prompt that depends on a clip."""
        return next(index for index, names in self.needs.items() if name in names)


def dependent(source: Any) -> VideoPrompt | None:
    """The prompt of `source` if it depends on clips; None if not, or if it is not valid. Cheap for those that do not.

    The planner says what is wrong with a prompt that is not valid.
    """
    if type(source) is str:  # pydantic and ABCs take a microsecond to tell that
        return None
    try:
        if isinstance(source, VideoPrompt):
            return source if source.clips else None
        if isinstance(source, dict) and source.keys().isdisjoint(MEDIA_FIELDS):
            return None
        if isinstance(source, Mapping) and any(_is_clip(source.get(name)) for name in MEDIA_FIELDS):
            prompt = as_prompt(source)
            return prompt if prompt.clips else None
    except Exception:  # the user's own object: it may raise anything
        return None
    return None


def _is_clip(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("clip:")
    if isinstance(value, Media):
        return value.is_waiting
    if isinstance(value, Mapping):
        return "clip" in value
    return isinstance(value, list | tuple) and any(map(_is_clip, value))


def name_in(source: Any) -> str | None:
    """The `id` of a prompt as it was given."""
    if type(source) is str:
        return None
    try:
        name = source.id if isinstance(source, VideoPrompt) else source.get("id") if isinstance(source, Mapping) else ""
    except Exception:  # the user's own object
        return None
    return name if isinstance(name, str) and name else None


def graph_of(prompts: Sequence[Any]) -> ClipGraph | None:
    """The dependencies among `prompts`; None if there are none. Raises `UsageError` for circles and names twice."""
    found = [(index, prompt) for index, source in enumerate(prompts) if (prompt := dependent(source)) is not None]
    if not found:
        return None
    needs = {index: prompt.clips for index, prompt in found}
    uses = Counter(name for names in needs.values() for name in names)
    makers: dict[str, int] = {}
    problems = []
    for index, source in enumerate(prompts):
        if (name := name_in(source)) is None or name not in uses:
            continue
        if (first := makers.setdefault(name, index)) != index:
            problems.append(
                f"prompts {first + 1} and {index + 1} both have the id {name!r}, and others depend on it: rename one"
            )
    if (circle := circle_in(needs, makers)) is not None:
        problems.append(in_a_circle(circle))
    if problems:
        raise unusable(problems)
    takes_frames = any(medium.frame is not None for _, prompt in found for medium in prompt.media)
    return ClipGraph(needs, makers, uses, takes_frames)


def unusable(problems: Sequence[str]) -> UsageError:
    """The error for prompts that depend on clips that cannot be made."""
    rest = len(problems) - SHOWN
    more = [f"… and {rest:,} more"] if rest > 0 else []
    return UsageError("\n".join(["nothing was sent: the clips that prompts depend on:", *problems[:SHOWN], *more]))


def unknown_clip(name: str, others: Iterable[str], journal: Path | None) -> str:
    """The sentence about a name that neither a prompt has, `others`, nor a clip in the `journal`, if one is kept."""
    where = "and no journal is kept" if journal is None else f"nor a clip in {journal}"
    close = difflib.get_close_matches(name, list(others), n=1)
    hint = f": did you mean {close[0]!r}?" if close else ""
    return f"no prompt of this call has the id {name!r}, {where}{hint}"


def circle_in(needs: Mapping[int, Iterable[str]], makers: Mapping[str, int]) -> list[str] | None:
    """The clips of one circle, each depending on the next; None if there is no circle."""
    left = {index: sum(makers.get(name) in needs for name in names) for index, names in needs.items()}
    users: defaultdict[int, list[int]] = defaultdict(list)
    for index, names in needs.items():
        for name in names:
            if (maker := makers.get(name)) is not None and maker in needs:
                users[maker].append(index)
    free = deque(index for index, count in left.items() if not count)
    while free:
        done = free.popleft()
        del left[done]
        for user in users[done]:
            left[user] -= 1
            if not left[user]:
                free.append(user)
    if not left:
        return None
    at, path = next(iter(left)), dict[int, str]()
    while at not in path:
        path[at] = next(name for name in needs[at] if makers.get(name) in left)
        at = makers[path[at]]
    names = list(path.values())
    begin = list(path).index(at)
    return names[begin:]


def in_a_circle(names: Sequence[str]) -> str:
    """The sentence about a circle."""
    if len(names) == 1:
        return f"{names[0]!r} depends on itself"
    shown = [*map(repr, names[:SHOWN]), *(["…"] if len(names) > SHOWN else [repr(names[0])])]
    return f"clips depend on one another in a circle, so that none can be made first: {' needs '.join(shown)}"
