"""Films that agents order: one at a time, made by `make_film`. Each of its clips is noted before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from aveo3.errors import AveoError
from aveo3.events.kinds import Event, Planned
from aveo3.film import Story, make_film
from aveo3.film.cut import FilmError
from aveo3.film.making import FilmResult, planned
from aveo3.film.plan import FilmPlan
from aveo3.film.rehearsal import check_extra
from aveo3.film.takes import Stage
from aveo3.integrations.maker import file_name, problems_of
from aveo3.integrations.quotes import Refused, count_of, known
from aveo3.journal.journal import Journal
from aveo3.lifecycle import UNDER_WAY
from aveo3.mcp_server import spending
from aveo3.mcp_server.views import LONGEST_TEXT, FilmView
from aveo3.models import VideoClip

if TYPE_CHECKING:
    from aveo3.client import VeoClient
    from aveo3.mcp_server.desk import Desk
    from aveo3.mcp_server.orders import Film

FILMS = "mcp_film"
"""What the journal keeps of a film, by its name: the fields of its `FilmView`."""

PREFIX = "film-"


@dataclass(slots=True)
class _Making:
    """The film that is being made."""

    name: str
    story: Story
    prices: Mapping[str, float]
    """US$ of the takes that were to be sent, by id."""
    agreed: bool
    scenes: dict[str, str] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Films:
    """The films of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._making: _Making | None = None

    # ---- orders ----------------------------------------------------------------------------------------------------

    async def plan(self, order: Film) -> FilmPlan:
        """What making a film would send. Raises `Refused`."""
        story, desk = story_of(order), self._desk
        plan, _, _ = await asyncio.to_thread(planned, story, desk.settings, desk.routes, desk.service, Stage.FINAL)
        if plan.problems:
            raise Refused("nothing was sent: " + "; ".join(plan.problems[:10]))
        return plan

    def is_making(self, order: Film) -> bool:
        """Whether this very film is being made: starting it again costs nothing."""
        return self._making is not None and self._making.story == story_of(order)

    async def start(self, order: Film, agreed_usd: float | None) -> tuple[str, float, datetime | None]:
        """Start a film. Returns its name, what is new in US$, and when its clips should be made. Raises `Refused`."""
        return await self._desk.client.apart(self._start(order, agreed_usd))

    async def _start(self, order: Film, agreed_usd: float | None) -> tuple[str, float, datetime | None]:
        desk, story = self._desk, story_of(order)
        name = PREFIX + file_name(story.title)
        desk.till.check_budget()
        check_extra()
        async with desk.client.open() as veo:
            if (now := self._making) is not None:
                if now.story == story:
                    return name, 0.0, None
                raise Refused(f"nothing was sent: {now.name} is being made, and films are made one by one: wait for it")
            plan = await self.plan(order)
            self._check_apart(veo, plan)
            prices = {each.take.id: known(each.cost_usd) for each in plan.to_send}
            cost = sum(prices.values())
            desk.till.check(cost, f"{count_of(len(prices), 'new clip')} of the film", agreed_usd)
            agreed = agreed_usd is not None and desk.till.needs_person(cost)
            making = self._making = _Making(name, story, prices, agreed)
            desk.till.committed_usd |= prices
            self._keep(veo, FilmView(film=name, status="making", ended=False, title=story.title))
            assert veo.journal is not None
            if agreed:
                spending.agree(veo.journal, desk.service, desk.now_utc())
            veo.journal.commit()
            making.task = desk.client.run(self._make(veo, making))
        seconds = plan.chain_seconds if plan.to_send else 0.0
        return name, cost, desk.now_utc() + timedelta(seconds=desk.clip_seconds or seconds) if seconds else None

    def _check_apart(self, veo: VeoClient, plan: FilmPlan) -> None:
        """Raise `Refused` if clips of other orders that are under way may be takes of the film: it would pay again."""
        assert veo.journal is not None
        texts = {planned.take.prompt.text for planned in plan.takes}
        for record in spending.records(veo.journal, self._desk.service):
            if self._desk.is_sending(record.id) and record.prompt.get("text") in texts:
                raise Refused(f"nothing was sent: job {record.name} is under way for one of the scenes: wait for it")

    async def _make(self, veo: VeoClient, making: _Making) -> None:
        desk, story = self._desk, making.story
        path = veo.settings.output_dir / f"{making.name}.mp4"
        view = FilmView(film=making.name, status="not made", ended=True, title=story.title)
        try:
            result = await make_film(story, veo, path=path, on_clip=self._ended)
            view = _view_of(view, result)
        except (AveoError, FilmError) as error:
            view = view.model_copy(update={"message": str(error)[: 3 * LONGEST_TEXT], "what_to_do": _AGAIN})
        except asyncio.CancelledError:
            view = view.model_copy(update={"status": "interrupted", "what_to_do": _AGAIN})
            raise
        finally:
            self._making = None
            for take in making.prices:
                desk.till.committed_usd.pop(take, None)
            with suppress(AveoError):
                self._keep(veo, view)
            desk.ring()

    def _ended(self, clip: VideoClip) -> None:
        if self._making is not None and clip.prompt.id is not None:
            self._making.scenes[clip.prompt.id] = clip.status.value
        self._desk.ring()

    def heard(self, event: Event) -> None:
        """Note each clip of the film with its price, as soon as it has a job: before it is sent."""
        making = self._making
        if making is None or not isinstance(event, Planned) or event.state in UNDER_WAY:
            return
        journal, desk, take = self._desk.client.journal, self._desk, event.prompt_id or ""
        if journal is None or event.job is None or (price := making.prices.get(take)) is None:
            return
        [record] = [each for each in journal.match(event.job) if each.service == desk.service]
        spending.note(journal, desk.service, {record.id: price}, desk.now_utc(), approved=making.agreed)
        desk.till.committed_usd.pop(take, None)

    async def cancel(self, name: str) -> None:
        """Stop making a film: nothing more is sent for it. Clips that were sent go on, and are paid."""
        making = self._making
        if making is None or making.name != name or making.task is None:
            return
        making.task.cancel()
        await asyncio.wait([making.task])

    # ---- reading ---------------------------------------------------------------------------------------------------

    def views(self, journal: Journal) -> dict[str, FilmView]:
        """Every film that agents ordered, by name, oldest first."""
        found = {}
        for name, kept in journal.kept(self._desk.service, FILMS).items():
            view = FilmView.model_validate(kept)
            if view.status == "making":
                making = self._making
                if making is not None and making.name == name:
                    view = view.model_copy(update={"scenes": dict(making.scenes), "what_to_do": "call wait"})
                elif self._desk.client.journal is not None or not journal.in_use():
                    view = view.model_copy(update={"status": "interrupted", "ended": True, "what_to_do": _AGAIN})
            found[name] = view
        return found

    def _keep(self, veo: VeoClient, view: FilmView) -> None:
        assert veo.journal is not None
        veo.journal.keep(self._desk.service, FILMS, view.film, view.model_dump(mode="json"))


def story_of(order: Film) -> Story:
    """The story of an order. Raises `Refused`."""
    try:
        return Story.model_validate(order.fields({}))
    except ValidationError as error:
        raise Refused("nothing was sent: " + "; ".join(problems_of(error))) from None


def _view_of(view: FilmView, result: FilmResult) -> FilmView:
    made = result.path is not None
    return view.model_copy(
        update={
            "status": "made" if made else "not made",
            "path": str(result.path) if made else None,
            "scenes": {scene: clip.status.value for scene, clip in result.picked.items()},
            "message": "" if made else (result.reason or "")[:LONGEST_TEXT],
            "what_to_do": "call result" if made else _AGAIN,
        }
    )


_AGAIN: Any = "call start with the same film: clips that are made are used again. Change scenes that were filtered"
