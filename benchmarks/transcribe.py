"""How well recordings are heard: `python -m benchmarks.transcribe` prints the tables, writes results/transcribe.json.

Beside omni's embedded engine runs faster-whisper used plainly, as its README shows it: `WhisperModel(...)` with the
same Whisper base weights in int8 and `transcribe(audio, beam_size=5)`, without voice detection. Measured are
- word error rate on real recordings (benchmarks.recordings), both sides normalised in the same way,
- words written where nobody speaks (noise made here, real music and effects),
- processor seconds for a second of sound (other programs may run), and peak memory of a whole `omni transcribe`,
- speakers: seconds of speech with the right label, over turns cut from different readers,
- minutes: decisions and action items found in scripted calls (data/calls.txt).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from benchmarks import recordings
from benchmarks.machine import facts
from benchmarks.recordings import CLIPS, NOBODY
from omni_agent.perception.lite import voices, whisper
from omni_agent.perception.lite.embed import Embedder
from omni_agent.perception.lite.minutes import minutes
from omni_agent.perception.lite.speech import Listener, voiced
from omni_agent.settings import load
from omni_agent.types import MinutesItem, Segment, Sound

HERE = Path(__file__).parent
RATE = 16_000
MOST = 45  # seconds taken of a clip in which nobody speaks
FLOOR = 0.09  # word error rate
Hear = Callable[[Sound], str]

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
}
_SAME = {"mr": "mister", "thru": "through", "ok": "okay", "voicemail": "voice mail"}


def normalised(text: str) -> str:
    """Lower case, no punctuation, numbers to twelve as digits, a few spellings alike: what Whisper's own normaliser
    does to the words that occur here."""
    words = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("’", "'").replace("-", " ")).replace("'", "").split()
    return " ".join(_SAME.get(word, _NUMBERS.get(word, word)) for word in words)


def heard(hear: Hear, clips: Sequence[recordings.Clip]) -> tuple[list[dict[str, Any]], float]:
    """What was heard in each clip, and the processor seconds spent for a second of sound."""
    rows, spent, length = [], 0.0, 0.0
    for clip in clips:
        sound = recordings.sound(clip.package, clip.path)
        began = time.process_time()
        text = hear(sound)
        spent, length = spent + time.process_time() - began, length + sound.duration
        row: dict[str, Any] = {"clip": clip.name, "said": normalised(clip.said), "heard": normalised(text)}
        rows.append(row | {"wer": round(jiwer.wer(row["said"], row["heard"]), 4)})
    return rows, spent / length


def nobody() -> list[tuple[str, Sound]]:
    """Sounds without speech: made here, and real ones."""
    draw, n = np.random.default_rng(1), 30 * RATE
    time_, white = np.arange(n) / RATE, draw.standard_normal(n)
    made = {
        "silence": np.zeros(n),
        "hiss": white * 0.003,
        "white noise": white * 0.2,
        "brown noise": np.cumsum(white) / np.abs(np.cumsum(white)).max(),
        "hum": 0.4 * np.sin(2 * np.pi * 50 * time_) + 0.1 * np.sin(2 * np.pi * 150 * time_) + white * 0.005,
        "beeps": 0.5 * np.sin(2 * np.pi * 1000 * time_) * (time_ % 1 < 0.2),
    }
    sounds = [(name, Sound(np.clip(samples, -1, 1).astype(np.float32))) for name, samples in made.items()]
    for clip in NOBODY:
        samples = recordings.sound(clip.package, clip.path).samples
        sounds.append((clip.name, Sound(samples[: MOST * RATE])))
    return sounds


def speakers() -> list[dict[str, Any]]:
    """Seconds with the right label over interleaved turns of different readers; stretches of voice are the segments."""
    readers = {clip.name: recordings.sound(clip.package, clip.path).samples for clip in CLIPS}
    austen = [readers[f"austen {n}"] for n in (1, 3, 4)]
    dickens = [readers["dickens"][at * RATE : (at + 8) * RATE] for at in (0, 13, 24)]
    phone = [readers[name] for name in ("phone echo", "phone no server", "phone about to try")]
    groups = {
        "two readers": [austen, dickens],
        "two readers, one on the phone": [dickens, phone],
        "three readers": [austen, dickens, phone],
        "one reader": [[readers["phone instructions"]]],
    }
    return [_speakers(name, voices_) for name, voices_ in groups.items()]


def _speakers(name: str, readers: list[list[Any]]) -> dict[str, Any]:
    pieces, truth, at = [], [], 0.0
    segments: list[Segment] = []
    for turns in zip(*readers, strict=False):
        for who, turn in enumerate(turns):
            for low, high in voiced(turn):
                segments.append(Segment(len(segments), at + low, at + high, ""))
                truth.append(who)
            pieces.append(turn)
            at += len(turn) / RATE
    labels = voices.tell_apart(Sound(np.concatenate(pieces)), segments)
    names = sorted(set(labels))
    lengths = [segment.end - segment.start for segment in segments]
    best = max(
        sum(
            length
            for length, who, label in zip(lengths, truth, labels, strict=True)
            if names.index(label) == order[who]
        )
        for order in itertools.permutations(range(max(len(names), len(readers))), len(readers))
    )
    return {"case": name, "people": len(readers), "found": len(names), "right": round(best / sum(lengths), 3)}


def scripted() -> dict[str, Any]:
    """Precision and recall of decisions and action items over the scripted calls, and the mistakes."""
    embedder, counts, mistakes = Embedder(), dict.fromkeys(("decisions", "actions"), (0, 0, 0)), []
    owners = dues = known = 0
    for block in (HERE / "data" / "calls.txt").read_text().split("\n== ")[1:]:
        name, _, lines = block.partition("\n")
        segments, wanted = _script(lines)
        found = minutes(segments, embedder)
        for kind, mark in (("decisions", "D"), ("actions", "A")):
            said: dict[float, MinutesItem] = {item.start: item for item in getattr(found, kind)}
            right = {start: marks for start, marks in wanted.items() if marks[0] == mark}
            hits = said.keys() & right.keys()
            counts[kind] = tuple(  # type: ignore[assignment]
                a + b for a, b in zip(counts[kind], (len(hits), len(said), len(right)), strict=True)
            )
            mistakes += [f"{name}: wrong {kind[:-1]}: {said[at].text}" for at in sorted(said.keys() - hits)]
            mistakes += [f"{name}: missed {kind[:-1]}: {segments[round(at / 4)].text}" for at in right.keys() - hits]
            for at in hits if mark == "A" else ():
                known += 1
                owners += (said[at].owner or "-") == right[at][1]
                dues += (said[at].due or "-") == right[at][2]
    table = {
        kind: {"precision": round(hit / max(said_, 1), 3), "recall": round(hit / max(true, 1), 3), "of": true}
        for kind, (hit, said_, true) in counts.items()
    }
    return {**table, "owner right": f"{owners}/{known}", "due right": f"{dues}/{known}", "mistakes": mistakes}


def _script(lines: str) -> tuple[list[Segment], dict[float, tuple[str, str, str]]]:
    segments: list[Segment] = []
    wanted = {}
    for line in filter(None, lines.splitlines()):
        marks, _, turn = line.rpartition(" | ") if " | " in line else (line[:1].strip(), "", line[2:])
        who, words = turn.split(": ", 1)
        at = 4.0 * len(segments)
        segments.append(Segment(len(segments), at, at + 3, words, (), who.strip()))
        if marks.strip():
            owner, _, due = marks[2:].partition(" ")
            wanted[at] = (marks[0], owner, due)
    return segments, wanted


def cold() -> dict[str, float]:
    """Time and peak memory of a whole `omni transcribe` of the longest clip in a fresh process."""
    clip = next(clip for clip in CLIPS if clip.name == "phone instructions")
    path = recordings.file(clip.package, clip.path)
    command = [sys.executable, "-m", "omni_agent", "transcribe", "--engine", "lite", "-q", str(path)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMNI_CACHE_DIR": cache})
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "sound_s": 73.3,
        "wall_s": round(time.perf_counter() - began, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_MB": round(used.ru_maxrss / 1024),
    }


def main() -> None:
    settings = load(offline=True)
    whole = cold()  # first, while no other child has raised the peak
    listener = Listener(model=None, offline=True, cache=settings.cache_dir)
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(whisper.find(None, offline=True, cache=settings.cache_dir)), device="cpu", compute_type="int8"
    )

    def omni(sound: Sound) -> str:
        return " ".join(segment.text for segment in listener.hear(sound).segments)

    def plain(sound: Sound) -> str:
        return " ".join(segment.text for segment in model.transcribe(sound.samples, beam_size=5)[0])

    result: dict[str, Any] = {"facts": facts(), "cold": whole}
    for name, hear in (("omni", omni), ("plain", plain)):
        hear(recordings.sound(CLIPS[0].package, CLIPS[0].path))  # loading is measured in `cold`
        rows, rate = heard(hear, CLIPS)
        wer = jiwer.wer([row["said"] for row in rows], [row["heard"] for row in rows])
        noise = {sound_name: normalised(hear(sound)) for sound_name, sound in nobody()}
        result[name] = {
            "wer": round(wer, 4),
            "processor_s_per_s": round(rate, 3),
            "clips": rows,
            "invented": {key: text for key, text in noise.items() if text},
            "invented_of": len(noise),
        }
        print(f"{name:<6} WER {wer:.2%} (floor {FLOOR:.0%})  {rate:.2f} processor s/s  ", end="")
        print(f"words where nobody speaks: {len(result[name]['invented'])} of {len(noise)} clips")
    for one, other in zip(result["omni"]["clips"], result["plain"]["clips"], strict=True):
        print(f"  {one['clip']:<20} omni {one['wer']:6.1%}  plain {other['wer']:6.1%}")
    result["speakers"] = speakers()
    for row in result["speakers"]:
        print(
            f"speakers: {row['case']:<30} {row['found']} of {row['people']} found, {row['right']:.1%} of speech right"
        )
    result["minutes"] = scripted()
    for key, value in result["minutes"].items():
        print(f"minutes: {key}: {value}")
    print(f"cold: {whole}")
    target = HERE / "results" / "transcribe.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
