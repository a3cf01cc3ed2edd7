"""What a language model is told of clips and films: short JSON with status, paths, cost and what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aveo3.film.making import FilmResult
from aveo3.models import ClipStatus, VideoClip

_MOST_TEXT = 400  # of one message: what a model reads is paid by the token


def refusal(why: str, money: Mapping[str, Any]) -> str:
    """An order that was not carried out. Nothing was sent."""
    return _json({"status": "refused", "sent": False, "message": why, **money})


def clips(made: Sequence[VideoClip], money: Mapping[str, Any]) -> str:
    """The clips of an order."""
    return _json({"status": _status(made), "clips": [_clip(clip) for clip in made], **_cost(made), **money})


def film(result: FilmResult, clips: Sequence[VideoClip], money: Mapping[str, Any]) -> str:
    """A film, or why there is none."""
    said: dict[str, Any] = {"status": "made" if result.path is not None else "not made"}
    if result.path is not None:
        said["path"] = str(result.path)
    else:
        said["message"] = result.reason
        said["what_to_do"] = (
            "change the scenes below as their advice says and order the film again: clips that are made are used again"
        )
    said["scenes"] = {
        scene: {"status": clip.status.value, **({} if clip.succeeded else _why(clip))}
        for scene, clip in result.picked.items()
    }
    if result.missing:
        said["missing"] = list(result.missing)
    if result.notes:
        said["notes"] = [note[:_MOST_TEXT] for note in result.notes[:10]]
    return _json({**said, **_cost(clips), **money})


def broken(why: str, money: Mapping[str, Any]) -> str:
    """An order whose clips are on disk, but which did not end as it should."""
    return _json({"status": "not made", "message": why[: 3 * _MOST_TEXT], **money})


def _status(made: Sequence[VideoClip]) -> str:
    succeeded = sum(clip.succeeded for clip in made)
    return "made" if succeeded == len(made) else f"{succeeded} of {len(made)} made"


def _clip(clip: VideoClip) -> dict[str, Any]:
    said: dict[str, Any] = {"clip": clip.prompt.id, "status": clip.status.value}
    if clip.succeeded:
        paths = [str(path) for path in clip.paths]
        said |= {"path": paths[0]} if len(paths) == 1 else {"paths": paths or list(clip.uris)}
        said["cost_usd"] = clip.cost_usd
        if clip.cached:
            said["note"] = "made by an earlier call, not paid again"
        return said
    return {**said, **_why(clip)}


def _why(clip: VideoClip) -> dict[str, Any]:
    advice = clip.status.advice
    if clip.status is ClipStatus.UNCERTAIN:
        advice = "may be billed, a person has to check: do not order it again in other words"
    return {"message": (clip.error_message or "")[:_MOST_TEXT], "what_to_do": advice}


def _cost(made: Sequence[VideoClip]) -> dict[str, Any]:
    new = [clip for clip in made if not clip.cached and (clip.succeeded or clip.may_be_paid)]
    return {"cost_usd": round(sum(clip.cost_usd or 0.0 for clip in new), 4)}


def _json(said: Mapping[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False)
