"""Six more videos of `benchmarks.watch`, of other kinds than those in videos.py: the split `unseen`, made and asked
about by somebody who had not read how omni watches, and shown to nobody before the questions were run.

Made by `python -m benchmarks.videos`. Beside what that needs: apt-get install openbox mc idle-python3.11 homebank.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import videos
from examples.screencast import Screencast

MATERIAL = {  # as in videos.py
    "adminlte": (
        videos.NPM,
        "admin-lte@3.2.0",
        "admin-lte-3.2.0.tgz",
        "92650fb9e582b9e01f691693be79b1213608a6282a7f062c139bfeafc8593df5",
    ),
    "nodejs": (
        videos.DEB,
        "nodejs-doc=18.20.4+dfsg-1~deb12u3",
        "nodejs-doc_18.20.4+dfsg-1~deb12u3_all.deb",
        "d2fbd4f3aecccea9d901a03842ef8380379e0d33010a48af5e797ed68ae874ce",
    ),
    "tutorial": (
        videos.DEB,
        "packaging-tutorial=0.29",
        "packaging-tutorial_0.29_all.deb",
        "2b97a98414a357d4cfd1274e14b03ba3cd296d0d21db14cce50dee5f819620fd",
    ),
    "voices": (
        videos.DEB,
        "pocketsphinx-testdata=0.8+5prealpha+1-15",
        "pocketsphinx-testdata_0.8+5prealpha+1-15_all.deb",
        "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
    ),
}
CLIPS = (870, 880, 890, 920, 930)  # the recordings of Sense and Sensibility in pocketsphinx-testdata
SLIDES = (1, 6, 7, 10, 17, 19, 26, 35, 46, 59)


def lecture(out: Path) -> None:
    """Slides of Debian's packaging tutorial shown while a person reads Austen."""
    import pymupdf

    slides = videos.material("tutorial", MATERIAL) / "usr/share/doc/packaging-tutorial/packaging-tutorial.pdf"
    voices = videos.material("voices", MATERIAL) / "usr/share/pocketsphinx/test/data/librivox"
    stills = out.with_name("stills")
    stills.mkdir(exist_ok=True)
    with pymupdf.open(slides) as document:
        for number, page in enumerate(SLIDES):
            document[page - 1].get_pixmap(dpi=190).save(stills / f"{number:02}.png")
    sounds: list[str] = []
    for clip in CLIPS:
        sounds += ["-i", str(voices / f"sense_and_sensibility_01_austen_64kb-0{clip}.wav")]
    spoken = "".join(f"[{number}:a]apad=pad_dur=1.5[s{number}];" for number in range(1, len(CLIPS) + 1))
    joined = "".join(f"[s{number}]" for number in range(1, len(CLIPS) + 1))
    size = "scale=1280:960:force_original_aspect_ratio=decrease,pad=1280:960:(ow-iw)/2:(oh-ih)/2:white,format=yuv420p"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-framerate", "1/4.5", "-i", str(stills / "%02d.png"), *sounds,
         "-filter_complex", f"{spoken}{joined}concat=n={len(CLIPS)}:v=0:a=1,adelay=3000:all=1,apad[a];[0:v]{size}[v]",
         "-map", "[v]", "-map", "[a]", "-r", "10", "-t", "45", "-c:v", "libx264", "-crf", "24",
         "-c:a", "aac", "-b:a", "64k", str(out)],
        check=True,
    )  # fmt: skip
    shutil.rmtree(stills)


def office(out: Path) -> None:
    """An invoice, a project, a mailbox and a time line of AdminLTE's back office."""
    root = videos.material("adminlte", MATERIAL) / "package"
    with videos.served(root) as address, Screencast(out, seconds=58.0) as cast:
        cast.browse(f"{address}/pages/examples/invoice.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.at(8.0)
        cast.do("key", "Next")
        for at, page in (
            (15.0, "examples/project-detail.html"),
            (26.0, "mailbox/read-mail.html"),
            (37.0, "UI/timeline.html"),
            (48.0, "tables/simple.html"),
        ):
            cast.at(at)
            cast.browse(f"{address}/pages/{page}", settle=0.0)


def signals(out: Path) -> None:
    """Tables of Node.js's manual about signals and errors, scrolled."""
    root = videos.material("nodejs", MATERIAL) / "usr/share/doc/nodejs/api"
    with videos.served(root) as address, Screencast(out, seconds=50.0) as cast:
        cast.browse(f"{address}/os.html#osuserinfooptions", settle=10.0)
        cast.do("mousemove", "900", "500", "click", "1")
        cast.roll()
        for number in range(1, 9):
            cast.at(5.5 * number)
            cast.do("key", "Next")


def money(out: Path) -> None:
    """HomeBank with its own example: an account, a menu, and three dialogs."""
    with home_folder() as home, Screencast(out, seconds=62.0) as cast:
        cast.start("openbox", settle=1.0)
        cast.start("env", f"HOME={home}", "homebank", "/usr/share/homebank/datas/example.xhb", settle=8.0)
        cast.do("search", "--name", "HomeBank Sample", "windowmove", "%1", "0", "20", "windowsize", "%1", "1270", "690")
        cast.do("mousemove", "640", "715")
        cast.roll()
        cast.play(
            (8.0, "mousemove", "128", "153", "click", "--repeat", "2", "1"), (10.0, "mousemove", "640", "715"),
            (19.0, "key", "ctrl+w"), (22.0, "key", "alt+m"), (28.0, "key", "Down", "Return"),
            (30.0, "mousemove", "430", "161", "click", "1", "mousemove", "640", "715"), (39.0, "key", "Escape"),
            (40.0, "key", "alt+h"), (41.0, "key", "Up", "Return"), (49.0, "key", "Escape"),
            (50.5, "key", "alt+e"), (51.5, "key", "Up", "Return"),
        )  # fmt: skip


def coding(out: Path) -> None:
    """IDLE with a module of Python's library: a menu, a search, the shell with an error, and the box about it."""
    with home_folder() as home, Screencast(out, seconds=60.0) as cast:
        cast.start("openbox", settle=1.0)
        (home / ".idlerc").mkdir()
        (home / ".idlerc" / "config-main.cfg").write_text("[EditorWindow]\nfont-size = 12\nwidth = 100\nheight = 32\n")
        cast.start("env", f"HOME={home}", "idle-python3.11", "/usr/lib/python3.11/colorsys.py", settle=6.0)
        cast.do("mousemove", "1100", "700", "key", "ctrl+Home")
        cast.roll()
        cast.play(
            (7.0, "key", "alt+o"), (12.0, "key", "Escape"), (13.0, "key", "ctrl+f"), (14.0, "type", "0.30"),
            (15.0, "key", "Return"), (19.0, "key", "Escape"), (24.0, "key", "Next"), (31.0, "key", "F5"),
            (34.0, "type", "rgb_to_hsv(0.2, 0.4, 0.4)"), (35.5, "key", "Return"),
            (40.0, "type", "hls_to_rgb(0.5)"), (41.5, "key", "Return"),
            (48.0, "key", "alt+h"), (50.0, "key", "Return"),
        )  # fmt: skip


def commander(out: Path) -> None:
    """Midnight Commander in xterm: two folders, a menu, a file and dialogs; then the shell it was started from."""
    manual = videos.material("nodejs", MATERIAL) / "usr/share/doc/nodejs/api"
    with home_folder() as home, Screencast(out, seconds=62.0) as cast:
        shutil.copytree(manual, home / "manual", symlinks=True)
        plain = ["env", "PS1=$ ", "LC_ALL=C.UTF-8", "TZ=UTC", "TERM=xterm-256color", f"HOME={home}", "bash", "--norc"]
        cast.start(
            "xterm", "-fa", "DejaVu Sans Mono", "-fs", "13", "-geometry", "112x34+10+10", "-e", *plain, settle=3.0
        )
        cast.do("mousemove", "1200", "600")
        cast.do("type", f"cd {home}; clear; mc -u --nomouse manual /usr/share/homebank/datas")
        cast.do("key", "Return", "sleep", "3")
        cast.roll()
        cast.play(
            (7.0, "key", "F9", "Right"), (8.0, "key", "Down"), (14.0, "key", "Escape", "Escape", "sleep", "1"),
            (16.0, "key", "End"), (19.0, "key", "F8"), (25.0, "key", "Escape", "Escape", "sleep", "1"),
            (27.0, "key", "Tab"), (28.0, "key", "Down", "F3"), (36.0, "key", "F10"), (38.0, "key", "shift+F6"),
            (44.0, "key", "Escape", "Escape", "sleep", "1"), (46.0, "key", "F10"),
            (48.0, "type", "clear; dpkg -s mc | head -n 9"), (49.5, "key", "Return"),
            (55.0, "type", "sha256sum disc.iso"), (56.5, "key", "Return"),
        )  # fmt: skip


@contextmanager
def home_folder() -> Iterator[Path]:
    """A home folder for a program that keeps its settings."""
    with tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (lecture, office, signals, money, coding, commander)
}
