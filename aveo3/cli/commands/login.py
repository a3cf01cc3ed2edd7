"""`aveo3 login`: shows which credentials there are and how to get others. Asks Google nothing, shows no secret."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3.cli.exit_codes import errors_as_messages
from aveo3.cli.journal_view import plain

if TYPE_CHECKING:
    from aveo3.config.settings import Settings


def login(
    save_key: Annotated[
        bool, typer.Option("--save-key", help="Ask for an API key and write it to .env, for you alone to read.")
    ] = False,
) -> None:
    """Show which credentials there are, and how to get some.

    It names the variable or file of each credential, says which of them a run uses, and lists the steps to others. It
    asks Google nothing and shows no secret: `aveo3 check` tests for free whether Google accepts them.

    Exit codes: 0 done, 2 a setting is wrong, or the key cannot be saved.

    Example: aveo3 login
    """
    with errors_as_messages():
        from aveo3.config.settings import Settings

        if save_key:
            _save_key()
            return
        settings = Settings()
        for line in (*_found(settings), "", *_used(settings), "", *_steps(settings)):
            typer.echo(line)


def _save_key() -> None:
    from aveo3.config.env_entries import add_entry
    from aveo3.config.environment import ENV_FILE
    from aveo3.config.field_types import key_of
    from aveo3.errors import UsageError

    name, others = "GEMINI_API_KEY", ("GOOGLE_API_KEY",)
    if sys.stdin.isatty():
        typed = typer.prompt("API key (it is not shown)", hide_input=True, default="", show_default=False)
    else:
        typed = sys.stdin.readline()
    try:
        key = key_of(typed)
    except ValueError as error:
        raise UsageError(f"this is no key: {error}") from None
    if not key:
        raise UsageError("no key was given, and nothing was written")
    if "'" in key or "\\" in key:
        raise UsageError("this is no key: it has a quote or a backslash")
    add_entry(ENV_FILE, name, key, others=others)
    typer.echo(f"{name} is in {ENV_FILE.absolute()}, which only you can read. Keep it out of version control.")
    if over := next((other for other in (*others, name) if os.environ.get(other)), None):
        typer.echo(f"{over} in the environment beats it: unset that.")
    typer.echo("Next: aveo3 check")


# ---- what there is ---------------------------------------------------------------------------------------------------


def _found(settings: Settings) -> Iterator[str]:
    """A line for each credential: where it was found, or the variable that would name it."""
    yield "found:"
    keys = settings.sources("api_key")
    yield _line("API key", f"{keys[0]} (not shown)" if keys and settings.api_key else "none (GEMINI_API_KEY)")
    for other in keys[1:]:
        yield _line("", f"{other} does not count beside it")
    projects = settings.sources("project")
    yield _line(
        "project",
        f"{settings.project}, {projects[0]}" if projects and settings.project else "none (GOOGLE_CLOUD_PROJECT)",
    )
    places = settings.sources("location")
    yield _line("region", f"{settings.location}, {places[0] if places else 'unless GOOGLE_CLOUD_LOCATION is set'}")
    files = settings.sources("credentials_file")
    account = "none (GOOGLE_APPLICATION_CREDENTIALS)"
    if settings.credentials_file is not None and files:
        account = f"{settings.credentials_file}, {files[0]}: {_kind(settings.credentials_file)}"
    yield _line("account file", account)
    gcloud = settings.gcloud_login()
    yield _line("gcloud login", f"{gcloud}: {_kind(gcloud)}" if gcloud.exists() else f"none ({gcloud})")


def _line(title: str, words: str) -> str:
    return f"  {title:<13} {plain(words)}"


def _kind(path: Path) -> str:
    """What a file of credentials holds, in words. No secret is among them."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        kind = fields["type"]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return "no file of credentials: Google's have a field `type`"
    owner = fields.get("client_email")
    words = {"service_account": "a service account", "authorized_user": "your own login"}.get(str(kind), str(kind)[:60])
    shown = owner if isinstance(owner, str) else ""
    return f"{words} ({shown[:200]})" if shown else words


def _used(settings: Settings) -> Iterator[str]:
    """What a run would use, and why."""
    from aveo3.errors import UsageError

    if settings.lanes is not None:
        yield f"used: the lanes of {settings.lanes}, each with credentials of its own (aveo3 check tests each)"
        return
    try:
        name, why = settings.backend_choice()
    except UsageError:
        yield "used: nothing, because there is neither a project nor an API key"
        return
    service = {"vertex": "Vertex AI", "gemini": "the Gemini API", "mock": "the emulator"}[name]
    yield f"used: {service}, because {why}; model {settings.model}"


# ---- the steps -------------------------------------------------------------------------------------------------------


def _steps(settings: Settings) -> Iterator[str]:
    """The ways to credentials, step by step."""
    project = shlex.quote(settings.project or "PROJECT")
    account = f"aveo3@{project}.iam.gserviceaccount.com"
    ways: dict[str, list[str]] = {
        "Omni, with an API key of the Gemini API": [
            "make a key, in a project with billing: https://aistudio.google.com/apikey",
            f"aveo3 login --save-key     (or: {_set('GEMINI_API_KEY', '…')})",
        ],
        "Veo on Vertex AI, with your own login": [
            "make a project with billing: https://console.cloud.google.com/billing",
            f"gcloud services enable aiplatform.googleapis.com --project {project}",
            "gcloud auth application-default login",
            _set("GOOGLE_CLOUD_PROJECT", project),
        ],
        "Veo on Vertex AI, with a service account (for servers)": [
            "a project as above",
            f"gcloud iam service-accounts create aveo3 --project {project}",
            f"gcloud projects add-iam-policy-binding {project} --role roles/aiplatform.user "
            f"--member serviceAccount:{account}",
            f"gcloud iam service-accounts keys create key.json --iam-account {account}",
            f"{_set('GOOGLE_APPLICATION_CREDENTIALS', 'key.json')}",
            _set("GOOGLE_CLOUD_PROJECT", project),
        ],
    }
    for title, steps in ways.items():
        yield f"{title}:"
        yield from (f"  {number}. {step}" for number, step in enumerate((*steps, "aveo3 check"), start=1))
        yield ""
    yield "A line NAME=value in .env does what setting a variable does, in its directory."
    yield "Without an account: aveo3 generate prompts.txt --mock"


def _set(name: str, value: str) -> str:
    return f'$env:{name} = "{value}"' if os.name == "nt" else f"export {name}={value}"
