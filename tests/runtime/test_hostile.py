"""Checkpoint folders made to harm: links, pipes, files without end, counts without sense, code beside the weights."""

from __future__ import annotations

import copy as copying
import json
import os
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import make_checkpoint
from omni_agent.errors import CheckpointError, OmniError
from omni_agent.runtime.config import read_config, read_json
from omni_agent.runtime.loading import load
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.safetensors import read_header
from omni_agent.runtime.tokenizer import Tokenizer

FIRST = "model-00001-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(folder, device="cpu", dtype=torch.float32, media=True)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def test_shards_may_be_links_as_in_the_hugging_face_cache(copy: Path, tmp_path: Path) -> None:
    """The cache keeps blobs in one folder, links in another. What a link leads to is read as tensors or not at all."""
    (tmp_path / "blobs").mkdir()
    for number, shard in enumerate(sorted(copy.glob("*.safetensors"))):
        shard.rename(tmp_path / "blobs" / str(number))
        shard.symlink_to(tmp_path / "blobs" / str(number))
    assert load(copy, device="cpu", dtype=torch.float32).config.text.vocab_size == 320
    (copy / FIRST).unlink()
    (copy / FIRST).symlink_to("/etc/hostname")
    assert f"{FIRST} is" in refused(copy)
    (copy / FIRST).unlink()
    (copy / FIRST).symlink_to(FIRST)  # itself
    assert f"{FIRST} is missing" in refused(copy)


@pytest.mark.parametrize("name", ["config.json", INDEX, FIRST, "tokenizer.json", "chat_template.jinja"])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "pipe", "folder"])
def test_what_is_no_regular_file_is_not_opened(copy: Path, name: str, device: str) -> None:
    """A pipe would block for ever, /dev/zero has no end."""
    (copy / name).unlink()
    if device == "pipe":
        os.mkfifo(copy / name)
    elif device == "folder":
        (copy / name).mkdir()
    else:
        (copy / name).symlink_to(device)
    with pytest.raises(CheckpointError, match="is missing"):
        load(copy, device="cpu", dtype=torch.float32)
        Tokenizer(copy, read_config(copy))


@pytest.mark.parametrize("name", ["config.json", INDEX, "tokenizer.json", "chat_template.jinja"])
def test_ten_gigabytes_where_kilobytes_belong(copy: Path, name: str) -> None:
    os.truncate(copy / name, 10 << 30)  # sparse: it takes no room
    with pytest.raises(CheckpointError, match="10737418240 bytes, too many"):
        load(copy, device="cpu", dtype=torch.float32)
        Tokenizer(copy, read_config(copy))


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, (64 << 20) + 1])
def test_headers_longer_than_any_file(copy: Path, length: int) -> None:
    data = (copy / FIRST).read_bytes()
    (copy / FIRST).write_bytes(struct.pack("<Q", length) + data[8:])
    os.truncate(copy / FIRST, 100 << 20)
    assert f"its header claims {length} bytes" in refused(copy)


def test_tensors_that_share_bytes(tmp_path: Path) -> None:
    """Two names for one stretch, and one stretch inside another."""
    for ranges in (([0, 8], [0, 8]), ([0, 16], [8, 16])):
        header = {
            name: {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}
            for name, (begin, end) in zip("ab", ranges, strict=True)
        }
        text = json.dumps(header).encode()
        file = tmp_path / "x.safetensors"
        file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
        with pytest.raises(CheckpointError, match="overlap"):
            read_header(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"x": {"a": 1, "a": 1}}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": ' + "[" * 100_000, "cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"' + "k" * 5000 + '": 1, "' + "k" * 5000 + '": 1}', "stands twice"),
    ],
)
def test_json_that_says_two_things_or_none(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_json(tmp_path / "config.json")
    assert words in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "change",
    [
        {"n_routed_experts": 1 << 24, "moe_intermediate_size": 1 << 24},
        {"n_routed_experts": 1 << 24, "moe_intermediate_size": 1},
        {"hidden_size": 1 << 24, "vocab_size": 1 << 24},
        {"mamba_num_heads": 1 << 24, "mamba_head_dim": 1 << 24, "ssm_state_size": 1 << 24, "n_groups": 1 << 24},
        {"hybrid_override_pattern": "E" * 4096, "num_hidden_layers": 4096},
    ],
)
def test_gigantic_counts_are_refused_before_anything_is_made(copy: Path, change: dict[str, Any]) -> None:
    (copy / "config.json").write_text(json.dumps(make_checkpoint.config(**change)))
    assert "config.json describes" in refused(copy)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("vision_config", {"hidden_size": 1 << 24, "intermediate_size": 1 << 24, "num_hidden_layers": 4096}),
        ("vision_config", {"num_hidden_layers": 4096}),
        ("sound_config", {"num_hidden_layers": 4096}),
        ("sound_config", {"conv_kernel_size": 1 << 24}),
    ],
)
def test_gigantic_towers_are_refused_as_well(copy: Path, section: str, change: dict[str, Any]) -> None:
    raw = make_checkpoint.config()
    raw[section] = raw[section] | change
    (copy / "config.json").write_text(json.dumps(raw))
    assert "config.json describes" in refused(copy)


def test_names_in_the_index_that_no_file_system_takes(copy: Path) -> None:
    for name in ("x" * 5000 + ".safetensors", "a\0b.safetensors", "\ud800.safetensors", ".safetensors/..", ["x"], None):
        index = {"weight_map": {"x": name}}
        (copy / INDEX).write_text(json.dumps(index))
        assert INDEX in refused(copy) or "is missing" in refused(copy)


def test_code_beside_the_weights_is_never_run(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `trust_remote_code` would import: a configuration, a model, a processor and a tokenizer of the folder's."""
    raw = make_checkpoint.config()
    raw["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.T", None]}
    (copy / "config.json").write_text(json.dumps(raw))
    marker = tmp_path / "ran"
    for name in ("evil", "configuration", "modeling_nemotron_h", "processing", "jinja2", "sitecustomize", "torch"):
        (copy / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
    monkeypatch.chdir(copy)  # a process started here must not import from here either
    loaded = load(copy, device="cpu", dtype=torch.float32, media=True)
    tokenizer = Tokenizer(copy, loaded.config)
    assert tokenizer.chat([{"role": "user", "content": "x"}])
    assert not marker.exists()


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 1 << 24, 1 << 63, 10**400, 0.5, 1e308, float("inf"), "", "x", [], [1], ["a"], [[1]],
    {}, {"a": 1}, [{}], [None], [0.0, 10**400],
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value of a JSON object."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def test_any_value_in_any_place_of_the_configuration(tmp_path: Path) -> None:
    """Each key with each odd value: it is refused in a sentence, or it means something."""
    base = make_checkpoint.config()
    for path in places(base):
        for value in VALUES:
            raw = copying.deepcopy(base)
            section: Any = raw
            for key in path[:-1]:
                section = section[key]
            section[path[-1]] = value
            (tmp_path / "config.json").write_text(json.dumps(raw))
            try:
                config = read_config(tmp_path)
                VisionConfig.read(config.raw)
                SoundConfig.read(config.raw)
            except OmniError as error:
                assert len(str(error)) < 1000, (path, value)


def test_any_byte_of_a_header_changed(folder: Path, tmp_path: Path) -> None:
    """A flipped bit is noticed or changes a name; nothing else comes out of it."""
    data = (folder / FIRST).read_bytes()
    length = 8 + struct.unpack("<Q", data[:8])[0]
    file = tmp_path / "x.safetensors"
    choose = random.Random(5)
    for _ in range(400):
        changed = bytearray(data)
        changed[choose.randrange(length)] ^= 1 << choose.randrange(8)
        file.write_bytes(changed)
        try:
            entries = read_header(file)
        except OmniError:
            continue
        assert all(entry.offset + entry.size <= len(data) for entry in entries.values())
