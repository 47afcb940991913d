"""How fast documents are read, and what a cold `omni ask` costs: `python -m benchmarks.pages`.

Pages a second with a text layer (examples/report.pdf and two documents of corpus.py) and by OCR (the scan beside it and
one of the corpus), each the median of several runs (--runs, two fewer for what is slow) without any cache; then the
wall-clock time and the peak memory of whole `omni ask` processes: with no page read before, and with all kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.corpus import DOCUMENTS, path_of
from benchmarks.machine import facts
from omni_agent.media import layout
from omni_agent.media.pdf import Pdf
from omni_agent.perception.choose import perceive
from omni_agent.tools.document import SCAN_DPI

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
QUESTION = "How many women were arrested for fraud?"


def text_layer(path: Path, runs: int) -> dict[str, Any]:
    """Pages a second of the text layer, laid out as lines."""
    rates = []
    for _ in range(runs):
        begun = time.perf_counter()
        pdf = Pdf(path)
        pages = pdf.pages
        for number in range(1, pages + 1):
            layout.arrange(pdf.text(number).lines)
        pdf.close()
        rates.append(pages / (time.perf_counter() - begun))
    return {"pages": pages, "pages a second": round(statistics.median(rates), 1)}


def by_ocr(path: Path, runs: int, most: int) -> dict[str, Any]:
    """Pages a second of rendering and OCR, the models already loaded; at most `most` pages."""
    perception = perceive("lite")
    pdf = Pdf(path)
    pages = min(pdf.pages, most)
    perception.read(pdf.picture(1, 40))  # load
    rates = []
    for _ in range(runs):
        begun = time.perf_counter()
        for number in range(1, pages + 1):
            layout.arrange(perception.read(pdf.picture(number, SCAN_DPI)))
        rates.append(pages / (time.perf_counter() - begun))
    pdf.close()
    return {"pages": pages, "pages a second": round(statistics.median(rates), 3)}


def cold(path: Path, runs: int) -> list[dict[str, Any]]:
    """Wall-clock seconds and peak memory of `omni ask` processes: pages not read before, then read before."""
    results = []
    for state in ("first", "pages kept"):
        seconds, peaks = [], []
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as cache:
                environment = os.environ | {"OMNI_CACHE_DIR": cache}
                if state == "pages kept":
                    _spent(path, environment)
                spent, peak = _spent(path, environment)
                seconds.append(spent)
                peaks.append(peak)
        took, peak = round(statistics.median(seconds), 2), round(statistics.median(peaks))
        results.append({"file": path.name, "state": state, "seconds": took, "peak MB": peak})
    return results


def _spent(path: Path, environment: dict[str, str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "omni_agent", "ask", "--engine", "lite", "--json", "--quiet", str(path), QUESTION]
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # Popen must not wait for it again
    if process.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--write", action="store_true", help="keep the results in benchmarks/results/pages.json")
    chosen = options.parse_args()
    named = {document.name: document for document in DOCUMENTS}
    printed = [EXAMPLES / "report.pdf", *(path_of(named[name]) for name in ("tracemonkey", "gutenprint"))]
    scanned = [EXAMPLES / "report-scan.pdf", path_of(named["metafor-scan"])]
    labels = ["report.pdf", "tracemonkey", "gutenprint", "report-scan.pdf", "metafor-scan"]
    # First, while this process is small: a child's peak memory counts what its parent held when it was started.
    runs = [run for path in (printed[0], scanned[0]) for run in cold(path, max(1, chosen.runs - 2))]
    rates = [text_layer(path, chosen.runs) for path in printed]
    rates += [by_ocr(path, max(1, chosen.runs - 2), 2) for path in scanned]
    results: dict[str, Any] = facts()
    results["reading"] = [
        {"file": label, "by": "text layer" if index < len(printed) else "OCR", **rate}
        for index, (label, rate) in enumerate(zip(labels, rates, strict=True))
    ]
    results["omni ask"] = runs
    results["runs"] = {"text layer": chosen.runs, "OCR and omni ask": max(1, chosen.runs - 2)}
    for row in results["reading"]:
        print(f"{row['file']:<16} {row['by']:<11} {row['pages']:>3} pages  {row['pages a second']:>7} pages/s")
    for row in runs:
        print(f"omni ask {row['file']:<16} {row['state']:<11} {row['seconds']:>6} s  {row['peak MB']:>5} MB")
    if chosen.write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "pages.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
