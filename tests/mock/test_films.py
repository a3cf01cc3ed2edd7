"""The films: playable MP4s with the ordered length, and equal bytes for equal orders."""

import io
import math

import pytest

from aveo3.mock.state import film_marks, films
from aveo3.mock.state.films import Films, FilmSpec, bundled

av = pytest.importorskip("av")
SPEC = FilmSpec("A paper boat on a river", 4, "16:9", "720p", 0)


def frames(film: bytes) -> list[bytes]:
    with av.open(io.BytesIO(film)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("seconds", "aspect", "size"), [(4, "16:9", (320, 180)), (8, "9:16", (180, 320)), (148, "16:9", (320, 180))]
)
def test_a_film_has_the_ordered_shape_and_length(seconds: int, aspect: str, size: tuple[int, int]) -> None:
    film = films.draw(SPEC._replace(seconds=seconds, aspect=aspect))
    with av.open(io.BytesIO(film)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert container.duration / 1e6 == pytest.approx(seconds, abs=0.1)


def test_a_film_moves_and_shows_its_prompt() -> None:
    ours, other = frames(films.draw(SPEC)), frames(films.draw(SPEC._replace(prompt="A red fox in snow")))
    assert len(set(ours)) > len(ours) // 2
    assert ours[0] != other[0]


def test_equal_orders_give_equal_bytes_so_that_a_download_can_be_resumed() -> None:
    assert films.draw(SPEC) == films.draw(SPEC)
    assert films.draw(SPEC) != films.draw(SPEC._replace(sample=1))


@pytest.mark.parametrize("prompt", ["", "word " * 400, "日本の川に浮かぶ紙の船", "x" * 2000, "two\nlines\ttab"])
def test_any_prompt_can_be_shown(prompt: str) -> None:
    assert films.draw(SPEC._replace(prompt=prompt))[4:8] == b"ftyp"


async def test_a_few_films_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[FilmSpec] = []

    def draw(spec: FilmSpec) -> bytes:
        drawn.append(spec)
        return spec.prompt.encode()

    monkeypatch.setattr(films, "draw", draw)
    cache = Films("drawn")
    for number in (*range(20), 19, 0):
        assert await cache.film(SPEC._replace(prompt=str(number))) == str(number).encode()
    assert len(drawn) == 21  # 19 was in the cache, 0 was not


def test_the_bundled_film_is_small_and_plays() -> None:
    assert len(bundled()) <= 24_000  # pictures 12 kB, sound 10
    assert len(frames(bundled())) == 192
    assert len(heard(bundled())) == 8


async def test_without_pyav_every_film_is_the_bundled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "can_draw", lambda: False)
    assert await Films("auto").film(SPEC) == bundled()
    with pytest.raises(RuntimeError, match=r"pip install 'aveo3\[video\]', or use films='bundled'\."):
        Films("drawn")


def heard(film: bytes) -> list[float]:
    """When beeps begin, in seconds."""
    found, sounding, last = [], False, 0
    with av.open(io.BytesIO(film)) as container:
        for frame in container.decode(audio=0):
            start = round(frame.time * frame.sample_rate)
            for at, level in enumerate(memoryview(frame.planes[0]).cast("f")[: frame.samples], start):
                if abs(level) > 0.1:
                    if not sounding:
                        found.append(at / frame.sample_rate)
                    sounding, last = True, at
                elif at - last > frame.sample_rate // 10:
                    sounding = False
    return found


@pytest.mark.parametrize("seconds", [4, 5.5])
def test_each_picture_says_its_number_and_each_second_begins_with_a_beep(seconds: float) -> None:
    spec = SPEC._replace(seconds=seconds)
    film = films.draw(spec)
    with av.open(io.BytesIO(film)) as container:
        marks = [
            film_marks.read_mark(memoryview(frame.planes[0]), frame.planes[0].line_size, frame.height)
            for frame in container.decode(video=0)
        ]
    assert marks == [(spec.mark, number) for number in range(round(seconds * 24))]
    assert heard(film) == pytest.approx(range(math.ceil(seconds)), abs=0.0005)


def test_a_film_that_was_ordered_without_sound_has_none() -> None:
    with av.open(io.BytesIO(films.draw(SPEC._replace(sound=False)))) as container:
        assert [stream.type for stream in container.streams] == ["video"]
