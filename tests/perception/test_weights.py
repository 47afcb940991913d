"""Weights in installed packages: found as files, and known by their sums."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from omni_agent.errors import MissingExtra, Unavailable
from omni_agent.perception.lite.weights import as_installed


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution as pip leaves it, with the sum of its one network in its RECORD."""
    (tmp_path / "reader-1.0.dist-info").mkdir()
    (tmp_path / "reader").mkdir()
    network = tmp_path / "reader" / "a.onnx"
    network.write_bytes(b"weights")
    total = base64.urlsafe_b64encode(hashlib.sha256(b"weights").digest()).rstrip(b"=").decode()
    record = f"reader/a.onnx,sha256={total},7\nreader-1.0.dist-info/METADATA,,\n"
    (tmp_path / "reader-1.0.dist-info" / "RECORD").write_text(record)
    (tmp_path / "reader-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: reader\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    return network


def test_what_is_as_it_was_installed_is_found(package: Path) -> None:
    assert as_installed("reader", ".onnx") == (package,)


def test_what_changed_or_is_gone_is_told_with_the_cure(package: Path) -> None:
    package.write_bytes(b"Weights")
    with pytest.raises(Unavailable, match=r"a\.onnx is not the file that was installed") as caught:
        as_installed("reader", ".onnx")
    assert caught.value.hint == "pip install --force-reinstall reader"
    package.unlink()
    with pytest.raises(Unavailable, match=r"a\.onnx is missing"):
        as_installed("reader", ".onnx")
    with pytest.raises(Unavailable, match=r"holds no \.ttf"):
        as_installed("reader", ".ttf")
    with pytest.raises(MissingExtra):
        as_installed("nobody-packs-this", ".onnx")
