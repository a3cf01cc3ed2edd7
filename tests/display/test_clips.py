"""What a notebook shows of clips, batches and films."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aveo3 import Clips, ClipStatus, VideoClip, VideoPrompt
from aveo3.display import films
from aveo3.display.films import Shelf
from aveo3.display.page import COLOURS
from aveo3.film import FilmResult
from aveo3.mock.state.films import FilmSpec, draw

HOSTILE = '<script>alert("$x$")</script><img src=x onerror=alert(1)>"\' & \x1b[2J\u202e'
FILM = draw(FilmSpec("a boat", 4, "16:9", "720p", 0))


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """An empty one: what other tests show takes no room."""
    shelf = Shelf()
    monkeypatch.setattr(films, "SHELF", shelf)
    return shelf


def made(name: str = "clips/1.mp4", content: bytes = FILM) -> Path:
    """A film below the current directory, which is the notebook's."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def clip(status: ClipStatus = ClipStatus.SUCCEEDED, *paths: Path, text: str = "a boat", **values: Any) -> VideoClip:
    values = {"model": "veo-3.1", "cost_usd": 3.2, **values}
    return VideoClip(prompt=VideoPrompt(text=text, id=values.pop("id", None)), status=status, paths=paths, **values)


USED = {"div", "style", "figure", "figcaption", "span", "video", "img", "a"}


class Page(HTMLParser):
    """The elements of a piece of HTML, and its text without the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._said: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "every element is closed"
        self.text = " ".join(" ".join(self._said).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1] != "style":
            self._said.append(data)

    def each(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


def shown(thing: Any) -> Page:
    return Page(thing._repr_html_())


def test_a_clip_shows_its_film_with_a_poster_its_status_model_and_cost() -> None:
    page = shown(clip(ClipStatus.SUCCEEDED, made(), job="2b460fbc"))
    [video] = page.each("video")
    assert (video["src"] or "").startswith("data:video/mp4;base64,AAAA")
    assert (video["poster"] or "").startswith("data:image/webp;base64,")
    assert video["aria-label"] == "a boat"
    assert "controls" in video
    assert page.text == "succeeded a boat veo-3.1 · US$ 3.20 at list price · job 2b460fbc clips/1.mp4"
    [link] = page.each("a")
    assert link["href"] == "./clips/1.mp4"


@pytest.mark.parametrize(
    ("status", "values", "says"),
    [
        (ClipStatus.FILTERED, {"cost_usd": 0.0}, "Blocked by a safety filter, not billed: change the prompt. why."),
        (ClipStatus.DEFERRED, {"cost_usd": None}, "run it again when quota or budget allows. why."),
        (ClipStatus.CANCELLED, {}, "a boat veo-3.1 Never sent, not billed: run it again."),
        (ClipStatus.UNCERTAIN, {}, "may cost US$ 3.20 at list price Sent, outcome unknown, may be billed"),
        (ClipStatus.UNCERTAIN, {"cost_usd": None}, "veo-3.1 · price unknown Sent"),
        (ClipStatus.FAILED, {"cost_usd": 0.0, "sunk_usd": 3.2}, "US$ 3.20 for attempts that were given up"),
        (ClipStatus.FAILED, {"cost_usd": None, "retry_count": 2}, "veo-3.1 · 2 retries The retries are used up"),
    ],
)
def test_a_clip_without_a_video_says_what_to_do_next(status: ClipStatus, values: dict[str, Any], says: str) -> None:
    page = shown(clip(status, error_message="why.", **values))
    assert says in page.text
    assert page.text.startswith(f"{status} a boat veo-3.1")
    assert not list(page.each("video"))


def test_everything_that_others_wrote_is_text() -> None:
    named = made("clips/a#b?c %'\"<b>\udcff.mp4")
    bad = clip(ClipStatus.REJECTED, text=HOSTILE, error_message=HOSTILE, model=HOSTILE, lane=HOSTILE, id=HOSTILE)
    good = clip(ClipStatus.SUCCEEDED, named, text=HOSTILE, job=HOSTILE, instead_of=HOSTILE)
    away = clip(ClipStatus.SUCCEEDED, text=HOSTILE, uris=(f"https://x/{HOSTILE}?key=secret", "gs://b/a.mp4?sig=secret"))
    film = FilmResult(named, {HOSTILE: (good, bad)}, {HOSTILE: good, "b": bad}, (HOSTILE,), f"{HOSTILE}\ud800")
    for thing in (bad, good, away, Clips([bad, good, away]), film):
        page = shown(thing)
        assert {tag for tag, _ in page.elements} <= USED
        assert not [name for _, own in page.elements for name in own if name.startswith("on")]
        assert '<script>alert("$x$")</script>' in page.text
        assert "\x1b" not in page.text
        assert "secret" not in page.text
        thing._repr_html_().encode()  # a half of a character would break the notebook's file
        # What stands between two `$` is a formula to Jupyter, unless these tell it otherwise.
        assert "mathjax_ignore tex2jax_ignore" in (page.elements[0][1]["class"] or "")
    [link] = shown(good).each("a")
    assert link["href"] == "./clips/a%23b%3Fc%20%25%27%22%3Cb%3E%FF.mp4"


def test_a_batch_says_how_many_of_each_kind_there_are_and_what_they_cost() -> None:
    batch = Clips(
        [
            clip(ClipStatus.SUCCEEDED, made(), cached=True),
            clip(ClipStatus.SUCCEEDED, made("clips/2.mp4", FILM + b"\0\0\0\x08free"), cost_usd=1.6),
            clip(ClipStatus.SUCCEEDED, cost_usd=None, uris=("gs://b/a.mp4",)),
            clip(ClipStatus.DEFERRED),
            clip(ClipStatus.UNCERTAIN),
        ]
    )
    page = shown(batch)
    head = "5 clips · 3 succeeded 1 uncertain 1 deferred · US$ 4.80 and 1 of unknown price at list price · "
    assert page.text.startswith(f"{head}US$ 3.20 may be paid · 1 from earlier runs")
    assert len(list(page.each("video"))) == 2
    assert len(list(page.each("figure"))) == 5
    assert "gs://b/a.mp4" in page.text
    assert shown(Clips()).text == "0 clips"
    assert list(COLOURS) == list(ClipStatus)


def test_a_long_batch_shows_first_what_needs_a_person() -> None:
    batch = Clips(clip(index=n, text=f"boat {n}") for n in range(200))
    batch[150] = clip(ClipStatus.FILTERED, index=150, text="boat 150", cost_usd=0.0)
    page = shown(batch)
    assert len(list(page.each("figure"))) == 48
    assert re.findall(r"boat \d+", page.text)[:3] == ["boat 150", "boat 0", "boat 1"]
    assert page.text.endswith("48 of 200 clips are shown, those without a video first. clips.to_dicts() has all.")
    assert page.text.startswith("200 clips · 199 succeeded 1 filtered · US$ 636.80 at list price")


def test_a_notebook_holds_no_more_films_than_it_may(shelf: Shelf) -> None:
    shelf.output, shelf.notebook = len(FILM) * 2.5, len(FILM) * 3.5
    batch = Clips(clip(ClipStatus.SUCCEEDED, made(f"clips/{n}.mp4")) for n in range(5))

    def stored(thing: Any) -> list[bool]:
        return [(video["src"] or "").startswith("data:") for video in shown(thing).each("video")]

    assert stored(batch) == [True, True, False, False, False]
    assert shown(batch).text.count("play from their files, which this notebook does not hold") == 1
    assert stored(batch) == [True, True, False, False, False]  # a cell that is run again takes no more room
    assert stored(batch[2]) == [True]
    assert stored(batch[3]) == [False]
    [video] = shown(batch[3]).each("video")
    assert (video["src"], video["preload"]) == ("./clips/3.mp4", "none")
    assert (video["poster"] or "").startswith("data:image/webp")
    assert "1 film (0.0 MB) plays from its file" in shown(batch[3]).text
    made("clips/0.mp4", FILM + b"\0\0\0\x08free")  # another film
    assert stored(batch[0]) == [False]
    shelf.output = shelf.notebook = 0
    assert stored(batch) == [False] * 5


def test_a_film_that_is_gone_or_no_film_is_said_so_or_has_no_poster() -> None:
    path = made(content=b"no film")
    [video] = shown(clip(ClipStatus.SUCCEEDED, path)).each("video")
    assert "poster" not in video
    path.unlink()
    page = shown(clip(ClipStatus.SUCCEEDED, path))
    assert not list(page.each("video"))
    assert "The file is not there any more. Run it again to fetch the video: it is paid already." in page.text
    path.mkdir()
    assert not list(shown(clip(ClipStatus.SUCCEEDED, path)).each("video"))


def test_a_film_shows_itself_and_the_clip_of_each_scene() -> None:
    first, second = clip(ClipStatus.SUCCEEDED, made()), clip(ClipStatus.FAILED, cost_usd=0.0)
    film = made("clips/film.mp4", FILM + b"\0\0\0\x08free")
    scenes = {"storm": (first,), "calm": (second,)}
    page = shown(FilmResult(film, scenes, {"storm": first, "calm": second}, ("calm",), notes=("A note.",)))
    assert page.text.startswith("film of 2 scenes · US$ 3.20 at list price clips/film.mp4 No video: calm. A note.")
    assert len(list(page.each("video"))) == 1
    assert len(list(page.each("img"))) == 1  # the clips are in the film: a picture of each is enough
    none = shown(FilmResult(None, scenes, {"storm": first}, ("calm",), "calm has no clip"))
    assert "There is no film: calm has no clip" in none.text
    film.unlink()
    gone = shown(FilmResult(film, scenes, {"storm": first}))
    assert "make_film cuts it again from its clips: nothing is paid for that." in gone.text


def test_clips_are_what_they_were() -> None:
    one = clip(ClipStatus.SUCCEEDED, made())
    batch = Clips([one])
    assert pickle.loads(pickle.dumps(batch)) == batch == [one]
    assert type(pickle.loads(pickle.dumps(batch))) is Clips
    assert pickle.loads(pickle.dumps(one)) == one
    assert "_repr_html_" not in one.model_dump()
