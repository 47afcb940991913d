"""`omni transcribe` as a person runs it: real processes on the shipped recordings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

OMNI = [sys.executable, "-m", "omni_agent", "transcribe", "--engine", "lite"]


def omni(
    *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*OMNI, *arguments], input=stdin, capture_output=True, timeout=250, env={**os.environ, **(environment or {})}
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="session")
def short(examples: Path, tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]) -> Path:
    """The first sentence of the shipped recording."""
    require("ffmpeg")
    path = tmp_path_factory.mktemp("short") / "short.ogg"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(examples / "speech.flac"), "-t", "7.2", str(path)], check=True)
    return path


def silence(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(2 * round(8_000 * seconds)))
    return path


def test_text_goes_to_stdout_and_the_rest_to_stderr(short: Path) -> None:
    done = omni(str(short))
    assert done.returncode == 0 and "engine: lite" in done.stderr
    assert done.stdout.startswith("And Mr. John Dashwood") and done.stdout.count("\n") == 1


def test_standard_input_and_json(short: Path) -> None:
    done = omni("-", "--json", "--quiet", stdin=short.read_bytes())
    assert done.returncode == 0 and done.stderr == ""
    assert json.loads(done.stdout)["found"] is True and done.stdout.count("\n") == 1


def test_every_format_is_written_into_the_folder(short: Path, tmp_path: Path) -> None:
    done = omni(str(short), "-f", "all", "-o", str(tmp_path / "out"))
    assert done.returncode == 0
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == [
        f"short.{form}" for form in ("json", "md", "srt", "tsv", "txt", "vtt")
    ]
    assert "Dashwood" in (tmp_path / "out" / "short.srt").read_text()


def test_a_transcript_that_was_corrected_is_kept(short: Path, tmp_path: Path) -> None:
    """Whisper writes over it; hours of somebody's work may be in it. What says the same already leaves nothing."""
    (tmp_path / "short.srt").write_text("corrected by hand\n")
    for _ in range(2):
        done = omni(str(short), "-f", "all", "-o", str(tmp_path), "-q")
        assert done.returncode == 0 and done.stdout.count("\n") == 6
    assert (tmp_path / "short.srt~").read_text() == "corrected by hand\n"
    assert "Dashwood" in (tmp_path / "short.srt").read_text()
    assert [path.name for path in tmp_path.iterdir() if "~" in path.name] == ["short.srt~"]
    (tmp_path / "short.srt").write_text("corrected again\n")
    done = omni(str(short), "-f", "srt", "-o", str(tmp_path))
    assert f"is kept in {tmp_path / 'short.srt~2'}" in done.stderr
    assert (tmp_path / "short.srt~2").read_text() == "corrected again\n"


def test_nobody_speaks_is_exit_3(tmp_path: Path) -> None:
    done = omni(str(silence(tmp_path / "silence.wav", 3)), "--json")
    assert done.returncode == 3 and "nobody speaks" in done.stderr
    value = json.loads(done.stdout)
    assert value["found"] is False and value["segments"] == [] and value["text"] == ""


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("missing.wav", None, 2, "no such file"),
        ("empty.wav", b"", 1, "is empty"),
        ("text.wav", b"hello\n" * 9, 1, "no recording"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, name: str, content: bytes | None, code: int, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = omni(str(tmp_path / name), "-q")
    assert done.returncode == code and words in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


def test_length_zero_and_a_folder(tmp_path: Path) -> None:
    zero, folder = omni(str(silence(tmp_path / "zero.wav", 0)), "-q"), omni(str(tmp_path), "-q")
    assert zero.returncode == 1 and "holds no sound" in zero.stderr
    assert folder.returncode == 2 and "is a folder" in folder.stderr


@pytest.mark.parametrize("arguments", [(), ("--seconds", "3", "x.wav"), ("x.wav", "--mic"), ("x.wav", "-f", "doc")])
def test_a_wrong_call_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = omni(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr


def test_a_full_disk_is_one_sentence_and_the_work_is_kept(short: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*OMNI, str(short), "-q"], stdout=full, stderr=subprocess.PIPE, timeout=250)
    assert done.returncode == 1 and b"No space left" in done.stderr and b"Traceback" not in done.stderr
    again = omni(str(short), "--json", "-q")
    assert json.loads(again.stdout)["timings"]["reused_s"] > 5


def test_hours_of_silence_are_quick_and_flat_in_memory(tmp_path: Path) -> None:
    """Three hours would be 690 MB as float32."""
    path = silence(tmp_path / "hours.wav", 3 * 3600)
    program = (
        "import re, runpy, sys\n"
        "try:\n    runpy.run_module('omni_agent', run_name='__main__')\n"
        # not getrusage: its peak counts what the process that started this one held
        "finally:\n    peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())\n"
        "    print(int(peak[1]) // 1024, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, "transcribe", "--engine", "lite", "-q", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 3 and done.stdout == ""
    assert int(done.stderr.split()[-1]) < 400


def test_ctrl_c_keeps_what_was_heard_and_the_next_run_goes_on(
    examples: Path, tmp_path: Path, require: Callable[..., None]
) -> None:
    require("ffmpeg")
    long = tmp_path / "long.flac"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-stream_loop", "5", "-i", str(examples / "speech.flac"), str(long)], check=True
    )
    kept = Path(os.environ["OMNI_CACHE_DIR"]) / "heard"
    running = subprocess.Popen(
        [*OMNI, str(long), "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(kept.rglob("*.json")) and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 130, stderr
    assert "Dashwood" in stdout and "interrupted" in stderr and "goes on from there" in stderr
    whole = omni(str(long), "--json", "-q")
    value = json.loads(whole.stdout)
    assert whole.returncode == 0 and value["complete"] and value["text"].count("Dashwood") == 6
    assert value["timings"]["reused_s"] > 80


# --- the microphone ---------------------------------------------------------------------------------------------------


def alsa(folder: Path, recording: Path) -> dict[str, str]:
    """An ALSA configuration whose only microphone plays a file of raw samples."""
    config = folder / "asound.conf"
    device = f"type file slave.pcm {{ type null }} file /dev/null format raw infile '{recording}'"
    config.write_text(f"pcm.!default {{ {device} }}\n")
    return {"ALSA_CONFIG_PATH": str(config)}


def test_the_microphone_is_recorded_and_heard(examples: Path, tmp_path: Path, require: Callable[..., None]) -> None:
    require("ffmpeg")
    raw = tmp_path / "voice.raw"
    command = ["ffmpeg", "-v", "error", "-i", str(examples / "speech.flac"), "-f", "s16le", "-ar", "16000", str(raw)]
    subprocess.run(command, check=True)
    done = omni("--mic", "--seconds", "7.5", "-o", str(tmp_path / "out"), environment=alsa(tmp_path, raw))
    assert done.returncode == 0, done.stderr
    assert "Dashwood" in Path(done.stdout.strip()).read_text()
    assert len(list((tmp_path / "out").glob("recording-*.wav"))) == 1


def test_ctrl_c_ends_a_recording_and_what_was_recorded_is_heard(
    examples: Path, tmp_path: Path, require: Callable[..., None]
) -> None:
    require("ffmpeg")
    raw = tmp_path / "voice.raw"
    command = ["ffmpeg", "-v", "error", "-i", str(examples / "speech.flac"), "-f", "s16le", "-ar", "16000", str(raw)]
    subprocess.run(command, check=True)
    running = subprocess.Popen(
        [*OMNI, "--mic"],
        cwd=tmp_path,
        env={**os.environ, **alsa(tmp_path, raw)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    spoken = 4 * 2 * 16_000  # bytes of the first seconds, in which Mr. Dashwood is named
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > spoken for path in tmp_path.glob("recording-*.wav")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=200)
    assert running.returncode == 0 and "Dashwood" in stdout, stderr
    assert "Ctrl-C ends it" in stderr and "interrupted" not in stderr
    (kept,) = tmp_path.glob("recording-*.wav")
    with wave.open(str(kept)) as file:
        assert file.getnframes() > spoken / 2, "the file is closed and whole"


def test_without_portaudio_the_apt_line_is_given_and_files_still_work(tmp_path: Path, short: Path) -> None:
    """sounddevice raises OSError at import where the library is missing; a module that does so stands in for it."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = omni("--mic", "-q", environment={"PYTHONPATH": path})
    assert done.returncode == 5 and "apt-get install libportaudio2" in done.stderr and "Traceback" not in done.stderr
    assert omni(str(short), "-q", environment={"PYTHONPATH": path}).returncode == 0
