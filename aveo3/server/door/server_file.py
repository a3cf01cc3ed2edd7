"""Where a running server is, and a token that shows its figures: for whoever may read the directory's private files."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aveo3.config.settings import JOURNAL

log = logging.getLogger(__name__)

FILE = JOURNAL.with_name("server.json")


@contextmanager
def announced(output_dir: Path, url: str, token: str) -> Iterator[None]:
    """Keep address and token in a file that only its owner may read, until the block ends."""
    path = output_dir / FILE
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            json.dump({"url": url, "token": token}, file)
        part.replace(path)
    except OSError as error:  # the server works all the same
        log.warning("%s cannot be written (%s): `aveo3 serve status` will not find this server", path, error.strerror)
    try:
        yield
    finally:
        for each in (path, part):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def read(output_dir: Path) -> tuple[str, str] | None:
    """Address and token of the server of a directory; None if none runs there, as far as the file knows."""
    try:
        found = json.loads((output_dir / FILE).read_text("utf-8"))
        url, token = found["url"], found["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (url, token) if isinstance(url, str) and isinstance(token, str) else None
