"""Picture files as RGB pixels, through Pillow."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from omni_agent.errors import MediaError
from omni_agent.types import Picture

MAX_PIXELS = 120_000_000  # 360 MB as RGB; an A0 page at 250 dpi is 96 million


def load(path: Path, shown: str | None = None) -> Picture:
    """The picture in a file, upright (EXIF orientation applied), on white where it is transparent.

    Raises MediaError for what is no picture, is damaged, or has more than MAX_PIXELS (seen before it is decoded).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    shown = shown or str(path)
    Image.MAX_IMAGE_PIXELS = None  # our own limit below, in our own words
    try:
        with Image.open(path) as image:
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
    except UnidentifiedImageError as error:
        raise MediaError(f"{shown} is not a picture that omni can read") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(f"{shown} is a damaged picture: {error}") from error


def of_pillow(image: object) -> Picture:
    """A Pillow image of any mode as a Picture."""
    import numpy as np
    from PIL import Image

    assert isinstance(image, Image.Image)
    return Picture(np.asarray(image.convert("RGB")))


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture.pixels).save(buffer, "png")
    return buffer.getvalue()
