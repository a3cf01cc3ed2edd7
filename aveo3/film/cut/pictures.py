"""The pictures of a film, one after another: each in the film's size, rate and colours, mixed where items overlap."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from aveo3.film.cut.cards import drawn
from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Card, Shot
from aveo3.film.cut.plan import Piece, Plan
from aveo3.film.cut.sources import ClipFacts, opened

BT709, BT601 = 1, 6
"""Numbers of ITU-T H.273 for primaries, transfer and matrix: of HD and of SD."""
_MATRICES = {BT709: "bt709", 5: "bt601", BT601: "bt601"}
LIMITED, FULL = 1, 2
"""FFmpeg's numbers for levels 16 to 235, and 0 to 255."""
DECODERS = min(4, os.cpu_count() or 1)
"""Threads that decode a shot: each holds pictures, and the encoder takes longer anyway."""
_TURNS = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}
"""What makes a picture upright, by its rotation counterclockwise."""


@dataclass(frozen=True)
class Colours:
    """How numbers become colours (H.273), always with limited range."""

    primaries: int
    transfer: int
    matrix: int


def colours_of(plan: Plan) -> Colours:
    """The colours of the film: the first shot's."""
    first = next((piece.facts for piece in plan.pieces if piece.facts), None)
    if first is None:
        return Colours(BT709, BT709, BT709)
    primaries, transfer, _, _ = first.colours
    matrix = _matrix(first)
    return Colours(matrix if primaries in (0, 2) else primaries, matrix if transfer in (0, 2) else transfer, matrix)


def _matrix(facts: ClipFacts) -> int:
    matrix = facts.colours[2]
    if matrix in _MATRICES:
        return matrix
    return BT709 if min(facts.width, facts.height) >= 720 else BT601  # what players take for a file that does not say


def notes_of(plan: Plan) -> Iterator[str]:
    """What happens to pictures that are not like the film."""
    for piece in plan.pieces:
        facts = piece.facts
        if facts is None:
            continue
        if _fitted(facts, plan)[:2] != (plan.width, plan.height):
            yield f"{piece.item} has another shape than the film: it has bars"
        if facts.deep:
            yield f"{piece.item} has more than 8 bits per colour: the film has 8"
        if facts.rate != plan.rate:
            yield f"{piece.item} has {float(facts.rate):.5g} frames per second: the film has {float(plan.rate):.5g}"


def film_pictures(plan: Plan) -> Iterator[Any]:
    """The `plan.frames` pictures of the film as frames of PyAV, yuv420p. A picture may come twice: set its `pts`."""
    earlier: Iterator[Any] = iter(())
    for piece in plan.pieces:
        pictures = _pictures(piece, plan)
        for number in range(piece.frames - piece.mixed_out):
            picture = next(pictures)
            if number < piece.mixed_in:
                picture = _mixed(next(earlier), picture, (number + 1) / (piece.mixed_in + 1))
            yield _darkened(picture, _light(piece, number))
        earlier = pictures


def _light(piece: Piece, number: int) -> float:
    light = 1.0
    if number < piece.black_in:
        light = number / piece.black_in
    if (left := piece.frames - 1 - number) < piece.black_out:
        light = min(light, left / piece.black_out)
    return light


def _pictures(piece: Piece, plan: Plan) -> Iterator[Any]:
    if isinstance(piece.item, Card):
        import av

        blank: Any = av.VideoFrame
        matrix = _MATRICES[colours_of(plan).matrix]
        frame = blank.from_image(drawn(piece.item, plan.width, plan.height))
        picture = frame.reformat(
            format="yuv420p", dst_colorspace="ITU709" if matrix == "bt709" else "ITU601", dst_color_range="MPEG"
        )
        for _ in range(piece.frames):
            yield picture
    else:
        yield from _shot_pictures(piece, plan)


def _shot_pictures(piece: Piece, plan: Plan) -> Iterator[Any]:
    """The pictures of a shot at the film's rate: each is shown from the frame that is next to its time."""
    shot, facts = piece.item, piece.facts
    assert isinstance(shot, Shot)
    assert facts is not None
    begin, end = (frame / facts.rate for frame in piece.source)
    fit = _Fit(shot, facts, plan)
    shown, seen = 0, 0
    held: Any = None
    with opened(shot) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = DECODERS
        video.thread_type = "AUTO"
        if piece.source[0]:
            container.seek(facts.first + int(begin / facts.time_base), stream=video)
        for frame in container.decode(video):
            if frame.pts is None:
                raise BrokenShot(shot, "is broken: a picture has no time")
            time = (frame.pts - facts.first) * Fraction(frame.time_base)
            if time >= end - Fraction(1, 2) / facts.rate:
                seen = piece.source[1] - piece.source[0]
                break
            if time < begin - Fraction(1, 2) / facts.rate:
                continue
            seen += 1
            due = round((time - begin) * plan.rate)
            while held is not None and shown < min(due, piece.frames):
                held = fit.made(held)
                yield held
                shown += 1
            held = frame
        there = piece.source[1] - piece.source[0]
        if held is None or seen < there - 1:
            raise BrokenShot(shot, f"is cut off: {seen} of its {there} pictures can be decoded")
        while shown < piece.frames:
            held = fit.made(held)
            yield held
            shown += 1


def _fitted(facts: ClipFacts, plan: Plan) -> tuple[int, int, int, int]:
    """Width and height of the picture within the film's, and where it begins: even numbers."""
    width, height = facts.width * facts.aspect, Fraction(facts.height)
    if facts.rotation % 180 == 90:
        width, height = height, width
    scale = min(plan.width / width, plan.height / height)
    across, down = (
        whole if abs(part - whole) < 3 else max(2, round(part / 2) * 2)  # two rows of black would be no bars
        for part, whole in ((width * scale, plan.width), (height * scale, plan.height))
    )
    return across, down, (plan.width - across) // 4 * 2, (plan.height - down) // 4 * 2


class _Fit:
    """Brings the pictures of a shot into the film's shape and colours by filters of FFmpeg, if they are not."""

    def __init__(self, shot: Shot, facts: ClipFacts, plan: Plan) -> None:
        self._shot = shot
        self._facts = facts
        self._plan = plan
        self._graph: Any = None
        self._last: Any = None
        target = colours_of(plan)
        across, down, left, top = _fitted(facts, plan)
        matrix, full = _matrix(facts), facts.colours[3] == FULL
        self._filters = [
            *([_TURNS[facts.rotation]] if facts.rotation in _TURNS else []),
            f"scale={across}:{down}:flags=bicubic+accurate_rnd"
            f":in_range={'full' if full else 'limited'}:out_range=limited"
            f":in_color_matrix={_MATRICES[matrix]}:out_color_matrix={_MATRICES[target.matrix]}",
            "format=yuv420p",
            *(
                [f"pad={plan.width}:{plan.height}:{left}:{top}:black"]
                if (across, down) != (plan.width, plan.height)
                else []
            ),
            "setsar=1",
        ]
        self._as_is = (
            not facts.rotation
            and (facts.width, facts.height) == (plan.width, plan.height)
            and facts.aspect == 1
            and _MATRICES[matrix] == _MATRICES[target.matrix]
            and not full
        )

    def made(self, frame: Any) -> Any:
        """The frame in the film's shape; itself if it is already."""
        if frame is self._last:
            return frame
        if (frame.width, frame.height) != (self._facts.width, self._facts.height):
            raise BrokenShot(
                self._shot,
                f"changes its size from {self._facts.width}×{self._facts.height} to {frame.width}×{frame.height} "
                "within: encode the file to one size first",
            )
        if not (self._as_is and frame.format.name == "yuv420p"):
            frame = self._filtered(frame)
        self._last = frame
        return frame

    def _filtered(self, frame: Any) -> Any:
        if self._graph is None:
            import av

            graph: Any = av.filter.Graph()
            steps = [
                graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
                ),
                *(graph.add(*step.split("=", 1)) for filters in self._filters for step in filters.split(",")),
                graph.add("buffersink"),
            ]
            graph.link_nodes(*steps).configure()
            self._graph = graph
        self._graph.push(frame)
        return self._graph.pull()


def _mixed(before: Any, after: Any, share: float) -> Any:
    import numpy as np

    first, second = (frame.to_ndarray().astype(np.uint16) for frame in (before, after))
    weight = round(share * 256)
    return _frame(((first * (256 - weight) + second * weight + 128) >> 8).astype(np.uint8))


def _darkened(picture: Any, light: float) -> Any:
    if light >= 1:
        return picture
    import numpy as np

    planes = picture.to_ndarray()
    black = np.full(planes.shape, 128, np.uint16)
    black[: picture.height] = 16
    weight = round(light * 256)
    return _frame(((planes.astype(np.uint16) * weight + black * (256 - weight) + 128) >> 8).astype(np.uint8))


def _frame(planes: Any) -> Any:
    import av

    return av.VideoFrame.from_ndarray(planes, format="yuv420p")
