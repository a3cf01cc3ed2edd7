"""Which files an agent may send: pictures and videos in the directories that the operator allows, and nothing else.

A path of an agent is a wish. What it names leaves this machine, so it must lie, links followed, in an allowed
directory, not among aveo3's own files, and be what it is sent as.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aveo3 import media_types
from aveo3.config.settings import JOURNAL, Settings
from aveo3.integrations.quotes import Refused


class AllowedMedia:
    """The media in the directories of `settings`, in the output directory and in the working directory."""

    def __init__(self, settings: Settings) -> None:
        here = Path.cwd().resolve()
        # Desktop programs start their servers in such places: nobody has meant to give away all that is there.
        too_wide = here == Path(here.anchor) or here == Path.home().resolve()
        places = (*(() if too_wide else (here,)), settings.output_dir, *settings.mcp_media)
        self.directories: Sequence[Path] = tuple(dict.fromkeys(place.resolve() for place in places))

    def checked(self, path: str, kind: str = "image") -> Path:
        """The real path of a file that may be sent as `kind`, `image` or `video`. Raises `Refused`. Blocks."""
        if "://" in path or path.startswith("data:"):
            raise Refused(f"nothing was sent: {path[:100]}: name a file of this machine, not an address.")
        try:
            real = Path(path).resolve(strict=True)
            inside = any(real.is_relative_to(place) for place in self.directories)
            if not inside or JOURNAL.parent.name in real.parts:
                raise Refused(self._why(path))
            with real.open("rb") as file:
                found = media_types.type_of(file.read(media_types.HEAD)) or ""
        except (OSError, ValueError, RuntimeError):  # not there, a directory, a loop of links, no name for a file
            # The same words for what is missing and what is elsewhere: nobody learns which files there are.
            raise Refused(self._why(path)) from None
        if not found.startswith(f"{kind}/"):
            raise Refused(f"nothing was sent: {path[:200]} is no {kind}.")
        return real

    def _why(self, path: str) -> str:
        return (
            f"nothing was sent: there is no file {path[:200]} that may be sent. Allowed are pictures and videos in "
            f"{', '.join(map(str, self.directories))}. A person can allow more directories with VEO3_MCP_MEDIA."
        )
