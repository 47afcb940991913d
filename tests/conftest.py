"""What every test gets: settings of its own, and a skip that CI turns into a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packaged weights are put together: once for the whole run, since they are large."""
    return tmp_path_factory.mktemp("omni-weights")


@pytest.fixture(autouse=True)
def own_settings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, weights_folder: Path
) -> None:
    """No test reads the config, environment or cache of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("OMNI_") and name != "OMNI_TEST_ALL"]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("omni-home")
    (folder / "cache").mkdir()
    (folder / "cache" / "weights").symlink_to(weights_folder)
    monkeypatch.setenv("OMNI_CONFIG", str(folder / "config.toml"))
    monkeypatch.setenv("OMNI_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("OMNI_OFFLINE", "1")


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """`require("ffmpeg")`: skip unless these programs are installed; in CI (OMNI_TEST_ALL=1) their absence fails."""

    def check(*programs: str) -> None:
        missing = [program for program in programs if shutil.which(program) is None]
        if missing and os.environ.get("OMNI_TEST_ALL"):
            pytest.fail(f"missing: {', '.join(missing)}")
        if missing:
            pytest.skip(f"needs {', '.join(missing)} (see `make system-packages`)")

    return check


@pytest.fixture(scope="session")
def examples() -> Path:
    """The shipped example files."""
    return Path(__file__).parent.parent / "examples"
