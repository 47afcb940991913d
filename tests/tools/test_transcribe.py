"""Transcripts of real recordings: what is said, formats read back by strict readers, interruption and resumption."""

from __future__ import annotations

import json
import re
import runpy
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest

from omni_agent.errors import MediaError, OmniError, UsageError
from omni_agent.perception.lite.engine import LitePerception
from omni_agent.settings import load
from omni_agent.tools.transcribe import STRETCH, Interrupted, TranscribeResult, printable, stretches, transcribe
from omni_agent.tools.transcript_formats import FORMATS, cues, render, save
from omni_agent.types import Heard, Minutes, MinutesItem, Segment, Sound, SpokenWord, to_json

# The five sentences as the corpus that ships them transcribes them.
SENSE_AND_SENSIBILITY = (
    "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for "
    "them he was not an ill disposed young man "
    "unless to be rather cold hearted and rather selfish is to be ill disposed "
    "had he married a more amiable woman he might have been made still more respectable than he was "
    "he might even have been made amiable himself"
)


@pytest.fixture(scope="session")
def lite(weights_folder: Path) -> LitePerception:
    """One perception for all tests of this module: its weights load once."""
    return LitePerception(load(cache_dir=weights_folder / "transcribe", offline=True))


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9% ]", "", text.lower().replace("-", " ").replace("mr.", "mister"))


@pytest.fixture(scope="session")
def speech(lite: LitePerception, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> TranscribeResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_CACHE_DIR", str(tmp_path_factory.mktemp("speech")))
        return transcribe(examples / "speech.flac", engine=lite)


@pytest.fixture(scope="session")
def talk(lite: LitePerception, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> TranscribeResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_CACHE_DIR", str(tmp_path_factory.mktemp("talk")))
        return transcribe(examples / "call.ogg", engine=lite, speakers=True, summary=True, prompt="Ben, budget")


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_real_reader_is_written_down(speech: TranscribeResult) -> None:
    assert speech.found and speech.complete and speech.language == "en" and speech.engine == "lite"
    assert jiwer.wer(SENSE_AND_SENSIBILITY, plain(speech.text)) <= 0.05
    assert [segment.id for segment in speech.segments] == list(range(len(speech.segments)))
    assert speech.summary is None and all(segment.speaker is None for segment in speech.segments)


def test_the_call_has_its_speakers_its_decision_and_its_action_items(talk: TranscribeResult, examples: Path) -> None:
    turns = runpy.run_path(str(examples / "make_recordings.py"))["CALL"]
    script = " ".join(words for _, words in turns).replace("twelve percent", "12%")
    assert jiwer.wer(plain(script), plain(talk.text)) <= 0.15  # synthetic voices are harder than people
    anna = next(s.speaker for s in talk.segments if "spring release" in s.text)
    ben = next(s.speaker for s in talk.segments if "testing" in s.text)
    assert {anna, ben} == {"Speaker 1", "Speaker 2"}
    for words, who in (("third of May", anna), ("too much", ben), ("supplier on Tuesday", ben), ("12%", anna)):
        assert next(s.speaker for s in talk.segments if words in s.text) == who
    assert talk.summary is not None
    assert ["third of May" in item.text for item in talk.summary.decisions] == [True]
    assert [(item.owner, item.due) for item in talk.summary.actions] == [(ben, "Tuesday morning"), ("Maria", "Friday")]
    assert any("approximate" in warning for warning in talk.warnings)


def test_digits_are_timed(talk: TranscribeResult) -> None:
    words = [word for segment in talk.segments for word in segment.words]
    twelve = next(n for n, word in enumerate(words) if word.word.strip().startswith("12"))
    higher = next(n for n, word in enumerate(words) if word.word.strip() == "higher")
    assert 0.3 < words[higher].start - words[twelve].start < 2.0  # "twelve percent"
    assert words[twelve].end - words[twelve].start > 0.1


def test_the_json_contract(talk: TranscribeResult) -> None:
    value = json.loads(json.dumps(to_json(talk)))
    assert value["schema_version"] == 1 and value["found"] is True and isinstance(value["text"], str)
    assert {"id", "start", "end", "text", "speaker", "words"} <= set(value["segments"][0])
    assert set(value["segments"][0]["words"][0]) == {"word", "start", "end", "probability"}
    assert set(value["summary"]) == {"topics", "decisions", "actions"}
    assert {"start", "end", "text"} <= set(value["summary"]["actions"][0])


@pytest.mark.parametrize(
    "encoding",
    [("wav", "-ar", "8000"), ("mp3", "-ar", "44100"), ("m4a", "-ac", "2"), ("webm",), ("mp4", "-ac", "2")],
    ids=lambda encoding: encoding[0],
)
def test_every_container_is_heard(
    lite: LitePerception, examples: Path, tmp_path: Path, encoding: tuple[str, ...], require: Callable[..., None]
) -> None:
    require("ffmpeg")
    path = tmp_path / f"short.{encoding[0]}"
    pictures = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5"] if encoding[0] == "mp4" else []
    command = ["ffmpeg", "-v", "error", *pictures, "-i", str(examples / "speech.flac"), "-t", "7.2", *encoding[1:]]
    subprocess.run([*command, str(path)], check=True)
    assert "dashwood had then leisure to consider" in plain(transcribe(path, engine=lite).text)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_a_file_cut_in_the_middle_keeps_what_decodes_and_says_so(
    lite: LitePerception, examples: Path, tmp_path: Path
) -> None:
    whole = (examples / "speech.flac").read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole[: len(whole) // 3])
    result = transcribe(cut, engine=lite)
    assert "dashwood" in result.text.lower() and len(result.warnings) == 1 and "cut.flac ends at" in result.warnings[0]


def test_what_is_no_recording_is_an_error(tmp_path: Path, lite: LitePerception) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("hello")
    for name, kind in (
        ("missing.wav", UsageError),
        (".", UsageError),
        ("empty.wav", MediaError),
        ("text.wav", MediaError),
    ):
        with pytest.raises(kind):
            transcribe(tmp_path / name, engine=lite)


def test_a_video_without_sound_says_so(tmp_path: Path, lite: LitePerception, require: Callable[..., None]) -> None:
    require("ffmpeg")
    path = tmp_path / "silent.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5", str(path)]
    subprocess.run(command, check=True)
    with pytest.raises(MediaError, match="no sound track"):
        transcribe(path, engine=lite)


def test_an_unknown_language_is_a_usage_error(lite: LitePerception, examples: Path) -> None:
    with pytest.raises(UsageError, match="klingon"):
        transcribe(examples / "speech.flac", language="klingon", engine=lite)


# --- stretches, interruption, resumption ------------------------------------------------------------------------------


def blocks(samples: np.ndarray, rate: int = 16_000) -> Iterator[Sound]:
    for at in range(0, len(samples), 30 * rate):
        yield Sound(samples[at : at + 30 * rate], rate, at / rate)


def test_stretches_are_the_whole_cut_where_it_is_quiet() -> None:
    rng = np.random.default_rng(3)
    samples = rng.uniform(-0.5, 0.5, 300 * 16_000).astype(np.float32)
    quiet = [(104.0, 104.8), (211.0, 211.6)]
    for low, high in quiet:
        samples[int(low * 16_000) : int(high * 16_000)] *= 0.01
    cut = list(stretches(blocks(samples)))
    assert np.array_equal(np.concatenate([s.samples for s in cut]), samples)
    assert all(s.duration <= STRETCH for s in cut) and len(cut) == 3
    for stretch, (low, high) in zip(cut[1:], quiet, strict=True):
        assert low < stretch.start < high


class Scripted:
    """A perception that hears one sentence a stretch, remembers what it was asked, and can be interrupted by a real
    Ctrl-C: before it hears the stretch `interrupt_at`, or while it does the work named by it."""

    name = "scripted"

    def __init__(self, interrupt_at: int | str | None = None) -> None:
        self.heard: list[float] = []
        self._interrupt_at = interrupt_at

    def _reached(self, at: int | str) -> None:
        if self._interrupt_at == at:
            signal.raise_signal(signal.SIGINT)

    def hear(self, sound: Sound, *, language: str | None = None, prompt: str = "") -> Heard:
        self._reached(len(self.heard))
        self.heard.append(sound.start)
        at = round(sound.start + 1, 3)
        words = (SpokenWord(at, at + 0.5, f" Stretch at {sound.start:.0f}.", 0.9),)
        return Heard((Segment(0, at, at + 0.5, f"Stretch at {sound.start:.0f}.", words),), language or "en")

    def tell_apart(self, sound: Sound, segments: Sequence[Segment]) -> tuple[str, ...]:
        self._reached("speakers")
        return tuple("Speaker 1" for _ in segments)

    def minutes(self, segments: Sequence[Segment]) -> Minutes:
        self._reached("summary")
        return Minutes()

    def unused(self, *arguments: object, **keywords: object) -> None:
        raise AssertionError("a transcript needs no eyes")

    read = answer = locate = look = unused


@pytest.fixture
def long(tmp_path: Path, require: Callable[..., None]) -> Path:
    """Seven minutes of hiss: at least four stretches."""
    require("ffmpeg")
    path = tmp_path / "long.wav"
    source = "anoisesrc=duration=420:amplitude=0.1:sample_rate=8000:seed=1"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, str(path)], check=True)
    return path


def test_an_interrupted_job_goes_on_where_it_stopped(long: Path, tmp_path: Path) -> None:
    first = Scripted(interrupt_at=2)
    with pytest.raises(Interrupted) as caught:
        transcribe(long, engine=first)  # type: ignore[arg-type]
    partial = caught.value.partial
    assert not partial.complete and partial.found and [s.id for s in partial.segments] == [0, 1]
    second = Scripted()
    renamed = long.rename(tmp_path / "renamed.wav")
    result = transcribe(renamed, engine=second)  # type: ignore[arg-type]
    assert result.complete and [s.id for s in result.segments] == list(range(2 + len(second.heard)))
    assert len(second.heard) >= 2 and second.heard[0] > first.heard[-1]
    assert result.segments[:2] == partial.segments
    assert result.timings["reused_s"] > 150


@pytest.mark.parametrize("work", ["speakers", "summary"])
def test_ctrl_c_after_the_hearing_keeps_every_word(long: Path, work: str) -> None:
    with pytest.raises(Interrupted) as caught:
        transcribe(long, speakers=True, summary=True, engine=Scripted(work))  # type: ignore[arg-type]
    partial = caught.value.partial
    assert not partial.complete and len(partial.segments) >= 4 and partial.summary is None
    again = Scripted()
    result = transcribe(long, speakers=True, summary=True, engine=again)  # type: ignore[arg-type]
    assert again.heard == [] and result.complete and result.summary is not None
    assert [s.text for s in result.segments] == [s.text for s in partial.segments]
    assert {s.speaker for s in result.segments} == {"Speaker 1"}


def test_speakers_of_a_recording_too_long_for_them_are_left_out(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit keeps the memory flat: 8 hours are 1.8 GB at once. Here it is set to six minutes."""
    monkeypatch.setattr("omni_agent.tools.transcribe.SPEAKER_HOURS", 0.1)
    result = transcribe(long, speakers=True, engine=Scripted("speakers"))  # type: ignore[arg-type]
    assert result.complete and all(segment.speaker is None for segment in result.segments)
    assert any("speakers" in warning for warning in result.warnings)


def test_finished_work_is_never_done_again_unless_the_options_differ(long: Path) -> None:
    first, again, other = Scripted(), Scripted(), Scripted()
    transcribe(long, engine=first)  # type: ignore[arg-type]
    transcribe(long, engine=again)  # type: ignore[arg-type]
    transcribe(long, prompt="Kubernetes", engine=other)  # type: ignore[arg-type]
    assert again.heard == [] and other.heard == first.heard


def test_progress_tells_the_seconds_done_and_in_all(long: Path) -> None:
    told: list[tuple[str, float, float | None]] = []
    transcribe(long, engine=Scripted(), progress=lambda *what: told.append(what))  # type: ignore[arg-type]
    assert {what for what, _, _ in told} == {"hearing"} and len(told) >= 5
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[0][1] == 0 and told[-1][1] == pytest.approx(420, abs=0.5)
    assert all(total == pytest.approx(420, abs=0.5) for _, _, total in told)


# --- formats ----------------------------------------------------------------------------------------------------------

TRICKY = ("He typed a --> b", "<i>markup</i> & more", "a\ttab", "Zeilen\u202e gedreht")


@pytest.fixture
def tricky() -> TranscribeResult:
    """Two hours in, with text that means something to each format, one very long sentence, and two speakers."""
    segments, at = [], 7199.5
    for number, text in enumerate([*TRICKY, "one two three four five six seven eight nine ten " * 6]):
        words = tuple(
            SpokenWord(at + 0.25 * n, at + 0.25 * n + 0.2, printable(f" {word}"), 0.8)
            for n, word in enumerate(text.split(" "))
        )
        segments.append(Segment(number, at, words[-1].end, printable(text), words, f"Speaker {number % 2 + 1}"))
        at = words[-1].end + 0.3
    item = MinutesItem("He typed a --> b", 7199.5, 7201.0, "Speaker 1", "Ben", "Friday")
    return TranscribeResult(
        found=True,
        text=" ".join(s.text for s in segments),
        language="en",
        segments=tuple(segments),
        summary=Minutes(topics=(item,), decisions=(), actions=(item,)),
        duration=7300.0,
        complete=True,
        engine="lite",
        warnings=(),
        timings={},
    )


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def read_cues(text: str, stamp: str, numbered: bool) -> list[tuple[float, float, list[str]]]:
    """A strict reader of SRT and VTT cues: anything that does not fit the grammar fails."""
    found = []
    for number, block in enumerate(text.strip("\n").split("\n\n"), 1):
        lines = block.split("\n")
        if numbered:
            assert lines.pop(0) == str(number)
        times = re.fullmatch(rf"({stamp}) --> ({stamp})", lines.pop(0))
        assert times and lines and all("-->" not in line and line.strip() for line in lines)
        found.append((seconds(times[1]), seconds(times[2]), lines))
    assert all(start < end for start, end, _ in found)
    assert all(one[1] <= other[0] + 1e-9 for one, other in pairwise(found))
    return found


def test_srt_is_read_back(tricky: TranscribeResult) -> None:
    found = read_cues(render(tricky, "srt"), r"\d\d:\d\d:\d\d,\d\d\d", numbered=True)
    assert found[0][0] == 7199.5 and found[0][2] == ["[Speaker 1]: He typed a -> b"]
    for start, end, lines in found:
        assert end - start <= 7 and len(lines) <= 2 and all(len(line) <= 42 + len("[Speaker 1]: ") for line in lines)
    spoken = re.sub(r"\[Speaker \d\]: ", "", " ".join(line for _, _, lines in found for line in lines))
    assert spoken.split()[-60:] == ("one two three four five six seven eight nine ten " * 6).split()


def test_vtt_is_read_back(tricky: TranscribeResult) -> None:
    head, _, rest = render(tricky, "vtt").partition("\n\n")
    assert head == "WEBVTT"
    found = read_cues(rest, r"\d\d:\d\d:\d\d\.\d\d\d", numbered=False)
    assert found[0][2] == ["<v Speaker 1>He typed a --&gt; b"]
    assert found[1][2] == ["<v Speaker 2>&lt;i&gt;markup&lt;/i&gt; &amp; more"]


def test_tsv_is_read_back(tricky: TranscribeResult) -> None:
    rows = [line.split("\t") for line in render(tricky, "tsv").splitlines()]
    assert rows[0] == ["start", "end", "text"] and {len(row) for row in rows} == {3}
    assert int(rows[1][0]) == 7199500 and int(rows[1][1]) > int(rows[1][0])


def test_json_txt_and_md_are_read_back(tricky: TranscribeResult) -> None:
    assert json.loads(render(tricky, "json")) == json.loads(json.dumps(to_json(tricky)))
    assert render(tricky, "txt").splitlines()[0] == "Speaker 1: He typed a --> b"
    text = render(tricky, "md", "meeting")
    assert text.startswith("# meeting\n") and "\n## Action items\n" in text
    assert "- [01:59:59] Speaker 1: He typed a --> b (owner: Ben, due: Friday)" in text
    assert "**Speaker 2** [02:00:01]" in text


def test_marks_that_reorder_text_are_gone(tricky: TranscribeResult) -> None:
    assert all("\u202e" not in render(tricky, form) for form in ("txt", "tsv", "md"))


def test_words_without_times_of_their_own_still_give_subtitles() -> None:
    segment = Segment(0, 1.0, 4.0, "No word times here, but a sentence all the same, and a long one.")
    (cue,) = cues([segment])
    assert (cue.start, cue.end) == (1.0, 4.0) and " ".join(cue.lines) == segment.text


def test_an_empty_transcript_is_valid_in_every_format(tricky: TranscribeResult) -> None:
    empty = replace(tricky, found=False, text="", segments=(), summary=None)
    written = {form: render(empty, form) for form in FORMATS}
    assert written["srt"] == "" and written["txt"] == "" and written["vtt"].strip() == "WEBVTT"
    assert written["tsv"] == "start\tend\ttext\n" and json.loads(written["json"])["segments"] == []


def test_all_formats_are_written_and_nothing_half(tricky: TranscribeResult, tmp_path: Path) -> None:
    paths = [saved.path for saved in save(tricky, list(FORMATS), tmp_path / "out", "meeting")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert {path.suffix for path in paths} == {".txt", ".srt", ".vtt", ".tsv", ".json", ".md"}
    with pytest.raises(OmniError, match="could not be written"):
        save(tricky, ["txt"], Path("/dev/full"), "meeting")
