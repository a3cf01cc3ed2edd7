"""The stills of a page of thousands of films, which `aveo3.stills` cuts.

Stills are kept in `.aveo3/posters` of the output directory, by the hash of their film, so that the next report, and a
live page, find them. A film that is missing or broken has none; a directory that cannot be written to keeps none.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from aveo3.config.settings import JOURNAL
from aveo3.report.from_journal import Film
from aveo3.stills import can_cut, cut

log = logging.getLogger(__name__)

INLINE = 500
"""Stills that are put into the page itself, which then shows them wherever it is moved. The rest are files."""
PATIENCE = 20.0
"""Seconds that one report spends on new stills: a film in 1080p takes some 40 ms, so thousands take minutes."""


def directory_of(output_dir: Path) -> Path:
    """Where the stills of an output directory are kept."""
    return output_dir.absolute() / JOURNAL.parent / "posters"


class Posters:
    """The stills of the films of one output directory. Without PyAV there are none."""

    def __init__(self, output_dir: Path, *, threads: int | None = None) -> None:
        self._directory = directory_of(output_dir)
        self._threads = threads or min(4, os.cpu_count() or 1)
        self.left_out = 0
        """Films without a still because `patience` was over."""

    def of(self, film: Film) -> bytes | None:
        """The still of a film as WebP; None if none can be cut. Blocks: decodes a picture if it is not kept yet."""
        data = self.kept(film)
        if data is None and can_cut() and (data := cut(film.path)) is not None:
            self._keep(film, data)
        return data

    def kept(self, film: Film) -> bytes | None:
        """The still of a film, if it was cut before."""
        path = self.path_of(film)
        try:
            return (path.read_bytes() or None) if path is not None else None
        except OSError:
            return None

    def path_of(self, film: Film) -> Path | None:
        """Where the still of a film is, or would be, kept; None if the film has no hash."""
        return self._directory / f"{film.sha256[:32]}.webp" if _is_hash(film.sha256) else None

    def urls(
        self,
        films: Iterable[Film],
        url: Callable[[Path], str] | None,
        *,
        inline: int = INLINE,
        patience: float = PATIENCE,
    ) -> Mapping[Path, str]:
        """The addresses of the stills of `films` by the films' paths: of the first `inline` as `data:`, else of files.

        `url` gives addresses of files; None: there are none, and so no more stills. After `patience` seconds no more
        are cut; the next report goes on there.
        """
        every = list({film.path: film for film in films}.values())
        every = every if url is not None else every[:inline]
        until, self.left_out = time.monotonic() + patience, 0

        def still(film: Film) -> bytes | None:
            return self.of(film) if time.monotonic() < until else self.kept(film)

        found = {}
        with ThreadPoolExecutor(self._threads, "aveo3-posters") as pool:
            for number, (film, data) in enumerate(zip(every, pool.map(still, every), strict=True)):
                kept = self.path_of(film)
                if data is None:
                    self.left_out += can_cut() and time.monotonic() >= until
                elif number < inline or url is None or kept is None or not kept.is_file():
                    found[film.path] = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
                else:
                    found[film.path] = url(kept)
        return found

    def _keep(self, film: Film, data: bytes) -> None:
        """Keep a still, whole or not at all. What the disk refuses is cut again next time."""
        if (path := self.path_of(film)) is None:
            return
        new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
        except OSError as error:
            log.debug("the still %s cannot be kept: %s", path, error)
            with suppress(OSError):
                new.unlink()


def _is_hash(text: str) -> bool:
    return len(text) >= 32 and set(text) <= set("0123456789abcdef")
