"""Which backend makes the clips, as far as settings tell. Pure."""

from __future__ import annotations

from typing import Literal

BackendName = Literal["vertex", "gemini", "mock"]
ChosenBackend = Literal[BackendName, "server"]
"""A backend, or `server`: an `aveo3 serve` makes the clips."""
DEFAULT_MODELS = {"vertex": "veo-3.1-generate-001", "gemini": "gemini-omni-1.2-flash"}

NO_BACKEND = (
    "No credentials found, so there is nowhere to make clips. Choose one of three ways: "
    "(1) Vertex AI: set GOOGLE_CLOUD_PROJECT and run `gcloud auth application-default login`; "
    "(2) an API key: set GEMINI_API_KEY for the Gemini API, or GOOGLE_API_KEY and VEO3_BACKEND=vertex for "
    "Vertex AI express mode; "
    "(3) no account at all: set VEO3_MOCK_MODE=true for the built-in emulator. `aveo3 login` shows the steps."
)


def choose(
    *,
    server: str | None,
    mock_mode: bool,
    backend: Literal["auto"] | BackendName,
    use_vertex: bool | None,
    project: str | None,
    has_key: bool,
) -> tuple[ChosenBackend | None, str]:
    """The backend and the reason for it; None if nothing speaks for any: `NO_BACKEND` says what to do then."""
    if server is not None:
        return "server", f"VEO3_SERVER={server}"
    if mock_mode:
        return "mock", "VEO3_MOCK_MODE is true"
    if backend != "auto":
        return backend, f"VEO3_BACKEND={backend}"
    if use_vertex:
        return "vertex", "GOOGLE_GENAI_USE_ENTERPRISE or GOOGLE_GENAI_USE_VERTEXAI is true"
    if project and use_vertex is None:
        return "vertex", f"GOOGLE_CLOUD_PROJECT={project}"
    if has_key:
        return "gemini", "there is an API key and no project"
    return None, ""
