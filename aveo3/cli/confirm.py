"""Questions to the person at the terminal. Without a terminal nobody is asked.

`confirm_cost` asks before a run that costs more than `VEO3_CONFIRM_ABOVE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from aveo3.cli.exit_codes import Exit
from aveo3.cli.journal_view import counted, listed

if TYPE_CHECKING:
    from aveo3.cli.preview import Known
    from aveo3.config.settings import Settings
    from aveo3.lanes.routing import Routes

_KEYBOARD = "CONIN$" if sys.platform == "win32" else "/dev/tty"


@contextmanager
def keyboard() -> Iterator[TextIO | None]:
    """What the person at the terminal types; None if there is no terminal to ask on.

    With prompts on standard input (`aveo3 generate -`), the person types on the terminal that controls the process.
    """
    if not (sys.stderr and sys.stderr.isatty()):  # nobody would see the question
        yield None
    elif sys.stdin and sys.stdin.isatty():
        yield sys.stdin
    else:
        try:
            terminal = open(_KEYBOARD, encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115
        except OSError:
            yield None
        else:
            with terminal:
                yield terminal


def ask(question: str, answers: TextIO, *, default: bool = False) -> bool:
    """Ask on stderr until the answer is yes or no; Enter alone is the default.

    Raises `typer.Exit` with code 130 on Ctrl-C, `UsageError` if the terminal gives no answer.
    """
    from aveo3.cli.exit_codes import wrapped
    from aveo3.errors import UsageError

    try:
        while True:
            typer.echo(wrapped(f"{question} [{'Y/n' if default else 'y/N'}]") + " ", nl=False, err=True)
            line = answers.readline()
            if not line:
                raise OSError
            if (word := line.strip().lower()) in ("y", "yes", "n", "no", ""):
                return word.startswith("y") if word else default
    except KeyboardInterrupt:
        typer.echo("\nstopped at the question: nothing was sent or changed", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except (OSError, ValueError):  # the end of input, a terminal that is gone
        typer.echo("", err=True)
        raise UsageError("there was no answer, so nothing was sent or changed. --yes answers the question.") from None


def confirm_cost(known: Known, settings: Settings, routes: Routes, *, yes: bool) -> None:
    """Ask before a run whose new clips cost more than `VEO3_CONFIRM_ABOVE`, or have no known price.

    What earlier runs paid does not count, nor what the budget keeps from being sent. Raises `typer.Exit` if the answer
    is no.
    """
    if yes or settings.confirm_above is None or (question := _question(known, settings, routes)) is None:
        return
    with keyboard() as answers:
        if answers is not None and not ask(question, answers):
            typer.echo("nothing was sent", err=True)
            raise typer.Exit(Exit.SOME_NOT)


def _question(known: Known, settings: Settings, routes: Routes) -> str | None:
    """What to ask before the run; None if it costs no more than `VEO3_CONFIRM_ABOVE`."""
    clips, usual, at_most, unpriced = 0, 0.0, 0.0, dict[str, None]()
    for prompt in known.to_send:
        route, _ = routes.for_estimate(prompt)
        if route is None:
            continue  # it is rejected, and costs nothing
        clips += 1
        unpriced |= {candidate.lane.model: None for candidate in route if candidate.cost_usd is None}
        usual += route.tiers[0][0].cost_usd or 0.0
        at_most += max(candidate.cost_usd or 0.0 for candidate in route)
    left = at_most if settings.budget is None else max(0.0, settings.budget - known.spent_usd)
    limit = settings.confirm_above or 0.0
    if not clips or (not unpriced and min(at_most, left) <= limit):
        return None
    what = f"This run sends {counted(clips, 'new clip')}"
    if unpriced:
        return f"{what}. aveo3 does not know the price of {listed(unpriced)}. Continue?"
    cost = f"about US$ {usual:,.2f} at list price"
    if round(at_most, 2) > round(usual, 2):
        cost += f", up to US$ {at_most:,.2f} on other lanes or fallbacks"
    if left < at_most:
        cost += f"; the budget leaves US$ {left:,.2f}"
    return f"{what} for {cost}. That is above VEO3_CONFIRM_ABOVE={limit:g}. Continue?"
