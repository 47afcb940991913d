"""Make screenshot.png: a real page (the form page of the Gentelella admin template) in a real browser.

python -m examples.screenshot
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.browser import Browser, served
from benchmarks.click import HERE, SIZE, unpacked
from omni_agent.media.files import write


def main() -> None:
    package = json.loads((HERE / "data" / "click.json").read_text(encoding="utf-8"))["packages"]["gentelella"]
    with Browser() as browser, served(unpacked("gentelella", package) / "dist") as address:
        browser.open(f"{address}/production/form.html", *SIZE, wait=2)
        write(Path(__file__).parent / "screenshot.png", browser.png())


if __name__ == "__main__":
    main()
