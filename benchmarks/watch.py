"""Questions about videos: omni beside the naive way (OCR of a frame each second, BM25 over its lines and the speech).

    python -m benchmarks.watch [--split tune|test|fresh|unseen|second|third|fourth] [--keep]

Prints a table and writes `results/watch.json`: every question with both answers. An answer is right when it holds one
of the accepted texts and, where the question has a time, when its first moment begins in it; a question that the video
does not answer is right when nothing is claimed. The questions of split `tune` were looked at while the rules were
written, the failures on `test` were read once; those of `fresh` were written before omni had seen their videos, and run
after all changes. Those of `unseen` were written by somebody who had not read how omni watches, who never ran it on
their videos and showed them to nobody; `second` was made in the same way after that, `third` after `second`,
and `fourth` after `third`.
`--keep` reuses what earlier runs read, so that only answers are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.videos import FOLDER, video

HERE = Path(__file__).parent


def right(question: dict[str, Any], found: bool, answer: str, start: float | None) -> bool:
    """Whether an answer counts."""
    if question["kind"] == "none":
        return not found
    if not found or not any(_plain(text) in _plain(answer) for text in question["answers"]):
        return False
    return question["at"] is None or (start is not None and question["at"][0] <= start <= question["at"][1])


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def ours(path: Path, question: str) -> tuple[bool, str, float | None, dict[str, Any]]:
    from omni_agent.tools.watch import watch

    began = time.perf_counter()
    result = watch(path, question, engine="lite")
    start = result.moments[0].start if result.moments else None
    text = " ".join([result.answer, result.moments[0].seen if result.moments else ""])
    return (
        result.found,
        text,
        start,
        {
            "seconds": time.perf_counter() - began,
            "reason": result.reason,
            "duration": result.duration,
            **result.timings,
        },
    )


class Naive:
    """OCR of one frame a second and the transcript, every line a document for BM25; the best line is the answer."""

    def __init__(self, path: Path) -> None:
        import bm25s

        began = time.perf_counter()
        self.lines: list[tuple[float, str]] = [*self._seen(path), *self._said(path)]
        self.seconds = time.perf_counter() - began
        self._index = bm25s.BM25()
        if self.lines:
            self._index.index(
                bm25s.tokenize([text for _, text in self.lines], show_progress=False), show_progress=False
            )

    def answer(self, question: str) -> tuple[bool, str, float | None]:
        import bm25s

        if not self.lines:
            return False, "", None
        tokens = bm25s.tokenize([question], show_progress=False)
        found, scores = self._index.retrieve(tokens, k=1, show_progress=False)
        start, text = self.lines[int(found[0][0])]
        return float(scores[0][0]) > 0, text, start

    @staticmethod
    def _seen(path: Path) -> list[tuple[float, str]]:
        from omni_agent.media.video import load
        from omni_agent.perception.lite.ocr import Reader

        kept = Path(os.environ["OMNI_CACHE_DIR"], "naive", f"{path.stem}.json")  # the same lines each time: read once
        if kept.is_file():
            return [(at, text) for at, text in json.loads(kept.read_text())]
        reader, lines, known = Reader(), [], {}
        for frame in load(path).frames(every=1.0, max_side=1920):
            look = frame.picture.pixels.tobytes()
            if look not in known:  # a frame that is the same to the last pixel is not read twice
                known = {look: [line.text for line in reader.read(frame.picture)]}
            lines += [(frame.time, text) for text in known[look]]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(lines))
        return lines

    @staticmethod
    def _said(path: Path) -> list[tuple[float, str]]:
        from omni_agent.errors import MediaError
        from omni_agent.tools.transcribe import transcribe

        try:
            return [(segment.start, segment.text) for segment in transcribe(path, engine="lite").segments]
        except MediaError:
            return []


def run(split: str | None, compare: bool) -> dict[str, Any]:
    questions = json.loads((HERE / "data" / "watch.json").read_text())
    by_video: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for question in questions:
        if split in (None, question["split"]):
            by_video[question["video"]].append(question)
    kept = Path(os.environ["OMNI_CACHE_DIR"], "speed.json")
    kept.parent.mkdir(parents=True, exist_ok=True)
    rows, speed = [], json.loads(kept.read_text()) if kept.is_file() else {}
    for name, asked in by_video.items():
        path = video(name)
        naive = Naive(path) if compare else None
        for number, question in enumerate(asked):
            found, answer, start, more = ours(path, question["question"])
            if number == 0 and name not in speed:  # what is kept was timed when it was read
                speed[name] = {"video_s": more["duration"], "omni_s": more["hear_s"] + more["look_s"]}
                if naive is not None:
                    speed[name]["naive_s"] = naive.seconds
                kept.write_text(json.dumps(speed))
            rows.append({
                **question,
                "ours": {"right": right(question, found, answer, start), "found": found, "answer": answer.strip(),
                         "start": start, "reason": more["reason"], "seconds": round(more["seconds"], 3)},
                "naive": _naively(naive, question) if naive else None,
            })  # fmt: skip
            print(
                "ok " if rows[-1]["ours"]["right"] else "-- ",
                name,
                question["question"],
                "|",
                answer[:90] or more["reason"],
            )
    return {"rows": rows, "speed": speed}


def _naively(naive: Naive, question: dict[str, Any]) -> dict[str, Any]:
    found, answer, start = naive.answer(question["question"])
    return {"right": right(question, found, answer, start), "answer": answer, "start": start}


def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Right answers by split and kind, for both; None for the naive way where it was left out."""
    alone = any(row["naive"] is None for row in rows)
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for row in rows:
        for split in (row["split"], "all"):
            for kind in (row["kind"], *(["on screen"] if row["kind"] in ("seen", "when") else [])):
                cell = counts[split][kind]
                cell[0] += 1
                cell[1] += row["ours"]["right"]
                cell[2] += not alone and row["naive"]["right"]
    return {
        split: {
            kind: {"n": n, "omni": omni, "naive": None if alone else naive} for kind, (n, omni, naive) in kinds.items()
        }
        for split, kinds in counts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--split", choices=["tune", "test", "fresh", "unseen", "second", "third", "fourth"])
    parser.add_argument("--keep", action="store_true", help="keep and reuse what was read")
    parser.add_argument("--alone", action="store_true", help="leave the naive way out (it takes most of the time)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        os.environ["OMNI_CACHE_DIR"] = str(FOLDER / "cache") if chosen.keep else fresh
        result = run(chosen.split, not chosen.alone)
    result["table"] = table(result["rows"])
    for split, kinds in result["table"].items():
        for kind, cell in kinds.items():
            naive = "" if chosen.alone else f"   naive {cell['naive'] / cell['n']:4.0%}"
            print(f"{split:5} {kind:10} {cell['n']:3}   omni {cell['omni'] / cell['n']:4.0%}{naive}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE).stdout
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    result["run"] = {
        "commit": commit.strip(),
        "command": " ".join(["python -m benchmarks.watch", *sys.argv[1:]]),
        "kept": chosen.keep,
        "machine": {"cores": os.cpu_count(), "cpu": cpu, "system": platform.platform()},
        "versions": {name: version(name) for name in ("rapidocr", "onnxruntime", "faster-whisper", "av", "bm25s")},
    }  # fmt: skip
    out = HERE / "results" / f"watch{'-' + chosen.split if chosen.split else ''}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(out)


if __name__ == "__main__":
    main()
