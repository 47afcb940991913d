"""What stands beside a label on a screen: the rest of its table's row, or the value that a question asks it for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omni_agent.perception.lite.kinds import Kind
from omni_agent.perception.lite.screen_text import Passage
from omni_agent.perception.lite.video_question import Asked
from omni_agent.perception.lite.video_search import Hit, new_value
from omni_agent.perception.lite.wording import PARAGRAPH

ENOUGH = 0.5  # share of the question's words, by rarity, that a label must hold
VALUE = 24  # characters that a value has which stands beside its label
ADDRESS = 60  # and that an address has, which may stand a line further away
BESIDE = 2.5  # heights of a label within which its value stands


def with_value(hit: Hit, asked: Asked, passages: Sequence[Passage]) -> Passage:
    """A hit's passage; for a cell of a table's row the whole row; for a label without the value that is asked for the
    label and the value that stands closest to it, or alone on its line."""
    label, kind = hit.passage, asked.kind
    if asked.wanted not in ("text", "moment") or label.box is None or label.parts or hit.own < ENOUGH:
        return label
    number = label.prominent.screens[0]
    there = [p for p in passages if number in p.screens and p.box is not None]
    row = next((p for p in there if label.text in p.parts and p.cells and len(p.text) <= PARAGRAPH), None)
    if row is not None:
        return row
    if kind is Kind.ANY or asked.wanted == "moment" or len(label.text) > PARAGRAPH / 2:
        return label
    if new_value(kind, label, asked.question) == 1.0:
        return label
    length = ADDRESS if kind in (Kind.EMAIL, Kind.ADDRESS) else VALUE
    apart = [p for p in there if len(p.text) <= length and label.text not in p.text]
    values = [p for p in apart if new_value(kind, p, asked.question) == 1.0]
    value = _nearest(label, values, BESIDE * label.size * (2 if length == ADDRESS else 1)) or _on_line(label, values)
    return label if value is None else replace(label, text=f"{label.text}: {value.text}")


def _nearest(label: Passage, values: Sequence[Passage], reach: float) -> Passage | None:
    near = [(gap, number) for number, value in enumerate(values) if (gap := _gap(label, value)) < reach]
    return values[min(near)[1]] if near else None


def _gap(one: Passage, other: Passage) -> float:
    """How far apart two texts on a screen are, in shares of its height; 9 where one of them is in a card alone."""
    assert one.box is not None and other.box is not None
    if (one.pane is None) != (other.pane is None):
        return 9.0
    aside = max(0.0, one.box.x0 - other.box.x1, other.box.x0 - one.box.x1)
    apart = max(0.0, one.box.y0 - other.box.y1, other.box.y0 - one.box.y1)
    return 1.5 * aside + apart if not (aside and apart > 0.5 * one.size) else 9.0


def _on_line(label: Passage, values: Sequence[Passage]) -> Passage | None:
    """The value to the right on a label's one line, however far away, in the same dialog or card; None where several
    texts could be it."""
    assert label.box is not None
    if label.box.height > 1.5 * label.size:
        return None
    level = [
        value
        for value in values
        if value.box is not None
        and value.pane == label.pane
        and value.box.x0 > label.box.x1
        and abs(value.box.center[1] - label.box.center[1]) < 0.6 * label.size
    ]
    return level[0] if len({value.text for value in level}) == 1 else None
