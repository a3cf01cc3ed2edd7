"""Finds the credentials: those in the settings, or those of this machine. Does not check that Google accepts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.auth import default as application_default_credentials
from google.auth import load_credentials_from_file
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials as TokenCredentials

from aveo3.config.settings import on_this_machine
from aveo3.errors import UsageError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from aveo3.config.settings import Settings

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def for_vertex(settings: Settings) -> dict[str, Any]:
    """Arguments for `genai.Client`. Blocks: it may query the metadata server of a Google machine.

    With a project: the credentials file, else application default credentials, else the API key. Without a project:
    the API key alone (express mode). Raises `UsageError` if there are none of these.
    """
    place = {"project": settings.project, "location": settings.location}
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if settings.project is None:
        if key is None:
            raise UsageError(
                "Vertex AI needs to know who pays: set GOOGLE_CLOUD_PROJECT (and run `gcloud auth "
                "application-default login`), or set GOOGLE_API_KEY for express mode."
            )
        return {"api_key": key}
    try:
        return {**place, "credentials": _load(settings)}
    except (DefaultCredentialsError, OSError) as error:
        if settings.credentials_file is None and on_this_machine(settings.base_url):
            return {
                **place,
                "credentials": for_mock_server(),
            }  # not the key: it does not work with a project there either
        if key is not None and settings.credentials_file is None:
            return {**place, "api_key": key}
        raise UsageError(
            f"No usable credentials for project {settings.project!r} "
            f"({settings.credentials_file or 'application default credentials'}): {str(error).rstrip('.')}. Run "
            "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's "
            "file, or set GOOGLE_API_KEY."
        ) from error


def for_buckets(settings: Settings) -> Credentials:
    """A login for Cloud Storage, which accepts no API key. Raises `UsageError` if there is none. Blocks."""
    if on_this_machine(settings.storage_url):
        return for_mock_server()
    try:
        return _load(settings)
    except (DefaultCredentialsError, OSError) as error:
        raise UsageError(f"Cloud Storage accepts no API key, and there is no login: {error}") from error


def gemini_key(settings: Settings) -> str:
    """The API key. Raises `UsageError` if there is none."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if on_this_machine(settings.base_url):
        return "none"  # a mock server accepts any key
    raise UsageError(
        "The Gemini API needs a key: set GEMINI_API_KEY (from https://aistudio.google.com/apikey, of a project with "
        "billing). Without one, set GOOGLE_CLOUD_PROJECT for Vertex AI, or VEO3_MOCK_MODE=true."
    )


def for_mock_server() -> Credentials:
    """Credentials for a server on this machine, which accepts any."""
    return TokenCredentials(token="none")  # type: ignore[no-untyped-call]


def _load(settings: Settings) -> Credentials:
    if settings.credentials_file is not None:
        login, _ = load_credentials_from_file(  # type: ignore[no-untyped-call]
            str(settings.credentials_file), scopes=[SCOPE]
        )
    else:
        login, _ = application_default_credentials(scopes=[SCOPE])
    return login  # type: ignore[no-any-return]
