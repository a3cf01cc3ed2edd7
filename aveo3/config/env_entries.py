"""Adds a line to a `.env` for a person who asks for it: nothing is overwritten, and nobody else can read the file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aveo3.config import env_file
from aveo3.errors import UsageError


def add_entry(path: Path, name: str, value: str, *, others: tuple[str, ...] = ()) -> None:
    """Add `NAME='value'` at the end of `path`, whole or not at all, and leave the file to its owner (mode 0600).

    Raises `UsageError` if the file has `name` or one of `others` already, is a link, or cannot be written.
    """
    if path.is_symlink():
        raise UsageError(f"{path} is a link: add {name} to the file that it names")
    there = [key for key in (name, *others) if env_file.read(path).get(key)]
    if there:
        raise UsageError(f"{path} sets {there[0]} already: remove that line first")
    new = path.with_name(f"{path.name}.new")
    try:
        old = path.read_bytes() if path.exists() else b""
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(old + b"\n" * (not old.endswith(b"\n") and bool(old)) + f"{name}='{value}'\n".encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
