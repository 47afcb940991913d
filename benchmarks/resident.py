"""What a command costs without a resident engine, and with a warm one: `python -m benchmarks.resident`.

Whole `omni ask` and `omni click` processes with the embedded engine, in a cache folder and a socket folder of their
own; "ask long" is a text of 60 pages made on the spot. "alone": nothing resident, all is loaded. "first": it starts the
process. "warm": the process has answered before. Medians of --runs; for each its wall-clock seconds and processor
seconds, the command's own and the resident process's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import facts

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
OMNI = [sys.executable, "-m", "omni_agent"]
QUESTION = "How many arrests for robbery were of females in 2009?"
COMMANDS = {
    "ask": ["ask", "-q", "--json", str(EXAMPLES / "report.pdf"), QUESTION],
    "ask long": ["ask", "-q", "--json", "long.pdf", "Which harbour repaired the signal of the council?"],
    "click": ["click", "-q", "Client dropdown", "--image", str(EXAMPLES / "screenshot.png")],
}
WORDS = """annual anchor bridge budget council crew engine fog harbour keeper ledger light measure northern repair
report signal station storm supply tariff the vessel winter"""


def write_long(path: Path) -> None:
    """Sixty pages of forty sentences of twelve words and a number."""
    import pymupdf

    draw, words = random.Random(1), WORDS.split()
    with pymupdf.open() as document:
        for _ in range(60):
            sentences = (" ".join(draw.choices(words, k=12)).capitalize() for _ in range(40))
            text = "\n".join(f"{sentence} {draw.randrange(1000)}." for sentence in sentences)
            document.new_page().insert_textbox((50, 50, 550, 800), text, fontsize=9)
        document.save(path)


def spent(command: list[str], environment: dict[str, str], folder: str) -> dict[str, float]:
    """Seconds of one process: by the clock, of its own processors, and of the resident one's."""
    before, engine = resource.getrusage(resource.RUSAGE_CHILDREN), _resident_cpu(environment)
    begun = time.perf_counter()
    done = subprocess.run([*OMNI, *command], env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode in (0, 3), f"{command} ended with {done.returncode}"
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": wall, "own cpu": own, "engine cpu": _resident_cpu(environment) - engine}


def _resident(environment: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run([*OMNI, "engine", "status", "--json"], env=environment, capture_output=True, text=True)
    engines: list[dict[str, Any]] = json.loads(done.stdout)["engines"]
    return engines


def _resident_cpu(environment: dict[str, str]) -> float:
    """Processor seconds that resident processes have used (proc(5), fields 14 and 15 of stat)."""
    ticks = 0
    for told in _resident(environment):
        fields = Path(f"/proc/{told['pid']}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(name: str, runs: int) -> list[dict[str, Any]]:
    """One row a state: alone, first, warm."""
    rows: dict[str, list[dict[str, float]]] = {"alone": [], "first": [], "warm": []}
    memory = 0.0
    with tempfile.TemporaryDirectory(prefix="omni") as folder:
        os.chmod(folder, 0o700)
        write_long(Path(folder, "long.pdf"))
        environment = os.environ | {"OMNI_CACHE_DIR": f"{folder}/cache", "OMNI_ENGINE": "lite"}
        environment |= {"XDG_RUNTIME_DIR": folder, "XDG_STATE_HOME": f"{folder}/state"}
        for state in ("never", "always"):
            environment["OMNI_RESIDENT"] = state
            for _ in range(runs):
                if state == "never":
                    rows["alone"].append(spent(COMMANDS[name], environment, folder))
                    continue
                rows["first"].append(spent(COMMANDS[name], environment, folder))
                rows["warm"].append(spent(COMMANDS[name], environment, folder))
                memory = max(memory, *(told["memory_mb"] for told in _resident(environment)))
                subprocess.run([*OMNI, "engine", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return [
        {"command": name, "state": state}
        | {key: round(statistics.median(row[key] for row in found), 2) for key in found[0]}
        | ({"engine MB": memory} if state == "warm" else {})
        for state, found in rows.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "resident.json")
    options = parser.parse_args()
    results = [row for name in COMMANDS for row in measured(name, options.runs)]
    for row in results:
        print(row)
    options.output.write_text(json.dumps({"made with": facts(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
