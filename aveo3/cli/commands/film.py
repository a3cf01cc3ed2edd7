"""`aveo3 film`: from a story to a film. Parses options, calls `aveo3.film`, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aveo3.cli import options
from aveo3.cli.commands.film_make import OutputDir, StoryArgument, assemble, make, sheet
from aveo3.cli.exit_codes import Exit, errors_as_messages

app = typer.Typer(
    help="Make a film of a story: plan, draft, pick, assemble.",
    no_args_is_help=True,
)


@app.command()
def plan(
    story: StoryArgument,
    output_dir: OutputDir = None,
    mock: options.Mock = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every take.")] = False,
) -> None:
    """Show what is made, what would be made, and why.

    It tells cost and time of drafts and finals at list price. It needs no credentials, and sends nothing.

    A scene is known by what it depends on: its words and fields, its cast's pictures, and the clip it begins from. A
    scene that has changed is made anew, with all that begins from it.

    Exit codes: 0; 1 if a scene can never be made as it is; 2 bad usage, or a mistake in the story.

    Example: aveo3 film plan story.yaml
    """
    with errors_as_messages():
        from aveo3.cli import film_desk, film_lines
        from aveo3.cli.json_lines import in_json

        chosen = {"output_dir": output_dir, "mock_mode": mock or None}
        desk = film_desk.desk(
            story, {name: value for name, value in chosen.items() if value is not None}, as_found=True
        )
        plans = [desk.plan(stage)[0] for stage in desk.stages]
        if as_json:
            typer.echo(in_json(film_lines.facts_of(plans, desk)))
        else:
            typer.echo(f"{desk.story.title}: {len(desk.story.scenes):,} scenes, in {desk.settings.output_dir}")
            for each in plans:
                for line in film_lines.lines_of(each, desk):
                    typer.echo(line)
            typer.echo("nothing was sent")
    raise typer.Exit(Exit.SOME_NOT if any(each.problems for each in plans) else Exit.ALL_MADE)


app.command()(make)


@app.command()
def pick(
    story: StoryArgument,
    scene: Annotated[str, typer.Argument(help="The id of a scene.")],
    take: Annotated[int, typer.Argument(min=1, help="The number of a take, from 1.")],
    output_dir: OutputDir = None,
) -> None:
    """Choose the take of a scene that the film has.

    What begins from the scene hangs on that take: `aveo3 film plan` shows what would be made anew. Without a pick, a
    scene has take 1.

    Example: aveo3 film pick story.yaml storm 2
    """
    with errors_as_messages():
        from aveo3.cli import film_desk
        from aveo3.cli.film_lines import summary_of
        from aveo3.errors import UsageError
        from aveo3.film import record

        desk = film_desk.desk(story, {} if output_dir is None else {"output_dir": output_dir}, as_found=True)
        found = desk.story.scene(scene)
        if take > (most := desk.story.takes_of(found)):
            raise UsageError(f"scene {scene} has {most} take{'s' * (most > 1)}: pick 1 to {most}, or raise its `takes`")
        record.pick(desk.settings.output_dir, scene, take)
        typer.echo(f"{scene}: take {take} is picked")
        for stage in desk.stages:
            planned = desk.plan(stage)[0]
            if planned.to_send:
                typer.echo(summary_of(planned))


app.command()(sheet)
app.command()(assemble)


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
