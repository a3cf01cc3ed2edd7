"""Takes new lanes while the door is open: all of them or none. Lanes that stay keep their gate, and what it counts."""

from __future__ import annotations

import logging

from aveo3.config.settings import on_this_machine
from aveo3.errors import UsageError
from aveo3.lanes.lanes import Lane, Lanes, same_place
from aveo3.lanes.routing import Routes
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.session import Session

log = logging.getLogger(__name__)


async def reload_lanes(session: Session, dispatcher: Dispatcher) -> None:
    """Read the file of the lanes anew and use what it says. Raises `UsageError` with the reason if it changes nothing.

    A lane that was removed gets no further requests; what was sent to it goes on. Without such a file, or in mock
    mode, there is nothing to read.
    """
    current = session.lane_pool.lanes
    if session.settings.lanes is None or session.service == "mock":
        return
    lanes = Lanes(session.settings)
    known = list(dict.fromkeys((*current.listed, *session.lane_pool.open_lanes)))
    lanes.listed = [_kept(lane, known) for lane in lanes.listed]
    if len({on_this_machine(lane.settings.base_url) for lane in (*lanes.listed, *current.listed)}) > 1:
        raise UsageError("the new lanes are at another service. Restart the server to use them: that loses nothing.")
    routes = Routes(lanes)
    session.check_prices(lanes)
    for lane in lanes.listed:
        await session.lane_pool.open_lane(lane, for_use=False)
    dispatcher.check_routes(routes)  # from here to the new routes nothing awaits
    session.use_lanes(lanes, routes)
    await dispatcher.reroute()
    added = [lane.name for lane in lanes.listed if lane not in current.listed]
    removed = [lane.name for lane in current.listed if lane not in lanes.listed]
    told = len(lanes.listed), ", ".join(added) or "none", ", ".join(removed) or "none"
    log.info("lanes: %d in use; added: %s; removed: %s", *told)


def _kept(new: Lane, known: list[Lane]) -> Lane:
    """The lane in use that `new` is, so that its quota is counted once; or `new`."""
    for lane in known:
        if _content(lane) == _content(new):
            return lane
        if lane.model == new.model and (lane.name == new.name or same_place(lane.place, new.place)):
            raise UsageError(
                f"lane {lane.name} is in use and has changed: that takes a restart of the server, which loses nothing."
            )
    return new


def _content(lane: Lane) -> tuple[object, ...]:
    return lane.name, lane.model, lane.place, lane.weight, lane.order, lane.settings
