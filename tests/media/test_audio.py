"""Sound comes out of every container in one form, and out of broken ones as far as it goes."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omni_agent.errors import MediaError
from omni_agent.media import audio

SECONDS = 4


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """Four seconds: 440 Hz in the first two, silence after."""
    require("ffmpeg")
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=2", "-af", f"apad=whole_dur={SECONDS}", "-ar", "48000", str(path))
    return path


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def frequency(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * audio.RATE / len(samples))


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 6)])
@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "flac", "ogg", "webm", "mkv"])
def test_every_container_rate_and_layout_sounds_the_same(
    tone: Path, tmp_path: Path, suffix: str, rate: int, channels: int
) -> None:
    """The tone is where it was, as loud as it was, and at its own pitch."""
    if (suffix == "mp3" and channels > 2) or (suffix == "webm" and rate == 44_100):
        channels, rate = 2, 48_000  # MP3 has two channels, Opus no 44.1 kHz
    path = tmp_path / f"tone.{suffix}"
    ffmpeg("-i", str(tone), "-ar", str(rate), "-ac", str(channels), str(path))
    sound = audio.load(path)
    assert sound.samples.dtype == np.float32 and sound.rate == audio.RATE
    assert sound.duration == pytest.approx(SECONDS, abs=0.15)
    loud, quiet = sound.samples[8_000:24_000], sound.samples[40_000:60_000]
    assert frequency(loud) == pytest.approx(440, abs=4)
    assert np.abs(quiet).max() < 0.01 < np.abs(loud).max()


def test_blocks_are_the_whole(tone: Path) -> None:
    """Blocks follow each other without a gap and together are what load() gives."""
    track = audio.probe(tone)
    assert track is not None
    blocks = list(track.blocks(0.7))
    assert [round(block.start, 3) for block in blocks] == [round(0.7 * n, 3) for n in range(len(blocks))]
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), audio.load(tone).samples)
    assert track.length == pytest.approx(SECONDS, abs=0.01) and not track.damage


def test_opposite_channels_do_not_cancel_out(tmp_path: Path) -> None:
    """A recording whose channels are in opposite phase is heard, not silent."""
    path = tmp_path / "phase.wav"
    wave_at = (np.sin(np.arange(16_000) / 16_000 * 2 * np.pi * 300) * 20_000).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.stack([wave_at, -wave_at], axis=1).tobytes())
    assert np.abs(audio.load(path).samples).max() == pytest.approx(20_000 / 32_768, abs=0.02)


def test_sound_that_starts_late_in_a_video_is_put_where_it_belongs(tone: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=duration=7:size=64x64:rate=10", "-itsoffset", "3", "-i", str(tone), str(path)
    )  # fmt: skip
    samples = audio.load(path).samples
    first = int(np.argmax(np.abs(samples) > 0.05)) / audio.RATE
    assert first == pytest.approx(3.0, abs=0.1)


def test_a_video_without_sound_has_no_track(tmp_path: Path, require: Callable[..., None]) -> None:
    require("ffmpeg")
    path = tmp_path / "silent.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=10", str(path))
    assert audio.probe(path) is None
    with pytest.raises(MediaError, match="no sound track"):
        audio.load(path)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "webm", "mkv"])
def test_a_file_cut_in_the_middle_gives_what_decodes_and_says_so(tone: Path, tmp_path: Path, suffix: str) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    noise = "anoisesrc=duration=8:amplitude=0.3"  # so that no codec packs the second half into nothing
    ffmpeg("-f", "lavfi", "-i", noise, "-ar", "16000", str(whole))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    track = audio.probe(cut, "cut")
    assert track is not None
    assert 2.5 < track.load().duration < 5
    assert "cut ends at" in track.damage or "breaks off" in track.damage


def test_damage_in_the_middle_is_skipped(tmp_path: Path, require: Callable[..., None]) -> None:
    require("ffmpeg")
    path = tmp_path / "hurt.flac"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=duration=8:amplitude=0.3", "-ar", "16000", str(path))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4_000] = bytes(4_000)
    path.write_bytes(data)
    track = audio.probe(path, "hurt")
    assert track is not None
    assert track.load().duration > 6


def test_length_zero_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "zero.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    with pytest.raises(MediaError, match="no sound"):
        audio.load(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.wav", b"hello\n" * 50),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n"),
        ("list.wav", b"ffconcat version 1.0\nfile other.wav\n"),
        ("riff.wav", b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00" + b"\xff" * 64),
        ("half.mp4", b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00" * 500),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    """Also a playlist: nothing but the named file is opened."""
    path = tmp_path / name
    path.write_bytes(content)
    (tmp_path / "other.wav").write_bytes(b"")
    with pytest.raises(MediaError) as caught:
        audio.load(path, name)
    assert str(caught.value).startswith(name) and "\n" not in str(caught.value)


def test_a_wrong_time_stamp_does_not_become_hours_of_silence(tone: Path, tmp_path: Path) -> None:
    """The second half of the track claims to be played at one hour less a bit; the container claims eight seconds."""
    path = tmp_path / "jump.nut"
    shift = "asetpts='PTS+if(gt(T,2),3000/TB,0)'"
    ffmpeg("-i", str(tone), "-af", shift, "-c:a", "pcm_s16le", str(path))
    track = audio.probe(path)
    assert track is not None
    track.duration = 8.0
    assert track.load().duration < 8


def test_time_stamps_that_claim_days_end_at_the_limit(
    tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second of the track claims to be played 50 minutes after the one before; the limit is set to one hour."""
    monkeypatch.setattr(audio, "MAX_HOURS", 1.0)
    path = tmp_path / "days.nut"
    ffmpeg("-i", str(tone), "-af", "asetpts='PTS+floor(T)*3000/TB'", "-c:a", "pcm_s16le", str(path))
    track = audio.probe(path, "days")
    assert track is not None
    track.duration = None  # what a container that states no length gives
    heard = sum(block.duration for block in track.blocks())
    assert 3000 < heard < 3600 + audio.MAX_GAP and "goes on after 1 hours" in track.damage
