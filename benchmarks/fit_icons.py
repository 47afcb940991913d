"""Writes what the embedded engine knows icons by: data/icon-shapes.npz.

    python -m benchmarks.fit_icons WORK [--themes /usr/share/icons]

Icons come from pinned npm packages (benchmarks/data/icon-families.txt, with their licences) and from the desktop themes
that are installed, by the names of the freedesktop icon naming specification (benchmarks/data/icon-themes.txt; Debian:
adwaita-icon-theme tango-icon-theme gnome-icon-theme mate-icon-theme elementary-xfce-icon-theme papirus-icon-theme
breeze-icon-theme oxygen-icon-theme, and librsvg2-bin). Each is described as `glyphs.describe` says; a linear
discriminant analysis (Fisher 1936, Rao 1948) over drawings of one name by different designers, drawn small, shifted and
thickened, gives the directions that tell names apart. WORK keeps the drawings between runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.browser import Browser, served
from omni_agent.perception.lite import glyphs
from omni_agent.perception.lite.icon_names import concepts

HERE = Path(__file__).parent
OUT = HERE.parent / "omni_agent" / "perception" / "lite" / "data" / "icon-shapes.npz"
CELL, DRAWN = 64, 56  # pixels of a drawing and of the icon in it
SHEET = 32  # icons in a row and in a column of what the browser draws at once
FAMILIES = 3  # that must share a name for it to be one
DIRECTIONS = 128
SHRINK = 0.3  # of the covariance within names towards a multiple of the identity
OTHERS, OWN = 0.9, 0.6  # a drawing this like one of another name, and not even so like any of its own, is misnamed
ALIKE = 0.93  # likeness above which one of two drawings of a name is left out
MOST = 12  # drawings of a name that are described, of families and of themes each, spread over them
THEMES = ("Adwaita", "Tango", "gnome", "mate", "elementary-xfce", "Papirus", "breeze", "oxygen")
GROUNDS = (246, 216, 48)  # grey levels of windows that coloured icons are drawn on
_UNUSUAL = re.compile(r"-(thin|light|duotone|twotone|broken)(-|$)|^twotone|-two-tone")
_FILLED = re.compile("fill|solid|baseline|bold|sharp")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("work", type=Path)
    options.add_argument("--themes", type=Path, default=Path("/usr/share/icons"))
    chosen = options.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    masks, names = kept(chosen.work / "families", lambda: families(chosen.work / "npm"))
    themed, theirs = kept(chosen.work / "themes", lambda: themes(chosen.themes))
    mean, axes = kept_axes(chosen.work / "axes.npz", masks, names)
    save(masks, names, themed, theirs, mean, axes)


def kept(path: Path, draw: Any) -> tuple[Any, list[str]]:
    """Drawings [n, CELL, CELL] of ink 0–255 and their names, made once."""
    import numpy as np

    if not path.with_suffix(".npy").exists():
        masks, names = draw()
        np.save(path.with_suffix(".npy"), masks)
        path.with_suffix(".json").write_text(json.dumps(names), encoding="utf-8")
    return np.load(path.with_suffix(".npy")), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def families(folder: Path) -> tuple[Any, list[str]]:
    """The icons of every family whose name people use or several families share; of each an outline and a solid one."""
    sets = [fetched(line.split()[0], folder) for line in (HERE / "data" / "icon-families.txt").read_text().splitlines()]
    grouped = []
    for icons in sets:
        variants: dict[str, list[str]] = defaultdict(list)
        for name, icon in icons["icons"].items():
            if not _UNUSUAL.search(name) and not icon.get("hidden"):
                variants[glyphs.base(name)].append(name)
        grouped.append(variants)
    known = set().union(*concepts())
    shared = {name for one in grouped for name in one if sum(name in other for other in grouped) >= FAMILIES}
    cells, names = [], []
    for icons, variants in zip(sets, grouped, strict=True):
        for name in variants:
            if name not in known and glyphs.unframed(name) not in known and name not in shared:
                continue
            solid = [variant for variant in variants[name] if _FILLED.search(variant)]
            outlines = [variant for variant in variants[name] if variant not in solid]
            for variant in outlines[:2] + solid[:1] if outlines else solid[:2]:
                cells.append(svg(icons, variant))
                names.append(name)
    return sheets(cells, folder), names


def fetched(package: str, folder: Path) -> dict[str, Any]:
    home = folder / re.sub(r"\W", "_", package)
    if not (home / "icons.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", package], cwd=home, check=True, stdout=subprocess.DEVNULL)
        archive = next(home.glob("*.tgz"))
        subprocess.run(["tar", "xzf", archive.name, "--strip-components=1"], cwd=home, check=True)
    return dict(json.loads((home / "icons.json").read_text(encoding="utf-8")))


def svg(icons: dict[str, Any], name: str) -> str:
    icon = icons["icons"][name]
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    view = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    return f"<svg width={DRAWN} height={DRAWN} viewBox='{view}'>{icon['body']}</svg>"


def sheets(cells: Sequence[str], folder: Path) -> Any:
    import numpy as np
    from PIL import Image

    rim, side = (CELL - DRAWN) // 2, SHEET * CELL
    style = "body{margin:0;font-size:0}"
    style += f"div{{width:{side}px;display:flex;flex-wrap:wrap}}p{{margin:{rim}px;height:{DRAWN}px}}"
    drawn = np.zeros((len(cells), CELL, CELL), np.uint8)
    with Browser() as browser, served(folder) as address:
        for start in range(0, len(cells), SHEET * SHEET):
            part = cells[start : start + SHEET * SHEET]
            body = "".join(f"<p>{cell}</p>" for cell in part)
            (folder / "sheet.html").write_text(
                f"<!doctype html><meta charset=utf-8><style>{style}</style><div>{body}</div>"
            )
            browser.open(f"{address}/sheet.html?{start}", side, side, wait=0.3)
            ink = 255 - np.asarray(Image.open(BytesIO(browser.png())).convert("L"))
            for index in range(len(part)):
                y, x = (CELL * place for place in divmod(index, SHEET))
                drawn[start + index] = ink[y : y + CELL, x : x + CELL]
    return drawn


def themes(folder: Path) -> tuple[Any, list[str]]:
    """The icons of desktop themes by what people call them, coloured ones as they look on light and on dark."""
    import numpy as np

    called: dict[str, str] = {}
    for line in (HERE / "data" / "icon-themes.txt").read_text(encoding="utf-8").splitlines():
        name, _, listed = line.partition(":")
        called |= dict.fromkeys(listed.split(), name.strip())
    drawn, names = [], []
    for theme in THEMES:
        found: dict[tuple[str, bool], list[Path]] = defaultdict(list)
        for place, _, files in os.walk(folder / theme):
            for file in files if "@" not in place else ():
                stem = re.sub(r"[.-]symbolic$", "", file.rsplit(".", 1)[0])
                if stem in called and file.endswith((".png", ".svg")):
                    found[stem, "symbolic" in file or "symbolic" in place].append(Path(place) / file)
        for (stem, plain), paths in found.items():
            for path in sized(paths)[: 1 if plain else 3]:
                for ink in inks(path, plain):
                    drawn.append(ink)
                    names.append(called[stem])
    return np.stack(drawn), names


def sized(paths: Sequence[Path]) -> list[Path]:
    """The files nearest to 16, 24 and 48 pixels, each once."""

    def size(path: Path) -> int:
        number = re.search(r"(\d+)x\d+|/(\d+)$", str(path.parent))
        return int(number[1] or number[2]) if number else 48

    ordered = sorted(set(paths), key=lambda path: (size(path), str(path)))
    return sorted({min(ordered, key=lambda path: abs(size(path) - wanted)) for wanted in (16, 24, 48)})


def inks(path: Path, plain: bool) -> list[Any]:
    import numpy as np
    from PIL import Image

    if path.suffix == ".svg":
        made = subprocess.run(["rsvg-convert", "-w", "48", "-h", "48", str(path)], capture_output=True)
        if made.returncode or not made.stdout:
            return []
        picture = Image.open(BytesIO(made.stdout))
    else:
        picture = Image.open(path)
    drawn = np.asarray(picture.convert("RGBA").resize((DRAWN, DRAWN), Image.Resampling.LANCZOS)).astype(float)
    share, rim = drawn[..., 3:] / 255, (CELL - DRAWN) // 2
    shades = [drawn[..., 3]] if plain else [np.abs((drawn[..., :3] - ground) * share).max(axis=2) for ground in GROUNDS]
    return [np.pad(np.clip(shade, 0, 255).astype(np.uint8), rim) for shade in shades]


def label(name: str) -> str:
    """The concept of a glyph's name, or the name where it has none."""
    return _firsts().get(name) or _firsts().get(glyphs.unframed(name), name)


@cache
def _firsts() -> dict[str, str]:
    return {name: sorted(concept)[0] for concept in reversed(concepts()) for name in concept}


def kept_axes(path: Path, masks: Any, names: list[str]) -> tuple[Any, Any]:
    import numpy as np

    if not path.exists():
        mean, axes = fitted_axes(masks, [label(name) for name in names])
        np.savez(path, mean=mean, axes=axes)
    stored = np.load(path)
    return stored["mean"], stored["axes"]


def fitted_axes(masks: Any, labels: list[str]) -> tuple[Any, Any]:
    """The mean description and DIRECTIONS columns, longest first, along which names differ most for how much the
    drawings of one name do. A name with many drawings counts as their square root."""
    import numpy as np

    random = np.random.default_rng(7)
    varied = [(varied_ink(mask, random), name) for mask, name in zip(masks, labels, strict=True)]
    seen = [(ink, name) for ink, name in varied if ink is not None]
    described = batches([ink for ink, _ in seen])
    _, which, counts = np.unique([name for _, name in seen], return_inverse=True, return_counts=True)
    mean = described.mean(axis=0)
    described -= mean
    middles = np.zeros((len(counts), described.shape[1]), np.float32)
    np.add.at(middles, which, described)
    middles /= counts[:, None]
    weight = 1 / np.sqrt(counts)
    apart = described - middles[which]
    within = (apart.T * weight[which]) @ apart / weight[which].sum()
    within += np.eye(len(within), dtype=np.float32) * SHRINK * np.trace(within) / len(within)
    values, vectors = np.linalg.eigh(within.astype(np.float64))
    whiten = vectors / np.sqrt(values)
    share = np.sqrt(np.sqrt(counts) / np.sqrt(counts).sum())
    _, strengths, directions = np.linalg.svd((middles * share[:, None]) @ whiten, full_matrices=False)
    return mean, (whiten @ directions[:DIRECTIONS].T) * np.sqrt(strengths[:DIRECTIONS])


def varied_ink(mask: Any, random: Any) -> Any:
    """A drawing as a screen may show it: 13 to 30 pixels large, off the grid, thicker, cut a little too wide."""
    import cv2
    import numpy as np

    ink = np.roll(mask.astype(np.float32) / 255, random.integers(0, 4, 2), (0, 1))
    if random.random() < 0.15:
        ink = np.asarray(cv2.dilate(ink, np.ones((2, 2))), dtype=np.float32)
    size = max(8, round(CELL * random.uniform(13, 30) / DRAWN))
    ink = np.asarray(cv2.resize(ink, (size, size), interpolation=cv2.INTER_AREA), dtype=np.float32)
    top = float(np.percentile(ink[ink > 0.05], 97)) if (ink > 0.05).any() else 1.0
    return cut(np.clip(ink / max(top, 0.1), 0, 1), int(random.random() < 0.3))


def cut(ink: Any, wider: int = 0) -> Any:
    import numpy as np

    ink = np.where(ink < 0.15, 0, ink).astype(np.float32)
    rows, columns = np.nonzero(ink > 0.2)
    if len(rows) < 4:
        return None
    top, left = max(0, rows.min() - wider), max(0, columns.min() - wider)
    return glyphs.fitted(ink[top : rows.max() + 1 + wider, left : columns.max() + 1 + wider])


def batches(inks_: Sequence[Any], size: int = 2000) -> Any:
    import numpy as np

    return np.concatenate([glyphs.features(np.stack(inks_[i : i + size])) for i in range(0, len(inks_), size)])


def save(masks: Any, names: list[str], themed: Any, theirs: list[str], mean: Any, axes: Any) -> None:
    """Of each name that people use, drawings that differ, as unit vectors of 8-bit numbers."""
    import numpy as np

    known = set().union(*concepts()) - set(glyphs.FALSE_FRIENDS)
    short = [name if name in known else glyphs.unframed(name) for name in names]
    chosen = [(masks[i], name) for name, i in spread(short) if name in known]
    chosen += [(themed[i], name) for name, i in spread(theirs)]
    cuts = [(cut(mask.astype(np.float32) / 255), name) for mask, name in chosen]
    cuts = [(ink, name) for ink, name in cuts if ink is not None]
    vectors = glyphs.unit((batches([ink for ink, _ in cuts]) - mean) @ axes)
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, (_, name) in enumerate(cuts):
        best = by_name[name]
        if not best or float((vectors[best] @ vectors[index]).max()) < ALIKE:
            best.append(index)
    different = [index for name in sorted(by_name) for index in by_name[name]]
    well = well_named(vectors[different], [cuts[index][1] for index in different])
    order = [(different[place], cuts[different[place]][1]) for place in well]
    listed = sorted({name for _, name in order})
    np.savez_compressed(
        OUT,
        mean=mean.astype(np.float16),
        axes=axes.astype(np.float16),
        vectors=np.round(vectors[[index for index, _ in order]] * 127).astype(np.int8),
        names=np.array(listed),
        which=np.array([listed.index(name) for _, name in order], np.uint16),
    )
    print(f"{len(order)} drawings of {len(listed)} names, {OUT.stat().st_size:,} bytes", file=sys.stderr)


def well_named(vectors: Any, names: Sequence[str]) -> list[int]:
    """The indices of the drawings that look like others of their concept, or like none at all."""
    import numpy as np

    concept = np.unique([label(name) for name in names], return_inverse=True)[1]
    kept_ = []
    for index, vector in enumerate(vectors):
        like, own = vectors @ vector, concept == concept[index]
        own_like = np.where(own, like, -1.0)
        own_like[index] = -1.0
        if own_like.max() >= OWN or np.where(own, -1.0, like).max() < OTHERS:
            kept_.append(index)
    return kept_


def spread(names: Sequence[str]) -> list[tuple[str, int]]:
    """Each name with the indices of MOST of its drawings, evenly apart."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        places[name].append(index)
    return [
        (name, all_[number * len(all_) // min(MOST, len(all_))])
        for name, all_ in places.items()
        for number in range(min(MOST, len(all_)))
    ]


if __name__ == "__main__":
    main()
