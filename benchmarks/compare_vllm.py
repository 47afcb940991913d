"""The same tiny checkpoint through vLLM and through omni: the same greedy tokens, or where they part and by how much.

    python -m benchmarks.compare_vllm checkpoint FOLDER
    python -m benchmarks.peer_vllm.theirs FOLDER --dtype float32 --out A.json     (and bfloat16, and --evs 0.5)
    python -m benchmarks.compare_vllm compare FOLDER A.json B.json …

vLLM answers first, in a process of its own. omni is then led along vLLM's tokens, so that one early difference does not
hide what follows: as long as omni's first choice is vLLM's token at every step, both would have written the same. Where
it is another, the gaps between the two choices are told. Answers in BF16 are also held against omni in float32 along
the same tokens (`exact`): how far vLLM's numbers lie from those, and how far omni's in BF16. Each case with media is
also run with other media in their place (`control`), to show that these numbers would notice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peer_vllm.cases import CASES, CONTEXT, FPS, Clip, media, write_checkpoint
from omni_agent.runtime.chat import Chat
from omni_agent.runtime.conversation import Part, Turn
from omni_agent.runtime.encoders import Film
from omni_agent.runtime.generate import Step
from omni_agent.runtime.layout import Prompt

HERE = Path(__file__).parent
PARTS = ("vllm_from_exact", "ours_from_exact", "control")
Told = list[list[tuple[int, float]]]
"""A few largest log-probabilities a step: token and value."""


class Ours:
    """omni's runtime on the checkpoint, one conversation after the other."""

    def __init__(self, folder: Path, dtype: str, device: str) -> None:
        self.chat = Chat(folder, device=device, context=CONTEXT, dtype=getattr(torch, dtype))
        self.model = self.chat.generator.model
        self.cache = self.model.new_cache(1, CONTEXT)
        self.step: Step = lambda tokens: self.model.step(tokens, self.cache)
        if device == "cuda":  # the step as the engine runs it
            from omni_agent.runtime.graphs import DecodeGraph

            self.step = DecodeGraph(self.model, self.cache)

    def prompt(self, name: str, found: dict[str, Any], evs: float) -> Prompt:
        parts = tuple(_part(found[part]) if part in found else part for part in CASES[name].parts)
        prepared = self.chat.prepare([Turn("user", parts)], think=CASES[name].think, max_tokens=8, evs_rate=evs)
        return prepared.prompt

    @torch.inference_mode()
    def led(self, prompt: Prompt, tokens: list[int]) -> torch.Tensor:
        """Log-probabilities [len(tokens), vocab] before each of `tokens`."""
        self.cache.clear(0)
        logits = [self.model.prefill(prompt.embedded(self.model.embed), self.cache)]
        for token in tokens[:-1]:
            logits.append(self.step(torch.tensor([token], device=self.model.device))[0].clone())
            self.cache.stepped()
        return torch.stack(logits).log_softmax(-1).double().cpu()


def _part(item: Any) -> Part:
    if isinstance(item, Clip):
        height, width = item.frames.shape[1:3]
        return Film(list(item.frames), width, height, item.indices, FPS)
    return item


def others(found: dict[str, Any]) -> dict[str, Any]:
    """Media of the same sizes that show and say something else."""
    return {
        name: Clip(255 - item.frames, item.indices)
        if isinstance(item, Clip)
        else 255 - item
        if item.dtype == np.uint8
        else item[::-1].copy()
        for name, item in found.items()
    }


def compare(ours: Ours, name: str, theirs: dict[str, Any], evs: float, shown: dict[str, Any]) -> dict[str, Any]:
    """One case's numbers, omni being shown `shown`. Differences and gaps are of log-probabilities."""
    tokens = theirs["tokens"]
    prompt = ours.prompt(name, shown, evs)
    ids, values = prompt.ids.tolist(), ours.led(prompt, tokens)
    return {
        "prompt_tokens": len(ids),
        # With a share left out vLLM's ids are placeholders of the right number only.
        "same_prompt": len(ids) == len(theirs["prompt_ids"]) if evs else ids == theirs["prompt_ids"],
        "tokens": len(tokens),
        "distinct_tokens": len(set(tokens)),
        **agreement(values, tokens, theirs["logprobs"]),
        "parted": partings(values, tokens, theirs["logprobs"]),
    }


def against_exact(
    ours: Ours, exact: Ours, name: str, theirs: dict[str, Any], evs: float, case: dict[str, Any]
) -> dict[str, Any]:
    """How far vLLM's numbers and omni's, both in BF16, lie from omni's in float32; what that chooses at the partings of
    `case`, and how much farther up it has vLLM's token than ours."""
    tokens, told = theirs["tokens"], theirs["logprobs"]
    right = exact.led(exact.prompt(name, media(), evs), tokens)
    rounded = ours.led(ours.prompt(name, media(), evs), tokens)
    for place in case["parted"]:
        row = right[place["step"]]
        place |= {"exact": int(row.argmax()), "exact_gap": round(float(row[place["vllm"]] - row[place["ours"]]), 6)}
    return {
        "vllm_from_exact": agreement(right, tokens, told),
        "ours_from_exact": agreement(right, rounded.argmax(-1).tolist(), like(told, rounded)),
    }


def agreement(ours: torch.Tensor, tokens: list[int], theirs: Told) -> dict[str, Any]:
    """How log-probabilities [steps, vocab] go with somebody else's tokens and few largest log-probabilities a step."""
    deltas = [abs(float(ours[at, number]) - value) for at, step in enumerate(theirs) for number, value in step]
    return {
        "same_tokens": sum(mine == their for mine, their in zip(ours.argmax(-1).tolist(), tokens, strict=True)),
        "largest_difference": round(max(deltas), 6),
        "mean_difference": round(sum(deltas) / len(deltas), 7),
    }


def partings(ours: torch.Tensor, tokens: list[int], theirs: Told) -> list[dict[str, Any]]:
    """The steps at which the two choose differently, with the gap between both choices by each one's own account; None
    where vLLM did not tell of our token."""
    found = []
    for at, (mine, their) in enumerate(zip(ours.argmax(-1).tolist(), tokens, strict=True)):
        told = dict(theirs[at])
        if mine != their:
            gap = round(told[their] - told[mine], 6) if mine in told else None
            our_gap = round(float(ours[at, mine] - ours[at, their]), 6)
            found.append({"step": at, "ours": mine, "vllm": their, "our_gap": our_gap, "vllm_gap": gap})
    return found


def like(told: Told, values: torch.Tensor) -> Told:
    """The log-probabilities of `values` for the tokens of which `told` speaks."""
    return [[(number, float(values[at, number])) for number, _ in step] for at, step in enumerate(told)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=["checkpoint", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("answers", type=Path, nargs="*")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "compare-vllm.json")
    options = parser.parse_args()
    if options.phase == "checkpoint":
        write_checkpoint(options.folder)
        return
    torch.backends.cudnn.allow_tf32 = False
    result: dict[str, Any] = {"runs": []}
    if options.device == "cuda":
        from benchmarks.decode import machine

        result = machine() | {"command": "python -m benchmarks.compare_vllm compare …", "runs": []}
    for file in options.answers:
        theirs = json.loads(file.read_text())
        run = {key: theirs[key] for key in ("vllm", "dtype", "evs", "start_s")} | {"cases": {}}
        result["runs"].append(run)
        for name, case in cases(options.folder / "ours", theirs, options.device):
            run["cases"][name] = case
            print(f"{theirs['dtype']:<9} evs {theirs['evs']:<4} {name:<17} {_line(case)}", flush=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def cases(folder: Path, theirs: dict[str, Any], device: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case of one of vLLM's runs, compared."""
    ours, evs = Ours(folder, theirs["dtype"], device), theirs["evs"]
    exact = ours if theirs["dtype"] == "float32" else Ours(folder, "float32", device)
    shown, other = media(), others(media())
    for name, answer in theirs["cases"].items():
        if "error" in answer:
            yield name, {"vllm_failed": answer["error"]}
            continue
        case = compare(ours, name, answer, evs, shown)
        if exact is not ours:
            case |= against_exact(ours, exact, name, answer, evs, case)
        elif any(part in shown for part in CASES[name].parts):
            control = compare(ours, name, answer, evs, other)
            case["control"] = {key: control[key] for key in ("same_tokens", "largest_difference", "mean_difference")}
        yield name, case


def _line(case: dict[str, Any]) -> str:
    if "vllm_failed" in case:
        return str(case["vllm_failed"])
    said = [f"{case['same_tokens']}/{case['tokens']} tokens, {case['prompt_tokens']} of prompt"]
    said += [] if case["same_prompt"] else ["ANOTHER PROMPT"]
    for name, numbers in (("apart", case), *((part, case[part]) for part in PARTS if part in case)):
        said.append(f"{name} {numbers['mean_difference']:.1e} {numbers['largest_difference']:.1e}")
    return ", ".join(said)


if __name__ == "__main__":
    main()
