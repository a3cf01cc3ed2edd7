"""`Clips`: what `generate_many` returns, a list of clips that can become the rows of a table."""

from __future__ import annotations

from typing import Any

from aveo3.json_values import text_of
from aveo3.models import VideoClip


class Clips(list[VideoClip]):
    """The clips of one batch, in the order of its prompts. A list, and more."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """A flat row for each clip, all with the same columns: `pandas.DataFrame(clips.to_dicts())`.

        The columns are the clip's fields, `path` (the first of `paths`), and its prompt's `text`, `id` and
        `project_id`: text, numbers, instants, None. `metadata.NAME` has the prompts' metadata as they are, under the
        names that the columns of a prompt file have. `clip.prompt` has everything else.
        """
        metadata = [_metadata(clip) for clip in self]
        blank = dict.fromkeys(name for own in metadata for name in own)
        return [_row(clip) | blank | own for clip, own in zip(self, metadata, strict=True)]

    def _repr_html_(self) -> str:
        """What a notebook shows of them."""
        from aveo3.display.clips import batch_page

        return batch_page(self)


def _metadata(clip: VideoClip) -> dict[str, Any]:
    return {f"metadata.{text_of(key)}": value for key, value in clip.prompt.metadata.items()}


def _row(clip: VideoClip) -> dict[str, Any]:
    prompt = clip.prompt
    fields = clip.model_dump(exclude={"prompt", "status", "paths"})
    return {
        "index": fields.pop("index"),
        "id": prompt.id,
        "project_id": prompt.project_id,
        "text": prompt.text,
        "status": clip.status.value,
        "path": None if clip.path is None else str(clip.path),
        "paths": [str(path) for path in clip.paths],
        **{name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()},
    }
