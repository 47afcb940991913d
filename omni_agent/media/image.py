"""Picture files as RGB pixels, through Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from omni_agent.errors import MediaError
from omni_agent.types import Box, Picture

MAX_PIXELS = 120_000_000  # 360 MB as RGB; an A0 page at 250 dpi is 96 million


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least 16) is a picture of a kind that Pillow reads."""
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


_SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"BM", b"GIF87a", b"GIF89a"),
    *(b"\x00\x00\x00\x0cjP  ", b"P1\n", b"P2\n", b"P3\n", b"P4\n", b"P5\n", b"P6\n", b"P6 "),
)


def count(path: Path, shown: str | None = None) -> int:
    """How many pictures a file holds: pages of a TIFF; an animation counts as one. Raises MediaError as `load` does."""
    from PIL import Image

    with _mapped(shown or str(path)), Image.open(path) as image:
        return int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1


def load(path: Path, shown: str | None = None, frame: int = 0) -> Picture:
    """The picture in a file, upright (EXIF orientation applied), on white where it is transparent.

    Raises MediaError for what is no picture, is damaged, or has more than MAX_PIXELS (seen before it is decoded).
    """
    from PIL import Image, ImageOps

    shown = shown or str(path)
    with _mapped(shown), Image.open(path) as image:
        image.seek(frame)
        if image.width * image.height > MAX_PIXELS:
            raise MediaError(
                f"{shown} has {image.width}x{image.height} pixels, more than omni reads",
                hint=f"scale it down below {MAX_PIXELS // 10**6} million pixels",
            )
        upright = ImageOps.exif_transpose(image)
        if "A" in upright.getbands() or "transparency" in upright.info:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return of_pillow(upright)


@contextmanager
def _mapped(shown: str) -> Iterator[None]:
    """Pillow's errors as ours; its own limit on pixels gives way to ours."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    except UnidentifiedImageError as error:
        raise MediaError(f"{shown} is not a picture that omni can read") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(f"{shown} is a damaged picture: {error}") from error


def of_pillow(image: object) -> Picture:
    """A Pillow image of any mode as a Picture."""
    import numpy as np
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith(("I", "F")):  # 16 and 32 bits a pixel: converting clips them, so bring them to 8 first
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
        image = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).clip(0, 255).astype(np.uint8))
    return Picture(np.asarray(image.convert("RGB")))


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "png")
    return buffer.getvalue()


def jpeg(picture: Picture) -> bytes:
    """The picture as a JPEG file of high quality: a twentieth of a photograph's PNG."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "jpeg", quality=92)
    return buffer.getvalue()


def highlighted(picture: Picture, boxes: Sequence[Box]) -> Picture:
    """The picture with each box marked as with a yellow pen, framed so that it is found at a glance."""
    import numpy as np
    from PIL import Image, ImageDraw

    pixels = picture.pixels.copy()
    width, height = picture.width, picture.height
    margin = max(2, round(height / 400))
    frames = []
    for box in boxes:
        x0, y0, x1, y1 = (round(side) for side in box.pixels(width, height))
        x0, y0, x1, y1 = max(0, x0 - margin), max(0, y0 - margin), min(width, x1 + margin), min(height, y1 + margin)
        pixels[y0:y1, x0:x1] = (pixels[y0:y1, x0:x1] * np.array([1.0, 0.93, 0.35])).astype(np.uint8)
        frames.append((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)))
    drawn = Image.fromarray(pixels)
    pen = ImageDraw.Draw(drawn)
    for frame in frames:
        pen.rectangle(frame, outline=(214, 40, 40), width=max(1, margin // 2))
    return of_pillow(drawn)
