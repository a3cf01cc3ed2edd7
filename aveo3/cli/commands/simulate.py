"""`aveo3 simulate`: predicts when a batch would end, what it would cost, and which limit slows it. Sends nothing."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.journal_view import counted
from aveo3.cli.json_lines import in_json
from aveo3.cli.options import rate_fields

if TYPE_CHECKING:
    from aveo3.simulation import Forecast

MOST = 100_000
ROWS, WIDTH = 10, 40


def simulate(
    clips: Annotated[int, typer.Option(min=1, max=MOST, help="Number of clips.")] = 100,
    rpm: Annotated[int | None, typer.Option(min=1, help="Quota: requests a minute.")] = None,
    rate: Annotated[str | None, typer.Option(help="Quota for any period: 10/60s, 50/min, 200/h.")] = None,
    rpd: Annotated[int | None, typer.Option(min=1, help="Quota: requests a day, from midnight in Los Angeles.")] = None,
    latency: Annotated[str | None, typer.Option(help="Median time of a clip: 90s, 2m. Unset: the model's.")] = None,
    cost_limit: Annotated[str | None, typer.Option(help="Quota: US$ per time, such as 10/600s.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(min=1, help="Quota: operations that run at once.")] = None,
    model: Annotated[str | None, typer.Option(help="Model id.")] = None,
    duration: Annotated[float | None, typer.Option(help="Length of each clip in seconds.")] = None,
    resolution: Annotated[str | None, typer.Option(help="720p, 1080p or 4k.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random times that clips take.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Simulate a batch: when it ends and what it costs.

    It runs aveo3's real gate in virtual time, against a simulated Google that enforces the quotas. Nothing is sent.
    All other values come from the settings, lanes included: `aveo3 simulate --clips 500` shows when 500 clips of yours
    would be finished. A few thousand clips take about a second.

    Examples:

      aveo3 simulate --clips 500 --rpm 10 --rpd 200 --latency 90s --cost-limit 10/600s

      aveo3 simulate --clips 40 --rate 2/min --model veo-3.1-fast-generate-001 --json
    """
    with errors_as_messages():
        from aveo3.cli.prompt_options import plain_seconds, prompts_of
        from aveo3.config.settings import Settings
        from aveo3.errors import UsageError
        from aveo3.simulation import simulate as run

        if rpm is not None and rate is not None:
            raise UsageError("--rpm and --rate set the same limit: use one of them")
        options: dict[str, Any] = {
            **rate_fields(rate if rpm is None else f"{rpm}/60s"),
            **_spend(cost_limit),
            "daily_limit": rpd,
            "max_concurrency": max_concurrency,
            "model": model,
        }
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
        fields = {"duration_seconds": plain_seconds(duration), "resolution": resolution}
        [prompt] = prompts_of([], ["a clip"], fields, lines="keep", notes=[])
        catalog = settings.model_catalog
        doubt = None if settings.lanes else catalog.doubt(settings.model)
        if problems := [doubt] if doubt else [] if settings.lanes else catalog.problems(prompt, settings.model):
            raise UsageError("; ".join(problems))
        prompts = [prompt.model_copy(update={"text": f"clip {n}"}) for n in range(clips)]
        forecast = run(prompts, settings, latency=_seconds("--latency", latency), seed=seed)
    if as_json:
        typer.echo(in_json(_fields(forecast)))
    else:
        _print_forecast(forecast, clips)


def _print_forecast(forecast: Forecast, clips: int) -> None:
    from rich.console import Console

    from aveo3.cli.dry_run import limit_in_words
    from aveo3.cli.progress import duration
    from aveo3.cli.terminal import print_folded

    console = Console(highlight=False)
    took = forecast.done_at[-1] if forecast.done_at else 0.0
    for share in forecast.shares:
        price = "at an unknown price" if share.cost_usd is None else f"US$ {share.cost_usd:,.2f} at list price"
        print_folded(console, f"{share.lane}: {counted(share.clips, 'clip')}, {price}")
    end = datetime.now().astimezone() + timedelta(seconds=took)
    print_folded(
        console,
        f"{len(forecast.done_at):,} of {counted(clips, 'clip')} finished after {duration(took)}"
        f" ({end:%Y-%m-%d %H:%M}), the first after {duration(forecast.done_at[0] if forecast.done_at else 0.0)}; "
        f"{counted(forecast.stats.refusals, 'refusal')}",
    )
    slowest = max(forecast.shares, key=lambda share: share.seconds)
    by_itself = sorted(slowest.waits.items(), key=lambda item: -item[1])
    print_folded(
        console,
        f"limited by {limit_in_words(slowest.bound_by)}; time to the last submit under each limit alone: "
        + ", ".join(f"{rule} {duration(wait)}" for rule, wait in by_itself if rule != "latency"),
    )
    for line in _chart(forecast.done_at, took):
        console.print(line, soft_wrap=True)
    console.print("nothing was sent")


def _chart(done_at: tuple[float, ...], took: float) -> list[str]:
    """A bar chart of the finished clips over time."""
    from aveo3.cli.progress import duration

    if not done_at:
        return []
    rows = []
    for row in range(1, ROWS + 1):
        at = took if row == ROWS else took * row / ROWS  # the product may be a little less than the last clip's time
        finished = sum(instant <= at for instant in done_at)
        bar = "█" * round(WIDTH * finished / len(done_at))
        rows.append(f"{duration(at):>14} {bar:<{WIDTH}} {finished:,}")
    return rows


def _fields(forecast: Forecast) -> dict[str, Any]:
    return {
        "clips": len(forecast.done_at),
        "seconds": round(forecast.done_at[-1], 1) if forecast.done_at else None,
        "first_seconds": round(forecast.done_at[0], 1) if forecast.done_at else None,
        "last_submit_seconds": round(forecast.submitted_at[-1], 1) if forecast.submitted_at else None,
        "refusals": forecast.stats.refusals,
        "lanes": [
            {
                "lane": share.lane,
                "model": share.model,
                "clips": share.clips,
                "cost_usd": share.cost_usd,
                "bound_by": share.bound_by,
                "waits": {rule: round(wait, 1) for rule, wait in share.waits.items()},
            }
            for share in forecast.shares
        ],
    }


def _spend(text: str | None) -> dict[str, float]:
    """Parse `10/600s` into settings. Raises `UsageError`."""
    from aveo3.errors import UsageError

    if text is None:
        return {}
    dollars, _, time = text.partition("/")
    if time and re.fullmatch(r"\d+(\.\d+)?", dollars.strip()) and float(dollars):
        return {"spend_limit": float(dollars), "spend_period": _seconds("--cost-limit", time) or 600.0}
    raise UsageError(f"--cost-limit {text}: write US$ per time, such as 10/600s or 50/10m")


def _seconds(option: str, text: str | None) -> float | None:
    """Parse `90`, `90s`, `2m` or `1h` into seconds. Raises `UsageError`."""
    from aveo3.errors import UsageError

    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)?", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"{option} {text}: write a time, such as 90s, 2m or 1h")
    return float(match[1]) * {"s": 1, None: 1, "m": 60, "min": 60, "h": 3600}[match[2]]
