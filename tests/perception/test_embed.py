"""Sentence vectors say what belongs together."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.weights import digest


def test_alike_texts_are_near_and_vectors_have_length_one() -> None:
    texts = ["How many people work there?", "The firm employs 40 staff.", "Bananas are yellow."]
    vectors = Embedder().embed(texts)
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_a_vector_does_not_depend_on_its_neighbours() -> None:
    """Padding to a longer neighbour must not change what a text means."""
    embedder = Embedder()
    alone = embedder.embed(["The firm employs 40 staff."])[0]
    beside = embedder.embed(["The firm employs 40 staff.", "long " * 400])[0]
    assert alone @ beside > 0.98  # int8 activations are scaled per batch


def test_no_text_gives_no_vectors() -> None:
    assert Embedder().embed([]).shape == (0, 384)


def test_the_tokenizer_is_the_one_that_belongs_to_the_weights() -> None:
    """The sha256 of sentence-transformers/all-MiniLM-L6-v2's tokenizer.json as its packages carry it."""
    shipped = files("omni_agent.perception.lite") / "data" / "minilm-tokenizer.json"
    assert digest(shipped) == "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"  # type: ignore[arg-type]
