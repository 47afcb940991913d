"""What omni takes for granted about a checkpoint, each beside what the files say.

The runtime was written before its author could open the released files: some keys, ids and names are known from the
model card and from other programs that read them. This is the table of all of them, made so that the first look at
the real files tells where the knowledge was wrong. Reads headers and small tensors only; needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omni_agent.errors import CheckpointError, MissingExtra
from omni_agent.runtime.audio_features import mel_bank
from omni_agent.runtime.config import MEDIA_TOKENS, MUST_BE, SPELLINGS, TEXT_SECTIONS, read_config, read_json
from omni_agent.runtime.media_config import CLIP_MEAN, CLIP_STD, SoundConfig, VisionConfig
from omni_agent.runtime.safetensors import Entry
from omni_agent.runtime.shards import read_entries
from omni_agent.runtime.tokenizer import SPECIALS, Tokenizer

KNOWN_IDS = {"turn_start": 10, "turn_end": 11, "think": 12, "end_think": 13, "image": 18, "sound": 27}
TOLD_SCALE = 2.5  # routed_scaling_factor of this family; libraries fill in 1.0
NOTHING = "not said"
TOLERANCE = 2e-2  # relative: the files hold these numbers in BF16
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "Q1"},
    {"role": "assistant", "content": "A1", "reasoning_content": "R1"},
    {"role": "user", "content": "Q2"},
]
TOOL = {"type": "function", "function": {"name": "F", "description": "D", "parameters": {"type": "object"}}}
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "Q"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "F", "arguments": {"K": "V"}}}],
    },
    {"role": "tool", "content": "T"},
]


@dataclass(frozen=True, slots=True)
class Assumption:
    """`says`: the files; `does`: omni. `ok`: they agree; None: the files leave it open; False: they contradict."""

    key: str
    says: str
    does: str
    ok: bool | None


def assumptions(folder: Path) -> tuple[Assumption, ...]:
    """The whole table, what is in doubt first. Raises CheckpointError where config.json is no JSON object."""
    raw = read_json(folder / "config.json")
    rows = [*_keys(raw), *_media(raw), *_files(folder), *_tensors(folder, raw), *_tokens(folder)]
    order = {False: 0, None: 1, True: 2}
    return tuple(sorted(rows, key=lambda row: order[row.ok]))


def _keys(raw: Mapping[str, Any]) -> Iterator[Assumption]:
    """The language model's keys in all their documented spellings, and the values that omni computes for."""
    section = next((raw[name] for name in TEXT_SECTIONS if isinstance(raw.get(name), dict)), raw)
    for keys in SPELLINGS.values():
        found = {key: section[key] for key in keys if key in section}
        says = ", ".join(f"{key} = {_short(value)}" for key, value in found.items()) or NOTHING
        if keys[0] == "routed_scaling_factor":
            told = found.get(keys[0]) == TOLD_SCALE
            yield Assumption(
                keys[0], says, f"as the file says; this family's is {TOLD_SCALE}", told or (None if found else False)
            )
        else:
            yield Assumption(" or ".join(keys), says, "as the file says", bool(found))
    for key, (meant, optional) in MUST_BE.items():
        says = f"{key} = {_short(section[key])}" if key in section else NOTHING
        agrees = section[key] == meant if key in section else None if optional else False
        yield Assumption(key, says, f"computes it as {_short(meant)} and nothing else", agrees)
    for key, does, agreed in (
        ("time_step_limit", "does not clamp the time step", lambda value: value[0] == 0 and value[1] > 1e6),
        ("residual_in_fp32", "keeps the stream between blocks in fp32", lambda value: value is True),
        ("mamba_ssm_cache_dtype", "keeps Mamba states in fp32", lambda value: value == "float32"),
    ):
        yield _one(section, key, does, agreed)
    yield _one(raw, "video_pruning_rate", "ignores it: --evs decides, 0.5 by default", lambda value: True)


def _one(section: Mapping[str, Any], key: str, does: str, agreed: Any) -> Assumption:
    if key not in section:
        return Assumption(key, NOTHING, does, None)
    try:
        ok = bool(agreed(section[key]))
    except (TypeError, LookupError):
        ok = False
    return Assumption(key, f"{key} = {_short(section[key])}", does, ok)


def _media(raw: Mapping[str, Any]) -> Iterator[Assumption]:
    """What the sections of the encoders leave open."""
    try:
        vision, sound = VisionConfig.read(raw), SoundConfig.read(raw)
    except CheckpointError as error:
        yield Assumption("the encoders' sizes", str(error), "cannot see or hear without them", False)
        return
    for line in (*vision.assumed, *(sound.assumed if sound else ())):
        key, _, value = line.partition(" = ")
        yield Assumption(key.replace(": ", "."), NOTHING, value, None)
    shape = (
        f"{vision.shape.layers} layers of {vision.shape.hidden}, table {vision.table}, {vision.prefix} prefix tokens"
    )
    limits = f"{vision.min_patches} to {vision.max_patches} patches, {vision.video_patches} a video frame"
    yield Assumption("vision tower", f"{shape}; {limits}; {vision.activation}", "as the file says", True)
    if sound is None:
        yield Assumption("sound_config", NOTHING, "cannot hear", None)


def _files(folder: Path) -> Iterator[Assumption]:
    """Files beside config.json."""
    path = folder / "preprocessor_config.json"
    try:
        value = read_json(path) if path.is_file() else {}
    except CheckpointError as error:
        value = {}
        yield Assumption(path.name, str(error), "does not need it", None)
    for key, ours in (("norm_mean", CLIP_MEAN), ("norm_std", CLIP_STD)):
        yield _one(
            value, key, f"normalises pictures with {ours}", lambda said, ours=ours: np.allclose(said, ours, 1e-3)
        )
    path = folder / "generation_config.json"
    ids = read_json(path).get("eos_token_id") if path.is_file() else None
    yield Assumption(
        "generation_config.json", f"eos_token_id = {_short(ids)}", "stops on each, and on <|im_end|>", bool(ids) or None
    )
    try:
        config = read_config(folder)
        yield Assumption("config.json", config.architecture, "runs it", True)
    except CheckpointError as error:
        yield Assumption("config.json", str(error), "refuses it", False)


def _tensors(folder: Path, raw: Mapping[str, Any]) -> Iterator[Assumption]:
    """Stored numbers that omni computes or knows itself, and tensors that it does not expect."""
    try:
        entries = read_entries(folder)
    except CheckpointError as error:
        yield Assumption("weights", str(error), "cannot load them", False)
        return
    scales = [name for name in entries if name.endswith(("k_scale", "v_scale", "weight_scale", "input_scale"))]
    says = f"{len(scales)} scales, the first {scales[0]}" if scales else "no scales of keys, values or weights"
    yield Assumption("scales", says, "runs BF16 without scales", not scales)
    root = "vision_model.radio_model.input_conditioner."
    for leaf, numbers in (("norm_mean", CLIP_MEAN), ("norm_std", CLIP_STD)):
        yield _stored(entries, root + leaf, np.array(numbers, np.float32), f"normalises once, with {numbers}")
    buffers = {name: entry for name, entry in entries.items() if ".feature_extractor." in name}
    try:
        sound = SoundConfig.read(raw)
    except CheckpointError:
        return  # already told
    if sound is None:
        return
    bank, window = mel_bank(sound.mels, sound.rate, sound.fft), np.hanning(sound.window).astype(np.float32)
    for what, ours, does in (
        ("mel bank", bank, "computes Slaney's mel bank"),
        ("window", window, "computes a symmetric Hann window"),
    ):
        named = [name for name, entry in buffers.items() if int(np.prod(entry.shape)) == ours.size]
        if named:
            yield _stored(entries, named[0], ours, does)
        else:
            yield Assumption(f"stored {what}", ", ".join(buffers) or "no buffers of the featurizer", does, None)


def _stored(entries: Mapping[str, Entry], name: str, ours: npt.NDArray[np.float32], does: str) -> Assumption:
    """A stored tensor against the numbers that omni uses in its place."""
    if name not in entries:
        return Assumption(name, "no such tensor", does, None)
    values = _numbers(entries[name])
    if values is None or values.size != ours.size:
        return Assumption(name, f"{entries[name].dtype} {list(entries[name].shape)}", does, False)
    apart = float(np.abs(values - ours.ravel()).max())
    agree = apart <= TOLERANCE * float(np.abs(ours).max())
    return Assumption(name, f"{ours.size} numbers, at most {apart:.2g} from omni's", does, agree)


def _numbers(entry: Entry) -> npt.NDArray[np.float32] | None:
    """A small tensor's values, flat; None for a type that numpy does not know."""
    with entry.file.open("rb") as stream:
        stream.seek(entry.offset)
        data = stream.read(entry.size)
    if entry.dtype == "BF16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    kind = {"F32": np.float32, "F16": np.float16, "F64": np.float64}.get(entry.dtype)
    return None if kind is None else np.frombuffer(data, kind).astype(np.float32)


def _tokens(folder: Path) -> Iterator[Assumption]:
    """Ids of the special tokens, and what the chat template does with each of its switches."""
    try:
        config = read_config(folder)
        tokenizer = Tokenizer(folder, config)
    except MissingExtra as error:
        yield Assumption("tokens and template", f"not looked at: {error}", error.hint, None)
        return
    except CheckpointError as error:
        yield Assumption("tokens and template", str(error), "cannot read or write text without them", False)
        return
    for name, text in SPECIALS.items():
        number, known = getattr(tokenizer.special, name), KNOWN_IDS.get(name)
        does = "looks it up by its text" + (f"; known from elsewhere as {known}" if known is not None else "")
        yield Assumption(text, f"id {number}", does, True if known in (None, number) else None)
    for name, keys in MEDIA_TOKENS.items():
        number = getattr(config, name)
        does = "never embeds it" if name == "video_token" else "must be the tokenizer's"
        yield Assumption(
            " or ".join(keys), NOTHING if number is None else str(number), does, number is not None or None
        )
    ends = sorted(tokenizer.end_ids)
    yield Assumption(
        "end of an answer", f"ids {ends}", "stops on each; 2 and 11 are known", {2, 11} <= set(ends) or None
    )
    try:
        yield from _template(tokenizer)
    except MissingExtra as error:  # the tokenizers library without jinja2
        yield Assumption("template", f"not looked at: {error}", error.hint, None)
    tokenizer.template.close()


def _template(tokenizer: Tokenizer) -> Iterator[Assumption]:
    """The chat template, by what it writes."""

    def written(messages: list[dict[str, Any]], **switches: Any) -> str:
        try:
            return tokenizer.template.render(messages=messages, add_generation_prompt=True, **switches)
        except CheckpointError as error:
            return f"fails: {error}"

    on, off = written(TURNS, enable_thinking=True), written(TURNS, enable_thinking=False)
    kept = written(TURNS, enable_thinking=True, truncate_history_thinking=False)
    called = written(CALLED, tools=[TOOL])
    listed = written([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"}]}])
    call = "<tool_call>\n<function=F>\n<parameter=K>\nV\n</parameter>\n</function>\n</tool_call>"
    for key, text, does, ok in (
        ("template: thinking on", on[-40:], "an open think block", on.endswith("<|im_start|>assistant\n<think>\n")),
        ("template: thinking off", off[-40:], "a closed one", off.endswith("<|im_start|>assistant\n<think></think>")),
        ("template: system block", on[:40], "always there", on.startswith("<|im_start|>system\n")),
        ("template: old thinking", _around(on, "A1"), "left out", "R1" not in on),
        ("template: thinking kept", _around(kept, "A1"), "kept on request", "<think>\nR1\n</think>" in kept),
        ("template: a tool", _around(called, "<name>F"), "named in the system block", "# Tools" in called),
        ("template: a tool call", _around(called, "<function=F>"), "read back in this form", call in called),
        ("template: a result", _around(called, "\nT\n"), "inside <tool_response>", "<tool_response>\nT\n</" in called),
    ):
        yield Assumption(key, repr(text), does, ok)
    yield Assumption(
        "template: a picture",
        repr(_around(listed, "Q")),
        "not used: omni itself puts <img>…</img> where a picture stands",
        None,
    )


def _around(text: str, place: str) -> str:
    at = text.find(place)
    return text[max(0, at - 60) : at + 40] if at >= 0 else text[-100:]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 70 else text[:67] + "…"
