"""The sound of a film: its loudness, its peaks, and music that gives way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aveo3.film.cut import Card, Cut, Music, Shot, assemble
from aveo3.film.cut.loudness import CEILING, levels_for, measured
from aveo3.film.cut.sound import BLOCK, Block, decoded, in_blocks

av: Any = pytest.importorskip("av")
RATE = 48_000


def tone(seconds: float, level: float, hertz: float = 997) -> Block:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def blocks(*parts: Block) -> Iterator[Block]:
    return in_blocks(iter(parts))


def whole(parts: Iterator[Block]) -> Block:
    return np.concatenate(list(parts), 1)


def wav(path: Path, samples: Block) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.reshape(1, -1)), format="flt", layout="stereo"
        )
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("level", [0.02, 0.2, 0.9])
def test_sound_is_brought_to_its_loudness(level: float) -> None:
    levels = levels_for(-14, lambda: blocks(tone(4, level)))
    after = whole(levels.applied(blocks(tone(4, level))))
    assert after.shape == (2, 4 * RATE)
    assert measured(blocks(after)).loudness == pytest.approx(-14, abs=0.2)


def test_peaks_between_samples_stay_below_the_ceiling_and_nothing_moves() -> None:
    # A quarter of the sampling rate, off its peaks: samples at 0.7 of what is between them.
    wave = np.sin(np.pi / 2 * np.arange(4 * RATE) + np.pi / 4).astype(np.float32)
    bursts = np.stack([wave, wave]) * (np.arange(4 * RATE) % (RATE // 4) < 120)
    levels = levels_for(-14, lambda: blocks(bursts))
    assert levels.limited
    after = whole(levels.applied(blocks(bursts)))
    assert after.shape == bursts.shape
    assert measured(blocks(after)).peak <= CEILING
    loud = np.flatnonzero(np.abs(after[0]) > 0.2)
    assert loud[0] <= 24
    assert loud[-1] == pytest.approx(4 * RATE - RATE // 4 + 120, abs=24)


@pytest.mark.parametrize("level", [0.0, 1e-4, float("nan")])
def test_silence_stays_silence_and_noise_is_not_blown_up(tmp_path: Path, level: float) -> None:
    noise = np.random.default_rng(1).standard_normal((2, RATE)).astype(np.float32) * level
    heard = whole(decoded(Music(wav(tmp_path / "noise.wav", noise))))
    assert np.isfinite(heard).all()
    levels = levels_for(-14, lambda: blocks(heard))
    assert levels == (0.0, False)


def test_music_is_as_long_as_the_film_fades_out_and_gives_way_to_the_shots(tmp_path: Path) -> None:
    music = Music(wav(tmp_path / "music.wav", tone(1.3, 0.5, 400)), level_db=-6, duck_db=12, fade_out=1)
    speech = tmp_path / "speech.mp4"
    with av.open(str(speech), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="stereo")
        for number in range(48):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for at in range(0, 2 * RATE, 1024):
            block = tone(3, 0.3, 3000)[:, at : at + 1024]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, at
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    cut = Cut([Card("alone", 2), Shot(speech), Card("alone", 4)], music=music, loudness=None, size=(64, 64))
    result = assemble(cut, tmp_path / "film.mp4", preset="ultrafast")
    samples = whole(decoded(Shot(result.path)))
    assert samples.shape[1] == pytest.approx(8 * RATE, abs=1024)

    def loud(begin: float, end: float) -> float:
        part = samples[0, round(begin * RATE) : round(end * RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(part.size))) * 4 / part.size
        place = round(400 * part.size / RATE)
        return float(20 * np.log10(spectrum[place - 3 : place + 4].max()))

    alone = loud(0.2, 1.2)
    assert alone == pytest.approx(-12, abs=0.7)  # 0.5 of full scale, 6 dB lower
    assert loud(2.5, 3.5) == pytest.approx(alone - 12, abs=1)
    assert loud(6.0, 6.9) == pytest.approx(alone, abs=1)
    assert loud(7.45, 7.55) == pytest.approx(alone - 6, abs=1.5)  # in the middle of its fade
    assert np.abs(samples[0, round(7.99 * RATE) : 8 * RATE]).max() < 0.02


def test_a_file_whose_sound_begins_late_and_has_a_gap_stays_in_step(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=44_100, layout="mono")
        for start in (0.5, 2.0):
            samples = (tone(1, 0.5)[:1, :44_100] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44_100, round(start * 44_100)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    heard = np.abs(whole(decoded(Music(path)))[0]) > 0.1
    edges = np.flatnonzero(heard)
    jumps = edges[1:][np.diff(edges) > 4800] / RATE
    assert edges[0] / RATE == pytest.approx(0.5, abs=0.002)
    assert list(jumps) == pytest.approx([2.0], abs=0.002)
    assert BLOCK == 4800
