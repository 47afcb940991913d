"""`omni model verify` and `info`: whole folders, damaged ones, and machines without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import make_checkpoint
from omni_agent.errors import CheckpointError, UsageError
from omni_agent.tools.model_info import info
from omni_agent.tools.model_verify import Verification, verify

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture
def manifest(folder: Path, tmp_path: Path) -> Path:
    """As `sha256sum *` writes it."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.iterdir())]
    (tmp_path / "sums").write_text("\n".join(lines) + "\n")
    return tmp_path / "sums"


def wrong(result: Verification) -> dict[str, str]:
    assert result.ok is not any(check.ok is False for check in result.checks)
    return {check.what: check.detail for check in result.checks if check.ok is False}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on a machine without torch, transformers or safetensors."""
    code = "import sys; sys.modules.update(torch=None, transformers=None, safetensors=None, triton=None)\n"
    code += "from omni_agent.cli.main import main; main()"
    line = [sys.executable, "-c", code, "model", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=dict(os.environ), timeout=120)


def test_a_whole_folder_by_its_manifest(folder: Path, manifest: Path) -> None:
    told: list[tuple[float, float | None]] = []
    result = verify(folder, manifest=manifest, progress=lambda what, done, total: told.append((done, total)))
    assert wrong(result) == {}
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert told[-1] == (size, size)
    sound = {check.what for check in result.checks if check.ok}
    assert {path.name for path in folder.iterdir()} <= sound
    assert {"config.json", "index and headers", "bytes of weights", "parameters"} <= sound


def test_one_changed_bit_in_the_weights_is_found(copy: Path, manifest: Path) -> None:
    """Nothing but the hash can tell."""
    data = bytearray((copy / SHARD).read_bytes())
    data[-1000] ^= 1
    (copy / SHARD).write_bytes(data)
    assert list(wrong(verify(copy, manifest=manifest))) == [SHARD]
    assert verify(copy).ok


@pytest.mark.parametrize(
    ("change", "what", "words"),
    [
        (lambda f: (f / SHARD).unlink(), "index and headers", "is missing"),
        (lambda f: os.truncate(f / SHARD, 5000), "index and headers", "damaged"),
        (lambda f: (f / "chat_template.jinja").unlink(), "chat_template.jinja", "is missing"),
        (lambda f: (f / "config.json").write_text("{"), "config.json", "cannot be read"),
        (
            lambda f: (f / "config.json").write_text(
                json.dumps(make_checkpoint.config(hybrid_override_pattern="MEM*EME*MM"))
            ),
            "parameters",
            "Mamba-2 layers",
        ),
        (
            lambda f: (f / "config.json").write_text(json.dumps(make_checkpoint.config(n_routed_experts=12))),
            "parameters",
            "MoE layers: 446,784 in 148 tensors, described are",
        ),
    ],
)
def test_what_is_wrong_is_named(copy: Path, change: Callable[[Path], object], what: str, words: str) -> None:
    change(copy)
    found = wrong(verify(copy))
    assert words in found[what]


def test_a_total_that_the_index_states_wrongly(copy: Path) -> None:
    path = copy / "model.safetensors.index.json"
    raw = json.loads(path.read_text())
    raw["metadata"]["total_size"] += 1
    path.write_text(json.dumps(raw))
    assert "stated by the index" in wrong(verify(copy))["bytes of weights"]


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def test_hashes_of_the_hugging_face_cache(copy: Path, tmp_path: Path) -> None:
    """There a file is a link to a blob that is named by its hash: sha256 of large files, git's of small ones."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in sorted(copy.iterdir()):
        data = path.read_bytes()
        name = hashlib.sha256(data).hexdigest() if path.suffix == ".safetensors" else git_hash(data)
        path.rename(blobs / name)
        path.symlink_to(blobs / name)
    result = verify(copy)
    assert wrong(result) == {} and sum("bytes, git" in check.detail for check in result.checks) == 6
    blob = (copy / "tokenizer.json").resolve()
    blob.write_text(blob.read_text() + " ")
    assert list(wrong(verify(copy))) == ["tokenizer.json"]


def test_hashes_that_a_plain_download_keeps_beside(copy: Path) -> None:
    beside = copy / ".cache" / "huggingface" / "download"
    beside.mkdir(parents=True)
    digest = hashlib.sha256((copy / SHARD).read_bytes()).hexdigest()
    (beside / f"{SHARD}.metadata").write_text(f"{'0' * 40}\n{digest}\n1.0\n")
    assert any(check.what == SHARD and check.ok for check in verify(copy).checks)
    (beside / f"{SHARD}.metadata").write_text(f"{'0' * 40}\n{digest[::-1]}\n1.0\n")
    assert list(wrong(verify(copy))) == [SHARD]


def test_manifests_that_are_none_and_files_that_are_gone(copy: Path, manifest: Path) -> None:
    (copy / "generation_config.json").unlink()
    assert wrong(verify(copy, manifest=manifest)) == {"generation_config.json": "is missing"}
    manifest.write_text("hello\n")
    with pytest.raises(UsageError, match="line 1"):
        verify(copy, manifest=manifest)
    with pytest.raises(UsageError, match="cannot be read"):
        verify(copy, manifest=copy / "none")
    with pytest.raises(UsageError, match="is no folder"):
        verify(copy / "none")


def test_files_that_can_run_code_are_pointed_out(copy: Path) -> None:
    (copy / "modeling.py").write_text("raise SystemExit")
    result = verify(copy)
    assert result.ok and "modeling.py" in result.checks[-1].detail


def test_verify_from_the_command_line_without_torch(copy: Path, manifest: Path) -> None:
    done = run("verify", str(copy), "--manifest", str(manifest))
    assert done.returncode == 0, done.stderr
    assert f"ok  {SHARD}: " in done.stdout
    os.truncate(copy / SHARD, 5000)
    done = run("verify", str(copy), "--manifest", str(manifest), "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False
    done = run("verify")
    assert done.returncode == 5 and "omni model get" in done.stderr


def test_info_adds_up(folder: Path) -> None:
    made = info(folder)
    stored = make_checkpoint.tensors(make_checkpoint.config())
    counted = {name: value.numel() for name, value in stored.items() if not name.endswith("num_batches_tracked")}
    assert (made.parameters, made.tensors) == (sum(counted.values()), len(stored))
    assert sum(part.parameters for part in made.parts) == made.parameters
    assert sum(part.bytes for part in made.parts) == made.bytes == 4 * made.parameters + 2 * 8
    assert made.dtypes == {"F32": len(stored) - 2, "I64": 2}
    (need,) = made.needs  # the tiny model has 4,096 positions
    text = make_checkpoint.TEXT
    kv = 2 * 2 * 2 * text["num_key_value_heads"] * text["head_dim"] * 4096  # two attention blocks, two bytes a number
    assert need.context == 4096 and kv < need.cache_bytes < 2 * kv
    assert need.total_bytes == made.weights_bytes + made.work_bytes + need.cache_bytes
    assert any("hidden_act" in line for line in made.assumed)


def test_info_says_what_fits_the_card(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards of which one is too small: the driver's program stands in for the driver."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB'\necho 'NVIDIA T400, 2048 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    large, small = info(folder).cards
    assert (large.name, large.bytes, large.context) == ("NVIDIA H100 80GB HBM3", 81559 << 20, 4096)
    assert (small.name, small.context) == ("NVIDIA T400", 0)
    done = run("info", str(folder))
    assert "NVIDIA H100 80GB HBM3, 85.52 GB: a context of 4,096 tokens fits" in done.stdout
    assert "NVIDIA T400, 2.15 GB: the weights do not fit" in done.stdout


def test_info_from_the_command_line_without_torch_or_card(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("info", str(folder))
    assert done.returncode == 0 and "no card to fit it on: no NVIDIA GPU driver" in done.stdout, done.stderr
    value: dict[str, Any] = json.loads(run("info", str(folder), "--json").stdout)
    assert value["schema_version"] == 1 and value["blocks"] == make_checkpoint.PATTERN
    monkeypatch.setenv("OMNI_MODEL_PATH", str(folder))
    assert run("info").stdout == done.stdout


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """All headers of the released model over 66 GB of nothing: sparse files take no room."""
    vision = {"width": 1280, "layers": 32, "heads": 16, "mlp": 5120, "table": 128, "prefix": 10, "patch": 16}
    sound = {"hidden_size": 1024, "layers": 24, "ff": 4096, "channels": 256, "mels": 128, "kernel": 9, "heads": 8}
    vision["projector"], sound["projector"] = 20480, 4096
    folder = Path(shutil.copytree(Path(make_checkpoint.__file__).parent / "released", tmp_path / "released"))
    text = json.loads((folder / "config.json").read_text())["llm_config"]
    shapes = dict(make_checkpoint.text_shapes(text)) | dict(make_checkpoint.media_shapes(text, vision, sound))
    header, at = {}, 0
    for name, shape in shapes.items():
        counter = name.endswith("num_batches_tracked")
        size = math.prod(shape) * (8 if counter else 2)
        header[name] = {"dtype": "I64" if counter else "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    data = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(data)) + data)
        stream.truncate(8 + len(data) + at)
    return folder


def test_the_released_model_by_its_headers(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published totals, and what fits an H100 by the model's documented arithmetic: the weights are 66.03 GB, and
    85.5 GB less those and 2.1 to work in leave more than the 1.6 GB that 262,144 tokens take."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB'\necho 'NVIDIA L40S, 46068 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = info(released)
    assert (made.parameters, made.tensors) == (33_015_632_214, 7_349)
    assert made.weights_bytes == 66_031_264_428 and [card.context for card in made.cards] == [262_144, 0]
    need = next(need for need in made.needs if need.context == 131_072)
    assert need.cache_bytes == 131_072 * 6_144 + 23 * (64 * 64 * 128 * 4 + 4 * 6144 * 2)
    checks = {check.what: check for check in verify(released).checks}
    assert checks["published totals"].ok and checks["parameters"].ok


def test_info_of_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        info(tmp_path)
