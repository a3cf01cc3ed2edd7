"""aveo3: every clip your video quota allows, each paid for once.

    async with VeoClient() as veo:
        clips = await veo.generate_many(["a paper boat on a river", "a lighthouse in fog"])

Settings come from `VEO3_*` and `GOOGLE_*` variables, `.env`, or `Settings(…)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    from aveo3.client import VeoClient
    from aveo3.clips import Clips
    from aveo3.config.arguments import SettingsArguments
    from aveo3.config.settings import Settings
    from aveo3.dispatch.planner import Prompts
    from aveo3.dispatch.stats import Stats
    from aveo3.dispatch.stream import ClipStream
    from aveo3.errors import AveoError, ClipError, FetchError, GateClosed, JournalError, UsageError
    from aveo3.journal.review import JobHistory, JournalStatus
    from aveo3.journal.rows import JobRecord
    from aveo3.lanes.estimate import Estimate
    from aveo3.lanes.lane_file import LaneSettings
    from aveo3.media import Media, ReferenceImage
    from aveo3.models import ClipStatus, VideoClip, VideoPrompt
    from aveo3.untrusted import UntrustedPrompt

__version__ = "0.1.0"

_HOME = {
    "AveoError": "errors",
    "ClipError": "errors",
    "ClipStatus": "models",
    "ClipStream": "dispatch.stream",
    "Clips": "clips",
    "Estimate": "lanes.estimate",
    "FetchError": "errors",
    "GateClosed": "errors",
    "JobHistory": "journal.review",
    "JobRecord": "journal.rows",
    "JournalError": "errors",
    "JournalStatus": "journal.review",
    "LaneSettings": "lanes.lane_file",
    "Media": "media",
    "ReferenceImage": "media",
    "Settings": "config.settings",
    "Stats": "dispatch.stats",
    "UntrustedPrompt": "untrusted",
    "UsageError": "errors",
    "VeoClient": "client",
    "VideoClip": "models",
    "VideoPrompt": "models",
}

__all__ = [
    "AveoError",
    "ClipError",
    "ClipStatus",
    "ClipStream",
    "Clips",
    "Estimate",
    "FetchError",
    "GateClosed",
    "JobHistory",
    "JobRecord",
    "JournalError",
    "JournalStatus",
    "LaneSettings",
    "Media",
    "ReferenceImage",
    "Settings",
    "Stats",
    "UntrustedPrompt",
    "UsageError",
    "VeoClient",
    "VideoClip",
    "VideoPrompt",
    "generate_many",
]


async def generate_many(prompts: Prompts, **settings: Unpack[SettingsArguments]) -> Clips:
    """Generate one clip per prompt and return the clips in the order of `prompts`.

    For scripts: it opens a `VeoClient`, calls its `generate_many` and closes it. Settings come from the environment
    and `.env`; `**settings` beat both. Raises `UsageError` before anything is sent, `JournalError` if the journal
    cannot be used. The failure of one prompt is the status of its clip.
    """
    from aveo3.client import VeoClient
    from aveo3.config.settings import Settings

    async with VeoClient(Settings(**settings)) as veo:
        return await veo.generate_many(prompts)


def __dir__() -> list[str]:
    """Every name, those that are not imported yet included: editors and notebooks offer them."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that `import aveo3` stays cheap."""
    if name in _HOME or name == "events":
        from importlib import import_module

        if name == "events":
            return import_module("aveo3.events")
        return getattr(import_module(f"aveo3.{_HOME[name]}"), name)
    raise AttributeError(f"module 'aveo3' has no attribute {name!r}")
