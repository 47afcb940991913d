"""What every test gets: settings of its own, and a skip that CI turns into a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the config, environment or cache of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("OMNI_") and name != "OMNI_TEST_ALL"]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("omni-home")
    monkeypatch.setenv("OMNI_CONFIG", str(folder / "config.toml"))
    monkeypatch.setenv("OMNI_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("OMNI_OFFLINE", "1")


def require(*programs: str) -> None:
    """Skip unless these programs are installed; in CI (OMNI_TEST_ALL=1) their absence is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("OMNI_TEST_ALL"):
        pytest.fail(f"missing: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (see `make system-packages`)")


@pytest.fixture(scope="session")
def examples() -> Path:
    """The shipped example files."""
    return Path(__file__).parent.parent / "examples"
