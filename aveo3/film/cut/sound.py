"""The sound of a film, one block of samples after another: that of the shots, mixed where they overlap, and music.

Blocks are arrays of 32-bit floats, 2 channels by any number of samples, at `SAMPLE_RATE`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Music, Shot
from aveo3.film.cut.plan import SAMPLE_RATE, Piece, Plan
from aveo3.film.cut.sources import opened

Block = NDArray[np.float32]
BLOCK = 4800
"""Samples in a block, 100 ms; the last one of a film is shorter."""
_HOP = 480
"""Samples over which a level is taken for the music to give way."""
QUIET, LOUD = -50.0, -30.0
"""dBFS of the shots from which on the music gives way, and at which it does wholly."""
ATTACK, RELEASE = 0.05, 0.6
"""Seconds that the music takes to give way, and to come back."""


def has_sound(plan: Plan) -> bool:
    """Whether the film has any: a shot with sound, or music."""
    return plan.cut.music is not None or any(piece.facts and piece.facts.sound for piece in plan.pieces)


def film_sound(plan: Plan) -> Iterator[Block]:
    """All sound of the film at its original levels, to the sample as long as the pictures."""
    blocks = in_blocks(_shots(plan))
    return blocks if plan.cut.music is None else _with_music(blocks, plan.cut.music, plan.sample(plan.frames))


class Reader:
    """Gives blocks out in any length, and silence after their end."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest: Block = np.zeros((2, 0), np.float32)

    def read(self, samples: int) -> Block:
        parts, missing = [self._rest[:, :0]], samples
        while missing > 0:
            if not self._rest.shape[1]:
                self._rest = next(self._blocks, np.zeros((2, missing), np.float32))
            parts.append(self._rest[:, :missing])
            self._rest = self._rest[:, missing:]
            missing -= parts[-1].shape[1]
        return np.concatenate(parts, 1)


def in_blocks(parts: Iterator[Block]) -> Iterator[Block]:
    """The same samples in blocks of `BLOCK`."""
    rest: Block = np.zeros((2, 0), np.float32)
    for part in parts:
        rest = np.concatenate((rest, part), 1) if rest.shape[1] else part
        while rest.shape[1] >= BLOCK:
            yield rest[:, :BLOCK]
            rest = rest[:, BLOCK:]
    if rest.shape[1]:
        yield rest


def _shots(plan: Plan) -> Iterator[Block]:
    tail: Block = np.zeros((2, 0), np.float32)
    for piece in plan.pieces:
        start = plan.sample(piece.start)
        mixed = plan.sample(piece.start + piece.mixed_in) - start
        until = plan.sample(piece.end - piece.mixed_out) - start
        whole = plan.sample(piece.end) - start
        reader = Reader(_piece_sound(piece, plan))
        if mixed:
            yield tail + reader.read(mixed) * _ramp(mixed)
        for at in range(mixed, until, BLOCK):
            yield reader.read(min(BLOCK, until - at))
        tail = reader.read(whole - until) * _ramp(whole - until)[::-1]


def _ramp(samples: int) -> Block:
    """From 0 to 1, so that two different sounds that are mixed stay as loud as one."""
    return np.sin(np.linspace(0, math.pi / 2, samples, dtype=np.float32))


def _piece_sound(piece: Piece, plan: Plan) -> Iterator[Block]:
    """The sound of a shot, faded as its pictures are; it may end early. Nothing for a card."""
    facts = piece.facts
    if facts is None or facts.sound is None or not isinstance(piece.item, Shot):
        return
    begin = facts.first * facts.time_base + piece.source[0] / facts.rate
    samples = plan.sample(piece.end) - plan.sample(piece.start)
    rise = plan.sample(piece.start + piece.black_in) - plan.sample(piece.start)
    fall = plan.sample(piece.end) - plan.sample(piece.end - piece.black_out)
    at = 0
    for block in decoded(piece.item, begin):
        length = block.shape[1]
        if at < rise or at + length > samples - fall:
            place = np.arange(at, at + length, dtype=np.float32)
            light = np.minimum(place / max(rise, 1), (samples - place) / max(fall, 1))
            block = block * np.clip(light, 0, 1)
        yield block
        at += length
        if at >= samples:
            return


def decoded(item: Shot | Music, begin: Fraction = Fraction(0)) -> Iterator[Block]:
    """The sound of a file from `begin` (seconds on the file's clock) to its end, gaps filled with silence."""
    from av.stream import Discard

    with opened(item) as container:
        if not container.streams.audio:
            raise BrokenShot(item, "has no sound")
        audio = container.streams.audio[0]
        for other in container.streams:
            if other is not audio:
                other.discard = Discard.all
        if begin > 0:
            container.seek(int(max(0, begin - Fraction(1, 5)) / audio.time_base), stream=audio)
        graph: Any = None
        kind: Any = None
        for frame in container.decode(audio):
            if (frame.format.name, frame.layout.name, frame.sample_rate) != kind:
                if graph is not None:  # sound that changes its kind within a file goes on where it was
                    graph.push(None)
                    yield from _pulled(graph)
                graph = _resampler(frame, first=kind is None)
                kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if frame.pts is not None:
                frame.pts = round((frame.pts * frame.time_base - begin) * frame.sample_rate)
                frame.time_base = Fraction(1, frame.sample_rate)
            graph.push(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)


def _resampler(frame: Any, *, first: bool) -> Any:
    """Brings frames like this one to 48 kHz and two channels. What is missing by their times becomes silence."""
    import av

    graph: Any = av.filter.Graph()
    rate, layout = frame.sample_rate, frame.layout
    one = layout.nb_channels == 1
    graph.link_nodes(
        graph.add_abuffer(format=frame.format.name, sample_rate=rate, layout=layout.name, time_base=Fraction(1, rate)),
        graph.add("aresample", f"{SAMPLE_RATE}:async=1:min_hard_comp=0.01" + (":first_pts=0" if first else "")),
        *([graph.add("pan", "stereo|c0=c0|c1=c0")] if one else []),  # both sides as loud as the one
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _pulled(graph: Any) -> Iterator[Block]:
    import av

    while True:
        try:
            block: Block = graph.pull().to_ndarray()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if not np.isfinite(block).all():  # as broken files of floats have it
            np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        yield block


def _with_music(blocks: Iterator[Block], music: Music, samples: int) -> Iterator[Block]:
    reader = Reader(_repeated(music))
    level = 10 ** (music.level_db / 20)
    fade = max(1, min(samples, round(music.fade_out * SAMPLE_RATE)))
    give_way = _GiveWay(music.duck_db)
    at = 0
    for block in blocks:
        length = block.shape[1]
        left = (samples - at - np.arange(length, dtype=np.float32)) / fade
        gain = np.minimum(left, 1) * level if left[-1] < 1 else level
        yield block + reader.read(length) * np.float32(gain * give_way.gain(block))
        at += length


def _repeated(music: Music) -> Iterator[Block]:
    while True:
        empty = True
        for block in decoded(music, _first_time(music)):
            empty = empty and not block.shape[1]
            yield block
        if empty:
            raise BrokenShot(music, "has no sound")
        if not music.loop:
            return


def _first_time(music: Music) -> Fraction:
    with opened(music) as container:
        stream = container.streams.audio[0] if container.streams.audio else None
        return (stream.start_time or 0) * stream.time_base if stream else Fraction(0)


class _GiveWay:
    """How much lower the music is, from what the shots sound like."""

    def __init__(self, most_db: float) -> None:
        self._most = most_db
        self._db = 0.0

    def gain(self, block: Block) -> Block:
        """The factor for each sample of music under `block`."""
        length = block.shape[1]
        hops = -(-length // _HOP)
        padded = np.zeros((2, hops * _HOP), np.float32)
        padded[:, :length] = block
        power = np.square(padded).reshape(2, hops, _HOP).mean((0, 2))
        wanted = np.clip((10 * np.log10(power + 1e-12) - QUIET) / (LOUD - QUIET), 0, 1) * self._most
        steps = [self._db]
        for each in wanted:
            seconds = ATTACK if each > self._db else RELEASE
            self._db += (each - self._db) * (1 - math.exp(-_HOP / SAMPLE_RATE / seconds))
            steps.append(self._db)
        lower = np.interp(np.arange(length) / _HOP, np.arange(hops + 1), steps)
        return np.power(10, -lower / 20).astype(np.float32)
