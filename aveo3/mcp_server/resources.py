"""The resources that an MCP client sees: the clips that agents ordered, their stills, and aveo3's guides."""

from __future__ import annotations

import asyncio
import base64
from importlib.resources import files

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource

from aveo3.errors import AveoError
from aveo3.integrations.quotes import Refused
from aveo3.mcp_server import looking
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.stills import still_of
from aveo3.report.from_journal import Film

LARGEST = 50_000_000
"""Bytes of a video that goes out as a resource; a larger one is a file only."""


class DeskServer(MCPServer[Desk]):
    """An MCP server that lists the clips of its desk, which change, beside the resources that it was given."""

    desk: Desk

    async def list_resources(self) -> list[Resource]:
        """The guides, and the clips that are made."""
        found = await super().list_resources()
        for job in looking.status(self.desk, None).jobs:
            if job.paths:
                found.append(
                    Resource(
                        uri=f"aveo3://clip/{job.job}",
                        name=f"clip {job.job}",
                        title=job.prompt[:80],
                        mime_type="video/mp4",
                    )
                )
        return found


def add_resources(server: DeskServer) -> None:
    """Give `server` its resources."""
    desk = server.desk

    def video_of(job: str) -> Film:
        try:
            _, video = looking.result(desk, job)
        except (Refused, AveoError) as error:
            raise ResourceNotFoundError(str(error)) from error
        if video is None:
            raise ResourceNotFoundError(f"job {job} has no video here: call result")
        return video

    @server.resource("aveo3://clip/{job}", name="clip", description="The video of a job.", mime_type="video/mp4")
    async def clip(job: str) -> bytes:
        video = video_of(job)
        if (size := (await asyncio.to_thread(video.path.stat)).st_size) > LARGEST:
            raise ResourceError(f"this video has {size:,} bytes, too many to send: it is {video.path}")
        return await asyncio.to_thread(video.path.read_bytes)

    @server.resource(
        "aveo3://clip/{job}/still", name="still", description="A picture of a clip.", mime_type="image/jpeg"
    )
    async def still(job: str) -> bytes:
        picture = await asyncio.to_thread(still_of, video_of(job), desk.settings.output_dir)
        if picture is None:
            raise ResourceNotFoundError(f"no picture can be cut from the video of job {job}")
        return base64.b64decode(picture)

    for topic, text in guides().items():
        _add_guide(server, topic, text)


def _add_guide(server: DeskServer, topic: str, text: str) -> None:
    @server.resource(
        f"aveo3://guide/{topic}",
        name=f"guide {topic}",
        title=text.partition("\n")[0][2:],
        description=text.split("\n\n")[1],
        mime_type="text/markdown",
    )
    def guide() -> str:
        return text


def guides() -> dict[str, str]:
    """The Markdown of every guide, by its name."""
    pages = {page.name: page for page in files("aveo3").joinpath("guide").iterdir()}
    return {name.removesuffix(".md"): pages[name].read_text("utf-8") for name in sorted(pages) if name.endswith(".md")}
