"""`aveo3 generate` with a database: a door of this process takes the prompts, and its ordinary client waits for them.

The client has a directory and a journal of its own, as each client of a server has. The door has those of all machines.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from aveo3.config.server_choice import left_to_the_server
from aveo3.errors import UsageError

if TYPE_CHECKING:
    from aveo3.config.settings import Settings

NOWHERE = "http://127.0.0.1:1"
"""The address of the door in a dry run, which asks none."""


@contextmanager
def door_of(farm: Settings, own: Mapping[str, Any], *, dry_run: bool) -> Iterator[Settings]:
    """The settings of a client of the door that is open while the block runs.

    `farm` are the settings of all machines, `own` those of this command that are not theirs: its directory above all.
    Raises `UsageError` if it has none, or the door needs a key that is not set.
    """
    if (output_dir := own.get("output_dir")) is None:
        raise UsageError(
            f"with VEO3_DATABASE, {farm.output_dir} is the directory of all machines: name another one for the videos "
            "of this command (--output-dir)."
        )
    if output_dir.resolve() == farm.output_dir.resolve():
        raise UsageError(
            f"--output-dir {output_dir}: that is the directory of all machines (VEO3_OUTPUT_DIR), and the videos of "
            "this command are copies: name another one."
        )
    if dry_run:
        yield _client_of(farm, NOWHERE, own)
        return
    _check_key(farm)
    from aveo3.server.farm.loopback import LoopbackDoor

    with ExitStack() as stack:
        door = stack.enter_context(LoopbackDoor(farm.model_copy(update={"server_key": None})))
        stack.enter_context(_told_at_the_end())
        yield _client_of(farm, door.url, own)


@contextmanager
def _told_at_the_end() -> Iterator[None]:
    """Have the end of the door, after the log of the run has ended, tell of errors only."""
    yield
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.getLogger("aveo3").addHandler(handler)


def _client_of(farm: Settings, url: str, own: Mapping[str, Any]) -> Settings:
    fields = type(farm).model_fields
    theirs = {name: fields[name].default for name in (*left_to_the_server(), "budget", "output_gcs_uri")}
    return farm.model_copy(update={**theirs, "server": url, "database": None, **own})


def _check_key(farm: Settings) -> None:
    from aveo3.server.door.callers import CallerFile

    callers = CallerFile(farm.output_dir).read()
    if callers and farm.server_key is None:
        raise UsageError(
            f"{farm.output_dir} has callers ({', '.join([*callers][:5])}): set VEO3_SERVER_KEY to the key of one of "
            "them."
        )
