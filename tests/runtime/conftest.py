"""A tiny checkpoint in the released layout, written and loaded once. Without torch these tests are left out, except in
CI, where their absence is an error."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from omni_agent.runtime.loading import Loaded

if not os.environ.get("OMNI_TEST_ALL") and any(find_spec(name) is None for name in ("torch", "transformers")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny products: threads would only wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's folder; tests that break something copy it first."""
    from benchmarks import make_checkpoint

    return make_checkpoint.write(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def loaded(folder: Path) -> Loaded:
    """Its language model in fp32 on the CPU."""
    import torch

    from omni_agent.runtime.loading import load

    return load(folder, device="cpu", dtype=torch.float32)
