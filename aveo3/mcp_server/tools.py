"""The tools that an MCP client sees: thin, each asks the desk. None takes money as an argument."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from aveo3.errors import AveoError
from aveo3.integrations.quotes import Refused
from aveo3.mcp_server import looking
from aveo3.mcp_server.desk import Desk
from aveo3.mcp_server.orders import MOST_CLIPS, Clip, Film, prompts_of
from aveo3.mcp_server.stills import still_of
from aveo3.mcp_server.views import Estimated, Jobs, Models, Money, Result, Started

Its = Context[Desk, Any]
"""The context of a call; its lifespan is the desk."""

Clips = Annotated[
    list[Clip] | None, Field(min_length=1, max_length=MOST_CLIPS, description="The clips, in order. Or give a film.")
]
FilmOrder = Annotated[Film | None, Field(description="A film of scenes, cut together. Or give clips.")]
Names = Annotated[list[str] | None, Field(description="Names of jobs or films. Leave out for all of agents.")]

FREE = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
"""Of tools that cost nothing and change nothing."""
COSTS = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=True)
"""Of the tool that spends money, which nobody gives back. Equal calls spend it once."""
STOPS = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=False)


class Consent(BaseModel):
    """What a person answers."""

    agree: bool = Field(description="Spend this money?")


@contextmanager
def refusals() -> Iterator[None]:
    """Tell the agent what went wrong: errors of aveo3 are sentences."""
    try:
        yield
    except (Refused, AveoError) as error:
        raise ToolError(str(error)) from error


def desk_of(context: Its) -> Desk:
    """The desk that this call is for."""
    return context.request_context.lifespan_context


def told(answer: BaseModel, *more: Any) -> CallToolResult:
    """An answer as data, and as text without what says nothing: what a model reads is paid by the token."""
    text = TextContent(type="text", text=answer.model_dump_json(exclude_defaults=True))
    return CallToolResult(content=[text, *more], structured_content=answer.model_dump(mode="json"))


async def estimate(context: Its, clips: Clips = None, film: FilmOrder = None) -> Annotated[CallToolResult, Estimated]:
    """What clips or a film would cost and how long they would take. Sends nothing and costs nothing."""
    with refusals():
        return told(await _estimated(desk_of(context), clips, film))


async def _estimated(desk: Desk, clips: list[Clip] | None, film: Film | None) -> Estimated:
    if (clips is None) == (film is None):
        raise Refused("nothing was sent: give either clips or a film")
    if film is not None:
        return await looking.estimate_film(desk, film)
    return await looking.estimate(desk, await asyncio.to_thread(prompts_of, clips or [], desk.media))


async def price(context: Its, clips: Clips, film: FilmOrder) -> Estimated:
    """What a call of `start` would cost."""
    with refusals():
        return await _estimated(desk_of(context), clips, film)


async def consent(context: Its, priced: Annotated[Estimated, Resolve(price)]) -> Elicit[Consent] | Consent:
    """Ask a person, if they must agree to this price and the client can ask. The question names the price."""
    money = priced.money
    fits = priced.cost_usd is not None and not priced.problems and priced.cost_usd <= money.left_usd
    if not (priced.needs_person and fits and _can_ask(context)):
        return Consent(agree=False)  # `start` says what is wrong, or nobody has to agree
    return Elicit(
        f"An agent wants to make {priced.new_clips} video clips with aveo3 for US$ {priced.cost_usd:.2f} at list "
        f"price. Since a person last agreed, agents ordered clips for US$ {money.unasked_usd:.2f}. Of their budget of "
        f"US$ {money.budget_usd:.2f}, US$ {money.left_usd:.2f} are left. Spend this money?",
        Consent,
    )


def _can_ask(context: Its) -> bool:
    capabilities = context.client_capabilities
    asks = None if capabilities is None else capabilities.elicitation
    return asks is not None and (asks.form is not None or asks.url is None)


async def start(
    context: Its,
    priced: Annotated[Estimated, Resolve(price)],
    answer: Annotated[ElicitationResult[Consent], Resolve(consent)],
    clips: Clips = None,
    film: FilmOrder = None,
) -> Annotated[CallToolResult, Started]:
    """Start making clips, or a film, and return at once with the names of jobs. COSTS MONEY, within a fixed budget.

    Then call `wait`, and `result` for each job. A call that costs more than what is left is refused as a whole. Above a
    sum a person is asked. The same clips again give the same jobs, and cost nothing.
    """
    desk = desk_of(context)
    agreed_usd = priced.cost_usd if answer.action == "accept" and answer.data.agree else None
    with refusals():
        if film is not None:
            name, cost, expected = await desk.films.start(film, agreed_usd)
            money = desk.till.money()
            return told(Started(jobs=[], film=name, new_cost_usd=round(cost, 4), expected_utc=expected, money=money))
        prompts = await asyncio.to_thread(prompts_of, clips or [], desk.media)
        records, cost, expected = await desk.start(prompts, agreed_usd)
        jobs = looking.status(desk, [record.name for record in records]).jobs
        money = desk.till.money()
        return told(Started(jobs=jobs, new_cost_usd=round(cost, 4), expected_utc=expected, money=money))


async def status(context: Its, jobs: Names = None) -> Annotated[CallToolResult, Jobs]:
    """How jobs and films stand now. Costs nothing."""
    desk = desk_of(context)
    with refusals():
        await looking.take_up(desk, jobs)
        return told(looking.status(desk, jobs))


async def wait(
    context: Its,
    jobs: Names = None,
    seconds: Annotated[float, Field(ge=0, le=looking.LONGEST_WAIT, description="The longest wait.")] = 45.0,
) -> Annotated[CallToolResult, Jobs]:
    """Return when all jobs have ended, or after `seconds`; then call it again. Reports progress. Costs nothing."""
    desk = desk_of(context)
    with refusals():
        await looking.take_up(desk, jobs)
        return told(await looking.wait(desk, jobs, seconds, context.report_progress))


async def result(
    context: Its, job: Annotated[str, Field(description="The name of a job or a film.")]
) -> Annotated[CallToolResult, Result]:
    """The files of a job or a film, and a still of its video as a picture. Costs nothing."""
    desk = desk_of(context)
    with refusals():
        await looking.take_up(desk, [job])
        found, video = looking.result(desk, job)
        still = None if video is None else await asyncio.to_thread(still_of, video, desk.settings.output_dir)
    pictures = [] if still is None else [ImageContent(type="image", data=still, mime_type="image/jpeg")]
    return told(found, *pictures)


async def cancel(
    context: Its, jobs: Annotated[list[str], Field(min_length=1, description="Names of jobs or films.")]
) -> Annotated[CallToolResult, Jobs]:
    """Stop jobs that were not sent yet: they cost nothing. Clips that were sent go on, and are paid."""
    desk = desk_of(context)
    with refusals():
        await looking.cancel(desk, jobs)
        return told(looking.status(desk, jobs))


async def models(context: Its) -> Annotated[CallToolResult, Models]:
    """The models, what a clip of each costs and what it can be. Costs nothing."""
    with refusals():
        return told(looking.models(desk_of(context)))


async def budget(context: Its) -> Annotated[CallToolResult, Money]:
    """What may be spent, what was spent, and what is left. Costs nothing. No tool can raise the budget."""
    with refusals():
        return told(desk_of(context).till.money())


def add_tools(server: MCPServer[Desk]) -> None:
    """Give `server`, whose lifespan is a desk, its tools."""
    server.add_tool(estimate, title="Estimate clips", annotations=FREE)
    server.add_tool(start, title="Start clips (costs money)", annotations=COSTS)
    server.add_tool(status, title="Status of jobs", annotations=FREE)
    server.add_tool(wait, title="Wait for jobs", annotations=FREE)
    server.add_tool(result, title="Result of a job", annotations=FREE)
    server.add_tool(cancel, title="Cancel jobs", annotations=STOPS)
    server.add_tool(models, title="Models", annotations=FREE)
    server.add_tool(budget, title="Budget", annotations=FREE)
