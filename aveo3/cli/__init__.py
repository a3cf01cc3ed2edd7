"""The command line: parses, calls `VeoClient`, prints. Results on stdout, progress on stderr.

One module per command, each importing what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from aveo3.cli.commands import (
    check,
    config,
    demo,
    generate,
    guide,
    history,
    models,
    resume,
    retry,
    simulate,
    status,
)


class _MockServer(TyperCommand):
    """`mock-server` as the program's help shows it. Its options are drawn from the emulator's, which takes as long to
    import as everything else together: they are read when it is called."""

    def whole(self) -> Any:
        """The command with its options."""
        from aveo3.cli.commands.mock_server import mock_server

        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command("mock-server")(mock_server)
        return typer.main.get_command(alone)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        return self.whole().make_context(*arguments, **more)


def _mock_server() -> None:
    """Run an emulated Google on this machine: Veo and Omni, quotas, faults, and the books of what it would cost."""


app = typer.Typer(
    name="aveo3",
    help="Every clip your video quota allows, each paid for once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback's locals could show a key
    rich_markup_mode=None,  # help texts hold [brackets]
)
app.command()(generate.generate)
app.command()(status.status)
app.command()(history.history)
app.command()(resume.resume)
app.command()(retry.retry)
app.command()(models.models)
app.command()(check.check)
app.command()(simulate.simulate)
app.command()(demo.demo)
app.command()(guide.guide)
app.command("mock-server", cls=_MockServer)(_mock_server)
app.add_typer(config.app, name="config")
