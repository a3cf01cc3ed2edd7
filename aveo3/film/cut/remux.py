"""Joins shots without encoding them again: their packets, on the film's clock.

Frame `k` of a shot becomes frame `start + k` of the film, whatever times the file gives it, so that nothing drifts.
Sound comes in packets of some 20 ms. One after another they are put where they belong to within half a packet; where
two shots meet, the decoder gets the packet that leads into the new sound in the place of the old one's last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Shot
from aveo3.film.cut.plan import Piece, Plan
from aveo3.film.cut.sources import opened


class NotCopyable(Exception):
    """The packets cannot be used as they are: `what` of the film has to be encoded."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


def why_not_pictures(plan: Plan) -> str:
    """Why the pictures cannot be copied, as far as facts tell; empty if they can."""
    cut, pieces = plan.cut, plan.pieces
    first = pieces[0].facts
    if any(piece.facts is None for piece in pieces) or first is None:
        return "the film has title cards"
    if any(cut.joins) or cut.fade_in or cut.fade_out:
        return "the film has fades"
    if first.codec != "h264" or first.deep or first.key[4] not in ("yuv420p", "yuvj420p"):
        return f"{pieces[0].item} is not H.264 that every player plays"
    for piece in pieces[1:]:
        if piece.facts and piece.facts.key != first.key:
            return f"{piece.item} has another shape or encoding than {pieces[0].item}"
    if plan.rate != first.rate or (cut.size and cut.size != (first.width, first.height)):
        return "the film has another size or frame rate than its shots"
    return ""


def why_not_sound(plan: Plan) -> str:
    """Why the sound cannot be copied, as far as facts tell; empty if it can, or there is none."""
    sounds = [piece.facts.sound if piece.facts else None for piece in plan.pieces]
    if plan.cut.music is not None:
        return "the film has music"
    if not any(sounds):
        return ""
    if plan.cut.loudness is not None:
        return "the loudness is set"
    if any(
        sound is None or sound.codec != "aac" or sounds[0] is None or sound.key != sounds[0].key for sound in sounds
    ):
        return "not all shots have sound of one kind"
    return ""


def copied(plan: Plan, pictures: Any, sound: Any | None) -> Iterator[tuple[int, Any]]:
    """The packets of a film for its streams `pictures` and `sound`, each with the number of pictures before it.

    Raises `NotCopyable` where the packets turn out to depend on others that are cut off.
    """
    delay = max(piece.facts.delay for piece in plan.pieces if piece.facts)
    tick = 1 / plan.rate
    written = 0
    cursor: int | None = None
    for number, piece in enumerate(plan.pieces):
        assert isinstance(piece.item, Shot)
        place = _placer(piece)
        start = piece.start
        with opened(piece.item) as container:
            video = container.streams.video[0]
            heard = container.streams.audio[0] if sound is not None else None
            take = _sound_window(plan, number, heard) if heard is not None else None
            _seek(container, video, piece)
            index = video.index
            for packet in container.demux([video, heard] if heard is not None else [video]):
                if packet.stream_index == index:
                    if packet.pts is None and packet.size == 0:  # PyAV's sign for the end
                        continue
                    frame = place(packet)
                    if frame is None:
                        continue
                    packet.stream, packet.time_base = pictures, tick
                    packet.pts, packet.dts, packet.duration = start + frame, written - delay, 1
                    if written - delay > start + frame:
                        raise NotCopyable("pictures", f"{piece.item} shows its pictures in an order of its own")
                    written += 1
                elif take is not None and packet.pts is not None:
                    at = take(packet, cursor)
                    if at is None:
                        continue
                    cursor = at + packet.duration
                    packet.stream, packet.pts, packet.dts = sound, at, at
                else:
                    continue
                yield written, packet
        if written != piece.end:
            there = written - piece.start
            raise BrokenShot(piece.item, f"is cut off: {there} of its {piece.frames} pictures are there")


def _seek(container: Any, video: Any, piece: Piece) -> None:
    facts = piece.facts
    if facts and piece.source[0]:
        container.seek(facts.first + int(piece.source[0] / facts.rate / facts.time_base), stream=video)


def _placer(piece: Piece) -> Callable[[Any], int | None]:
    """Tells the number of a packet's picture in the piece; None for one that is not in it."""
    facts = piece.facts
    assert facts is not None
    (first, end), origin = piece.source, facts.first
    up, down = (facts.time_base * facts.rate).as_integer_ratio()  # whole numbers: this runs for each packet
    begun = past = False

    def place(packet: Any) -> int | None:
        nonlocal begun, past
        if packet.pts is None or packet.is_corrupt:
            raise NotCopyable("pictures", f"{piece.item} has pictures without a time, or broken ones")
        number, rest = divmod((packet.pts - origin) * up * 2 + down, down * 2)
        if abs(rest - down) * 2 > down:
            raise NotCopyable("pictures", f"{piece.item} has no steady frame rate")
        if packet.is_discard or not first <= number < end:
            past = past or number >= end
            return None
        if not begun and not (packet.is_keyframe and number == first):
            raise NotCopyable("pictures", f"{piece.item} does not begin at a picture that stands by itself")
        if past:
            raise NotCopyable("pictures", f"{piece.item} ends at a picture that needs later ones")
        begun = True
        return int(number - first)

    return place


def _sound_window(plan: Plan, number: int, stream: Any) -> Callable[[Any, int | None], int | None]:
    """Tells where in the film, in samples, a packet of piece `number` sounds; None for one that is not in it."""
    piece = plan.pieces[number]
    facts = piece.facts
    assert facts is not None
    assert facts.sound is not None
    rate = facts.sound.rate
    if stream.time_base != Fraction(1, rate):
        raise NotCopyable("sound", f"the sound of {piece.item} has no regular packets")
    begin, end = (round(frame * rate / plan.rate) for frame in (piece.start, piece.end))
    shift = begin - round((facts.first * facts.time_base + piece.source[0] / facts.rate) * rate)
    following = plan.pieces[number + 1] if number + 1 < len(plan.pieces) else None
    leads_in = following is not None and _leads_in(following)
    length = 0

    def take(packet: Any, cursor: int | None) -> int | None:
        nonlocal length
        length = max(length, packet.duration)
        if not length:
            raise NotCopyable("sound", f"the sound of {piece.item} has no regular packets")
        at: int = packet.pts + shift
        if following:
            packet.duration = length  # a file may shorten its last packet, but the decoder does not
        if at < begin - length * 3 // 2 or at >= end:
            return None
        if cursor is None:
            return at
        if at < cursor - length // 2 or (following and cursor > end - length * leads_in - length // 2):
            return None
        if at > cursor + length // 2 + 1:
            raise NotCopyable("sound", f"the sound of {piece.item} has a gap")
        return cursor

    return take


def _leads_in(piece: Piece) -> bool:
    """Whether a packet before the piece's sound prepares the decoder for it."""
    facts = piece.facts
    return bool(facts and facts.sound and (piece.source[0] or facts.sound.first < facts.first * facts.time_base))
