"""What a cross-encoder is for: it tells the text that answers from the text that is merely about the same thing."""

from __future__ import annotations

import numpy as np

from omni_agent.perception.lite.rerank import Reranker

QUESTION = "How many people live in Berlin?"


def test_the_text_that_answers_is_above_those_about_the_same_and_those_about_something_else() -> None:
    texts = ["Bananas are yellow.", "Berlin is known for its museums.", "Berlin has 3,520,031 registered inhabitants."]
    scores = Reranker().score(QUESTION, texts)
    assert scores.dtype == np.float32 and scores.shape == (3,)
    assert scores[2] > 0 > scores[1] > scores[0]


def test_the_scores_come_in_the_order_of_the_texts_whatever_their_lengths() -> None:
    long = "The city has grown for centuries and was divided for decades. " * 6
    texts = [long, "Bananas are yellow.", *["A short one."] * 20, "Berlin has 3,520,031 inhabitants."]
    assert int(Reranker().score(QUESTION, texts).argmax()) == len(texts) - 1


def test_no_texts_give_no_scores() -> None:
    assert Reranker().score(QUESTION, []).shape == (0,)
