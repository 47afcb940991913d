"""`omni model check`: the table of assumptions on files that fit and files that do not, and the ten questions."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from omni_agent.engines.base import Event, Message, Options, ToolCall
from omni_agent.engines.fake import FakeEngine
from omni_agent.engines.local import LocalEngine
from omni_agent.errors import CheckpointError, EngineError, MissingExtra, UsageError
from omni_agent.perception.lite.engine import LitePerception
from omni_agent.runtime.assumptions import Assumption, assumptions
from omni_agent.runtime.audio_features import mel_bank
from omni_agent.runtime.media_config import CLIP_MEAN, CLIP_STD
from omni_agent.runtime.template import ChatTemplate
from omni_agent.settings import load as load_settings
from omni_agent.tools.model_check import Interrupted, check
from omni_agent.tools.model_questions import Question, Said, put, questions
from omni_agent.types import Clip, Picture, Sound

from .test_model_verify import run


@pytest.fixture(scope="module")
def sound_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with those numbers that a real one has and omni knows: means, mel bank, window."""
    made = Path(shutil.copytree(folder, tmp_path_factory.mktemp("check") / "sound"))
    known = {
        "input_conditioner.norm_mean": torch.tensor(CLIP_MEAN).view(3, 1, 1),
        "input_conditioner.norm_std": torch.tensor(CLIP_STD).view(3, 1, 1),
        "feature_extractor.fb": torch.from_numpy(mel_bank(128, 16_000, 512)),
        "feature_extractor.window": torch.hann_window(400, periodic=False),
    }
    for shard in made.glob("*.safetensors"):
        tensors = load_file(shard)
        for name in tensors:
            value = next((value for end, value in known.items() if name.endswith(end)), None)
            tensors[name] = tensors[name] if value is None else value.clone()
        save_file(tensors, shard)
    return made


@pytest.fixture
def copy(sound_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_folder, tmp_path / "copy"))


def contradicted(folder: Path) -> dict[str, Assumption]:
    return {row.key: row for row in assumptions(folder) if row.ok is False}


def row(folder: Path, key: str) -> Assumption:
    return next(row for row in assumptions(folder) if key in row.key)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_files_that_fit_contradict_nothing(sound_folder: Path) -> None:
    rows = assumptions(sound_folder)
    assert [row for row in rows if row.ok is False] == []
    assert {row.key for row in rows if row.ok} >= {
        "routed_scaling_factor", "video_pruning_rate", "<so_start>", "<so_end>", "<img>", "</img>", "time_step_limit",
        "scales", "template: thinking on", "template: a tool call", "end of an answer",
    }  # fmt: skip
    assert {row.key for row in rows if row.ok is None} >= {"vision_config.hidden_act", "residual_in_fp32"}


def test_stored_numbers_that_are_others_than_ours_are_found(folder: Path) -> None:
    """The plain tiny checkpoint has random numbers there."""
    assert sorted(key.rpartition(".")[2] for key in contradicted(folder)) == ["fb", "norm_mean", "norm_std", "window"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_in_half_precision_are_read(copy: Path, dtype: torch.dtype) -> None:
    for shard in copy.glob("*.safetensors"):
        save_file({name: value.to(dtype) for name, value in load_file(shard).items()}, shard)
    assert contradicted(copy) == {}


def changed_section(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", lambda raw: raw["llm_config"].update(changes))


def changed(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", lambda raw: raw.update(changes))


def without(key: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", lambda raw: raw["llm_config"].pop(key))


def template(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "chat_template.jinja"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def preprocessor(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "preprocessor_config.json", lambda raw: raw.update(changes))


def with_tensor(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        shard = folder / "model-00001-of-00003.safetensors"
        save_file(load_file(shard) | {name: torch.ones(1)}, shard)

    return change


@pytest.mark.parametrize(
    ("change", "key", "ok", "says"),
    [
        (changed_section(routed_scaling_factor=1.0), "routed_scaling_factor", None, "1.0"),
        (without("routed_scaling_factor"), "routed_scaling_factor", False, "not said"),
        (without("norm_topk_prob"), "norm_topk_prob", False, "not said"),
        (changed_section(n_group=4), "n_group", False, "n_group = 4"),
        (changed_section(time_step_limit=[0.001, 0.1]), "time_step_limit", False, "0.001"),
        (changed_section(time_step_limit=7), "time_step_limit", False, "7"),
        (changed_section(residual_in_fp32=False), "residual_in_fp32", False, "false"),
        (changed_section(residual_in_fp32=True), "residual_in_fp32", True, "true"),
        (changed_section(rms_norm_eps=1e-6), "config.json", False, "contradicts itself"),
        (changed(architectures=["Other"]), "config.json", False, "'Other'"),
        (changed(sound_config=None), "sound_config", None, "not said"),
        (changed(vision_config=3), "the encoders' sizes", False, "vision_config"),
        (changed(img_context_token_id=19), "tokens and template", False, "img_context_token_id is 19"),
        (preprocessor(norm_mean=[0.5, 0.5, 0.5]), "norm_mean", False, "[0.5, 0.5, 0.5]"),
        (preprocessor(norm_std="x"), "norm_std", False, '"x"'),
        (with_tensor("language_model.backbone.layers.2.mixer.k_proj.k_scale"), "scales", False, "1 scales"),
        (template("<think></think>')", "')"), "template: thinking off", False, "assistant"),
        (template("'<tool_response>\\n'", "'<result>\\n'"), "template: a result", False, "<result>"),
        (template("<parameter=", "<argument="), "template: a tool call", False, "<argument=K>"),
        (template("{%- macro", "{{ 1 / 0 }}{%- macro"), "template: thinking on", False, "ZeroDivisionError"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokens and template", False, "is missing"),
        (lambda folder: (folder / "generation_config.json").unlink(), "generation_config.json", None, "null"),
    ],
)
def test_what_does_not_fit_is_told_with_what_the_files_say(
    copy: Path, change: Callable[[Path], object], key: str, ok: bool | None, says: str
) -> None:
    change(copy)
    found = row(copy, key)
    assert (found.ok, says in found.says) == (ok, True), found


def test_the_other_documented_spelling_is_told(copy: Path) -> None:
    def respell(raw: dict[str, Any]) -> None:
        section = raw["llm_config"]
        section["rms_norm_eps"] = section.pop("layer_norm_epsilon")
        section["num_local_experts"] = section.pop("n_routed_experts")

    edit(copy / "config.json", respell)
    found = row(copy, "rms_norm_eps")
    assert found.ok and found.says == "rms_norm_eps = 1e-05"
    assert contradicted(copy) == {}


def test_without_jinja2_the_rest_is_told_and_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after installing the embedded engine alone, which brings the tokenizers library and no templates."""

    def without(self: ChatTemplate) -> None:
        raise MissingExtra("gpu", "the chat template")

    monkeypatch.setattr(ChatTemplate, "start", without)
    row = next(row for row in assumptions(folder) if row.key == "template")
    assert row.ok is None and "the chat template needs" in row.says and row.does == "pip install 'omni-agent[gpu]'"


def test_a_folder_without_configuration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is missing"):
        check(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        check(tmp_path / "none")


# --- the ten questions ------------------------------------------------------------------------------------------------


def prompt(question: Question) -> str:
    return next(part for part in reversed(question.parts) if isinstance(part, str))


def answering(asked: Sequence[Question], **others: str) -> FakeEngine:
    """An engine that answers right, but for the questions named."""
    replies = {prompt(question): others.get(question.name, question.right) for question in asked if not question.skip}
    return FakeEngine(lambda messages: replies[str(messages[-1].parts[-1])])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_answers_pass(sound_folder: Path, seed: int, require: Callable[..., None]) -> None:
    require("espeak-ng")
    result = check(sound_folder, engine=answering(questions(seed)), seed=seed)
    assert result.ok and [answer.question for answer in result.answers if not answer.ok] == []
    assert len(result.answers) == 10


def test_every_wrong_answer_is_found_and_points_somewhere(sound_folder: Path) -> None:
    engine = FakeEngine(lambda messages: "I cannot say that.")
    result = check(sound_folder, engine=engine)
    assert not result.ok
    assert all(answer.ok is False and answer.points_to and answer.wrong for answer in result.answers)
    assert len({answer.points_to for answer in result.answers}) == 10


def test_one_wrong_answer_is_the_only_one_told(sound_folder: Path) -> None:
    asked = questions(4)
    result = check(sound_folder, engine=answering(asked, **{"a colour": "It is purple."}), seed=4)
    assert not result.ok
    (wrong,) = [answer for answer in result.answers if answer.ok is False]
    assert (wrong.question, wrong.said, wrong.wrong) == ("a colour", "It is purple.", "it named no colour")
    assert "vision tower" in wrong.points_to


def test_an_interruption_keeps_what_was_answered(
    sound_folder: Path, folder: Path, terminal: Callable[..., Any], tmp_path: Path
) -> None:
    """On a processor, and with a model that never comes to an end, ten questions are hours."""
    good, asked = answering(questions(4)), iter(range(3))

    def reply(messages: Sequence[Message]) -> str:
        if next(asked, None) is None:
            raise KeyboardInterrupt
        return good._reply(messages)

    with pytest.raises(Interrupted) as caught:
        check(sound_folder, engine=FakeEngine(reply), seed=4)
    assert [answer.ok for answer in caught.value.partial.answers if answer.said] == [True] * 3
    assert caught.value.partial.assumptions == assumptions(sound_folder)
    done = terminal("model", "check", str(folder), "--cpu", answers=[("asking", "\x03")], cwd=tmp_path)
    assert done.code == 130 and "assumptions are confirmed" in done.out
    assert "the other questions were not asked" in done.shown and "Traceback" not in done.shown


def test_an_engine_that_fails_in_one_question_is_asked_the_others(sound_folder: Path) -> None:
    asked = questions(4)
    good = answering(asked)

    def reply(messages: Sequence[Message]) -> str:
        if any(isinstance(part, Picture) for part in messages[-1].parts):
            raise EngineError("the graphics card has too little free memory to look at the pictures")
        return good._reply(messages)

    result = check(sound_folder, engine=FakeEngine(reply), seed=4)
    failed = {answer.question: answer.wrong for answer in result.answers if answer.ok is False}
    assert set(failed) == {"a colour", "text in a picture", "a button's place"}
    assert all("too little free memory" in why for why in failed.values())


def judged(name: str, text: str, seed: int = 7, *, thought: str = "", calls: tuple[ToolCall, ...] = ()) -> str:
    question = next(question for question in questions(seed) if question.name == name)
    return question.wrong(Said(text.replace("RIGHT", question.right), thought, calls))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a capital", "The capital is **RIGHT**."),
        ("thinking off", "That makes RIGHT."),
        ("text in a picture", "The number is RIGHT"),
        ("a colour", "RIGHT."),
        ("a button's place", "```python\nRIGHT\n```"),
        ("the order of a video's scenes", "First RIGHT."),
        ("a schema", "RIGHT"),
    ],
)
def test_right_answers_in_other_words_pass(name: str, text: str) -> None:
    assert judged(name, text) == ""


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a capital", "RIGHTville", "is not in it"),
        ("thinking off", "1RIGHT", "is not in it"),
        ("thinking off", "<think>RIGHT</think>", "it reasoned"),
        ("thinking on", "RIGHT", "did not reason"),
        ("text in a picture", "RIGHT1", "is not in it"),
        ("a colour", "red or green or RIGHT", "it named"),
        ("a button's place", "pyautogui.click(x=640, y=360)", "pixels or thousandths"),
        ("a button's place", "pyautogui.click(x=0.001, y=0.001)", "is not on the button"),
        ("a button's place", "on the left", "it names no place"),
        ("the order of a video's scenes", "red, green, blue, yellow", "it named"),
        ("a schema", '{"sum": "42", "even": true}', "it says"),
        ("a schema", "sum is 42", "no JSON"),
        ("a tool call", "get_weather(Oslo)", "it called nothing"),
        ("a spoken sentence", "Thank you for watching.", "it heard"),
    ],
)
def test_answers_that_only_look_right_do_not_pass(name: str, text: str, words: str) -> None:
    assert words in judged(name, text)


def test_a_call_with_other_arguments_does_not_pass() -> None:
    assert "it called" in judged("a tool call", "", calls=(ToolCall("get_weather", {"city": "Rome", "days": 3}),))


def test_the_pictures_show_what_the_answers_say() -> None:
    """Read by somebody else: the embedded OCR."""
    lite = LitePerception(load_settings())
    asked = {question.name: question for question in questions(11)}
    (picture, _) = asked["text in a picture"].parts
    assert isinstance(picture, Picture)
    assert any(asked["text in a picture"].right in line.text for line in lite.read(picture))
    (picture, text) = asked["a button's place"].parts
    assert isinstance(picture, Picture)
    label = re.findall("'(.*?)'", str(text))[0]
    (line,) = [line for line in lite.read(picture) if line.text == label]
    right = [float(number) for number in re.findall(r"0?\.\d+", asked["a button's place"].right)]
    assert line.box.contains(*right)
    (picture, _) = asked["a colour"].parts
    assert isinstance(picture, Picture)
    red, green, blue = (int(value) for value in picture.pixels[256, 256])
    assert {"red": red > 150 > green, "green": green > red + 50 and green > blue + 50, "blue": blue > 150 > red,
            "yellow": red > 150 and green > 150 > blue}[asked["a colour"].right]  # fmt: skip


def test_the_clip_shows_the_scenes_in_their_order() -> None:
    (clip, _) = next(question for question in questions(12) if "video" in question.name).parts
    assert not isinstance(clip, str | Picture | Sound)
    frames = list(clip.frames(every=1.0))
    assert [frame.time for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frames[i].picture is frames[i + 1].picture for i in range(5)] == [True, False, True, False, True]
    assert len({frame.picture.pixels[0, 0].tobytes() for frame in frames}) == 3
    assert _is_clip(clip)


def _is_clip(clip: Clip) -> bool:
    return clip.sound() is None and clip.duration == 6.0


def test_the_voice_says_the_sentence(require: Callable[..., None]) -> None:
    """Heard by somebody else: the embedded Whisper."""
    require("espeak-ng")
    question = next(question for question in questions(13) if question.name == "a spoken sentence")
    (spoken, _) = question.parts
    assert isinstance(spoken, Sound) and spoken.rate == 16_000
    heard = " ".join(segment.text for segment in LitePerception(load_settings()).hear(spoken).segments)
    assert question.wrong(Said(heard, "", ())) == ""


def test_without_a_voice_the_question_is_left_out(sound_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = check(sound_folder, engine=answering(questions(1)), seed=1)
    assert result.ok and (result.answers[-1].ok, result.answers[-1].wrong) == (
        None,
        "no voice at hand: espeak-ng is not installed",
    )


class Brief:
    """The local engine, with few tokens an answer: the tiny model has nothing to say."""

    def __init__(self, folder: Path) -> None:
        self._engine = LocalEngine(folder, context=4096, device="cpu")
        self.name, self.at_once = self._engine.name, 1

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[Event]:
        return self._engine.stream(messages, replace(options, max_tokens=12))


def test_a_real_engine_with_random_weights_is_asked_everything(sound_folder: Path) -> None:
    """End to end on the tiny checkpoint: every question reaches the model, and no random answer passes for right."""
    torch.set_num_threads(1)
    result = check(sound_folder, engine=Brief(sound_folder), seed=5)
    assert not result.ok and not result.not_asked and len(result.answers) == 10
    assert all(answer.ok is False for answer in result.answers if answer.question != "a schema")
    assert any(answer.said for answer in result.answers)


def test_put_collects_thoughts_calls_and_text() -> None:
    asked = {question.name: question for question in questions(6)}
    said = put(asked["thinking on"], FakeEngine([asked["thinking on"].right]))
    assert said.thought == "carry the one" and said.text.isdecimal()
    said = put(asked["a tool call"], FakeEngine([asked["a tool call"].right]))
    assert said.text == "" and said.calls[0].name == "get_weather"


def test_from_the_command_line_without_a_card(
    sound_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is printed, then exit 5 and what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("check", str(sound_folder))
    assert done.returncode == 5, done.stderr
    assert "assumptions are confirmed by the files" in done.stdout and "vision_config.hidden_act" in done.stdout
    assert "template: thinking on" not in done.stdout
    assert "the model was not asked: no NVIDIA GPU driver" in done.stderr and "--engine lite" in done.stderr
    assert "template: thinking on" in run("check", str(sound_folder), "--all").stdout
    value = json.loads(run("check", str(sound_folder), "--json", "-q").stdout)
    assert value["schema_version"] == 1 and value["answers"] == [] and value["not_asked"]


def test_from_the_command_line_without_torch(sound_folder: Path) -> None:
    done = run("check", str(sound_folder), "--cpu")
    assert done.returncode == 5 and "pip install 'omni-agent[gpu]'" in done.stderr
    assert os.environ.get("OMNI_OFFLINE") == "1" and np.__version__  # nothing was fetched for it
