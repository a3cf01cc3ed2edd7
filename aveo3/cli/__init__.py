"""The command line: parses, calls `VeoClient`, prints. Results on stdout, progress on stderr.

One module per command, each importing what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import typer

from aveo3.cli import check, config, demo, generate, history, mock_server, models, resume, retry, simulate, status

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
app.command("mock-server")(mock_server.mock_server)
app.add_typer(config.app, name="config")
