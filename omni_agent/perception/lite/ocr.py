"""Reading pictures: RapidOCR (PP-OCRv6, its weights in its wheel) with a second look at what it doubts."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omni_agent.perception.lite.weights import as_installed
from omni_agent.types import Box, Line, Picture, Word

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Quad = npt.NDArray[np.float32]  # [4, 2] pixels: top left, top right, bottom right, bottom left of the text

THREADS = 2
MAX_SIDE = 4000  # a larger picture is scaled down before anything else; an A4 page at 300 dpi is 3508 high
DETECT_SIDE = 2880  # the detector sees at most this; lines are cut out of the picture in its full size
MIN_SIDE = 640  # the detector misses text in smaller pictures, so those are enlarged, at most MAX_ZOOM times
MAX_ZOOM = 3.0
DOUBT = 0.9  # good lines score about 1.0, garbled ones 0.58–0.67
REMEMBERED = 8  # pictures; their lines take a few hundred kilobytes
ROOM = 2.0  # characters between a line's end and its text that are more than a margin
KEEP = 0.5  # what scores less after the second look is noise
# Drawn before a label and read as if it belonged to it: checkboxes, arrows, and icons, which look like Chinese words.
_SIGN = re.compile(r"^[✓✔√☑☒☐□■●○◯▸▶►▾▼×✕✖\u3005-\u9fff](?=[A-Za-zÀ-ž]{2})")


def weights() -> str:
    """Where the networks are, each as it was installed. Raises MissingExtra or Unavailable without them."""
    paths = as_installed("rapidocr", ".onnx")
    return f"{', '.join(path.stem for path in paths)} in {paths[0].parent}, as they were installed"


class Reader:
    """OCR. Loads its two networks (31 MB) with the first picture and keeps them, and what the last pictures said: a
    screen that did not change is not read again."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[bytes, tuple[Line, ...]] = OrderedDict()

    def read(self, picture: Picture, *, part_of: Picture | None = None) -> tuple[Line, ...]:
        """The text in a picture, one `Line` for each run of text, in reading order, with words and their boxes.

        Boxes are fractions of the picture. A picture without text, or too small to hold any, gives (). One that was
        cut out of another (`part_of`) is enlarged no more than that one would be.
        """
        import numpy as np

        if part_of is not None:
            return self._read(picture, part_of)
        name = hashlib.sha256(repr(picture.pixels.shape).encode())
        name.update(np.ascontiguousarray(picture.pixels).data)
        lines = self._remembered.pop(name.digest(), None)
        if lines is None:
            lines = self._read(picture, picture)
        self._remembered[name.digest()] = lines  # last again
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return lines

    def _read(self, picture: Picture, whole: Picture) -> tuple[Line, ...]:
        import numpy as np

        if min(picture.width, picture.height) < 6:
            return ()
        bgr = np.ascontiguousarray(picture.pixels[:, :, ::-1])  # the networks were trained on BGR
        pixels = _fitted(bgr, whole.pixels.shape)
        quads, crops = self._detect(pixels)
        if not quads:
            return ()
        texts, scores, columns = self._recognise(crops)
        lines = []
        for index, (quad, crop) in enumerate(zip(quads, crops, strict=True)):
            text, score, places = texts[index], scores[index], columns[index]
            if score < DOUBT:
                text, score, places = self._second_look(crop, text, score, places)
            if score >= KEEP and text.strip():
                lines.append(_line(text.strip(), float(score), quad, places, _sideways(quad), pixels.shape))
        return _in_reading_order(lines)

    @cached_property
    def _engine(self) -> Any:
        from rapidocr import RapidOCR

        engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.return_word_box": True,
                "Det.limit_type": "max",
                "Det.limit_side_len": DETECT_SIDE,
                "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        return engine

    def _detect(self, pixels: Pixels) -> tuple[list[Quad], list[Pixels]]:
        """Where text is, and each place cut out and laid flat."""
        import numpy as np
        from rapidocr.main import RapidOCRError

        record: dict[str, Any] = {}
        try:
            crops, found = self._engine.detect_and_crop(pixels, record)
        except RapidOCRError:  # its way of saying that nothing was found
            return [], []
        padding = np.array([0, record["padding_1"]["top"]], dtype=np.float32)
        return [np.asarray(quad, dtype=np.float32) - padding for quad in found.boxes], crops

    def _recognise(self, crops: Sequence[Pixels]) -> tuple[list[str], list[float], list[tuple[float, ...]]]:
        """Text, score and, for each character that is no space, its middle as a fraction of the crop's width."""
        read = self._engine.recognize_txt(list(crops))
        columns = [
            tuple((column + 0.5) / info.line_txt_len for word in info.word_cols for column in word)
            if info is not None and info.line_txt_len
            else ()
            for info in read.word_results
        ]
        return list(read.txts), list(read.scores), columns

    def _second_look(
        self, crop: Pixels, text: str, score: float, places: tuple[float, ...]
    ) -> tuple[str, float, tuple[float, ...]]:
        """The best reading of a doubted line: as it was, turned by 180°, blurred, or cut in two at a light column.

        Long noisy lines come back garbled although both their halves are read well.
        """
        import cv2
        import numpy as np

        height, width = crop.shape[:2]
        variants = [np.ascontiguousarray(crop[::-1, ::-1])]
        if width > 12 * height:
            column = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)).mean(axis=0)
            cut = int(width * 0.4) + int(column[int(width * 0.4) : int(width * 0.6)].argmax())
            variants += [cv2.GaussianBlur(crop, (3, 3), 0), crop[:, :cut], crop[:, cut:]]
        texts, scores, columns = self._recognise(variants)
        readings = [(score, text, places), *zip(scores[:2], texts[:2], columns[:2], strict=True)]
        if len(variants) == 4:  # a split is worth its worse half
            share = cut / width
            joined = (*(x * share for x in columns[2]), *(share + x * (1 - share) for x in columns[3]))
            readings.append((min(scores[2:]), f"{texts[2].strip()} {texts[3].strip()}", joined))
        best = max(readings, key=lambda reading: reading[0])
        return best[1], best[0], best[2]


def _fitted(pixels: Pixels, whole: tuple[int, ...]) -> Pixels:
    """The picture at a size that the detector reads well, going by the shape of the whole that it belongs to."""
    import cv2
    import numpy as np

    height, width = pixels.shape[:2]
    scale = min(MAX_SIDE / max(height, width), max(1.0, min(MAX_ZOOM, MIN_SIDE / min(whole[:2]))))
    if scale == 1.0:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=way), dtype=np.uint8)


def _sideways(quad: Quad) -> bool:
    """Whether this text runs up or down: such crops are turned before they are read (rapidocr's own threshold)."""
    import numpy as np

    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return bool(int(down) / max(1, int(across)) >= 1.5)


def _line(
    text: str, score: float, quad: Quad, places: tuple[float, ...], sideways: bool, shape: tuple[int, ...]
) -> Line:
    height, width = shape[:2]
    corners = quad[[1, 2, 3, 0]] if sideways else quad  # so that text runs from corner 0 to corner 1

    def box(start: float, end: float) -> Box:
        top, bottom = corners[1] - corners[0], corners[2] - corners[3]
        points = [corners[0] + top * start, corners[0] + top * end, corners[3] + bottom * start]
        points.append(corners[3] + bottom * end)
        xs = [min(1.0, max(0.0, float(x) / width)) for x, _ in points]
        ys = [min(1.0, max(0.0, float(y) / height)) for _, y in points]
        return Box(min(xs), min(ys), max(xs), max(ys))

    text = _SIGN.sub(r"\g<0> ", text)
    words = tuple(Word(word, box(start, end)) for word, start, end in _spans(text, places))
    return Line(text, box(0.0, 1.0), score, words)


def _spans(text: str, places: tuple[float, ...]) -> Iterator[tuple[str, float, float]]:
    """Each word of a line with its start and end as fractions of the line's length.

    A character reaches half-way to its neighbours; a line without known places is divided evenly. The first and the
    last word reach the line's ends, unless there is room for a sign that was not read: a checkbox, an arrow.
    """
    solid = [index for index, character in enumerate(text) if not character.isspace()]
    if len(places) != len(solid):
        places = tuple((index + 0.5) / len(text) for index in solid)
    half = 0.5 * (places[-1] - places[0]) / max(1, len(text) - 1) if len(places) > 1 else 0.5
    room = 2 * half * ROOM
    at = 0
    for word in text.split():
        first, last = places[at], places[at + len(word) - 1]
        start = max(0.0, first - half)
        start = start if at or start > room else 0.0
        at += len(word)
        end = min(1.0, last + half)
        end = end if at < len(places) or end < 1.0 - room else 1.0
        yield word, start, max(start, end)


def _in_reading_order(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Top to bottom; what stands side by side (centres within half a line height) from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box.center[1]):
        last = rows[-1] if rows else None
        if last and abs(line.box.center[1] - last[-1].box.center[1]) < 0.5 * min(line.box.height, last[-1].box.height):
            last.append(line)
        else:
            rows.append([line])
    return tuple(line for row in rows for line in sorted(row, key=lambda line: line.box.x0))
