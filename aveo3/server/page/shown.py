"""What a live page shows now, and what has changed since any earlier moment. Holds no queue for any viewer.

Each change gets a number. A viewer keeps a `Cursor`: the numbers up to which it knows everything. What it gets next is
the newest form of what changed after that, a piece at a time. So a slow viewer skips what is out of date, and a new one
gets everything in pieces, by the same rule.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from aveo3.report.view import VERSION, ClipRow, LaneRow, LaneStep, Step, View

CLIPS_AT_ONCE = 250
"""Clips in one piece: encoding it must not hold the event loop up for long."""

STEPS_AT_ONCE = 4_000

STEPS_KEPT = 50_000
"""Steps of the timeline that are kept, the newest ones: those of about 12,000 clips."""

_PACKED_FROM = 400
"""Bytes from which the row of an ended clip is packed."""


class Cursor(NamedTuple):
    """What a viewer knows: the numbers of the last changes that it has got."""

    fields: int = 0
    clips: int = 0
    steps: int = 0
    lane_steps: int = 0
    gone: int = 0

    def covers(self, other: Cursor) -> bool:
        """True if it has everything that `other` has."""
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))


class Shown:
    """The view of one run. `fields` are those of `View` that are no lists.

    The row of a clip is kept as JSON, and packed once the clip has ended: a tenth of what the mapping takes.
    """

    def __init__(self, **fields: Any) -> None:
        self.fields: dict[str, Any] = {"v": VERSION, **fields}
        self.lanes: dict[str, LaneRow] = {}
        self.changes = 0
        """Number of changes so far."""
        self._field_changed: dict[str, int] = {}
        self._lane_changed: dict[str, int] = {}
        self._rows: dict[str, bytes] = {}
        self._clip_changed: dict[str, int] = {}
        self._numbers: list[int] = []  # of changes of clips, ascending
        self._keys: list[str] = []  # of the clips that they changed; only its last change stands for a clip
        self._steps: _Tail[Step] = _Tail(STEPS_KEPT)
        self._lane_steps: _Tail[LaneStep] = _Tail(STEPS_KEPT)
        self._gone: _Tail[str] = _Tail(STEPS_KEPT)

    # ---- changing --------------------------------------------------------------------------------------------------

    def set(self, **fields: Any) -> None:
        """Replace fields of the view that are no lists. What is the same already is no change."""
        for name, value in fields.items():
            if self.fields.get(name) != value or name not in self.fields:
                self.fields[name] = value
                self._field_changed[name] = self._next()

    def put_clip(self, row: ClipRow, *, ended: bool) -> None:
        """Add a clip, or replace the one with the same key. `ended` says that it hardly changes any more."""
        key, text = row["key"], json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        packed = _packed(text) if ended and len(text) > _PACKED_FROM else text
        if self._rows.get(key) == packed:
            return
        self._rows[key] = packed
        number = self._clip_changed[key] = self._next()
        self._numbers.append(number)
        self._keys.append(key)
        if len(self._keys) > 2 * len(self._rows) + 1000:
            self._forget_old_changes()

    def drop_clip(self, key: str) -> None:
        """Show a clip no more: a view that is bounded has room for others."""
        if self._rows.pop(key, None) is not None:
            del self._clip_changed[key]
            self._gone.add(key)
            self._next()

    def put_lane(self, row: LaneRow) -> None:
        """Add a lane, or replace the one with the same name."""
        if self.lanes.get(row["name"]) != row:
            self.lanes[row["name"]] = row
            self._lane_changed[row["name"]] = self._next()

    def add_step(self, step: Step) -> None:
        """Add to the timeline. Beyond `STEPS_KEPT` the oldest goes."""
        self._steps.add(step)
        self._next()

    def add_lane_step(self, step: LaneStep) -> None:
        """Add to the timeline of the lanes. Beyond `STEPS_KEPT` the oldest goes."""
        self._lane_steps.add(step)
        self._next()

    def _next(self) -> int:
        self.changes += 1
        return self.changes

    def _forget_old_changes(self) -> None:
        kept = [
            (number, key)
            for number, key in zip(self._numbers, self._keys, strict=True)
            if self._clip_changed.get(key) == number
        ]
        self._numbers, self._keys = [number for number, _ in kept], [key for _, key in kept]

    # ---- reading ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of clips."""
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def clip(self, key: str) -> ClipRow | None:
        """The row of one clip; None if there is none."""
        row: ClipRow | None = None if (text := self._rows.get(key)) is None else json.loads(_text(text))
        return row

    def first(self) -> tuple[bytes, Cursor]:
        """The view with the first piece of its lists, as JSON, and the cursor for the rest."""
        cursor = Cursor(fields=self.changes, gone=self._gone.end)
        head = {**self.fields, "lanes": list(self.lanes.values())}
        return self._with_lists(head, cursor, empty=True)

    def since(self, cursor: Cursor) -> tuple[bytes, Cursor] | None:
        """The next piece of what changed after `cursor`, as JSON, and the cursor after it; None if nothing has."""
        if cursor.covers(self.now()):
            return None
        head: dict[str, Any] = {
            name: self.fields[name] for name, number in self._field_changed.items() if number > cursor.fields
        }
        if lanes := [self.lanes[name] for name, number in self._lane_changed.items() if number > cursor.fields]:
            head["lanes"] = lanes
        return self._with_lists(head, cursor._replace(fields=self.changes), empty=False)

    def now(self) -> Cursor:
        """The cursor of a viewer that knows everything."""
        clips = self._numbers[-1] if self._numbers else 0
        return Cursor(self.changes, clips, self._steps.end, self._lane_steps.end, self._gone.end)

    def view(self) -> View:
        """The whole view as a mapping. It takes 10 µs a clip: call it in a thread, on a `copy`."""
        clips = [json.loads(_text(row)) for row in self._rows.values()]
        steps, lane_steps = self._steps.kept, self._lane_steps.kept
        whole: Any = {**self.fields, "lanes": list(self.lanes.values()), "clips": clips}
        whole |= {"steps": list(steps), "lane_steps": list(lane_steps)}
        return whole  # type: ignore[no-any-return]

    def copy(self) -> Shown:
        """A copy for another thread to read, with the same rows."""
        other = Shown(**self.fields)
        other.lanes, other._rows = dict(self.lanes), dict(self._rows)
        other._steps, other._lane_steps = self._steps.copy(), self._lane_steps.copy()
        return other

    def _with_lists(self, head: Mapping[str, Any], cursor: Cursor, *, empty: bool) -> tuple[bytes, Cursor]:
        """`head` with a piece of each list after `cursor`; with `empty`, a list without any, too."""
        clips, at = self._clips_after(cursor.clips)
        steps, steps_end = self._steps.after(cursor.steps, STEPS_AT_ONCE)
        lane_steps, lane_end = self._lane_steps.after(cursor.lane_steps, STEPS_AT_ONCE)
        gone, gone_end = self._gone.after(cursor.gone, STEPS_KEPT)
        if gone:
            head = {**head, "gone": gone}
        lists: dict[str, Any] = {"steps": steps, "lane_steps": lane_steps}
        body = {**head, **{name: value for name, value in lists.items() if value or empty}}
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if clips or empty:
            comma = b"," if body else b""
            text = text[:-1] + comma + b'"clips":[' + b",".join(clips) + b"]}"
        return text, Cursor(cursor.fields, at, steps_end, lane_end, gone_end)

    def _clips_after(self, number: int) -> tuple[list[bytes], int]:
        """Up to `CLIPS_AT_ONCE` rows that changed after `number`, each in its newest form, and the number of the last.

        A row that changed again later comes with that change.
        """
        rows = []
        for place in range(bisect_right(self._numbers, number), len(self._numbers)):
            number, key = self._numbers[place], self._keys[place]
            if self._clip_changed.get(key) == number:
                rows.append(_text(self._rows[key]))
                if len(rows) == CLIPS_AT_ONCE:
                    break
        return rows, number


T = TypeVar("T")


class _Tail(Generic[T]):
    """The newest items of a list that only grows."""

    def __init__(self, most: int) -> None:
        self.kept: deque[T] = deque(maxlen=most)
        self.end = 0
        """Number of items that were ever added."""

    def add(self, item: T) -> None:
        self.kept.append(item)
        self.end += 1

    def after(self, number: int, most: int) -> tuple[list[T], int]:
        """Up to `most` items after the first `number` ones, and the number of the last of them."""
        missed = max(0, number - (self.end - len(self.kept)))
        items = list(islice(self.kept, missed, missed + most))
        return items, self.end - len(self.kept) + missed + len(items)

    def copy(self) -> _Tail[T]:
        """A copy with the same items."""
        other = _Tail[T](self.kept.maxlen or 0)
        other.kept, other.end = self.kept.copy(), self.end
        return other


def _packed(text: bytes) -> bytes:
    packer = zlib.compressobj(6, wbits=-12, memLevel=4, zdict=_COMMON)
    return _PACKED + packer.compress(text) + packer.flush()


def _text(row: bytes) -> bytes:
    """The JSON of a row, packed or not."""
    if not row.startswith(_PACKED):
        return row
    unpacker = zlib.decompressobj(wbits=-12, zdict=_COMMON)
    return unpacker.decompress(row[len(_PACKED) :]) + unpacker.flush()


_PACKED = b"z"
"""What a packed row begins with: JSON does not."""

_COMMON = (
    b'"next_move":"check the prompt and run it again","command":"aveo3 generate failed.jsonl --output-dir clips",'
    b'"status":"uncertain","status":"filtered","status":"rejected","status":"failed","status":"deferred",'
    b'"parameters":{"duration_seconds":8,"aspect_ratio":"16:9","resolution":"720p"},"labels":{},'
    b'"error_kind":null,"error_message":null,"operation":"projects/p/locations/us-central1/publishers/google/models/'
    b'veo-3.1-generate-001/operations/","queued_utc":"2026-11-27T12:","project_id":null,"prompt_id":null,'
    b'"status":"succeeded","model":"veo-3.1-generate-001","lane":"veo-3.1-generate-001","instead_of":null,'
    b'"cost_usd":3.2,"attempts":1,"retries":0,"submitted_utc":"2026-11-27T12:","finished_utc":"2026-11-27T12:",'
    b'"fetched_utc":null,"videos":[{"src":"videos/","poster":"posters/","bytes":1234567,"seconds":8.0,"width":1280,'
    b'"height":720,"missing":false}],"next_move":null,"command":null,"operation":null}{"key":"","index":,"text":"'
)
"""What rows have in common, what is most usual last: zlib finds it there instead of in the row."""
