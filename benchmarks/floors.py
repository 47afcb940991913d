"""Every floor of the embedded engine beside what omni and the naive way reach: one table, and results/floors.json.

    python -m benchmarks.floors [--kept]

Runs benchmarks.ask, click, transcribe and watch one after another (about an hour on two cores) and reads the results
that they write; `--kept` reads those of their last runs. The files and questions are those that were made last, by
somebody who had not read how omni perceives, and that omni met once, after all changes of its time: the splits `third`
and `fourth`, between which failures of the first were read; the clips of transcribe are whole. The committed results
are those first looks: a run after their failures were read is none.
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
LOOKS = {"ask": ("third",), "click": ("third", "fourth"), "watch": ("third", "fourth")}
RUNS = (
    *(("ask", "--split", split, "--write") for split in LOOKS["ask"]),
    *(("click", "--split", split) for split in LOOKS["click"]),
    ("transcribe",),
    *(("watch", "--split", split) for split in LOOKS["watch"]),
)


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
    return [*_asked(*_kept("ask")), *_clicked(_kept("click")), _heard(_read("transcribe")), _watched(_kept("watch"))]


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _kept(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The results of each set that a benchmark was run on, by the set's name."""
    return [(split, _read(f"{name}-{split}")) for split in LOOKS[name]]


def _asked(look: tuple[str, dict[str, Any]]) -> list[Floor]:
    split, result = look
    omni, naive = (result["figures"][way][split]["all"] for way in ("omni", "naive"))
    rows = (("answers about documents", "answers right", 0.6), ("pages of documents", "pages right", 0.8))
    return [
        Floor(what, omni["answerable"], wanted, omni[key] / 100, naive[key] / 100, result["commit"])
        for what, key, wanted in rows
    ]


def _clicked(looks: list[tuple[str, dict[str, Any]]]) -> list[Floor]:
    found = []
    for kind, wanted in (("text", 0.9), ("icon", 0.4)):
        cells = [result["table"][split][kind] for split, result in looks if kind in result["table"][split]]
        total = sum(cell["n"] for cell in cells)
        omni, naive = (sum(cell["n"] * cell[way] for cell in cells) / total for way in ("omni", "naive"))
        commits = ", ".join(result["commit"] for _, result in looks)
        found.append(Floor(f"clicks on {kind}", total, wanted, omni, naive, commits))
    return found


def _heard(result: dict[str, Any]) -> Floor:
    omni, plain = result["omni"], result["plain"]
    return Floor(
        "word error rate", len(omni["clips"]), 0.09, omni["wer"], plain["wer"], result["facts"]["commit"], most=True
    )


def _watched(looks: list[tuple[str, dict[str, Any]]]) -> Floor:
    cells = [result["table"][split]["on screen"] for split, result in looks]
    total = sum(cell["n"] for cell in cells)
    alone = any(cell["naive"] is None for cell in cells)  # `benchmarks.watch --alone` leaves the naive way out
    naive = None if alone else sum(cell["naive"] for cell in cells) / total
    commits = ", ".join(result["run"]["commit"] for _, result in looks)
    return Floor("on-screen text of videos", total, 0.75, sum(cell["omni"] for cell in cells) / total, naive, commits)


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
