"""The public names: complete, sorted, documented, and loaded only when asked for."""

from __future__ import annotations

import traceback

import pytest

import omni_agent
import omni_agent.errors


def test_the_list_of_names_is_sorted_and_complete() -> None:
    assert omni_agent.__all__ == sorted(omni_agent.__all__)
    assert {"ask", "click", "transcribe", "watch", "doctor"} <= set(omni_agent.__all__)


@pytest.mark.parametrize("name", [name for name in omni_agent.__all__ if name != "__version__"])
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(omni_agent, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="fly"):
        _ = omni_agent.fly


def test_a_traceback_in_somebodys_program_ends_with_the_next_step() -> None:
    with pytest.raises(omni_agent.errors.UsageError) as caught:
        omni_agent.ask(["missing.pdf"], "Who?")
    assert traceback.format_exception(caught.value)[-1] == "check the name, or quote it if it has spaces\n"
