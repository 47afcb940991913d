"""`omni cache`: where results are kept, how much, and that clearing deletes them and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from omni_agent.tools import cache


def omni(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "omni_agent", "cache", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_what_is_kept_is_counted_and_cleared() -> None:
    folder = Path(os.environ["OMNI_CACHE_DIR"])
    assert omni("path") == f"{folder}\n"
    assert all(kind["entries"] == 0 for kind in json.loads(omni("ls", "--json")))
    cache.put("page", "a file", 1, value=["read"])
    cache.put("page", "a file", 2, value=["read too"])
    cache.put("heard", "a recording", value={})
    (folder / "model").mkdir()
    (folder / "model" / f"keys-{'0' * 64}.safetensors").write_bytes(b"x" * 3_000_000)
    for other in (folder / "model" / "secret", folder / "told-what-is-better"):
        other.write_text("kept")
    counted = {kind["kind"]: (kind["entries"], kind["bytes"]) for kind in json.loads(omni("ls", "--json"))}
    assert counted["page"] == (2, len('["read"]') + len('["read too"]'))
    assert counted["model"] == (1, 3_000_000) and counted["heard"][0] == 1 and counted["watched"] == (0, 0)
    assert "3.0 MB" in omni("ls")
    assert omni("clear") == "4 results deleted, 3.0 MB\n"
    assert cache.get("page", "a file", 1) is None
    assert all(kind["entries"] == 0 for kind in json.loads(omni("ls", "--json")))
    assert (folder / "weights").exists() and (folder / "told-what-is-better").exists()
    assert omni("clear", "--json").count('"entries": 0') == len(cache.KINDS)
