"""Many questions on one prompt that is kept, one after another and together, at the released shape.

    python -m benchmarks.batch [--shared N] [--questions N] [--answer N]

Weights are random, so what is said means nothing; the times hold for any weights. Every question has 32 tokens behind
the same shared prompt, whose state lies in GPU memory when the clock starts, and an answer of a fixed length. One after
another is `Generator.stream`, together is `Batch.stream` with one thread asking all in turn, as the local engine does.
`same` says that a question gets the tokens in company that the batch gives it alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.decode import machine, random_model
from benchmarks.snapshots import GB, asked
from omni_agent.runtime.batch import Batch, slots_for
from omni_agent.runtime.generate import End, Generator, Token
from omni_agent.runtime.sampling import Sampling
from omni_agent.runtime.snapshots import Snapshots
from omni_agent.runtime.tiers import Limits, Tiers

RUNS = 3
RESULTS = Path(__file__).parent / "results" / "batch.json"


def together(streams: list[Iterator[Token | End]]) -> list[list[int]]:
    """Every stream's tokens, one of each in turn."""
    tokens: list[list[int]] = [[] for _ in streams]
    running = dict(enumerate(streams))
    while running:
        for number, stream in list(running.items()):
            event = next(stream)
            if isinstance(event, End):
                del running[number]
            else:
                tokens[number].append(event.id)
    return tokens


def timed(work: Callable[[], list[list[int]]]) -> tuple[float, list[list[int]]]:
    torch.cuda.synchronize()
    began = time.perf_counter()
    tokens = work()
    return time.perf_counter() - began, tokens


def measure(shared: int, questions: int, answer: int) -> dict[str, Any]:
    model = random_model()
    generator = Generator(model, shared + answer + 64)
    generator.snapshots = Snapshots(Tiers(model.device, Limits(device=8 * GB)), "benchmark")
    slots = min(questions, slots_for(model, generator.context))
    batch = Batch(generator, slots)
    options: dict[str, Any] = {"sampling": Sampling(), "max_tokens": answer, "ends": frozenset()}
    prompts = [asked(shared, question) for question in range(questions)]

    def alone() -> list[list[int]]:
        return [tokens for prompt in prompts for tokens in together([generator.stream(prompt, **options)])]

    def company() -> list[list[int]]:
        rounds = [prompts[first : first + slots] for first in range(0, questions, slots)]
        return [t for some in rounds for t in together([batch.stream(prompt, **options) for prompt in some])]

    expected = [together([batch.stream(prompt, **options)])[0] for prompt in prompts]  # keeps the shared prompt, too
    alone()
    found: dict[str, Any] = {"shared": shared, "questions": questions, "answer": answer, "slots": slots}
    one = [timed(alone)[0] for _ in range(RUNS)]
    runs = [timed(company) for _ in range(RUNS)]
    many = statistics.median(seconds for seconds, _ in runs)
    found |= {"one_after_another_s": statistics.median(one), "together_s": many}
    found |= {
        "tok_s_one": questions * answer / found["one_after_another_s"],
        "tok_s_together": questions * answer / many,
    }
    found["same"] = all(tokens == expected for _, tokens in runs)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=int, default=32_768)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--answer", type=int, default=256)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = measure(given.shared, given.questions, given.answer)
    result = {"machine": machine() | {"command": "python -m benchmarks.batch"}, **found}
    print(json.dumps(result, indent=1))
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
