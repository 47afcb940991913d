"""Checkpoints that are whole, broken in real ways, or made to harm."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks import make_checkpoint
from omni_agent.errors import CheckpointError, Unavailable
from omni_agent.runtime import loading
from omni_agent.runtime.config import read_config
from omni_agent.runtime.loading import Loaded, load
from omni_agent.runtime.safetensors import read_header

FIRST = "model-00001-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder, device="cpu", dtype=torch.float32)
    return str(caught.value)


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_header(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite a shard's header and leave its bytes as they are."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_every_tensor_is_loaded_or_skipped_for_a_reason(folder: Path, loaded: Loaded) -> None:
    stored = make_checkpoint.tensors(make_checkpoint.config())
    places = loaded.model.tensors()
    assert len(places) + len(loaded.skipped) == len(stored)
    for name, place in places.items():
        torch.testing.assert_close(place, stored["language_model." + name], atol=0, rtol=0)
    assert {name.split(".")[0] for name in loaded.skipped} == {
        "vision_model", "mlp1", "sound_encoder", "sound_projection",
    }  # fmt: skip
    assert all("not part of the text backbone" in reason for reason in loaded.skipped.values())


def test_large_tensors_are_read_in_pieces(folder: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BUFFER", 1000)
    again = load(folder, device="cpu", dtype=torch.float32).model.tensors()
    assert all(torch.equal(again[name], place) for name, place in loaded.model.tensors().items())


def test_bfloat16_files_keep_states_in_float32(tmp_path: Path) -> None:
    made = load(make_checkpoint.write(tmp_path / "bf16", dtype=torch.bfloat16), device="cpu").model.tensors()
    stored = make_checkpoint.tensors(make_checkpoint.config(), torch.bfloat16)
    for name, place in made.items():
        fp32 = name.endswith(("A_log", ".D", "dt_bias", "e_score_correction_bias"))
        assert place.dtype == (torch.float32 if fp32 else torch.bfloat16), name
        assert torch.equal(place, stored["language_model." + name].to(place.dtype))


def test_released_shape_is_the_released_shape() -> None:
    """The published totals of the real configuration: parameters by part, tensors of the language model."""
    text = read_config(_real_config()).text
    from omni_agent.runtime.model import LanguageModel

    places = LanguageModel(text, "meta").tensors()
    assert sum(place.numel() for place in places.values()) == 31_577_940_288
    assert len(places) == 23 * 9 + 23 * 261 + 6 * 5 + 3


def _real_config() -> Path:
    return Path(make_checkpoint.__file__).parent / "text-backbone"


def test_missing_shard(copy: Path) -> None:
    (copy / FIRST).unlink()
    assert FIRST in refused(copy) and "missing" in refused(copy)


def test_truncated_shard(copy: Path) -> None:
    data = (copy / FIRST).read_bytes()
    (copy / FIRST).write_bytes(data[: len(data) // 2])
    assert f"{FIRST} is damaged: it ends after" in refused(copy)


@pytest.mark.parametrize("keep", [0, 5, 40])
def test_shard_cut_inside_its_header(copy: Path, keep: int) -> None:
    (copy / FIRST).write_bytes((copy / FIRST).read_bytes()[:keep])
    assert f"{FIRST} is damaged" in refused(copy)


def test_wrong_shape(copy: Path) -> None:
    tensors = load_file(copy / FIRST)
    name = "language_model.backbone.layers.0.mixer.D"
    tensors[name] = torch.zeros(9)
    save_file(tensors, copy / FIRST)
    assert refused(copy) == f"{name} has shape [9], expected [8]"


def test_missing_tensor(copy: Path) -> None:
    name = "language_model.backbone.embeddings.weight"
    tensors = load_file(copy / FIRST)
    del tensors[name]
    save_file(tensors, copy / FIRST)
    assert refused(copy) == f"'{name}' is not in {FIRST}, where {INDEX} puts it"
    edit_json(copy / INDEX, lambda index: index["weight_map"].pop(name))
    assert refused(copy) == "1 tensors are missing, the first is backbone.embeddings.weight"


def test_unknown_tensor(copy: Path) -> None:
    tensors = load_file(copy / FIRST)
    tensors["language_model.mtp.weight"] = torch.zeros(2)
    save_file(tensors, copy / FIRST)
    assert "'language_model.mtp.weight', which this model does not have" in refused(copy)


def test_a_tensor_in_two_shards(copy: Path) -> None:
    name = "language_model.backbone.embeddings.weight"
    second = copy / FIRST.replace("00001", "00002", 1)
    save_file(load_file(second) | {name: load_file(copy / FIRST)[name]}, second)
    assert "stands in both" in refused(copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.update(data_offsets=[e["data_offsets"][0] + 4, e["data_offsets"][1] + 4]), "overlap"),
        (lambda e: e.update(data_offsets=[0, 1 << 60]), "its shape"),
        (lambda e: e.update(data_offsets=[-256, 0]), "senseless"),
        (lambda e: e.update(shape=[1 << 40, 1 << 40]), "its shape"),
        (lambda e: e.update(shape=[-8]), "senseless"),
        (lambda e: e.update(shape=[True, 8]), "senseless"),
        (lambda e: e.update(dtype="PICKLE"), "of type 'PICKLE'"),
        (lambda e: e.pop("shape"), "incomplete"),
    ],
)
def test_headers_that_lie(copy: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    edit_header(copy / FIRST, lambda header: change(header["language_model.backbone.layers.0.mixer.D"]))
    assert words in refused(copy)


def test_header_of_gigantic_length(copy: Path) -> None:
    data = (copy / FIRST).read_bytes()
    (copy / FIRST).write_bytes(struct.pack("<Q", 1 << 62) + data[8:])
    assert "its header claims 4611686018427387904 bytes" in refused(copy)


def test_header_nested_too_deep_or_doubled(tmp_path: Path) -> None:
    for text in ("[" * 200_000, '{"a": {}, "a": {}}', "[]", '{"a": 3}'):
        file = tmp_path / "x.safetensors"
        file.write_bytes(struct.pack("<Q", len(text)) + text.encode())
        with pytest.raises(CheckpointError):
            read_header(file)


def test_bytes_that_no_tensor_owns(copy: Path) -> None:
    with (copy / FIRST).open("ab") as stream:
        stream.write(b"x" * 100)
    assert "100 bytes that no tensor owns" in refused(copy)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "x.txt", ".."])
def test_index_that_points_outside(copy: Path, shard: str) -> None:
    edit_json(copy / INDEX, lambda index: index["weight_map"].update(x=shard))
    assert "no file of this folder" in refused(copy)


def test_pickle_files_are_refused_unread(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    edit_json(copy / INDEX, lambda index: index["weight_map"].update(x="pytorch_model.bin"))
    assert "pickle files can run code" in refused(copy)
    (copy / INDEX).unlink()
    assert "pickle files can run code" in refused(copy)
    (copy / "pytorch_model.bin").unlink()
    assert f"{INDEX} is missing" in refused(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"weight_map": []}', "[" * 100_000])
def test_damaged_index(copy: Path, text: str) -> None:
    (copy / INDEX).write_text(text)
    assert INDEX in refused(copy)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("routed_scaling_factor", None, "lacks 'routed_scaling_factor'"),
        ("norm_topk_prob", None, "lacks 'norm_topk_prob'"),
        ("n_group", 2, "'n_group' is 2; this runtime computes 1 only"),
        ("tie_word_embeddings", True, "'tie_word_embeddings' is True"),
        ("attention_bias", True, "'attention_bias' is True"),
        ("mlp_hidden_act", "gelu", "'mlp_hidden_act' is 'gelu'"),
        ("hybrid_override_pattern", "MEM-EME*ME", "holds '-'; known are M, E and *"),
        ("hybrid_override_pattern", "MEM", "num_hidden_layers is 10, the pattern has 3 blocks"),
        ("vocab_size", 1 << 40, "no sensible count"),
        ("hidden_size", -64, "no sensible count"),
        ("hidden_size", True, "no sensible count"),
        ("hidden_size", "64", "no sensible count"),
        ("num_experts_per_tok", 17, "more experts per token than experts"),
        ("n_groups", 3, "no multiple of the groups"),
        ("time_step_limit", [0.001, 10.0], "does not clamp the time step"),
        ("rms_norm_eps", 1e-6, "contradicts itself"),
        ("eos_token_id", "2", "'eos_token_id' is '2'"),
        ("routed_scaling_factor", True, "'routed_scaling_factor' is True"),
    ],
)
def test_configurations_that_are_refused(copy: Path, key: str, value: Any, words: str) -> None:
    (copy / "config.json").write_text(json.dumps(make_checkpoint.config(**{key: value})))
    assert words in refused(copy)


def test_both_spellings_mean_the_same(copy: Path) -> None:
    """The released names, then those of the transformers library."""
    before = read_config(copy)
    other = make_checkpoint.config(hybrid_override_pattern=None, layer_norm_epsilon=None)
    section = other.pop("llm_config")
    section["layers_block_type"] = [{"M": "mamba", "E": "moe", "*": "attention"}[c] for c in make_checkpoint.PATTERN]
    section["rms_norm_eps"] = 1e-5
    other |= {"text_config": section, "image_token_id": other.pop("img_context_token_id")}
    (copy / "config.json").write_text(json.dumps(other))
    after = read_config(copy)
    assert after.text == before.text and after.image_token == before.image_token == 18


def test_another_architecture(copy: Path) -> None:
    edit_json(copy / "config.json", lambda raw: raw.update(architectures=["LlamaForCausalLM"]))
    assert "architecture 'LlamaForCausalLM'" in refused(copy)
    (copy / "config.json").unlink()
    assert "config.json is missing" in refused(copy)


@pytest.mark.parametrize(
    ("file", "value", "kind"),
    [
        ("config.json", {"quantization_config": {"quant_algo": "FP8"}}, "FP8"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "MIXED_PRECISION", "x": "NVFP4"}}, "NVFP4"),
    ],
)
def test_quantised_checkpoints_are_refused_by_name(copy: Path, file: str, value: dict[str, Any], kind: str) -> None:
    path = copy / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | value))
    assert f"holds {kind} weights" in refused(copy)


def test_quantised_tensors_are_refused_by_name(copy: Path) -> None:
    tensors = load_file(copy / FIRST)
    name = "language_model.backbone.layers.0.mixer.in_proj.weight"
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    save_file(tensors, copy / FIRST)
    assert f"{name} is stored as FP8" in refused(copy)


def test_too_little_memory_shows_the_sum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of 80 GB that has 66.5 GB free: the weights fit, 262,144 tokens of cache do not."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (66_500_000_000, 80_000_000_000))
    config = read_config(_real_config())
    with pytest.raises(Unavailable) as caught:
        loading.require_memory(63_155_880_576, config, 262_144, torch.device("cuda"), torch.bfloat16)
    assert "63.2 GB of weights + 1.7 GB of cache + 3.2 GB to work in" in str(caught.value)
    assert "66.5 GB free of 80.0 GB" in str(caught.value) and "tokens would fit" in caught.value.hint


def test_config_files_that_are_no_config(copy: Path) -> None:
    for data in (b"", b"\xff\xfe", b"[1]", b"{" * 50_000):
        (copy / "config.json").write_bytes(data)
        assert "config.json" in refused(copy)
