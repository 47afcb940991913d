"""Every floor of the embedded engine beside what omni and the naive way reach: one table, and results/floors.json.

    python -m benchmarks.floors [--kept]

Runs benchmarks.ask, click, transcribe and watch one after another (about an hour on two cores) and reads the results
that they write; `--kept` reads those of their last runs. The files and questions are those that were made last, by
somebody who had not read how omni perceives, and that omni first met when all else was done: the split `third`; the
clips of transcribe are whole. A run after their failures were read is no first look.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SPLIT = "third"
RUNS = (
    ("ask", "--split", SPLIT, "--write"),
    ("click", "--split", SPLIT),
    ("transcribe",),
    ("watch", "--split", SPLIT),
)
FILES = (f"ask-{SPLIT}", f"click-{SPLIT}", "transcribe", f"watch-{SPLIT}")


@dataclass(frozen=True, slots=True)
class Floor:
    """What is wanted of a figure and what was measured, as shares; `most` where the figure is an error rate."""

    what: str
    of: int
    wanted: float
    omni: float
    naive: float | None
    commit: str
    most: bool = False

    @property
    def held(self) -> bool:
        return self.omni <= self.wanted if self.most else self.omni >= self.wanted


def floors() -> list[Floor]:
    """The floors with the figures of the last runs. Raises FileNotFoundError where one was never run."""
    ask, click, transcribe, watch = (json.loads((RESULTS / f"{name}.json").read_text()) for name in FILES)
    return [*_asked(ask), *_clicked(click), _heard(transcribe), _watched(watch)]


def _asked(result: dict[str, Any]) -> list[Floor]:
    omni, naive = (result["figures"][way][SPLIT]["all"] for way in ("omni", "naive"))
    rows = (("answers about documents", "answers right", 0.6), ("pages of documents", "pages right", 0.8))
    return [
        Floor(what, omni["answerable"], wanted, omni[key] / 100, naive[key] / 100, result["commit"])
        for what, key, wanted in rows
    ]


def _clicked(result: dict[str, Any]) -> list[Floor]:
    clicks = result["table"][SPLIT]
    return [
        Floor(
            f"clicks on {kind}",
            clicks[kind]["n"],
            wanted,
            clicks[kind]["omni"],
            clicks[kind]["naive"],
            result["commit"],
        )
        for kind, wanted in (("text", 0.9), ("icon", 0.4))
    ]


def _heard(result: dict[str, Any]) -> Floor:
    omni, plain = result["omni"], result["plain"]
    return Floor(
        "word error rate", len(omni["clips"]), 0.09, omni["wer"], plain["wer"], result["facts"]["commit"], most=True
    )


def _watched(result: dict[str, Any]) -> Floor:
    cell = result["table"][SPLIT]["on screen"]
    naive = None if cell["naive"] is None else cell["naive"] / cell["n"]  # `benchmarks.watch --alone` leaves it out
    return Floor("on-screen text of videos", cell["n"], 0.75, cell["omni"] / cell["n"], naive, result["run"]["commit"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", action="store_true", help="run nothing: the figures of the last runs")
    if not parser.parse_args().kept:
        for name, *options in RUNS:
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
    rows = floors()
    print(f"{'':<26} {'of':>4} {'wanted':>7} {'omni':>7} {'naive':>7}")
    for row in rows:
        naive = "–" if row.naive is None else f"{row.naive:.1%}"
        print(
            f"{row.what:<26} {row.of:>4} {row.wanted:>7.0%} {row.omni:>7.1%} {naive:>7}  "
            f"{'held' if row.held else 'MISSED'}"
        )
    kept = [asdict(row) | {"held": row.held} for row in rows]
    (RESULTS / "floors.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
