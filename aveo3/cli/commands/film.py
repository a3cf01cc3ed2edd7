"""`aveo3 film`: from a story to a film. Parses options, calls `aveo3.film`, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aveo3.cli.exit_codes import errors_as_messages

app = typer.Typer(
    help="Make a film of a story: plan, draft, pick, assemble.",
    no_args_is_help=True,
)


@app.command()
def schema() -> None:
    """Print the JSON Schema of story files.

    Editors complete and check a story with it. The first line of a YAML story names it:

      # yaml-language-server: $schema=story.schema.json

    Example: aveo3 film schema > story.schema.json
    """
    import json

    from aveo3.film.schema import story_schema

    typer.echo(json.dumps(story_schema(), indent=2))


@app.command()
def example(
    directory: Annotated[
        Path | None, typer.Argument(help="A new directory for the story and its pictures; default: lighthouse.")
    ] = None,
) -> None:
    """Write a story to begin with.

    It has six scenes, a cast of two, a chain of three scenes, and a cross-fade.

    Example: aveo3 film example my-film, then aveo3 film make my-film/lighthouse.yaml --mock
    """
    with errors_as_messages():
        from aveo3.cli.shells import quoted
        from aveo3.film.example import write_example

        story = write_example(directory or Path("lighthouse"))
        typer.echo(f"{story}: change it, or make it on the emulator: aveo3 film make {quoted(str(story))} --mock")
