"""`aveo3 generate`: turns prompts into a directory of clips. Parses options, calls `VeoClient`, prints."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli import options
from aveo3.cli.commands.completion import model_ids
from aveo3.cli.exit_codes import Exit, errors_as_messages

if TYPE_CHECKING:
    from aveo3.journal.fresh import Fresh


LEFT_BEHIND = (
    "what was ordered waits in the database: whoever leads goes on with it, or the same command when it is run again"
)


class LinesOption(StrEnum):
    """The values of `--lines`."""

    ASK = "ask"
    STRIP = "strip"
    KEEP = "keep"


def generate(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Prompt files: .txt (one prompt a line), .jsonl, .json, .csv or .yaml; or - for standard input, in "
            "any of these formats.",
        ),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="The text of a prompt. Repeatable.")] = None,
    lines: Annotated[
        LinesOption,
        typer.Option(
            help="Lines of a text that are hardly prompts, and bullets: ask refuses them, strip removes them, keep "
            "takes every line as it is."
        ),
    ] = LinesOption.ASK,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "-o", help="Directory for the videos.")] = None,
    name: options.Name = None,
    model: Annotated[
        str | None, typer.Option(help="Model id, for prompts without one.", autocompletion=model_ids)
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds of a clip, for prompts without one.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="16:9 or 9:16, for prompts without one.")] = None,
    resolution: Annotated[str | None, typer.Option(help="720p, 1080p or 4k, for prompts without one.")] = None,
    image: Annotated[
        str | None, typer.Option(help="First frame: a picture's path or address, for prompts without one.")
    ] = None,
    last_frame: Annotated[str | None, typer.Option(help="Last frame, for prompts without one; needs --image.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="A picture of what is to appear, for prompts without reference pictures. Repeatable."),
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to show, for prompts that do not say.")] = None,
    seed: Annotated[int | None, typer.Option(help="A number, for prompts without one.")] = None,
    count: Annotated[
        int | None, typer.Option(help="Videos for each prompt that does not say, 1 to 4; each is billed.")
    ] = None,
    audio: Annotated[
        bool | None, typer.Option("--audio/--no-audio", help="Sound or none, for prompts that do not say.")
    ] = None,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    budget: options.Budget = None,
    lanes: options.Lanes = None,
    server: options.Server = None,
    database: options.Database = None,
    fallback: options.Fallback = None,
    keep_remote: Annotated[
        bool | None, typer.Option("--keep-remote/--fetch", help="Leave videos in their gs:// bucket, or download them.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Public address where the Gemini API reports ended operations to this program.")
    ] = None,
    wait: options.Wait = False,
    fresh: options.Fresh = False,
    fresh_new: options.FreshNew = False,
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
    """Generate a video for every prompt.

    After a stop, a crash or a kill, run the same command again. Finished clips are reused, running ones are resumed,
    and nothing is sent twice. `aveo3 status` shows the state of each prompt.

    The output directory gets the videos, manifest.jsonl with all clips, and failed.jsonl with the prompts that were
    not made; failed.jsonl is itself a SOURCE. VEO3_* and GOOGLE_* variables, in the environment or in .env, set
    everything else: see `aveo3 config show`.

    With VEO3_DATABASE the prompts wait in the database with those of all machines, and this command leads if nobody
    does; --output-dir is then a directory of its own, and VEO3_OUTPUT_DIR that of all machines.

    On a terminal it asks before it sends clips for more than US$ 20 (VEO3_CONFIRM_ABOVE); --yes answers.

    Exit codes: 0 all clips are made, now or before; 1 some are not, or you said no; 2 bad usage; 3 some are deferred by
    quota or budget, the rest is made; 130 interrupted.

    Examples:

      aveo3 generate prompts.txt --output-dir clips --mock

      aveo3 generate --prompt "a paper boat on a river" --aspect-ratio 9:16 --rate 10/60s --dry-run

      aveo3 generate clips/failed.jsonl --output-dir clips
    """
    with errors_as_messages():
        given = {
            "output_dir": output_dir,
            "name": name,
            "model": model,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            "server": server,
            "fallback": fallback,
            "keep_remote": keep_remote,
            "webhook": webhook,
            "mock_mode": mock or None,
            **options.database_field(database),
            **options.rate_fields(rate),
        }
        from aveo3.config.settings import Settings

        chosen = {name: value for name, value in given.items() if value is not None}
        patience = {"quota_patience": None} if wait else {}
        settings = Settings(**{**chosen, **patience})
        from aveo3.cli import after_clip
        from aveo3.cli.batch import run_batch
        from aveo3.cli.event_lines import EventLines
        from aveo3.cli.prompt_options import plain_seconds, prompts_of

        anew: Fresh = "new" if fresh_new else fresh
        fields = {
            "duration_seconds": plain_seconds(duration),
            "aspect_ratio": aspect_ratio,
            "resolution": resolution,
            "image": image,
            "last_frame": last_frame,
            "reference_images": reference,
            "negative_prompt": negative_prompt,
            "seed": seed,
            "number_of_videos": count,
            "generate_audio": audio,
        }
        if report:
            from aveo3.cli import report_file
            from aveo3.report.html import check_extra

            check_extra()
        notes: list[str] = []
        prompts = prompts_of(sources or [], prompt or [], fields, lines=lines.value, notes=notes)
        after = None if command is None else after_clip.AfterClip(command)
        event_lines = None if events is None or dry_run else EventLines(events, as_json=as_json)
        code = Exit.ALL_MADE
        with ExitStack() as stack:
            if settings.database is not None:
                from aveo3.cli.with_database import door_of

                names = [name for name in ("output_dir", "name", "budget") if name in chosen]
                own: dict[str, Any] = {name: getattr(settings, name) for name in names}
                farm = Settings(**{**{name: chosen[name] for name in chosen.keys() - own.keys()}, **patience})
                settings = stack.enter_context(door_of(farm, own, dry_run=dry_run))
                stack.callback(lambda: typer.echo(LEFT_BEHIND, err=True) if code is Exit.INTERRUPTED else None)
            code = run_batch(
                prompts,
                settings,
                fields=fields,
                model=model,
                notes=notes,
                fresh=anew,
                after=after,
                events=event_lines,
                page=None if dry_run else options.run_page(settings, page=page, port=page_port, opens=opens),
                yes=yes,
                dry_run=dry_run,
                as_json=as_json,
                quiet=quiet,
            )
        if report and not dry_run:
            report_file.after_run(settings, quiet=quiet)
    raise typer.Exit(code)
