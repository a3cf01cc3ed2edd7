"""Brings sound to a loudness (EBU R 128, ITU-R BS.1770-4), true peaks below a ceiling. FFmpeg measures and limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from aveo3.film.cut.plan import SAMPLE_RATE
from aveo3.film.cut.sound import Block

CEILING = -1.0
"""dBTP that a film does not exceed."""
MARGIN = 0.7
"""dB below the ceiling at which peaks are limited: AAC does not keep them exactly."""
SILENCE = -55.0
"""LUFS below which sound is left as it is: louder it would be noise."""
MOST = 20.0
"""dB that sound is made louder at most."""


class Measured(NamedTuple):
    """Integrated loudness in LUFS, -70 for silence, and the highest true peak in dBTP."""

    loudness: float
    peak: float


def measured(blocks: Iterator[Block]) -> Measured:
    """Measure sound to its end."""
    graph = _graph(("ebur128", "metadata=1:peak=true"))
    loudness, peak = -70.0, 0.0
    for frame in _through(graph, blocks):
        loudness = float(frame.metadata.get("lavfi.r128.I", loudness))
        peak = max(peak, float(frame.metadata.get("lavfi.r128.true_peak", peak)))
    return Measured(loudness if math.isfinite(loudness) else -70.0, 20 * math.log10(max(peak, 1e-6)))


class Levels(NamedTuple):
    """What is done to a film's sound: `gain` in dB, then its peaks are limited or not."""

    gain: float
    limited: bool

    def applied(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The same number of samples, at their new levels."""
        factor = np.float32(10 ** (self.gain / 20))
        louder = (block * factor for block in blocks)
        return _limited(louder) if self.limited else louder


def levels_for(loudness: float, sound: Callable[[], Iterator[Block]]) -> Levels:
    """What brings `sound`, which is read once or twice, to `loudness` in LUFS."""
    before = measured(sound())
    if before.loudness <= SILENCE:
        return Levels(0.0, before.peak > CEILING - MARGIN)
    gain = min(loudness - before.loudness, MOST)
    if before.peak + gain <= CEILING - MARGIN:
        return Levels(gain, False)
    lost = loudness - measured(Levels(gain, True).applied(sound())).loudness  # the limiter takes some
    return Levels(min(gain + min(max(lost, 0.0), 3.0), MOST), True)


def _limited(blocks: Iterator[Block]) -> Iterator[Block]:
    """Limits peaks at four times the rate, where those between samples show."""
    limit = 10 ** ((CEILING - MARGIN) / 20)
    graph = _graph(
        ("aresample", f"{4 * SAMPLE_RATE}"),
        ("alimiter", f"limit={limit:.5f}:attack=5:release=80:level=0:latency=1"),
        ("aresample", f"{SAMPLE_RATE}"),
        ("aformat", f"sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"),
    )
    total = 0

    def counted() -> Iterator[Block]:
        nonlocal total
        for block in blocks:
            total += block.shape[1]
            yield block

    given = 0
    for frame in _through(graph, counted()):
        block = frame.to_ndarray()[:, : total - given]  # the filters may add to the end, or leave out there
        given += block.shape[1]
        yield block
    if given < total:
        yield np.zeros((2, total - given), np.float32)


def _graph(*filters: tuple[str, str]) -> Any:
    import av

    graph: Any = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(format="fltp", sample_rate=SAMPLE_RATE, layout="stereo", time_base=Fraction(1, SAMPLE_RATE)),
        *(graph.add(*each) for each in filters),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _through(graph: Any, blocks: Iterator[Block]) -> Iterator[Any]:
    import av

    make: Any = av.AudioFrame
    at = 0
    for block in blocks:
        frame = make.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
        at += block.shape[1]
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
