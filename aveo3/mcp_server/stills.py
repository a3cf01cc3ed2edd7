"""A still of a video for agents: small, as JPEG. Needs PyAV and Pillow; without them there is none. Blocks."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from aveo3.report import posters
from aveo3.report.from_journal import Film
from aveo3.stills import can_cut


def still_of(video: Film, output_dir: Path) -> str | None:
    """A still of a video, as JPEG in base64; None if none can be cut."""
    if not can_cut() or (webp := posters.Posters(output_dir).of(video)) is None:
        return None
    from PIL import Image

    jpeg = io.BytesIO()  # every client shows it
    Image.open(io.BytesIO(webp)).convert("RGB").save(jpeg, "JPEG", quality=80)
    return base64.b64encode(jpeg.getvalue()).decode()
