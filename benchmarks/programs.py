"""Pictures of real X11 programs from Debian, for `benchmarks.click`: each on a screen of its own, with a fresh home.

The true boxes of what they show were measured on these pictures, so they hold for the versions that are named and for
openbox as the window manager: apt-get install openbox adwaita-icon-theme and the programs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from examples.screencast import Screencast


def picture(page: dict[str, Any], size: tuple[int, int]) -> bytes:
    """The screen as PNG with the page's program on it, after its xdotool steps. Raises SystemExit when another version
    of the program is installed than the one that was measured."""
    package, _, version = page["deb"].partition("=")
    asked = ["dpkg-query", "-W", "-f", "${Version}", package]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    if found != version:
        sys.exit(f"{package} {version} is needed, here is {found or 'none'}: apt-get install {page['deb']}")
    with tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True) as home:
        for name, text in page.get("files", {}).items():
            Path(home, name).parent.mkdir(parents=True, exist_ok=True)
            Path(home, name).write_text(text, encoding="utf-8")
        with Screencast(Path(home, "unused"), seconds=0, size=size) as screen:
            screen.start("openbox", settle=1.0)
            screen.do("mousemove", str(size[0] - 1), str(size[1] - 1))
            program = [word.replace("~", home) for word in page["program"]]
            screen.start("env", f"HOME={home}", "GTK_THEME=Adwaita", *program, settle=page.get("wait", 6.0))
            for step in page.get("do", []):
                screen.do(*step)
                time.sleep(1.5)
            grab = ["-f", "x11grab", "-video_size", f"{size[0]}x{size[1]}", "-draw_mouse", "0", "-i", screen.display]
            command = ["ffmpeg", "-v", "error", *grab, "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]
            return subprocess.run(command, capture_output=True, check=True).stdout
