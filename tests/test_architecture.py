"""The rooms import downwards only, heavy libraries stay behind their one door, and every room is packaged."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import omni_agent

SOURCE = Path(omni_agent.__file__).parent

# A room may import rooms of a lower rank, and itself. Files that stand alone are rooms of their own.
RANK = {
    "errors": 0,
    "types": 0,
    "settings": 1,
    "media": 1,
    "prompts": 1,
    "runtime": 1,  # beside media and prompts: it knows tensors and token ids, no files of users and no prompts
    "engines": 2,
    "perception": 3,
    "tools": 4,
    "integrations": 5,
    "cli": 5,
    "__init__": 6,
    "__main__": 6,
}
MAY_KNOW = {  # library -> the rooms or modules that may name it
    "torch": ("runtime", "engines.local"),
    "triton": ("runtime", "engines.local"),
    "transformers": ("runtime", "engines.local"),
    "mamba_ssm": ("runtime",),
    "pymupdf": ("media.pdf", "media.pdf_scales", "media.pdf_calls", "media.pdf_text"),
    "fitz": (),
    "mss": ("media.screen",),
    "pyautogui": ("media.hands",),
    "sounddevice": ("media.microphone",),
    "av": ("media",),
    "openai": ("engines.server",),
    "langchain_core": ("integrations.langchain",),
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module as ("media.pdf", path). os.walk, since Path.rglob does not follow the links on Python 3.11."""
    for folder, _, files in os.walk(SOURCE, followlinks=True):
        for file in files:
            if file.endswith(".py"):
                path = Path(folder, file)
                parts = path.relative_to(SOURCE).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "omni_agent":
                yield from (f"omni_agent.{alias.name}" for alias in node.names)


def complaint(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`, or None when it may."""
    room = module.split(".")[0]
    top = imported.split(".")[0]
    if top != "omni_agent":
        allowed = MAY_KNOW.get(top)
        if allowed is None or any(module == door or module.startswith(door + ".") for door in allowed):
            return None
        return f"{module} names {top}, which only {allowed or 'nobody'} may"
    parts = imported.split(".")
    if len(parts) < 2 or parts[1] not in RANK or parts[1] == room:
        return None
    if RANK[parts[1]] >= RANK[room]:
        return f"{module} (rank {RANK[room]}) imports {imported} (rank {RANK[parts[1]]})"
    return None


def test_imports_point_down() -> None:
    """A room that is not in the table is a KeyError: give it a rank before it gets a file."""
    wrong = [text for module, path in modules() for name in imports(path) if (text := complaint(module, name))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("media.pdf", "omni_agent.tools.ask"),
        ("runtime.model", "omni_agent.media.pdf"),
        ("tools.ask", "omni_agent.cli.output"),
        ("tools.ask", "torch"),
        ("errors", "omni_agent.types"),
        ("media.image", "pymupdf"),
    ],
)
def test_the_check_itself_can_fail(module: str, imported: str) -> None:
    assert complaint(module, imported)


def test_every_room_is_packaged() -> None:
    """A room missing from pyproject works in a checkout and is absent from the wheel."""
    project = SOURCE.parent / "pyproject.toml"
    if not project.is_file():  # an installed wheel: what is here was packaged
        assert (SOURCE / "tools" / "__init__.py").is_file()
        assert list((SOURCE / "prompts").rglob("*.md"))
        return
    listed = set(tomllib.loads(project.read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(("omni_agent", *Path(folder).relative_to(SOURCE).parts))
        for folder, _, files in os.walk(SOURCE, followlinks=True)
        if "__init__.py" in files
    }
    assert found == listed


BROUGHT = {"PIL": "pillow", "cv2": "rapidocr", "tqdm": "huggingface-hub", "triton": "torch"}
"""Import names that are no distribution's name: the dependency of ours that brings each."""


def test_what_is_imported_is_a_dependency() -> None:
    """What another package happens to bring today is gone with its next version, on a user's machine first."""
    project = SOURCE.parent / "pyproject.toml"
    if not project.is_file():
        return  # an installed wheel: the checkout is where this is decided
    stated = tomllib.loads(project.read_text())["project"]
    extras = {name: lines for name, lines in stated["optional-dependencies"].items() if name not in ("test", "lint")}
    lines = [*stated["dependencies"], *(line for extra in extras.values() for line in extra)]
    named = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}
    for module, path in modules():
        for top in {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"omni_agent"}:
            assert BROUGHT.get(top, top.replace("_", "-")) in named, f"{module} imports {top}"
