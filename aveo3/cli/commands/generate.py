"""`aveo3 generate`: turns prompts into a directory of clips. Parses options, calls `VeoClient`, prints."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from aveo3.cli.commands.completion import model_ids
from aveo3.cli.exit_codes import errors_as_messages

if TYPE_CHECKING:
    from aveo3.journal.fresh import Fresh


class LinesOption(StrEnum):
    """The values of `--lines`."""

    ASK = "ask"
    STRIP = "strip"
    KEEP = "keep"


class FreshOrNew(TyperCommand):
    """Takes `--fresh=new`, too. An option whose value may be left out would swallow the file behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(
            ctx, ["--fresh-new" if arg == "--fresh=new" else arg for arg in args[:end]] + args[end:]
        )


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
    name: Annotated[
        str | None, typer.Option(help='Template of file names, such as "{index:04}-{slug}"; see VEO3_NAME.')
    ] = None,
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
    rate: Annotated[str | None, typer.Option(help="Your quota: requests per time, such as 10/60s or 50/min.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Limit of operations that run at once.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="US$ that all clips of the output directory may cost together.")
    ] = None,
    lanes: Annotated[Path | None, typer.Option(help="TOML file of lanes, each with a quota of its own.")] = None,
    fallback: Annotated[
        str | None, typer.Option(help="Models to use when all other lanes are closed, such as 'a -> b'.")
    ] = None,
    keep_remote: Annotated[
        bool | None, typer.Option("--keep-remote/--fetch", help="Leave videos in their gs:// bucket, or download them.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Public address where the Gemini API reports ended operations to this program.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for quota as long as it takes, even past midnight.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Make and pay new clips, even for prompts that have one, or go on with that if it was interrupted; "
            "--fresh=new always begins anew.",
        ),
    ] = False,
    fresh_new: Annotated[bool, typer.Option("--fresh-new", help="The same as --fresh=new.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, whatever the clips cost. See VEO3_CONFIRM_ABOVE.")
    ] = False,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="CMD",
            help="Program to run for each saved clip, without a shell, with {path}, {id}, {prompt} and more filled in.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what a run would send, cost and take. Sends nothing.")
    ] = False,
    mock: Annotated[bool, typer.Option("--mock", help="Use the built-in emulator: no key, no cost.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each clip; with --dry-run, one for all.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only problems and, with --json, clips.")] = False,
) -> None:
    """Generate a video for every prompt.

    After a stop, a crash or a kill, run the same command again. Finished clips are reused, running ones are resumed,
    and nothing is sent twice. `aveo3 status` shows the state of each prompt.

    The output directory gets the videos, manifest.jsonl with all clips, and failed.jsonl with the prompts that were
    not made; failed.jsonl is itself a SOURCE. VEO3_* and GOOGLE_* variables, in the environment or in .env, set
    everything else: see `aveo3 config show`.

    On a terminal it asks before it sends clips for more than US$ 20 (VEO3_CONFIRM_ABOVE); --yes answers.

    Exit codes: 0 all clips are made, now or before; 1 some are not, or you said no; 2 bad usage; 3 some are deferred by
    quota or budget, the rest is made; 130 interrupted.

    Examples:

      aveo3 generate prompts.txt --output-dir clips --mock

      aveo3 generate --prompt "a paper boat on a river" --aspect-ratio 9:16 --rate 10/60s --dry-run

      aveo3 generate clips/failed.jsonl --output-dir clips
    """
    with errors_as_messages():
        options = {
            "output_dir": output_dir,
            "name": name,
            "model": model,
            "max_concurrency": max_concurrency,
            "budget": budget,
            "lanes": lanes,
            "fallback": fallback,
            "keep_remote": keep_remote,
            "webhook": webhook,
            "mock_mode": mock or None,
            **rate_fields(rate),
        }
        from aveo3.config.settings import Settings

        chosen = {name: value for name, value in options.items() if value is not None}
        settings = Settings(**{**chosen, **({"quota_patience": None} if wait else {})})
        from aveo3.cli import after_clip
        from aveo3.cli.batch import run_batch
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
        notes: list[str] = []
        prompts = prompts_of(sources or [], prompt or [], fields, lines=lines.value, notes=notes)
        after = None if command is None else after_clip.AfterClip(command)
        code = run_batch(
            prompts,
            settings,
            fields=fields,
            model=model,
            notes=notes,
            fresh=anew,
            after=after,
            yes=yes,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
        )
    raise typer.Exit(code)


def rate_fields(text: str | None) -> dict[str, Any]:
    """Parse `10/60s`, `50/min` or `2/1.5m` into settings. Raises `UsageError`."""
    from aveo3.errors import UsageError

    if text is None:
        return {}
    match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)?(s|m|min|h)?", text.strip())
    if match is None or not (match[2] or match[3]) or not int(match[1]) or not float(match[2] or 1):
        raise UsageError(f"--rate {text}: write requests per time, such as 10/60s, 50/min or 200/h")
    unit = {"s": 1, None: 1, "m": 60, "min": 60, "h": 3600}[match[3]]
    return {"rate_limit": int(match[1]), "rate_period": float(match[2] or 1) * unit}
