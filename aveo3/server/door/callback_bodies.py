"""What a callback says of a request that has ended: what a poll would, with addresses in place of bytes. Pure.

Videos on the server need the caller's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aveo3.config.catalog import Catalog
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door import omni_answers, openai_videos, veo_answers


def body_of(request: Request, record: JobRecord, *, base: str, catalog: Catalog) -> dict[str, Any]:
    """The JSON of a callback. `base` is the server's address as the caller used it."""
    if request.resource == openai_videos.RESOURCE:
        return openai_videos.video(request, record, catalog, busy=False, elapsed=1.0)
    made = record.state is State.SUCCEEDED
    files = [
        f"{base}/v1beta/files/{request.door_name}{number}:download?alt=media" for number in range(len(record.files))
    ]
    if omni_answers.is_interaction(request):
        uris = [*files, *record.uris]
        video = {"type": "video", "mime_type": "video/mp4", "uri": uris[0]} if made and uris else None
        return omni_answers.ended(request, record, video)
    done: dict[str, Any] = {"name": veo_answers.name_of(request), "done": True}
    if (error := veo_answers.error(record)) is not None:
        return {**done, "error": error}
    place = "uri" if files or veo_answers.surface_of(request) == veo_answers.DEVELOPER else "gcsUri"
    videos: list[Mapping[str, Any]] = [{place: uri, "mimeType": "video/mp4"} for uri in (files or record.uris) if made]
    return {**done, "response": veo_answers.response(request, record, videos)}
