"""The story that ships with the package: to begin with, and to try everything without an account."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from aveo3.errors import UsageError

STORY = "lighthouse.yaml"
PICTURES = ("pictures/mara.png", "pictures/boat.png")


def write_example(directory: Path) -> Path:
    """Write the story and its pictures into `directory`. Returns the story's path.

    Raises `UsageError` if one of the files is there, or cannot be written.
    """
    home = files("aveo3").joinpath("film", "examples")
    try:
        for name in (STORY, *PICTURES):
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(home.joinpath(name).read_bytes())
    except FileExistsError as error:
        raise UsageError(f"{error.filename} is there already: name another directory") from None
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    return directory / STORY
