"""Minutes quote what was said: decisions, promises and their owners, and nothing where there is nothing."""

from __future__ import annotations

import re

import pytest

from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.minutes import minutes
from omni_agent.types import Minutes, Segment


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder()


def call(script: str, *, names: bool = True) -> list[Segment]:
    """Sentences of a script ("A: …" a turn) as segments of three seconds every four."""
    segments: list[Segment] = []
    for turn in filter(None, map(str.strip, script.strip().splitlines())):
        who, words = turn.split(": ", 1)
        for sentence in re.split(r"(?<=[.?!]) ", words):
            at = 4.0 * len(segments)
            segments.append(Segment(len(segments), at, at + 3, sentence, (), f"Speaker {who}" if names else None))
    return segments


BUDGET = call(
    """
    A: Good morning Ben, shall we start?
    B: Yes please.
    A: Let's talk about the spring release.
    B: The testing is almost finished, we still have four open bugs in the export module.
    A: How long will the bugs take?
    B: About a week, I think.
    A: Then I suggest we move the release to the third of May.
    B: Agreed.
    A: Can you write the release notes, Ben?
    B: Sure, I will write them by Friday.
    A: The next item is the supplier contract.
    B: The supplier wants twelve percent more for the same boards.
    A: That's too much. Their delivery has been late twice this year.
    B: The firm in Leeds quoted nine thousand four hundred.
    A: Okay, we'll go with the firm in Leeds.
    B: Good. I'll send them the purchase order tomorrow morning.
    A: And Maria will update the budget by the end of the month.
    B: If we decide to hire, I will call you.
    A: We haven't decided on hiring yet.
    A: Thank you, I'll see you on Monday.
    """
)


def texts(items: tuple[object, ...]) -> list[str]:
    return [item.text for item in items]  # type: ignore[attr-defined]


def test_decisions_are_found_and_conditions_and_negations_are_not(embedder: Embedder) -> None:
    assert texts(minutes(BUDGET, embedder).decisions) == [
        "Then I suggest we move the release to the third of May.",  # and "Agreed."
        "Okay, we'll go with the firm in Leeds.",
    ]


def test_action_items_name_owner_and_date(embedder: Embedder) -> None:
    found = [(item.text, item.owner, item.due) for item in minutes(BUDGET, embedder).actions]
    assert found == [
        ("Can you write the release notes, Ben?", "Ben", "Friday"),
        ("I'll send them the purchase order tomorrow morning.", "Speaker B", "tomorrow morning"),
        ("And Maria will update the budget by the end of the month.", "Maria", "the end of the month"),
    ]


def test_topics_are_named_by_what_was_said(embedder: Embedder) -> None:
    topics = minutes(BUDGET, embedder).topics
    assert topics[0].text.lower().startswith("spring release")
    assert any("supplier contract" in topic.text.lower() for topic in topics)
    spoken = " ".join(segment.text for segment in BUDGET).lower()
    for topic in topics:
        assert all(phrase in spoken for phrase in topic.text.lower().split(", "))


def test_every_line_is_a_quote_with_its_times(embedder: Embedder) -> None:
    found: Minutes = minutes(BUDGET, embedder)
    for item in (*found.decisions, *found.actions):
        segment = next(s for s in BUDGET if s.text == item.text)
        assert item.start == segment.start and segment.end <= item.end <= segment.end + 8


def test_without_speaker_labels_a_promise_belongs_to_i(embedder: Embedder) -> None:
    found = minutes(call("A: The client is waiting. I will call them tomorrow.", names=False), embedder)
    assert [(item.owner, item.due) for item in found.actions] == [("I", "tomorrow")]


def test_small_talk_has_no_decisions_and_no_action_items(embedder: Embedder) -> None:
    found = minutes(
        call(
            """
            A: Did you see the game last night?
            B: No, I was out walking the dog, it rained all evening.
            A: It went to extra time and then penalties.
            B: I'll never understand penalties.
            A: My sister was at the stadium, she said the noise was unbelievable.
            B: I can imagine.
            A: Have you decided where you go on holiday?
            B: Not yet. We might go to the coast if the weather holds.
            A: I'll be honest, the coast is lovely in June.
            B: Let's talk again soon. I'll see you.
            """
        ),
        embedder,
    )
    assert found.decisions == () and found.actions == ()


def test_a_request_that_is_refused_is_no_action_item(embedder: Embedder) -> None:
    found = minutes(call("A: Could you book the room for Monday?\nB: Sorry, I can't, I am away."), embedder)
    assert found.actions == ()


def test_a_need_that_somebody_takes_on_is_one_item(embedder: Embedder) -> None:
    found = minutes(call("A: We need to fix the alerts by Wednesday.\nB: I'll take care of that."), embedder)
    assert [(i.text, i.owner, i.due) for i in found.actions] == [
        ("We need to fix the alerts by Wednesday.", "Speaker B", "Wednesday")
    ]


def test_nothing_said_is_empty(embedder: Embedder) -> None:
    assert minutes([], embedder) == Minutes()
