"""Four more videos of `benchmarks.watch`, of other kinds again: the split `second`, made and asked about by somebody
who had not read how omni watches, and shown to nobody before the questions were run.

Made by `python -m benchmarks.videos`. Beside what that needs: apt-get install openbox gnumeric=1.12.55-1
sqlitebrowser=3.12.2-1 iso-codes=4.15.0-1 distro-info-data=0.58+deb12u7 gcc git.
"""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import takes, videos
from benchmarks.unseen import home_folder
from examples.screencast import Screencast

MATERIAL = {  # as in videos.py
    "gantt": (
        videos.NPM,
        "dhtmlx-gantt@10.0.3",
        "dhtmlx-gantt-10.0.3.tgz",
        "ce21c3296d72bce4afb26f6cd5bc29e664e367f321499054fc444210e82a828d",
    ),
}
FULL = ("windowmove", "%1", "0", "20", "windowsize", "%1", "1270", "690")
LOAN = "/usr/share/gnumeric/1.12.55/templates/loan.gnumeric"
COUNTRIES = Path("/usr/share/iso-codes/json/iso_3166-1.json")
CURRENCIES = Path("/usr/share/iso-codes/json/iso_4217.json")
RELEASES = Path("/usr/share/distro-info/ubuntu.csv")
PLAN = """<!doctype html><meta charset=utf-8><title>Plan</title><link rel=stylesheet href="codebase/dhtmlxgantt.css">
<style>html,body,#plan{margin:0;height:100%}</style><div id=plan></div><script src="codebase/dhtmlxgantt.js"></script>
<script>
gantt.config.columns = [{name: "text", label: "Task", tree: true, width: 230},
  {name: "start_date", label: "Start", align: "center", width: 90},
  {name: "duration", label: "Days", align: "center", width: 50}, {name: "owner", label: "Owner", width: 90}];
gantt.config.scales = [{unit: "month", step: 1, format: "%F %Y"}, {unit: "week", step: 1, format: "%W"}];
gantt.config.date_format = "%Y-%m-%d %H:%i";
gantt.config.start_date = new Date(2025, 2, 1); gantt.config.end_date = new Date(2025, 8, 1);
gantt.config.min_column_width = 28; gantt.config.row_height = 32;
gantt.config.lightbox.sections = [{name: "description", height: 40, map_to: "text", type: "textarea", focus: true},
  {name: "time", height: 72, type: "duration", map_to: "auto"}];
gantt.templates.rightside_text = (start, end, task) => Math.round(100 * task.progress) + "%";
gantt.init("plan");
gantt.parse({tasks: [
  [1, 0, "Permits", "2025-03-03", 20, 1, "Ingrid"], [2, 1, "Heritage office", "2025-03-03", 11, 1, "Ingrid"],
  [3, 1, "Road closure", "2025-03-17", 6, 1, "Paolo"], [4, 0, "Foundations", "2025-03-31", 53, 0.45, "Marek"],
  [5, 4, "Test drilling", "2025-03-31", 9, 1, "Marek"], [6, 4, "Cofferdam", "2025-04-14", 18, 0.8, "Marek"],
  [7, 4, "Concrete piers", "2025-05-05", 18, 0.1, "Yusuf"], [8, 0, "Deck", "2025-05-26", 57, 0, "Helene"],
  [9, 8, "Steel girders", "2025-05-26", 25, 0, "Helene"], [10, 8, "Asphalt", "2025-06-30", 13, 0, "Paolo"],
  [11, 8, "Railings", "2025-07-14", 8, 0, "Yusuf"], [12, 0, "Opening", "2025-08-04", 5, 0, "Ingrid"],
  [13, 12, "Load test", "2025-08-04", 2, 0, "Marek"], [14, 12, "Painting", "2025-08-06", 3, 0, "Yusuf"]
].map(([id, parent, text, start_date, duration, progress, owner]) =>
  ({id, parent, text, start_date: start_date + " 00:00", duration, progress, owner, open: true})),
  links: [{id: 1, source: 3, target: 5, type: "0"}, {id: 2, source: 7, target: 9, type: "0"}]});
</script>
"""


def mortgage(out: Path) -> None:
    """Gnumeric with its own template of a loan: both sheets, a formula that fails, and two dialogs."""
    with home_folder() as home, Screencast(out, seconds=58.0) as cast:
        cast.start("openbox", settle=1.0)
        look = ("env", f"HOME={home}", "GTK_THEME=Adwaita", "LC_ALL=C.UTF-8")
        cast.start(*look, "gnumeric", "--no-splash", LOAN, settle=10.0)
        cast.do("search", "--onlyvisible", "--name", "loan", *FULL)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (7.0, "key", "Next"), (15.0, "key", "ctrl+Next"), (24.0, "mousemove", "1000", "480", "click", "1"),
            (25.0, "type", "--delay", "60", "=F20/0"), (27.0, "key", "Return"), (28.0, "mousemove", "1279", "719"),
            (32.0, "key", "ctrl+1"), (40.0, "key", "Escape"), (41.0, "key", "alt+h"), (43.5, "key", "Up", "Return"),
            (50.0, "key", "Escape"), (51.0, "key", "ctrl+q"),
        )  # fmt: skip


def currencies(out: Path) -> None:
    """DB Browser for SQLite with ISO's currencies and countries: a table, a filter, queries, an error, a box."""
    with home_folder() as home, Screencast(out, seconds=58.0) as cast:
        _database(home / "world.db")
        cast.start("openbox", settle=1.0)
        look = ("env", f"--chdir={home}", f"HOME={home}", "LC_ALL=C.UTF-8")
        cast.start(*look, "sqlitebrowser", "-t", "currencies", "world.db", settle=10.0)
        cast.do("search", "--onlyvisible", "--name", "SQLite", *FULL)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (6.0, "mousemove", "198", "194", "click", "1"), (6.5, "type", "--delay", "80", "krona"),
            (13.0, "mousemove", "78", "100", "click", "1"), (20.0, "mousemove", "427", "100", "click", "1"),
            (21.0, "mousemove", "300", "220", "click", "1"),
            (21.5, "type", "--delay", "15", "select capital from countries"), (23.5, "key", "ctrl+Return"),
            (32.0, "key", "ctrl+a"),
            (32.5, "type", "--delay", "15", "select version, codename, eol from releases where version like '%LTS'"),
            (36.0, "key", "ctrl+Return"), (46.0, "key", "alt+h"), (48.0, "key", "Up"), (50.0, "key", "Return"),
        )  # fmt: skip


def packages(out: Path) -> None:
    """A dark terminal: Debian's package tool, a history in git, a merge that fails, and a compiler's error."""
    lines = (
        "apt-cache show sqlitebrowser | grep -E '^(Package|Version|Installed-Size|Section|Maintainer|Homepage):'",
        "dpkg -L frobnicator",
        "clear; git log --stat",
        "clear; git merge metric",
        "git status",
        "clear; gcc -c gauge.c",
        "clear; git blame rain.ini",
    )
    with home_folder() as home, Screencast(out, seconds=58.0) as cast:
        _repository(home / "station")
        plain = ["env", "PS1=station$ ", "PAGER=cat", "GIT_PAGER=cat", "LC_ALL=C.UTF-8", "TZ=UTC", f"HOME={home}"]
        colours = ["-bg", "#1d1f21", "-fg", "#d0d4d8", "-xrm", "*faceName: Liberation Mono"]
        cast.start(
            "xterm", "-fa", "Liberation Mono", "-fs", "13", "-geometry", "116x32+0+0", *colours,
            "-e", *plain, "bash", "--norc", settle=3.0,
        )  # fmt: skip
        takes.typed(cast, home / "station", lines, first=2.0, every=8.0, delay=20)


def plan(out: Path) -> None:
    """A plan of a bridge's repair in dhtmlxGantt: the chart, a task's form, and the question before it is deleted."""
    root = videos.material("gantt", MATERIAL) / "package"
    (root / "plan.html").write_text(PLAN, encoding="utf-8")
    with videos.served(root) as address, Screencast(out, seconds=46.0) as cast:
        cast.browse(f"{address}/plan.html", settle=12.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (10.0, "mousemove", "150", "245", "click", "--repeat", "2", "--delay", "120", "1"),
            (11.5, "mousemove", "1279", "719"), (19.0, "key", "Escape"),
            (21.0, "mousemove", "150", "373", "click", "--repeat", "2", "--delay", "120", "1"),
            (22.5, "mousemove", "1279", "719"), (29.0, "mousemove", "407", "457", "click", "1"),
            (30.5, "mousemove", "1279", "719"), (38.0, "key", "Escape"), (39.0, "key", "Escape"),
        )  # fmt: skip


def _database(path: Path) -> None:
    """ISO's countries and currencies and Ubuntu's releases, as Debian packages them, as tables."""
    countries = json.loads(COUNTRIES.read_text(encoding="utf-8"))["3166-1"]
    money = json.loads(CURRENCIES.read_text(encoding="utf-8"))["4217"]
    with sqlite3.connect(path) as base, RELEASES.open(encoding="utf-8") as releases:
        base.execute("CREATE TABLE countries (name TEXT NOT NULL, alpha_2 TEXT, alpha_3 TEXT, official_name TEXT)")
        base.execute("CREATE TABLE currencies (code TEXT PRIMARY KEY, name TEXT NOT NULL, numeric TEXT)")
        base.execute("CREATE TABLE releases (version TEXT, codename TEXT, release DATE, eol DATE)")
        for one in countries:
            row = [one.get(key) for key in ("name", "alpha_2", "alpha_3", "official_name")]
            base.execute("INSERT INTO countries VALUES (?, ?, ?, ?)", row)
        for one in money:
            base.execute(
                "INSERT INTO currencies VALUES (?, ?, ?)", [one[key] for key in ("alpha_3", "name", "numeric")]
            )
        for one in csv.DictReader(releases):
            row = [one[key] for key in ("version", "codename", "release", "eol")]
            base.execute("INSERT INTO releases VALUES (?, ?, ?, ?)", row)


def _repository(root: Path) -> None:
    """A small program's repository, with a branch that cannot be merged."""
    root.mkdir()

    def git(*words: str, who: str = "Nora Lindqvist", day: str = "2024-02-12T09:00:00+0000") -> None:
        mail = f"{who.split()[0].lower()}@station.example"
        names = {"GIT_AUTHOR_NAME": who, "GIT_AUTHOR_EMAIL": mail, "GIT_COMMITTER_NAME": who,
                 "GIT_COMMITTER_EMAIL": mail, "GIT_AUTHOR_DATE": day, "GIT_COMMITTER_DATE": day}  # fmt: skip
        environment = {**os.environ, "HOME": str(root.parent), **names}
        subprocess.run(["git", *words], cwd=root, check=True, env=environment, stdout=subprocess.DEVNULL)

    settings = "[sensor]\nport = /dev/ttyUSB3\ninterval = 90\n[units]\nrain = inch\n"
    code = '#include <stdio.h>\n\nint main(void)\n{\n    double tip = 0.2794;\n    printf("%f\\n", tipp * 12)\n}\n'
    git("init", "-q", "-b", "main")
    git("config", "user.name", "Nora Lindqvist")
    git("config", "user.email", "nora@station.example")
    (root / "rain.ini").write_text(settings)
    git("add", ".")
    git("commit", "-q", "-m", "Settings of the rain gauge")
    git("checkout", "-q", "-b", "metric")
    (root / "rain.ini").write_text(settings.replace("inch", "millimetre"))
    git("commit", "-qam", "Rain in millimetres", who="Tomas Havel", day="2024-03-04T18:21:00+0000")
    git("checkout", "-q", "main")
    (root / "gauge.c").write_text(code)
    git("add", ".")
    git("commit", "-q", "-m", "Count the tips of the bucket", who="Ama Boateng", day="2024-04-23T07:45:12+0000")
    (root / "rain.ini").write_text(settings.replace("inch", "inches").replace("90", "120"))
    git("commit", "-qam", "Ask the sensor every two minutes", day="2024-05-30T15:02:40+0000")


MAKERS: dict[str, Callable[[Path], None]] = {maker.__name__: maker for maker in (mortgage, currencies, packages, plan)}
