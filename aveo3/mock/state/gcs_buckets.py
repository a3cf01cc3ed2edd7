"""The emulated buckets of Cloud Storage: their objects, and the pages of a listing. Pure.

Only operations write here, each when it ends. An object stays until a client deletes it.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime

from aveo3.mock.state.checksums import Checksums
from aveo3.mock.state.operations import Operation


@dataclass(slots=True)
class Stored:
    """One object: a film of an operation. Its bytes are made on the first request for them."""

    bucket: str
    name: str
    operation: Operation
    sample: int
    made: datetime
    checksums: Checksums | None = None
    """None until the film has been made."""

    @property
    def generation(self) -> int:
        """Creation time in microseconds, as in Google's Cloud Storage."""
        return int(self.made.timestamp() * 1e6)


@dataclass(slots=True)
class Page:
    """A part of a listing. The next page starts after `last`; None if this is the last page."""

    objects: list[Stored] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str | None = None


class Buckets:
    """All buckets. A bucket exists from its first object on, also when it is empty again."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Stored]] = {}
        self._names: dict[str, list[str]] = {}  # sorted

    def put(self, operation: Operation, made: datetime) -> None:
        """Store the films of `operation`, if its order names a storage URI."""
        for sample in range(operation.delivered):
            uri = operation.gcs_uri(sample)
            if uri is None:
                return
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            self._objects.setdefault(bucket, {})[name] = Stored(bucket, name, operation, sample, made)
            insort(self._names.setdefault(bucket, []), name)

    def __contains__(self, bucket: str) -> bool:
        return bucket in self._objects

    def find(self, bucket: str, name: str) -> Stored | None:
        return self._objects.get(bucket, {}).get(name)

    def delete(self, stored: Stored) -> None:
        del self._objects[stored.bucket][stored.name]
        names = self._names[stored.bucket]
        del names[bisect_left(names, stored.name)]

    def page(self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", most: int) -> Page:
        """Return at most `most` objects and folders that start with `prefix`, sorted by name, after `after`.

        With a delimiter, names that contain it after the prefix are folded into one folder each.
        """
        page, names = Page(), self._names[bucket]
        last = after
        for name in names[bisect_left(names, max(prefix, after)) :]:
            if not name.startswith(prefix):
                break
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            entry = name if end < 0 else name[: end + len(delimiter)]
            if entry <= last:
                continue
            if len(page.objects) + len(page.prefixes) == most:
                page.last = last
                break
            if end < 0:
                page.objects.append(self._objects[bucket][name])
            else:
                page.prefixes.append(entry)
            last = entry
        return page
