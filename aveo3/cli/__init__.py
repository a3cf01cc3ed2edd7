"""The command line: parses options, calls `VeoClient`, prints. Results go to stdout, progress to stderr.

Each command has its own module, which imports heavy modules only when the command runs, so that `--help` stays fast.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aveo3.cli.commands import (
    check,
    completion,
    config,
    demo,
    enqueue,
    film,
    generate,
    guide,
    history,
    journal,
    login,
    mcp,
    models,
    page,
    report,
    resume,
    retry,
    serve,
    simulate,
    status,
    upscale,
    worker,
)
from aveo3.cli.options import FreshOrNew
from aveo3.cli.streams import prepare_streams


class _MockServer(TyperCommand):
    """A light stand-in for `mock-server` in the program's help.

    The command's options come from the emulator's options. Importing those takes as long as everything else together,
    so they are imported only when the command is called.
    """

    def whole(self) -> Any:
        """The real command with its options."""
        from aveo3.cli.commands.mock_server import mock_server

        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command("mock-server")(mock_server)
        return typer.main.get_command(alone)

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        return self.whole().make_context(*arguments, **more)


def _mock_server() -> None:
    """Run an emulated Google on this machine: Veo and Omni."""


app = typer.Typer(
    name="aveo3",
    help="Every clip your video quota allows, each paid for once.",
    no_args_is_help=True,
    add_completion=completion.VARIABLE in os.environ,  # a shell asks; people use `aveo3 completion`
    pretty_exceptions_enable=False,  # a traceback's locals could show a key
    rich_markup_mode=None,  # help texts hold [brackets]
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aveo3 {version('aveo3')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    prepare_streams()


app.command(cls=FreshOrNew)(generate.generate)
app.command(cls=FreshOrNew)(upscale.upscale)
app.command()(worker.worker)
app.command()(enqueue.enqueue)
app.command()(status.status)
app.command()(history.history)
app.command()(report.report)
app.command()(page.page)
app.command()(resume.resume)
app.command()(retry.retry)
app.command()(models.models)
app.command()(login.login)
app.command()(check.check)
app.command()(simulate.simulate)
app.command()(mcp.mcp)
app.command()(demo.demo)
app.command()(guide.guide)
app.command()(completion.completion)
app.command("mock-server", cls=_MockServer)(_mock_server)
app.add_typer(film.app, name="film")
app.add_typer(serve.app, name="serve")
app.add_typer(journal.app, name="journal")
app.add_typer(config.app, name="config")
