"""What a result was measured with: commit, command, versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("omni-agent", "numpy", "onnxruntime", "rapidocr", "faster-whisper", "ctranslate2", "pymupdf", "av")


def facts() -> dict[str, object]:
    """The circumstances of a run, for the head of a results file."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    commit = (
        os.environ.get("OMNI_COMMIT")  # of a copy without its history
        or subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
        ).stdout.strip()
    )
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "commit": commit,
        "command": f"python -m benchmarks.{' '.join([Path(sys.argv[0]).stem, *sys.argv[1:]])}",
        "python": platform.python_version(),
        "versions": versions,
        "cores": os.cpu_count(),
        "cpu": model,
        "load": round(os.getloadavg()[0], 1),
    }
