"""The streams of a film that are encoded: H.264 and AAC, which every browser and player plays."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from aveo3.film.cut.pictures import LIMITED, colours_of
from aveo3.film.cut.plan import SAMPLE_RATE, Plan
from aveo3.film.cut.sound import Block

BIT_RATE = 192_000
"""Bits per second of the sound."""


class PictureTrack:
    """Encodes pictures one after another. libx264 runs in threads of its own, as many as there are processors."""

    def __init__(self, container: Any, plan: Plan, crf: int, preset: str) -> None:
        self._container = container
        self._rate = plan.rate
        self._stream = container.add_stream("libx264", rate=plan.rate)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = plan.width, plan.height, "yuv420p"
        context.time_base = self._stream.time_base = 1 / plan.rate
        context.thread_count = 0
        context.thread_type = "FRAME"  # threads that share one picture, PyAV's default, are slower and compress less
        context.options = {"crf": str(crf), "preset": preset}
        colours = colours_of(plan)
        context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        context.colorspace, context.color_range = colours.matrix, LIMITED
        self._written = 0

    def put(self, picture: Any) -> None:
        picture.pts, picture.time_base = self._written, 1 / self._rate
        picture.pict_type = 0  # a file's key frames are not the film's
        self._written += 1
        self._container.mux(self._stream.encode(picture))

    def end(self) -> None:
        self._container.mux(self._stream.encode(None))


class SoundTrack:
    """Encodes sound as far as the pictures are."""

    def __init__(self, container: Any, plan: Plan, blocks: Iterator[Block]) -> None:
        self._container = container
        self._plan = plan
        self._blocks = blocks
        self._stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        self._stream.bit_rate = BIT_RATE
        self._samples = 0

    def until(self, frame: int) -> None:
        """Encode what sounds before picture `frame`."""
        import av

        make: Any = av.AudioFrame
        end = self._plan.sample(frame)
        while self._samples < end:
            block = next(self._blocks, None)
            if block is None:
                return
            sound = make.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, self._samples, Fraction(1, SAMPLE_RATE)
            self._samples += block.shape[1]
            self._container.mux(self._stream.encode(sound))

    def end(self) -> None:
        self.until(self._plan.frames)
        self._container.mux(self._stream.encode(None))
