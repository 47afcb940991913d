"""Names of a question in a video's text."""

from __future__ import annotations

import pytest

from omni_agent.perception.lite.video_search import alike, spelled


@pytest.mark.parametrize(
    ("name", "text", "there"),
    [("Wednesday", "Mon 2 Tue 3 Wed 4", True), ("September", "12 Sept 2025", True), ("Thursday", "Thirsty", False)],
)
def test_days_and_months_may_be_cut_short(name: str, text: str, there: bool) -> None:
    assert spelled(name, text) is there


def test_a_capital_i_may_be_read_as_an_l() -> None:
    assert alike("ioniz", "loniz") and not alike("ioniz", "coloniz")
