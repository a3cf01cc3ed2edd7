"""The films: real, playable MP4s with a moving picture that shows the prompt; without PyAV, one small bundled film.

They are H.264 and AAC, at 320×180 (or 180×320) whatever the resolution of the order: a film has to be downloaded,
recognised and played, and to be made in about a tenth of a second. `film_marks` says what
can be read from their pictures and heard. `python -m aveo3.mock.state.films` makes the
bundled film again.
"""

import asyncio
import io
import math
import textwrap
import zlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aveo3.mock.state import film_marks

BUNDLED = Path(__file__).with_name("film.mp4")
_LONG, _SHORT = 320, 180
_KEPT = 16  # films in the cache, ~100 kB each: enough for a client that resumes, and little memory
_MOST_FRAMES = 200
_BLOCK = 1024  # samples in a packet of AAC
_SILENT = 30  # a packet between two beeps


class FilmSpec(NamedTuple):
    """Everything that decides the bytes of a film. Equal specs give equal bytes, so that a download can be resumed."""

    prompt: str
    seconds: float
    aspect: str
    resolution: str
    sample: int
    sound: bool = True

    @property
    def mark(self) -> int:
        """What the marks of its pictures call the film: films of one folder should differ."""
        return (zlib.crc32(self.prompt.encode()) >> 8) + self.sample & 255


def can_draw() -> bool:
    return find_spec("av") is not None and find_spec("PIL") is not None


class Films:
    """Makes films on demand, in threads, at most two at a time."""

    def __init__(self, mode: Literal["auto", "drawn", "bundled"] = "auto") -> None:
        if mode == "drawn" and not can_draw():
            raise RuntimeError(
                "films='drawn' needs PyAV and Pillow: pip install 'aveo3[video]', or use films='bundled'."
            )
        self._draws = mode == "drawn" or (mode == "auto" and can_draw())
        self._recent: OrderedDict[FilmSpec, bytes] = OrderedDict()
        self._drawing = asyncio.Semaphore(2)
        self._threads = ThreadPoolExecutor(2, "aveo3-films")  # a program may keep the loop's own threads busy

    async def film(self, spec: FilmSpec) -> bytes:
        if not self._draws:
            return bundled()
        async with self._drawing:
            if spec not in self._recent:
                self._recent[spec] = await asyncio.get_running_loop().run_in_executor(self._threads, draw, spec)
                while len(self._recent) > _KEPT:
                    self._recent.popitem(last=False)
            self._recent.move_to_end(spec)
            return self._recent[spec]


@cache
def bundled() -> bytes:
    return BUNDLED.read_bytes()


def draw(spec: FilmSpec, *, preset: str = "ultrafast", crf: int = 30, bit_rate: int = 64_000) -> bytes:
    """Encode one film: the prompt on a slowly changing colour, a bar that grows, and a beep each second."""
    import av

    width, height = (_SHORT, _LONG) if spec.aspect == "9:16" else (_LONG, _SHORT)
    rate = max(1, min(24, int(_MOST_FRAMES // spec.seconds)))
    frames = round(rate * spec.seconds)
    tint = zlib.crc32(spec.prompt.encode())  # films in one folder should differ in colour
    blank: Any = av.VideoFrame  # partly untyped in PyAV
    card = blank.from_image(_card(spec, width, height)).reformat(format="yuv420p")
    stride, luma = card.planes[0].line_size, bytes(card.planes[0])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        # One thread: x264 then gives the same bytes each time, and the other cores stay free for the user.
        stream.options = {"preset": preset, "crf": str(crf), "threads": "1"}
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound = _Sound(container, spec.seconds, bit_rate) if spec.sound else None
        for number in range(frames):
            frame = blank(width, height, "yuv420p")
            picture = _with_bar(luma, stride, height, width * (number + 1) // frames)
            film_marks.mark(picture, stride, height, spec.mark, number)
            frame.planes[0].update(bytes(picture))
            # Only the colours change: planes of one repeated byte are cheap to make and to encode.
            drift = number * 32 // frames
            for plane, byte in ((1, 80 + tint % 64 + drift), (2, 144 - tint // 64 % 64 + drift)):
                frame.planes[plane].update(bytes([byte]) * frame.planes[plane].buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
            if sound:
                sound.until((number + 1) / rate)
        container.mux(stream.encode(None))
        if sound:
            sound.until(math.inf)
    return file.getvalue()


class _Sound:
    """The beeps of a film, put into `container` side by side with its pictures."""

    def __init__(self, container: Any, seconds: float, bit_rate: int) -> None:
        self._container = container
        self._stream = _sound_stream(container, bit_rate)
        self._packets = _sound_packets(bit_rate)
        self._next = 0
        self._end = round(seconds * film_marks.SAMPLE_RATE)

    def until(self, seconds: float) -> None:
        import av

        while (at := (self._next - 1) * _BLOCK) < min(
            seconds * film_marks.SAMPLE_RATE, self._end
        ):  # the first leads in
            period = len(self._packets) // 2
            number = self._next % period + (period if self._next >= period else 0)
            if at + 2 * _BLOCK > self._end:  # it would hold the beginning of a beep after the end
                number = _SILENT
            packet: Any = av.Packet(self._packets[number])
            packet.stream, packet.time_base = self._stream, self._stream.time_base
            packet.pts, packet.dts, packet.duration, packet.is_keyframe = at, at, min(_BLOCK, self._end - at), True
            self._container.mux_one(packet)
            self._next += 1


def _sound_stream(container: Any, bit_rate: int) -> Any:
    stream = container.add_stream("aac", rate=film_marks.SAMPLE_RATE, layout="stereo")
    stream.bit_rate = bit_rate
    stream.time_base = Fraction(1, film_marks.SAMPLE_RATE)
    stream.codec_context.open()
    return stream


@cache
def _sound_packets(bit_rate: int) -> tuple[bytes, ...]:
    """Two periods of encoded beeps; the second repeats. Encoded once, as that takes longer than a film's pictures.

    Blocks of AAC and seconds begin together each 8 seconds, which are 375 blocks.
    """
    import av

    packets: list[bytes] = []
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream = _sound_stream(container, bit_rate)
        for number, block in enumerate(film_marks.beeps(16, block=_BLOCK)):
            frame: Any = av.AudioFrame(format="fltp", layout="stereo", samples=_BLOCK)
            for plane in frame.planes:
                plane.update(block)
            frame.sample_rate, frame.pts = film_marks.SAMPLE_RATE, number * _BLOCK
            packets += [bytes(each) for each in stream.encode(frame)]
    return tuple(packets[:750])


def _card(spec: FilmSpec, width: int, height: int) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    card = Image.new("RGB", (width, height), (48, 56, 72))
    pen = ImageDraw.Draw(card)
    lines = textwrap.wrap(spec.prompt, width // 9) or ["(no prompt)"]
    pen.multiline_text(
        (12, 12), "\n".join(lines[: height // 24]), font=ImageFont.load_default(16), fill=(240, 240, 240)
    )
    caption = f"#{spec.sample + 1} · {spec.seconds:g} s · {spec.aspect} · {spec.resolution} (drawn small)"
    pen.text((12, height - 30), caption, font=ImageFont.load_default(10), fill=(180, 180, 180))
    return card


def _with_bar(luma: bytes, stride: int, height: int, length: int) -> bytearray:
    picture = bytearray(luma)
    for row in range(height - 8, height):
        picture[row * stride : row * stride + length] = b"\xe0" * length
    return picture


if __name__ == "__main__":
    spec = FilmSpec("aveo3 emulator. Install aveo3[video] and films show their prompt.", 8, "16:9", "720p", 0)
    BUNDLED.write_bytes(draw(spec, preset="veryslow", crf=38, bit_rate=24_000))
    print(f"{BUNDLED}: {BUNDLED.stat().st_size:,} bytes")
