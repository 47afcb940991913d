"""The process in which `template.py` renders chat templates; it knows the standard library and jinja2 only.

One JSON request a line on stdin, `{"template": …, "values": …}`, one JSON answer a line on stdout, `{"text": …}` or
`{"error": …}`. The first line says whether jinja2 is there.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import sys
from typing import Any, NoReturn

MEMORY_LIMIT = 1 << 30
OUTPUT_LIMIT = 16 << 20  # characters; a context of 262,144 tokens is about 1 MB of text


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()

    try:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        say({"jinja2": False})
        return

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    # The settings that the transformers library renders templates with, which templates are written for.
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    sandbox.filters["tojson"] = to_json
    sandbox.globals["raise_exception"] = refuse
    for late in ("{{ 'a'|upper }}", "{{ 1 / 0 }}"):  # whatever is imported late is imported now, for errors as well
        with contextlib.suppress(ZeroDivisionError):
            sandbox.from_string(late).render()
    compiled = functools.lru_cache(maxsize=1)(sandbox.from_string)  # compiling takes ten times as long as rendering
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # nothing more is opened from here on
    say({"jinja2": True})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            text = compiled(request["template"]).render(**request["values"])
            say({"text": text} if len(text) <= OUTPUT_LIMIT else {"error": "it wrote too much"})
        except MemoryError:
            say({"error": "it took too much memory"})
        except RecursionError:
            say({"error": "it recursed too deep"})
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            say({"error": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main()
