"""The tools that an MCP client sees: thin, each asks the desk. None takes money as an argument."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from aveo3.errors import AveoError
from aveo3.integrations.quotes import Refused
from aveo3.mcp_server import looking
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.orders import Clip, prompts_of
from aveo3.mcp_server.stills import still_of
from aveo3.mcp_server.views import Estimated, Jobs, JobView, Models, Money, Started

Names = Annotated[list[str] | None, Field(description="Names of jobs. Leave out for all that agents ordered.")]
Clips = Annotated[list[Clip], Field(min_length=1, max_length=100, description="The clips, in order.")]

FREE = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
"""Of tools that cost nothing and change nothing."""
COSTS = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=True)
"""Of the tool that spends money, which nobody gives back. Equal calls spend it once."""
STOPS = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=False)


@contextmanager
def refusals() -> Iterator[None]:
    """Tell the agent what went wrong: errors of aveo3 are sentences."""
    try:
        yield
    except (Refused, AveoError) as error:
        raise ToolError(str(error)) from error


def add_tools(server: MCPServer[Any], desk: Desk) -> None:
    """Give `server` the tools of `desk`."""

    @server.tool(title="Estimate clips", annotations=FREE)
    async def estimate(clips: Clips) -> Estimated:
        """What clips would cost and how long they would take. Sends nothing and costs nothing."""
        with refusals():
            return await looking.estimate(desk, prompts_of(clips, desk.media))

    @server.tool(title="Start clips (costs money)", annotations=COSTS)
    async def start(clips: Clips) -> Started:
        """Start making clips, and return at once with the names of their jobs. COSTS MONEY, within a fixed budget.

        Then call `wait`, and `result` for each job. A call that costs more than what is left is refused as a whole.
        The same clips again give the same jobs, and cost nothing.
        """
        with refusals():
            records, cost, expected = await desk.start(prompts_of(clips, desk.media))
            return Started(
                jobs=looking.status(desk, [record.name for record in records]).jobs,
                new_cost_usd=round(cost, 4),
                expected_utc=expected,
                money=desk.money(),
            )

    @server.tool(title="Status of jobs", annotations=FREE)
    async def status(jobs: Names = None) -> Jobs:
        """How jobs stand now. Costs nothing."""
        with refusals():
            await looking.take_up(desk, jobs)
            return looking.status(desk, jobs)

    @server.tool(title="Wait for jobs", annotations=FREE)
    async def wait(
        context: Context[Any, Any],
        jobs: Names = None,
        seconds: Annotated[float, Field(ge=0, le=looking.LONGEST_WAIT, description="The longest wait.")] = 45.0,
    ) -> Jobs:
        """Return when all jobs have ended, or after `seconds`; then call it again. Reports progress. Costs nothing."""
        with refusals():
            await looking.take_up(desk, jobs)
            return await looking.wait(desk, jobs, seconds, context.report_progress)

    @server.tool(title="Result of a job", annotations=FREE)
    async def result(
        job: Annotated[str, Field(description="The name of a job.")],
    ) -> Annotated[CallToolResult, JobView]:
        """The files of a job, and a still of its video as a picture. Costs nothing."""
        with refusals():
            await looking.take_up(desk, [job])
            [view] = looking.status(desk, [job]).jobs
            still = await still_of(desk, view)
        content: list[Any] = [TextContent(type="text", text=view.model_dump_json(exclude_defaults=True))]
        if still is not None:
            content.append(ImageContent(type="image", data=still, mime_type="image/jpeg"))
        return CallToolResult(content=content, structured_content=view.model_dump(mode="json"))

    @server.tool(title="Cancel jobs", annotations=STOPS)
    async def cancel(jobs: Annotated[list[str], Field(min_length=1, description="Names of jobs.")]) -> Jobs:
        """Stop jobs that were not sent yet: they cost nothing. Clips that were sent go on, and are paid."""
        with refusals():
            await looking.cancel(desk, jobs)
            return looking.status(desk, jobs)

    @server.tool(title="Models", annotations=FREE)
    async def models() -> Models:
        """The models, what a clip of each costs and what it can be. Costs nothing."""
        with refusals():
            return looking.models(desk)

    @server.tool(title="Budget", annotations=FREE)
    async def budget() -> Money:
        """What may be spent, what was spent, and what is left. Costs nothing. No tool can raise the budget."""
        with refusals():
            return desk.money()
