"""How often `omni click` points at the right thing on real screens, beside the naive way (OCR and best string match).

    python -m benchmarks.click [--split tune|test|fresh|drawn|unseen|second|third|fourth] [--pages NAME…]

Pages come from pinned npm and Debian packages (benchmarks/data/click.json), are rendered by headless Chromium, and the
true boxes are those the browser says. A hit is a point inside the true box of the element, for icons too. Absent
targets count as right when nothing is found. Targets were written and split before anything was tuned, and thresholds
were set on `tune`; but the failures on `test` were read once on the way and led to changes, so `test` is not untouched.
`fresh` was written after that; its first results changed nothing (they stand in the history of results/click.json), but
since then the failures on all three were read, and those on checkboxes, fields and badges led to changes. Nobody chose
`drawn`: of editors, players and back offices on npm those whose names have the smallest sha256 and that run from their
own package; every n-th button that has a title and no words is a target by that title, the texts are the first that
stand on the page once, and the absent ones are the same for all. It was run after all changes of its time; its failures
were read since. The icon families of the pages "family-…" are among those that the engine knows by now. `unseen` was
written by somebody who had not read how omni looks and never ran it on these screens: pages, and programs of Debian
under Xvfb (programs.py), whose true boxes were measured on the picture ("box=x0,y0,x1,y1").
`second` was made in the same way after that, and `third` after that, on screens of several sizes. `fourth`
came last: it has no icons, and a third of its texts are fields, dropdowns, checkboxes and radio buttons.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks.browser import Browser, served
from omni_agent.errors import OmniError
from omni_agent.media.files import write
from omni_agent.media.image import of_pillow
from omni_agent.perception.lite.locate import seek
from omni_agent.perception.lite.ocr import Reader
from omni_agent.perception.lite.scene import Scene
from omni_agent.settings import load
from omni_agent.tools import cache
from omni_agent.types import Box, Line, Picture, Word, to_json

HERE = Path(__file__).parent
SIZE = (1280, 800)
SPLITS = ("tune", "test", "fresh", "drawn", "unseen", "second", "third", "fourth")
NAIVE = 60  # of 100: the usual cut-off for a fuzzy string match
FIND = """(where => {
  const [kind, rest] = [where.slice(0, where.indexOf('=')), where.slice(where.indexOf('=') + 1)];
  const shown = e => { const r = e.getBoundingClientRect(); return r.width > 1 && r.height > 1 && r.bottom > 0
    && r.top < innerHeight && getComputedStyle(e).visibility !== 'hidden'; };
  let [key, extra] = rest.split('|'), found;
  if (kind === 'css') found = [...document.querySelectorAll(key)];
  else if (kind === 'title') found = [...document.querySelectorAll('[title],[aria-label]')]
    .filter(e => (e.title || e.getAttribute('aria-label')).startsWith(key));
  else found = [...document.querySelectorAll('*')].filter(e => {
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.nodeValue).join('').trim();
    return [own, (e.innerText || '').trim(), e.value || ''].some(t => t.toLowerCase() === key.toLowerCase()); });
  found = found.filter(shown);
  if (kind === 'text' && found.length) { // the innermost elements, widened to the link or button they stand in
    found = found.filter(e => !found.some(o => o !== e && e.contains(o)));
    found = found.map(e => e.closest('a,button,label') || e);
  }
  let e = found[/^\\d+$/.test(extra || '') ? +extra : 0];
  if (e && extra && !/^\\d+$/.test(extra)) e = e.closest(extra) || e;
  if (!e) return null;
  const r = e.getBoundingClientRect();
  return [r.left, r.top, r.right, r.bottom];
})"""


class Seen:
    """A reader that has read its picture already, so that many targets cost one reading."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self._lines = lines

    def read(self, picture: Picture) -> tuple[Line, ...]:
        return self._lines


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--split", choices=SPLITS)
    options.add_argument("--pages", nargs="*")
    options.add_argument("--pictures", type=Path, help="keep the screenshots here")
    chosen = options.parse_args()
    corpus = json.loads((HERE / "data" / "click.json").read_text(encoding="utf-8"))
    pages = {
        name: page
        for name, page in corpus["pages"].items()
        if chosen.split in (None, page["split"]) and (not chosen.pages or name in chosen.pages)
    }
    reader, outcomes = Reader(), []
    with Browser() as browser:
        for name, page in pages.items():
            picture, boxes = rendered(browser, name, page, corpus["packages"], chosen.pictures)
            lines, reading = read(reader, picture)
            scene = Scene(picture, Seen(lines))  # type: ignore[arg-type]
            print(f"{name}: {len(lines)} lines read in {reading:.1f} s", file=sys.stderr)
            for target, box in zip(page["targets"], boxes, strict=True):
                outcomes.append(judged(name, page["split"], target, box, scene, reading))
    report(outcomes, None if chosen.pages else f"click-{chosen.split}.json" if chosen.split else "click.json")


def read(reader: Reader, picture: Picture) -> tuple[tuple[Line, ...], float]:
    """The text of a page and how long reading took; a page that looks as it did before is not read again."""
    key = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
    kept = cache.get("benchmark-lines", key)
    if kept is None:
        began = time.perf_counter()
        lines = reader.read(picture)
        kept = {"lines": to_json(lines), "seconds": time.perf_counter() - began}
        cache.put("benchmark-lines", key, value=kept)
    lines = tuple(
        Line(
            line["text"],
            Box(*line["box"]),
            line["score"],
            tuple(Word(w["text"], Box(*w["box"])) for w in line["words"]),
        )
        for line in kept["lines"]
    )
    return lines, kept["seconds"]


def judged(
    page: str, split: str, target: dict[str, Any], box: list[float] | None, scene: Scene, reading: float
) -> dict[str, Any]:
    """What omni and the naive way made of one target."""
    began = time.perf_counter()
    sighting, picture = seek(target["target"], scene), scene.picture
    took = time.perf_counter() - began
    best = sighting.candidates[0] if sighting.found else None
    naive = best_string_match(target["target"], scene.lines)
    return {
        "page": page,
        "split": split,
        **target,
        "truth": box,
        "right": right((best.point or best.box.center) if best else None, box, picture),
        "naive": right(naive.center if naive else None, box, picture),
        "confidence": best.confidence if best else 0.0,
        "answer": [round(value) for value in best.box.pixels(picture.width, picture.height)] if best else None,
        "label": best.label if best else "",
        "reason": sighting.reason,
        "seconds": round(took, 2),
        "reading_seconds": round(reading, 2),
    }


def right(point: tuple[float, float] | None, box: list[float] | None, picture: Picture) -> bool:
    if box is None or point is None:
        return box is None and point is None
    x, y = point[0] * picture.width, point[1] * picture.height
    return bool(box[0] - 1 <= x <= box[2] + 1 and box[1] - 1 <= y <= box[3] + 1)


def best_string_match(target: str, lines: tuple[Line, ...]) -> Box | None:
    """What most scripts do: read the screen, take the line most like the words."""
    from rapidfuzz import fuzz, process, utils

    found = process.extractOne(
        target, [line.text for line in lines], scorer=fuzz.WRatio, processor=utils.default_process, score_cutoff=NAIVE
    )
    return lines[found[2]].box if found else None


def rendered(
    browser: Browser, name: str, page: dict[str, Any], packages: dict[str, Any], keep: Path | None
) -> tuple[Picture, list[list[float] | None]]:
    """A page as a picture, and the true box of each of its targets (None: absent)."""
    from PIL import Image

    wide, high = page.get("size", SIZE)
    if "program" in page:
        shot, places = programs.picture(page, (wide, high)), (target["where"] for target in page["targets"])
        if keep:
            write(keep / f"{name}.png", shot)
        measured = [[float(value) for value in place[4:].split(",")] if place else None for place in places]
        return of_pillow(Image.open(BytesIO(shot))), measured
    root = unpacked(page["package"], packages[page["package"]]) / page["root"]
    if "icons" in page:
        (root / page["path"]).write_text(toolbar(root, page["icons"]), encoding="utf-8")
    elif "write" in page:
        (root / page["path"]).write_text(page["write"], encoding="utf-8")
    with served(root) as address:
        url = f"{address}/{page['path']}"
        look = {"scale": page.get("scale", 1), "dark": page.get("dark", False), "wait": page.get("wait", 1.5)}
        browser.open(url, wide, high, **look)
        if script := page.get("script"):
            browser.run(script)
            time.sleep(1)
        shot = browser.png()
        boxes: list[list[float] | None] = []
        for target in page["targets"]:
            box = browser.run(f"{FIND}({json.dumps(target['where'])})") if target["where"] else None
            if target["where"] and box is None:
                sys.exit(f"{name}: nothing in the page for {target['target']!r} ({target['where']})")
            boxes.append([value * page.get("scale", 1) for value in box] if box else None)
    if keep:
        write(keep / f"{name}.png", shot)
    return of_pillow(Image.open(BytesIO(shot))), boxes


def toolbar(root: Path, icons: dict[str, Any]) -> str:
    """An application's window with a toolbar of icons from one family, as its style guide shows them."""
    drawn = json.loads((root / "icons.json").read_text(encoding="utf-8"))
    wide, high = drawn.get("width", 16), drawn.get("height", 16)
    size, buttons = icons["size"], []
    for name in icons["names"]:
        icon = drawn["icons"][name]
        view = f"0 0 {icon.get('width', wide)} {icon.get('height', high)}"
        svg = f'<svg width="{size}" height="{size}" viewBox="{view}">{icon["body"]}</svg>'
        buttons.append(f'<button data-icon="{name}">{svg}</button>')
    rows = "".join(f"<p>Message {n} from the team about the quarterly review</p>" for n in range(1, 8))
    return (
        f"<!doctype html><meta charset=utf-8><style>body{{background:{icons['ground']};color:{icons['ink']};"
        "font:15px sans-serif;margin:24px}button{background:none;border:0;color:inherit;padding:8px;margin:4px}"
        f"nav{{border-bottom:1px solid #8885;padding-bottom:8px}}</style><nav>{''.join(buttons)}</nav>"
        f"<h2>Inbox</h2>{rows}"
    )


def unpacked(name: str, package: dict[str, str]) -> Path:
    """The folder of a pinned package: fetched once, its hash checked, kept in the cache folder."""
    home = load().cache_dir / "benchmarks" / name.replace("/", "-").strip("@")
    if (home / ".complete").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    run = ["npm", "pack", "--silent", package["npm"]] if "npm" in package else ["apt-get", "download", package["apt"]]
    subprocess.run(run, cwd=home, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = next(path for path in home.iterdir() if path.suffix in (".tgz", ".deb"))
    if hashlib.sha256(file.read_bytes()).hexdigest() != package["sha256"]:
        sys.exit(f"{name}: the package is not the one that was pinned")
    if file.suffix == ".tgz":
        subprocess.run(["tar", "xzf", file.name, "--strip-components=1"], cwd=home, check=True)
    else:
        subprocess.run(["dpkg", "-x", file.name, "."], cwd=home, check=True)
    file.unlink()
    (home / ".complete").touch()
    return home


def report(outcomes: list[dict[str, Any]], file: str | None) -> None:
    table: dict[str, dict[str, Any]] = defaultdict(dict)
    print(f"{'split':<6} {'kind':<7} {'n':>4} {'omni':>7} {'naive':>7}")
    for split in SPLITS:
        for kind in ("text", "icon", "absent"):
            group = [one for one in outcomes if one["split"] == split and one["kind"] == kind]
            if group:
                ours, naive = (sum(one[key] for one in group) / len(group) for key in ("right", "naive"))
                table[split][kind] = {"n": len(group), "omni": round(ours, 4), "naive": round(naive, 4)}
                print(f"{split:<6} {kind:<7} {len(group):>4} {ours:>7.1%} {naive:>7.1%}")
    print("absent: share for which, rightly, nothing was found")
    for one in outcomes:
        if not one["right"]:
            place = f"{one['split']} {one['page']}"
            print(f"  missed {place}: {one['target']!r} → {one['answer']} {one['label']} {one['reason']}")
    if file:
        save(file, table, outcomes)


def save(file: str, table: dict[str, Any], outcomes: list[dict[str, Any]]) -> None:
    from importlib.metadata import version

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE).stdout
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    result = {
        "command": f"python -m benchmarks.click {' '.join(sys.argv[1:])}".strip(),
        "commit": commit.strip(),
        "cpu": cpu,
        "versions": {name: version(name) for name in ("omni-agent", "rapidocr", "onnxruntime", "qtawesome")},
        "table": table,
        "failures": [one for one in outcomes if not one["right"]],
        "outcomes": outcomes,
    }
    write(HERE / "results" / file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    try:
        main()
    except OmniError as error:
        sys.exit(f"{error} {error.hint}")
