"""`aveo3 upscale`: makes larger copies of clips. Finds the clips; the rest is what `aveo3 generate` does."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli import options
from aveo3.cli.commands.completion import model_ids
from aveo3.cli.exit_codes import errors_as_messages

if TYPE_CHECKING:
    from aveo3.journal.fresh import Fresh

MODEL = "gemini-omni-1.2-flash"
NAME = "{id}-{resolution}-{job}"
"""The name of a copy begins with that of its source, unless the user chose names."""


class Target(StrEnum):
    """The values of `--resolution`."""

    HD = "720p"
    FULL_HD = "1080p"
    UHD = "4k"


def upscale(
    clips: Annotated[
        list[str],
        typer.Argument(
            metavar="CLIP",
            help="Video files, IDs of jobs from `aveo3 status`, or output directories: all their clips that are "
            "smaller.",
        ),
    ],
    resolution: Annotated[Target, typer.Option(help="The size to reach.", case_sensitive=False)],
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Directory for the larger copies; default: that of the clips."),
    ] = None,
    name: Annotated[str | None, typer.Option(help=f'Template of file names; default: "{NAME}", or VEO3_NAME.')] = None,
    model: Annotated[str, typer.Option(help="Model id.", autocompletion=model_ids)] = MODEL,
    rate: options.Rate = None,
    max_concurrency: options.MaxConcurrency = None,
    budget: options.Budget = None,
    lanes: options.Lanes = None,
    wait: options.Wait = False,
    fresh: options.Fresh = False,
    fresh_new: options.FreshNew = False,
    yes: options.Yes = False,
    command: options.Exec = None,
    events: options.Events = None,
    page: options.Page = False,
    page_port: options.PagePort = None,
    opens: options.Open = False,
    dry_run: options.DryRun = False,
    mock: options.Mock = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make larger copies of clips.

    Draft in 360p or 720p, pick, and upscale what you picked. A copy changes nothing but the size, and costs less than a
    new clip of that size. It is in the journal of the output directory and paid once, like every clip: run the same
    command again after a stop or a crash.

    A directory stands for all its clips that are smaller, without the copies of earlier upscales. A directory and IDs
    stand for those jobs of it. Without a directory, IDs are those of VEO3_OUTPUT_DIR (clips).

    On a terminal it asks before it sends clips for more than US$ 20 (VEO3_CONFIRM_ABOVE); --yes answers.

    Exit codes: 0 all copies are made, now or before; 1 some are not, or you said no; 2 bad usage; 3 some are deferred
    by quota or budget, the rest is made; 130 interrupted.

    Examples:

      aveo3 upscale clips/0001-boat.mp4 --resolution 4k

      aveo3 upscale clips 1a2b3c4d 5e6f7a8b --resolution 1080p

      aveo3 upscale clips --resolution 4k --dry-run
    """
    with errors_as_messages():
        from aveo3.cli import after_clip
        from aveo3.cli.batch import run_batch
        from aveo3.cli.event_lines import EventLines
        from aveo3.cli.upscale_sources import sources_of
        from aveo3.config.file_names import DEFAULT
        from aveo3.config.settings import Settings
        from aveo3.errors import UsageError

        sources = sources_of(clips, resolution.value)
        if output_dir is None and len(sources.homes) > 1:
            raise UsageError(
                "nothing was sent: the clips are in several directories. Name the one for the copies (--output-dir)."
            )
        given = {
            "output_dir": output_dir or sources.homes[0],
            "name": name,
            "model": model,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            "mock_mode": mock or None,
            **options.rate_fields(rate),
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        settings = Settings(**{**chosen, **({"quota_patience": None} if wait else {})})
        if sources.emulated and not settings.mock_mode and settings.base_url is None:
            raise UsageError("nothing was sent: these are clips of the emulator, not worth money. Add --mock.")
        if name is None and settings.name == DEFAULT:
            settings = settings.model_copy(update={"name": NAME})
        anew: Fresh = "new" if fresh_new else fresh
        code = run_batch(
            sources.prompts,
            settings,
            fields={},
            model=model,
            notes=sources.notes,
            fresh=anew,
            after=None if command is None else after_clip.AfterClip(command),
            events=None if events is None or dry_run else EventLines(events, as_json=as_json),
            page=None if dry_run else options.run_page(settings, page=page, port=page_port, opens=opens),
            yes=yes,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
        )
    raise typer.Exit(code)
