"""A still of a clip for agents: small, as JPEG. Needs PyAV and Pillow; without them there is none."""

from __future__ import annotations

import asyncio
import base64
import io

from aveo3.mcp_server import looking
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.views import JobView
from aveo3.report import posters
from aveo3.report.from_journal import Film
from aveo3.stills import can_cut


async def still_of(desk: Desk, view: JobView) -> str | None:
    """A still of the first video of a job, as JPEG in base64; None without a video."""
    if not view.paths or not can_cut():
        return None
    film = looking.film_of(desk, view.job)
    return None if film is None else await asyncio.to_thread(_still, posters.Posters(desk.settings.output_dir), film)


def _still(stills: posters.Posters, film: Film) -> str | None:
    if (webp := stills.of(film)) is None:
        return None
    from PIL import Image

    jpeg = io.BytesIO()  # every client shows it
    Image.open(io.BytesIO(webp)).convert("RGB").save(jpeg, "JPEG", quality=80)
    return base64.b64encode(jpeg.getvalue()).decode()
