"""Pictures in order as an mp4 file in memory, through PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from io import BytesIO

from omni_agent.types import Picture

QUALITY = "18"  # of x264's constant rate factor: small print survives


def encode(pictures: Iterable[Picture], rate: float) -> bytes:
    """H.264 at `rate` pictures a second, all of the first one's size (a last odd row or column is lost).

    Raises ValueError where there is no picture.
    """
    import av

    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
                stream.width, stream.height = max(2, picture.width // 2 * 2), max(2, picture.height // 2 * 2)
                stream.pix_fmt, stream.options = "yuv420p", {"crf": QUALITY, "preset": "veryfast"}
            frame = av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")
            frame = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("a video without pictures")
        container.mux(stream.encode(None))
    return file.getvalue()
