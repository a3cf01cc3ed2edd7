"""Keeps the media of requests until they are sent: files named by their content, in the output directory."""

from __future__ import annotations

import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aveo3.files.directories import make_directory
from aveo3.files.syncing import sync_directory, sync_file
from aveo3.input_forms import ONE_MEDIUM, SEVERAL_MEDIA
from aveo3.journal.rows import prompt_record
from aveo3.models import VideoPrompt


class MediaStore:
    """Media in `directory`. All of it blocks; it may be called from any thread."""

    def __init__(self, directory: Path, relative: Callable[[Path], str]) -> None:
        """`relative` returns a path as the journal keeps it."""
        self._directory = directory.absolute()
        self._relative = relative
        self._lock = threading.Lock()
        self._uses: Counter[str] = Counter()  # by hash: the requests that may still be sent with it

    def record(self, prompt: VideoPrompt) -> tuple[dict[str, Any], tuple[str | None, ...]]:
        """The record of `prompt` for the journal, and the hashes of its media, which are on the disk by then.

        Raises `OSError` if the disk refuses. Call `release` when the media are needed no more.
        """
        hashes = prompt.media_hashes()
        self.use({name for name in hashes if name is not None})  # from here on nobody removes them
        for medium, name in zip(prompt.media, hashes, strict=True):
            if name is not None:
                self._keep(medium.read(), name)
        record = prompt_record(prompt, hashes)
        for noted in _media_of(record):
            if noted.get("sha256") is not None:
                noted["path"] = self._relative(self._directory / noted["sha256"])
        return record, hashes

    def _keep(self, content: bytes, name: str) -> None:
        target = self._directory / name
        if target.exists():
            sync_directory(self._directory)  # another request may just have named it
            return
        make_directory(self._directory)
        part = self._directory / f"{name}.{secrets.token_hex(4)}.part"
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                sync_file(file.fileno())
            part.replace(target)
        finally:
            with suppress(OSError):
                part.unlink()
        sync_directory(self._directory)

    def use(self, hashes: Iterable[str]) -> None:
        """Note that one more request may be sent with these media."""
        with self._lock:
            self._uses.update(hashes)

    def release(self, hashes: Iterable[str]) -> None:
        """Note that a request is sent with these media no more, and remove those that no other request has."""
        with self._lock:
            for name in hashes:
                self._uses[name] -= 1
                if self._uses[name] <= 0:
                    del self._uses[name]
                    with suppress(OSError):
                        (self._directory / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what no request is noted for. Call it before any request comes."""
        if not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            if path.name not in self._uses:
                with suppress(OSError):
                    path.unlink()


class SharedMediaStore(MediaStore):
    """Media in a directory to which other doors write, too: none knows what the others may yet send.

    So nothing is removed when a request ends, but by `remove_unused`, where one process leads.
    """

    def _keep(self, content: bytes, name: str) -> None:
        with suppress(OSError):
            os.utime(self._directory / name)  # it is needed again
        super()._keep(content, name)

    def use(self, hashes: Iterable[str]) -> None:
        """Nothing is to be noted: the journal says what is in use."""

    def release(self, hashes: Iterable[str]) -> None:
        """Nothing is removed now."""

    def sweep(self) -> None:
        """Nothing is removed now."""

    def remove_unused(self, used: Collection[str], before: float) -> None:
        """Remove what is not `used`, and was needed last `before` this time, in seconds since 1970."""
        if not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            with suppress(OSError):
                if path.name not in used and path.stat().st_mtime < before:
                    path.unlink()


def hashes_in(record: Mapping[str, Any]) -> set[str]:
    """The hashes of the media in the record of a prompt."""
    return {str(noted["sha256"]) for noted in _media_of(record) if noted.get("sha256")}


def _media_of(record: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    several = [medium for name in SEVERAL_MEDIA for medium in record.get(name, ())]
    return [*(record[name] for name in ONE_MEDIUM if name in record), *several]
