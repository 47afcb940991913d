"""Make the recordings beside this file: `call.ogg`, a scripted call between two espeak-ng voices (a decision and two
action items with owner and date), and `speech.flac` out of the LibriVox clips of a Debian package.

    apt-get download pocketsphinx-testdata && dpkg -x pocketsphinx-testdata_*.deb data
    python examples/make_recordings.py data

Needs espeak-ng and ffmpeg. What the call says is in CALL; tests compare the transcript with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
VOICES = {"Anna": "en-us+Annie", "Ben": "en-us+m3"}
PAUSE = 0.6  # seconds between turns
CALL = [
    ("Anna", "Good morning Ben. Let's talk about the spring release."),
    ("Ben", "Good morning. The testing is almost finished, but four bugs in the export module are still open."),
    ("Anna", "How long will it take to fix them?"),
    ("Ben", "About one week. The team needs a little more time for the translations too."),
    ("Anna", "Okay. Then we will move the release to the third of May."),
    ("Ben", "That works for me."),
    ("Anna", "Moving on to the supplier contract. The new price is twelve percent higher than last year."),
    ("Ben", "That is too much. I will call the supplier on Tuesday morning and ask for a better price."),
    ("Anna", "Very good. Maria will send the new budget to everybody on Friday."),
    ("Ben", "Perfect. That is all from my side."),
    ("Anna", "Thank you, Ben. Have a nice day."),
]
CLIPS = "usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0{}.wav"
NUMBERS = (870, 880, 890, 920, 930)


def main(debian: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        turns = []
        for number, (who, words) in enumerate(CALL):
            turns.append(Path(folder, f"{number}.wav"))
            subprocess.run(["espeak-ng", "-v", VOICES[who], "-s", "150", "-w", str(turns[-1]), words], check=True)
        join(turns, HERE / "call.ogg", ["-c:a", "libopus", "-b:a", "32k"])
    join([debian / CLIPS.format(number) for number in NUMBERS], HERE / "speech.flac", [])


def join(parts: list[Path], target: Path, codec: list[str]) -> None:
    """The parts one after another with a pause after each, mono at 16 kHz, without marks of when it was made."""
    inputs = [word for part in parts for word in ("-i", str(part))]
    padded = "".join(f"[{n}]aresample=16000,apad=pad_dur={PAUSE}[p{n}];" for n in range(len(parts)))
    joined = "".join(f"[p{n}]" for n in range(len(parts))) + f"concat=n={len(parts)}:v=0:a=1"
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", padded + joined]
    subprocess.run([*command, "-ac", "1", "-bitexact", *codec, str(target)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
