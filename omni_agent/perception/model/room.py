"""How many tokens things take, rather too many than too few: the engine itself counts exactly, and refuses what is too
much. The tokenizer has a token for a short word, and one for each digit and sign, so that tables are dear.

The model's arithmetic: a picture becomes patches of 16 pixels, four a token, 1,024 to 13,312 patches; two frames of a
video one tubelet of at most 256 tokens and a caption; sound 12.5 tokens a second.
"""

from __future__ import annotations

import math
import re

from omni_agent.types import Picture

LETTERS = 5  # of a word, a token
PATCH = 16
FEWEST, MOST = 1024, 13_312  # patches of a picture
MARKS = 2  # tokens around a picture or a sound
FRAME = 145  # tokens of a frame: half a tubelet's 256 and half its caption's 34
SOUND = 12.5  # tokens a second


def of_text(text: str) -> int:
    return sum(-(-len(piece) // LETTERS) for piece in _PIECE.findall(text))


def of_picture(picture: Picture) -> int:
    patches = math.ceil(picture.width / PATCH) * math.ceil(picture.height / PATCH)
    return math.ceil(min(max(patches, FEWEST), MOST) / 4) + MARKS


def of_sound(seconds: float) -> int:
    return math.ceil(seconds * SOUND) + MARKS


def cut(text: str, tokens: int) -> str:
    """The text as far as so many tokens go, with a mark where it was cut."""
    whole, tokens = of_text(text), max(0, tokens)
    return text if whole <= tokens else text[: max(0, int(len(text) * tokens / whole) - 6)] + " […]"


_PIECE = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
