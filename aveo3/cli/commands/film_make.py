"""`aveo3 film make`, `assemble` and `sheet`: clips and films of a story. Parses options, calls the engine, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli import options
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.cli.film_desk import FilmDesk
    from aveo3.film.takes import Stage

REASONS = 10
"""Scenes without a clip whose reason is told after a run."""

StoryArgument = Annotated[
    Path, typer.Argument(metavar="STORY", help="The story: a .yaml or .toml file, or the directory of its film.")
]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", "-o", help="Directory of the film; default: VEO3_OUTPUT_DIR, else the story's name."),
]
Draft = Annotated[bool, typer.Option("--draft", help="The drafts, as the story's `draft` says, instead of the finals.")]
FilmFile = Annotated[
    Path | None, typer.Option("--film", help="The film's file; default: film.mp4 in the output directory.")
]


def make(
    story: StoryArgument,
    draft: Draft = False,
    output_dir: OutputDir = None,
    film: FilmFile = None,
    name: options.Name = None,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    budget: options.Budget = None,
    lanes: options.Lanes = None,
    server: options.Server = None,
    fallback: options.Fallback = None,
    wait: options.Wait = False,
    yes: options.Yes = False,
    command: options.Exec = None,
    events: options.Events = None,
    page: options.Page = False,
    page_port: options.PagePort = None,
    opens: options.Open = False,
    report: options.Report = False,
    dry_run: options.DryRun = False,
    mock: options.Mock = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the clips of a story that are not made yet, then the film.

    Scenes run at once; one that begins from another, as soon as that is there. After a stop, a crash or a kill, run the
    same command again: nothing is sent twice. It tells beforehand which scenes are made, why, and for how much. A scene
    that fails stops only what begins from it.

    With --draft it makes all takes of all scenes as the story's `draft` says; then `aveo3 film sheet` shows them,
    `aveo3 film pick` chooses, and without --draft the picked ones are made as `final` says.

    On a terminal it asks before it sends clips for more than US$ 20 (VEO3_CONFIRM_ABOVE); --yes answers.

    Exit codes: 0 all clips and the film are made; 1 some are not, or you said no; 2 bad usage; 3 some clips are
    deferred by quota or budget, the rest is made; 130 interrupted.

    Examples:

      aveo3 film make story.yaml --mock

      aveo3 film make story.yaml --draft --budget 10
    """
    with errors_as_messages():
        given = {
            "output_dir": output_dir,
            "name": name,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            "server": server,
            "fallback": fallback,
            "mock_mode": mock or None,
            **options.rate_fields(rate),
        }
        from aveo3.cli import after_clip, film_assembly, film_desk, film_lines
        from aveo3.cli.batch import run_batch
        from aveo3.cli.event_lines import EventLines
        from aveo3.cli.telling import tell
        from aveo3.errors import UsageError
        from aveo3.film.rehearsal import check_film
        from aveo3.film.takes import Stage

        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        desk = film_desk.desk(story, {**chosen, **({"quota_patience": None} if wait else {})})
        stage = Stage.DRAFT if draft else Stage.FINAL
        plan, takes, facts = desk.plan(stage)
        if dry_run and as_json:
            from aveo3.cli.json_lines import in_json

            typer.echo(in_json({"dry_run": True, **film_lines.facts_of([plan], desk)}))
        elif dry_run or (not quiet and plan.to_send):
            for line in film_lines.lines_of(plan, desk):
                typer.echo(line) if dry_run else tell(line, in_json=desk.settings.log_format == "json")
        if dry_run:
            raise typer.Exit(Exit.SOME_NOT if plan.problems else Exit.ALL_MADE)
        if desk.settings.journal_path is None:
            raise UsageError("nothing was sent: a film is put together by its journal. Unset VEO3_JOURNAL=none.")
        if plan.problems:
            raise UsageError("nothing was sent: some scenes can never be made:\n" + "\n".join(plan.problems[:20]))
        check_film(desk.story, film_assembly.target_of(desk, stage, film), facts)
        desk.note(plan, home=facts.home)
        code = run_batch(
            takes.prompts,
            desk.settings,
            fields={},
            model=None,
            notes=[],
            offers_fresh=False,
            after=None if command is None else after_clip.AfterClip(command),
            events=None if events is None else EventLines(events, as_json=as_json),
            page=options.run_page(desk.settings, page=page, port=page_port, opens=opens),
            yes=yes,
            as_json=as_json,
            quiet=quiet,
        )
        try:
            if code is not Exit.INTERRUPTED:
                code = _film_after(desk, stage, code, film, as_json=as_json, quiet=quiet)
        finally:  # the report has the film on top
            if report:
                from aveo3.cli import report_file

                report_file.after_run(desk.settings, quiet=quiet)
    raise typer.Exit(code)


def _film_after(desk: FilmDesk, stage: Stage, code: Exit, film: Path | None, *, as_json: bool, quiet: bool) -> Exit:
    """Assemble the film of a run that has ended, if all of it is there. Returns the exit code."""
    from aveo3.cli import film_assembly
    from aveo3.cli.json_lines import in_json
    from aveo3.cli.telling import tell
    from aveo3.film.editing import MissingScenes

    plan, _, facts = desk.plan(stage)
    desk.note(plan, home=facts.home)
    target = film_assembly.target_of(desk, stage, film)
    missing = [each.take.scene.id for each in plan.missing]
    in_lines = desk.settings.log_format == "json"
    try:
        cut = film_assembly.cut_of(desk, plan)
    except MissingScenes as error:
        tell(str(error), in_json=in_lines)
        for each in plan.missing[:REASONS]:
            tell(f"  {each.take.id}: {each.why or each.standing}", in_json=in_lines)
        if as_json:
            typer.echo(in_json({"film": None, "missing": missing}))
        return code if code is not Exit.ALL_MADE else Exit.SOME_NOT
    made = film_assembly.assembled(desk, stage, cut, target, quiet=quiet)
    if as_json:
        facts_of_film = {} if made is None else {"seconds": made.seconds, "encoded": made.encoded}
        typer.echo(in_json({"film": str(target), "missing": missing, **facts_of_film}))
    elif not quiet:
        typer.echo(film_assembly.described(target, made))
    for note in made.notes if made is not None else ():
        tell(note, in_json=in_lines)
    return code


def assemble(
    story: StoryArgument,
    draft: Draft = False,
    output_dir: OutputDir = None,
    film: FilmFile = None,
    timeline: Annotated[
        Path | None,
        typer.Option(help="Write the cut as a timeline for Resolve, Premiere or Kdenlive: film.otio. Then no film."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Assemble the film of the picked takes. Sends nothing.

    Shots of one shape with hard cuts are joined without encoding. Fades, cards, music and loudness are encoded, once.

    Exit codes: 0 the film is made; 1 a scene has no clip, or a file cannot be used; 2 bad usage; 130 interrupted.

    Examples:

      aveo3 film assemble story.yaml

      aveo3 film assemble story.yaml --timeline film.otio
    """
    with errors_as_messages():
        from aveo3.cli import film_assembly, film_desk
        from aveo3.film.rehearsal import check_target
        from aveo3.film.takes import Stage

        stage = Stage.DRAFT if draft else Stage.FINAL
        desk = film_desk.desk(story, {} if output_dir is None else {"output_dir": output_dir}, as_found=True)
        plan, _, facts = desk.plan(stage)
        cut = film_assembly.cut_of(desk, plan)
        if timeline is not None:
            from aveo3.film.cut import write_timeline

            typer.echo(str(write_timeline(cut, timeline)))
        else:
            desk.note(plan, home=facts.home)
            target = film_assembly.target_of(desk, stage, film)
            check_target(target, facts)
            made = film_assembly.assembled(desk, stage, cut, target, anew=True, quiet=quiet)
            typer.echo(film_assembly.described(target, made))
            for note in made.notes if made is not None else ():
                typer.echo(f"aveo3: {note}", err=True)


def sheet(
    story: StoryArgument,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="The picture; default: sheet.png in the output directory.")
    ] = None,
    output_dir: OutputDir = None,
) -> None:
    """Write a contact sheet of all takes, to pick from.

    More than 100 takes make further files, sheet-2.png and so on. It needs aveo3[film].

    Example: aveo3 film sheet story.yaml, then aveo3 film pick story.yaml storm 2
    """
    with errors_as_messages():
        from aveo3.cli import film_desk, film_sheet

        desk = film_desk.desk(story, {} if output_dir is None else {"output_dir": output_dir}, as_found=True)
        for file in film_sheet.write(desk, sheet or desk.settings.output_dir / "sheet.png"):
            typer.echo(str(file))
