"""Six more videos of `benchmarks.watch`: the split `third`, made and asked about by somebody who had not read how omni
watches, and shown to nobody before the questions were run.

Made by `python -m benchmarks.videos`. Beside what that needs: apt-get install openbox kalzium=4:22.12.3-1 sqlite3 jq bc
make rsync.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from benchmarks import takes, videos
from benchmarks.unseen import home_folder
from examples.screencast import Screencast

MATERIAL = {  # as in videos.py
    "faust": (
        videos.DEB,
        "faust-common=2.54.9+ds0-1",
        "faust-common_2.54.9+ds0-1_all.deb",
        "9c54ddbb099b890942f7447faa652b71ade4fbc6b62ce148335ddf8d57a41463",
    ),
    "calendar": (
        videos.NPM,
        "fullcalendar@6.1.19",
        "fullcalendar-6.1.19.tgz",
        "1341024194e46cece1dc7307a1a5841a34cdb544ecf9b3f3caddde486e588eb2",
    ),
    "apache": (
        videos.DEB,
        "apache2-doc=2.4.71-1~deb12u1",
        "apache2-doc_2.4.71-1~deb12u1_all.deb",
        "a7b3d1131c1c63dbf9999b28e75f9a133d30f70492b419936bd51759ac77a01f",
    ),
    "sneat": (
        videos.NPM,
        "sneat-bootstrap-html-admin-template-free@1.0.0",
        "sneat-bootstrap-html-admin-template-free-1.0.0.tgz",
        "93c4f08f8c618dc956ac0371dd355e14e746ec62bd94655dd16c2531d063352b",
    ),
}
FULL = ("windowmove", "%1", "0", "20", "windowsize", "%1", "1270", "690")
SLIDE = 6.0  # seconds
SPEECH = (
    "Good morning. I want to show you how two of my favourite tools work together.",
    "Here is a small tone generator, and what it looks like when it is patched.",
    "Let me tell you why I think that this is worth your time.",
    "These are the main features. The mapping of the controls is automatic.",
    "In the simplest case you compile a source file and load the result.",
    "There is a nicer way as well, which draws the sliders for you.",
    "You can add a third language for everything that is not sound.",
    "Here is where you get it all. Thank you for listening.",
)
CLINIC = """<!doctype html><meta charset=utf-8><title>Clinic</title><style>body{margin:14px;font:15px sans-serif}
dialog{border:1px solid #888;border-radius:8px;width:430px;font-size:17px;line-height:1.6}
dialog button{font-size:15px;padding:4px 14px;margin-right:8px}</style>
<div id=calendar></div><dialog id=more></dialog><script src="index.global.min.js"></script><script>
const more = document.getElementById("more");
const of = (title, start, end, room, who, note) => ({title, start, end, extendedProps: {room, who, note}});
const calendar = new FullCalendar.Calendar(document.getElementById("calendar"), {
  initialDate: "2025-10-06", initialView: "dayGridMonth", height: 690, nowIndicator: false, firstDay: 1,
  slotMinTime: "08:00", slotMaxTime: "18:00", allDaySlot: false, now: "2025-10-02T09:00:00",
  headerToolbar: {left: "prev,next today", center: "title", right: "dayGridMonth,timeGridWeek,listMonth"},
  events: [of("Flu vaccination", "2025-10-07T09:00", "2025-10-07T12:00", "Room 12", "Nurse Okafor", "Bring the card"),
    of("Eye test", "2025-10-09T10:30", "2025-10-09T11:15", "Room 4", "Dr. Lindgren", "Pupils will be widened"),
    of("Staff meeting", "2025-10-08T13:00", "2025-10-08T14:30", "Library", "Everybody", "Minutes by Pavel"),
    of("Blood donation", "2025-10-15T08:30", "2025-10-15T16:00", "Main hall", "Red Cross", "Eat well before"),
    of("X-ray service", "2025-10-21T14:00", "2025-10-21T17:00", "Basement", "Hartmann GmbH", "No patients"),
    of("Fire drill", "2025-10-24T11:00", "2025-10-24T11:30", "Whole building", "Mr. Adeyemi", "Use the stairs"),
    of("Physiotherapy course", "2025-10-29T16:00", "2025-10-29T17:30", "Gym", "Ms. Takeda", "Fee 18 euro")],
  eventClick(info) {
    const {room, who, note} = info.event.extendedProps;
    more.innerHTML = `<h3>${info.event.title}</h3>Where: ${room}<br>With: ${who}<br>Note: ${note}<p>
      <button>Edit</button><button>Cancel appointment</button><button>Close</button>`;
    more.showModal();
  }});
calendar.render();
</script>
"""


def talk(out: Path) -> None:
    """The slides of a talk about two audio languages, while a machine's voice says other things about them."""
    slides = videos.material("faust", MATERIAL) / "usr/share/doc/faust-common/misc/lac07_slides_graef.pdf.gz"
    takes.narrated(out, slides, dict(enumerate(SPEECH, 1)), seconds=SLIDE, dpi=110, voice=("en-gb", "160"), pause=0.4)


def clinic(out: Path) -> None:
    """A clinic's calendar in FullCalendar: a month, a week, two appointments, the list, and an empty month."""
    root = videos.material("calendar", MATERIAL) / "package"
    (root / "clinic.html").write_text(CLINIC, encoding="utf-8")
    with videos.served(root) as address, Screencast(out, seconds=50.0) as cast:
        cast.browse(f"{address}/clinic.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (8.0, "mousemove", "1198", "33", "click", "1", "mousemove", "1279", "719"),
            (14.0, "mousemove", "318", "200", "click", "1", "mousemove", "1279", "719"),
            (21.0, "key", "Escape"),
            (23.0, "mousemove", "660", "225", "click", "1", "mousemove", "1279", "719"),
            (30.0, "key", "Escape"),
            (31.0, "mousemove", "1246", "33", "click", "1", "mousemove", "1279", "719"),
            (42.0, "mousemove", "79", "33", "click", "1", "mousemove", "1279", "719"),
        )  # fmt: skip


def elements(out: Path) -> None:
    """KDE's periodic table: two metals' figures, one's isotopes, the box about the program, and a third metal."""
    with home_folder() as home, Screencast(out, seconds=56.0) as cast:
        cast.start("openbox", settle=1.0)
        cast.start("env", f"HOME={home}", "LC_ALL=C.UTF-8", "kalzium", settle=14.0)
        cast.do("search", "--onlyvisible", "--class", "kalzium", *FULL)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (5.0, "mousemove", "640", "330", "click", "1", "mousemove", "1279", "719"),
            (13.0, "mousemove", "815", "605", "click", "1", "mousemove", "1279", "719"),
            (21.0, "mousemove", "314", "200", "click", "1", "mousemove", "1279", "719"),
            (29.0, "key", "Escape"), (31.0, "key", "alt+h"), (34.0, "key", "Up", "Up", "Return"),
            (43.0, "key", "Escape"),
            (45.0, "mousemove", "808", "403", "click", "1", "mousemove", "1279", "719"),
        )  # fmt: skip


def harbour(out: Path) -> None:
    """A light terminal: a database, a calculator, tools that fail, a difference, and a test."""
    lines = (
        "sqlite3 -box tides.db 'select port, high, metres from tides order by metres desc'",
        "clear; jq '.buoys[] | {name, depth}' buoys.json",
        "make pump",
        "clear; echo 'scale=6; 1852 * 14 / 3600' | bc",
        "rsync -a charts/ /mnt/backup",
        "clear; diff -u rules.old rules.new",
        "clear; python3 -m unittest test_lock.py",
    )
    with home_folder() as home, Screencast(out, seconds=58.0) as cast:
        _harbour(home / "harbour")
        plain = ["env", "PS1=harbour$ ", "PAGER=cat", "LC_ALL=C.UTF-8", "TZ=UTC", f"HOME={home}"]
        cast.start(
            "xterm", "-fa", "DejaVu Sans Mono", "-fs", "14", "-geometry", "112x31+0+0", "-bg", "#fdf6e3", "-fg",
            "#333333", "-e", *plain, "bash", "--norc", settle=3.0,
        )  # fmt: skip
        takes.typed(cast, home / "harbour", lines, first=2.0, every=8.0, delay=20)


def logs(out: Path) -> None:
    """Apache's manual about its log files, scrolled: prose, a table and examples."""
    root = videos.material("apache", MATERIAL) / "usr/share/doc/apache2-doc/manual"
    with videos.served(root) as address, Screencast(out, seconds=50.0) as cast:
        cast.browse(f"{address}/en/mod/mod_log_config.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        for number in range(1, 8):
            cast.at(6.0 * number)
            cast.do("key", "Next")


def sales(out: Path) -> None:
    """Figures of a shop in Sneat's back office: a dashboard, scrolled, and a page of tables."""
    root = videos.material("sneat", MATERIAL) / "package"
    with videos.served(root) as address, Screencast(out, seconds=46.0) as cast:
        cast.browse(f"{address}/html/index.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.at(9.0)
        cast.do("key", "Next")
        cast.at(20.0)
        cast.browse(f"{address}/html/tables-basic.html", settle=0.0)
        cast.at(29.0)
        cast.do("key", "Next")
        cast.at(37.0)
        cast.browse(f"{address}/html/pages-account-settings-account.html", settle=0.0)


def _harbour(root: Path) -> None:
    """The files that the commands in `harbour` work on."""
    root.mkdir()
    with sqlite3.connect(root / "tides.db") as base:
        base.execute("CREATE TABLE tides (port TEXT, high TEXT, metres REAL)")
        rows = (("Bristol", "07:42", 13.2), ("Saint-Malo", "06:15", 11.9), ("Esbjerg", "03:38", 1.8),
                ("Harwich", "11:57", 3.9), ("Cuxhaven", "00:46", 3.3))  # fmt: skip
        base.executemany("INSERT INTO tides VALUES (?, ?, ?)", rows)
    (root / "buoys.json").write_text(
        '{"buoys": [{"name": "Skerry", "depth": 27, "light": "red"}, {"name": "Nab East", "depth": 41}]}\n'
    )
    (root / "Makefile").write_text("lock:\n\techo lock\n")
    (root / "rules.old").write_text("speed limit 8 knots\nquiet hours 22-06\nfee 14 euro\n")
    (root / "rules.new").write_text("speed limit 6 knots\nquiet hours 22-06\nfee 17 euro\n")
    (root / "test_lock.py").write_text(
        "import unittest\n\n\nclass Lock(unittest.TestCase):\n    def test_level(self):\n"
        "        self.assertEqual(4.2 + 0.3, 4.7, 'level in the upper chamber')\n\n"
        "    def test_gates(self):\n        self.assertEqual(len(['north', 'south']), 2)\n"
    )


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (talk, clinic, elements, harbour, logs, sales)
}
