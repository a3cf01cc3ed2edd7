"""The films: playable MP4s with the ordered length, and equal bytes for equal orders."""

import io

import pytest

from aveo3.mock.state import films
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
    assert len(bundled()) <= 20_000
    assert len(frames(bundled())) == 192


async def test_without_pyav_every_film_is_the_bundled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "can_draw", lambda: False)
    assert await Films("auto").film(SPEC) == bundled()
    with pytest.raises(RuntimeError, match=r"pip install 'aveo3\[video\]', or use films='bundled'\."):
        Films("drawn")
