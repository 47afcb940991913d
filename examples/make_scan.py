"""Make a scan of a PDF: its pages as pictures alone, a little skewed, grey and noisy, as an office scanner makes them.

python examples/make_scan.py examples/report.pdf examples/report-scan.pdf [PAGES]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from omni_agent.media.pdf import Pdf

DPI = 170
SKEW = 0.7  # degrees


def scan(source: Path, target: Path, pages: list[int] | None = None, seed: int = 1) -> None:
    """Write `target` with the chosen pages of `source` (all without `pages`); the same seed gives the same noise."""
    random = np.random.default_rng(seed)
    pdf = Pdf(source)
    sheets = []
    for number in pages or range(1, pdf.pages + 1):
        sheet = Image.fromarray(pdf.picture(number, DPI).pixels).convert("L")
        sheet = sheet.rotate(SKEW, resample=Image.Resampling.BICUBIC, fillcolor=250)
        grey = np.asarray(sheet.filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float32) * 0.9 + 18
        grey += random.normal(0, 7, grey.shape)
        sheets.append(Image.fromarray(grey.clip(0, 255).astype(np.uint8)))
    pdf.close()
    sheets[0].save(target, "PDF", resolution=DPI, save_all=True, append_images=sheets[1:], quality=60)


if __name__ == "__main__":
    chosen = [int(number) for number in sys.argv[3].split(",")] if len(sys.argv) > 3 else None
    scan(Path(sys.argv[1]), Path(sys.argv[2]), chosen)
