"""Video files: frames by their timestamps, upright, with honest lengths; files broken in real ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from omni_agent.errors import MediaError
from omni_agent.media import video

Film = Callable[..., Path]
RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)


def flat(path: Path, times: list[tuple[float, tuple[int, int, int]]], **options: str) -> Path:
    """A video of plain colours, one frame at each time."""
    from fractions import Fraction

    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for at, colour in times:
            frame = av.VideoFrame.from_image(Image.new("RGB", (160, 96), colour))
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colour(frame_pixels: np.ndarray) -> str:
    return "RGB"[int(frame_pixels.reshape(-1, 3).mean(axis=0).argmax())]


def test_times_come_from_timestamps_not_from_counting(tmp_path: Path) -> None:
    """Slides of 0.7, 4.6 and 0.7 s: a handful of frames in the file, twelve when asked for every half second."""
    clip = video.load(flat(tmp_path / "v.mp4", [(0.0, RED), (0.7, GREEN), (5.3, BLUE), (5.9, BLUE)]))
    frames = list(clip.frames(every=0.5))
    assert [frame.time for frame in frames[:12]] == [n * 0.5 for n in range(12)]
    assert "".join(colour(frame.picture.pixels) for frame in frames[:12]) == "RRGGGGGGGGGB"
    assert frames[3].picture is frames[9].picture, "a picture that stays is the same object"


def test_starting_in_the_middle_gives_the_same_frames(examples: Path) -> None:
    clip = video.load(examples / "demo.mp4")
    whole = {frame.time: frame.picture.pixels for frame in clip.frames(every=5.0, max_side=320)}
    for frame in clip.frames(every=5.0, max_side=320, start=30.0):
        assert np.array_equal(frame.picture.pixels, whole[frame.time])
    assert next(clip.frames(every=1.0, max_side=320)).picture.pixels.shape == (180, 320, 3)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_are_upright(tmp_path: Path, turn: int, mirrored: bool) -> None:
    """The file stores the picture turned and says how to turn it back, as telephones do."""
    upright = Image.new("RGB", (160, 96), "white")
    upright.paste(RED, (0, 0, 60, 40))
    upright.paste(BLUE, (100, 0, 160, 40))
    stored = (upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else upright).rotate(-turn, expand=True)
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = stored.width, stored.height, "yuv420p"
        stream.set_display_rotation(turn, hflip=mirrored)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(stored)))
        container.mux(stream.encode(None))
    pixels = next(video.load(path).frames(every=1.0)).picture.pixels
    assert pixels.shape == (96, 160, 3)
    assert colour(pixels[5:30, 5:50]) == "R" and colour(pixels[5:30, 110:155]) == "B"
    assert pixels[60:, :].min() > 200, "the lower part is white"


def test_a_video_cut_in_the_middle_keeps_what_decodes(examples: Path, tmp_path: Path) -> None:
    whole = (examples / "demo.mp4").read_bytes()  # its index comes first
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    clip = video.load(cut)
    assert clip.cut and clip.stated == pytest.approx(50.0, abs=0.5) and 5.0 < clip.duration < 45.0
    times = [frame.time for frame in clip.frames(every=1.0, max_side=160)]
    assert times[-1] == pytest.approx(clip.duration, abs=2.5)


def test_an_mp4_without_its_index_says_so(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "v.mp4", [(0.0, "one"), (1.0, "two")], 2.0)
    path.write_bytes(path.read_bytes()[:2000])  # its index comes last
    with pytest.raises(MediaError, match="not a video") as caught:
        video.load(path)
    assert "cut off" in caught.value.hint


def test_sound_without_pictures_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "call.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="sound but no pictures") as caught:
        video.load(path)
    assert "omni transcribe" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"Dear reader,\nthis is a letter.\n" * 50,
        b"%PDF-1.7\n" * 100,
        bytes(range(256)) * 64,
        b"RIFF\x00\x00\x00\x00AVI ",
    ],
)
def test_other_files_with_a_videos_name(tmp_path: Path, content: bytes) -> None:
    for name in ("v.mp4", "v.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(MediaError, match=r"v\.(mp4|txt) (is not a video|has no)"):
            video.load(path)


def test_a_playlist_is_not_followed(examples: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:50\n#EXTINF:50,\n{examples / 'demo.mp4'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError, match="not a video"):
        video.load(path)


def test_frames_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = flat(tmp_path / "v.mp4", [(0.0, RED), (1.0, GREEN)])
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="no frame that can be decoded"):
        list(video.load(path).frames(every=1.0))


def test_hostile_sizes_are_refused_before_anything_is_decoded(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    with pytest.raises(MediaError, match="1280x720"):
        video.load(examples / "demo.mp4")


def test_a_length_that_no_video_has(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="48 hours"):
        video.load(flat(tmp_path / "v.mkv", [(0.0, RED), (400_000.0, GREEN), (400_001.0, GREEN)]))


def test_an_animation_and_a_still_picture(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (160, 96), RED), Image.new("RGB", (160, 96), BLUE)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=1000)
    frames = list(video.load(tmp_path / "a.gif").frames(every=0.5))
    assert "".join(colour(frame.picture.pixels) for frame in frames) == "RRBB"
    first.save(tmp_path / "still.png")
    assert len(list(video.load(tmp_path / "still.png").frames(every=0.5))) == 1
