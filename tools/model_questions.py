"""Ten questions with known answers, made anew each time, that between them use every part of a model.

Each is easy for a model that runs as it should and hopeless for one whose parts do not fit, and each failure points
somewhere else. They are put to any engine.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from omni_agent.engines.base import Engine, Message, Options, Part, Text, Thought, ToolCall
from omni_agent.tools.model_exhibits import COLOURS, Scenes, canvas, font, picture_of, spoken

BRIEF, LONG = Options(max_tokens=200), Options(think=True, think_budget=700, max_tokens=1500)
CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Egypt": "Cairo", "Canada": "Ottawa", "Kenya": "Nairobi"}
CITIES = ("Lisbon", "Oslo", "Quito", "Hanoi")
BUTTONS = ("Cancel", "Save", "Help", "Print")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
SUM = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}, "even": {"type": "boolean"}},
    "required": ["sum", "even"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Said:
    """What an engine made of a question."""

    text: str
    thought: str
    calls: tuple[ToolCall, ...]

    def shown(self) -> str:
        return " ".join((self.text or repr(self.calls[:1]) if self.calls else self.text).split())[:120]


@dataclass(frozen=True, slots=True)
class Question:
    """`right` is an answer that passes; `wrong` says what is wrong with another, or nothing. `skip`: why not asked."""

    name: str
    parts: tuple[Part, ...]
    right: str
    wrong: Callable[[Said], str]
    points_to: str
    options: Options = BRIEF
    skip: str = ""


def put(question: Question, engine: Engine) -> Said:
    """Ask. Raises EngineError where the engine fails or never ends."""
    pieces: dict[type, list[str]] = {Text: [], Thought: []}
    calls: list[ToolCall] = []
    for event in engine.stream([Message("user", question.parts)], question.options):
        if isinstance(event, ToolCall):
            calls.append(event)
        elif isinstance(event, Text | Thought):
            pieces[type(event)].append(event.text)
    return Said("".join(pieces[Text]).strip(), "".join(pieces[Thought]).strip(), tuple(calls))


def questions(seed: int | None = None) -> tuple[Question, ...]:
    """The ten, with values of their own for every seed."""
    draw = random.Random(seed)
    makers = (_capital, _no_thinking, _thinking, _schema, _tool, _colour, _text, _button, _scenes, _speech)
    return tuple(make(draw) for make in makers)


def _capital(draw: random.Random) -> Question:
    country, capital = draw.choice(list(CAPITALS.items()))
    return Question(
        "a capital",
        (f"What is the capital of {country}? Answer with its name.",),
        capital,
        _lacks(capital),
        "the language model itself: weights, tensor names, routed_scaling_factor, the chat template, the end ids",
    )


def _no_thinking(draw: random.Random) -> Question:
    a, b = draw.randint(11, 49), draw.randint(11, 49)

    def wrong(said: Said) -> str:
        if said.thought or "think>" in said.text:
            return "it reasoned although it was told not to"
        return _lacks(str(a + b))(said)

    points_to = "the template's switch enable_thinking, or the ids of <think> and </think>"
    return Question("thinking off", (f"What is {a} + {b}? Answer with the number.",), str(a + b), wrong, points_to)


def _thinking(draw: random.Random) -> Question:
    a, b = draw.randint(101, 499), draw.randint(101, 499)
    text = f"What is {a} + {b}? Think first, then answer with the number."

    def wrong(said: Said) -> str:
        return _lacks(str(a + b))(said) if said.thought else "it did not reason although it was told to"

    points_to = "the template's switch enable_thinking, the ids of <think> and </think>, or sampling"
    return Question("thinking on", (text,), f"<think>carry the one</think>{a + b}", wrong, points_to, LONG)


def _schema(draw: random.Random) -> Question:
    a, b = draw.randint(11, 49), draw.randint(11, 49)
    right = {"sum": a + b, "even": (a + b) % 2 == 0}
    text = f"Add {a} and {b}. Answer in JSON: the sum under 'sum', and under 'even' whether it is even."

    def wrong(said: Said) -> str:
        try:
            value = json.loads(said.text)
        except (ValueError, RecursionError):
            return "the answer is no JSON"
        return "" if value == right else f"it says {json.dumps(value)[:80]}"

    points_to = "the grammar that holds an answer to its schema, or the tokenizer that it reads"
    options = Options(max_tokens=200, schema=SUM)
    return Question("a schema", (text,), json.dumps(right), wrong, points_to, options)


def _tool(draw: random.Random) -> Question:
    city, days = draw.choice(CITIES), draw.randint(2, 6)
    right = ToolCall("get_weather", {"city": city, "days": days})
    text = f"What will the weather in {city} be for the next {days} days? Call the function."

    def wrong(said: Said) -> str:
        return "" if said.calls == (right,) else f"it called {said.calls}" if said.calls else "it called nothing"

    written = f"<parameter=city>\n{city}\n</parameter>\n<parameter=days>\n{days}\n</parameter>\n"
    return Question(
        "a tool call",
        (text,),
        f"<tool_call>\n<function=get_weather>\n{written}</function>\n</tool_call>",
        wrong,
        "the template's list of tools, or another form of calls than <tool_call><function=…>",
        Options(max_tokens=400, tools=(WEATHER,)),
    )


def _colour(draw: random.Random) -> Question:
    name = draw.choice(list(COLOURS))
    picture, pen = canvas(512, 512)
    pen.ellipse((100, 100, 412, 412), fill=COLOURS[name])

    def wrong(said: Said) -> str:
        return "" if _colours(said.text) == [name] else f"it named {_colours(said.text) or 'no colour'}"

    return Question(
        "a colour",
        (picture_of(picture), "What colour is the circle? Answer with one word."),
        name,
        wrong,
        "the vision tower: its names, the order of channels, the normalisation (once), the projector",
    )


def _text(draw: random.Random) -> Question:
    code = f"{draw.randint(1000, 9999)}"
    picture, pen = canvas(800, 400)
    pen.text((120, 140), f"Invoice {code}", fill="black", font=font(90))
    return Question(
        "text in a picture",
        (picture_of(picture), "Which number is written in the picture? Answer with the number."),
        code,
        _lacks(code),
        "the resolution of pictures: patch limits, position table, the order within pixel shuffle",
    )


def _button(draw: random.Random) -> Question:
    wide, high = 1280, 720
    picture, pen = canvas(wide, high, (235, 235, 235))
    places = draw.sample([(x, y) for x in (60, 360, 660, 960) for y in (80, 300, 540)], len(BUTTONS))
    for (x, y), label in zip(places, BUTTONS, strict=True):
        pen.rounded_rectangle((x, y, x + 240, y + 90), 12, fill="white", outline=(60, 60, 60), width=3)
        pen.text((x + 120, y + 45), label, fill="black", font=font(40), anchor="mm")
    target = draw.randrange(len(BUTTONS))
    (x, y), label = places[target], BUTTONS[target]
    text = (
        f"Click the button {label!r}. Answer with one line, pyautogui.click(x=…, y=…), "
        "x and y as fractions of the picture's width and height between 0 and 1."
    )

    def wrong(said: Said) -> str:
        found = re.search(r"x\s*=\s*(\d*\.?\d+)\s*,\s*y\s*=\s*(\d*\.?\d+)", said.text)
        if found is None:
            return "it names no place"
        at_x, at_y = float(found[1]), float(found[2])
        if at_x > 1 or at_y > 1:
            return f"({at_x}, {at_y}) are no fractions: this model may count in pixels or thousandths"
        inside = x <= at_x * wide <= x + 240 and y <= at_y * high <= y + 90
        return "" if inside else f"({at_x}, {at_y}) is not on the button, whose middle is {middle}"

    middle = f"({(x + 120) / wide:.3f}, {(y + 45) / high:.3f})"
    right = f"pyautogui.click(x={(x + 120) / wide:.3f}, y={(y + 45) / high:.3f})"
    points_to = "the position table (bilinear, then cropped), or another convention for coordinates than fractions"
    return Question("a button's place", (picture_of(picture), text), right, wrong, points_to)


def _scenes(draw: random.Random) -> Question:
    order = draw.sample(list(COLOURS), 3)

    def wrong(said: Said) -> str:
        named = list(dict.fromkeys(_colours(said.text)))
        return "" if named == order else f"it named {named or 'no colours'}, shown were {order}"

    return Question(
        "the order of a video's scenes",
        (Scenes(order), "The video shows three colours, one after the other. Name them in their order."),
        ", ".join(order),
        wrong,
        "the video path: tubelets of two frames, the video embedder, captions with their times, EVS",
        Options(max_tokens=200, fps=1.0, max_frames=16),
    )


def _speech(draw: random.Random) -> Question:
    first, number = draw.choice(("train", "doctor", "garden", "window")), draw.choice(("seven", "nine", "twelve"))
    sentence = f"The {first} was closed for {number} days because of the heavy rain in the mountains."
    words = set(re.findall("[a-z]+", sentence.lower()))
    voice, skip = spoken(sentence)

    def wrong(said: Said) -> str:
        heard = words & set(re.findall("[a-z]+", said.text.lower()))
        return "" if len(heard) >= 0.75 * len(words) else f"it heard {len(heard)} of {len(words)} words"

    return Question(
        "a spoken sentence",
        (voice, "Write down what is said in the recording.") if voice else (),
        sentence,
        wrong,
        "the sound tower: mel features, the names of its layers, relative positions, the projector, <so_start>",
        skip=skip,
    )


def _lacks(wanted: str) -> Callable[[Said], str]:
    """The judge of an answer that must hold one word or number."""
    return lambda said: (
        "" if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", said.text.replace(",", "")) else f"{wanted} is not in it"
    )


def _colours(text: str) -> list[str]:
    """Colours in the order they are named."""
    return re.findall("|".join(COLOURS), text.lower())
