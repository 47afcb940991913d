"""Words as they are compared: English stems, irregular forms under one stem, numbers without their separators."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

WORD = re.compile(r"-{0,2}\w[\w'’]*(?:[.-]\w+)*|[$%]")

# Forms that no stemmer brings together, and what statistics call men and women; the first of each group is its stem.
_IRREGULAR_FORMS = """
    be was were been; become became; begin began begun; break broke broken; bring brought; build built; buy bought;
    catch caught; choose chose chosen; child children; come came; cost costs; cut cuts; deal dealt; draw drew drawn;
    drive drove driven; eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find found; fly flew flown;
    foot feet; forget forgot forgotten; get got gotten; give gave given; go went gone; grow grew grown; hold held;
    keep kept; know knew known; lay laid; lead led; leave left; lend lent; lose lost; make made;
    man men male males; mean meant; meet met; mouse mice; pay paid; person people; rise rose risen; run ran;
    say said; see saw seen; sell sold;
    send sent; shoot shot; show shown; sing sang sung; sink sank sunk; sit sat; speak spoke spoken; spend spent;
    stand stood; steal stole stolen; swim swam swum; take took taken; teach taught; tell told; think thought;
    throw threw thrown; tooth teeth; understand understood; wear wore worn; weigh weight; win won;
    woman women female females; write wrote written; die dead death; long length; wide width;
    deep depth; high height; strong strength
"""


def stems(text: str) -> list[str]:
    """The words of a text as they are compared, in order; the parts of a compound follow it."""
    found = []
    for match in WORD.finditer(plain(text)):
        word = match[0].strip(".-'’")
        if not word:
            continue
        found.append(stem(word))
        if "-" in word or "." in word:
            found.extend(stem(part) for part in re.split(r"[.-]", word) if len(part) > 1)
    return found


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """One word as it is compared."""
    word = word.casefold().replace("’", "'").removesuffix("'s").strip("'")
    if any(c.isdigit() for c in word):
        return word
    return str(_stemmer().stemWord(_irregular().get(word, word)))


def plain(text: str) -> str:
    """NFKC, and no thousands separators."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", unicodedata.normalize("NFKC", text))


@cache
def _irregular() -> dict[str, str]:
    groups = [group.split() for group in _IRREGULAR_FORMS.split(";")]
    return {form: group[0] for group in groups for form in group[1:]}


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")
