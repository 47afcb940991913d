"""Five more videos of `benchmarks.watch`: the split `fourth`, made and asked about by somebody who had not read how
omni watches, and shown to nobody before the questions were run.

Made by `python -m benchmarks.videos`. Beside what that needs: apt-get install openbox wireshark=4.0.17-0+deb12u3
taskwarrior=2.6.2+dfsg-1 hledger=1.25-2+b5 shellcheck=0.9.0-1 units=2.22-2 curl.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import takes, videos
from benchmarks.unseen import home_folder
from examples.screencast import Screencast

MATERIAL = {  # as in videos.py
    "dynare": (
        videos.DEB,
        "dynare-doc=5.3-1",
        "dynare-doc_5.3-1_all.deb",
        "975cc93aa7fb5e6647eeb0c4ae99846b47604afc05f06cdb01e0adbb5ed08f1b",
    ),
    "sqlite": (
        videos.DEB,
        "sqlite3-doc=3.40.1-2+deb12u2",
        "sqlite3-doc_3.40.1-2+deb12u2_all.deb",
        "466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2",
    ),
    "w2ui": (
        videos.NPM,
        "w2ui@2.0.0",
        "w2ui-2.0.0.tgz",
        "78d4322bd00ed239f9ba0cc74ddac9ca2f0685f1a74d8f4f54c7548fbea5d287",
    ),
}
FULL = ("windowmove", "%1", "0", "20", "windowsize", "%1", "1270", "690")
SLIDE = 6.0  # seconds
SPEECH = {  # page -> what is said about it
    1: "Hello everybody. This is about the part of our software that you never look at.",
    7: "Let us start at the beginning. A text comes in, and something useful has to come out.",
    8: "The first step works much like reading words in a language that you know.",
    14: "One piece of the code keeps all of this together.",
    17: "We have to remember which names were used, and what for.",
    21: "Formulas become trees, and there are several kinds of nodes in them.",
    25: "Wherever we can make a formula shorter, we do that at once.",
}
TOOLS = """<!doctype html><meta charset=utf-8><title>Tool library</title><link rel=stylesheet href="w2ui-2.0.min.css">
<style>body{margin:0;font:14px sans-serif;overflow:hidden}#app{height:720px}
.w2ui-popup b{display:inline-block;width:110px}
#w2ui-popup .w2ui-popup-body{font-size:15px;line-height:1.7}</style><div id=app></div>
<script src="w2ui-2.0.min.js"></script><script>
const loans = [
  ["Rotary hammer", "Amadou Keita", "2025-09-02", "2025-09-16", 40, "Out"],
  ["Tile cutter", "Siobhan Byrne", "2025-09-04", "2025-09-11", 25, "Overdue"],
  ["Wallpaper steamer", "Luis Ferreira", "2025-09-05", "2025-09-19", 15, "Out"],
  ["Apple press", "Hanna Virtanen", "2025-09-06", "2025-09-09", 60, "Returned"],
  ["Extension ladder", "Jakub Nowak", "2025-09-08", "2025-09-15", 35, "Overdue"],
  ["Pressure washer", "Mei Tanaka", "2025-09-10", "2025-09-17", 50, "Out"],
  ["Belt sander", "Oskar Brandt", "2025-09-11", "2025-09-25", 20, "Out"],
  ["Sewing machine", "Farah Haddad", "2025-09-12", "2025-10-03", 30, "Out"]
].map(([tool, member, since, due, deposit, state], number) =>
  ({recid: number + 1, tool, member, since, due, deposit, state}));
const members = [
  ["Amadou Keita", "14 Quay Street", "0171 555 0142", 2019], ["Siobhan Byrne", "3 Mill Lane", "0171 555 0178", 2022],
  ["Hanna Virtanen", "77 Station Road", "0171 555 0113", 2016],
  ["Mei Tanaka", "9 Orchard Close", "0171 555 0166", 2024], ["Farah Haddad", "21 Castle Hill", "0171 555 0190", 2021]
].map(([name, street, phone, since], number) => ({recid: number + 1, name, street, phone, since}));
const column = (field, text, size, more) => ({field, text, size, ...more});
const lent = new w2grid({name: "lent", header: "Loans in September", records: loans,
  show: {header: true, toolbar: true, footer: true, lineNumbers: false, toolbarDelete: true},
  columns: [column("tool", "Tool", "24%"), column("member", "Borrowed by", "22%"), column("since", "Lent on", "14%"),
    column("due", "Due back", "14%"), column("deposit", "Deposit (euro)", "13%"), column("state", "State", "13%")],
  onDblClick(event) {
    const one = this.get(event.detail.recid);
    w2popup.open({title: `Loan of ${one.tool}`, width: 480, height: 330, body: `<div style="padding:18px">
      <b>Shelf</b> R-${one.recid * 7}<br><b>Borrower</b> ${one.member}<br><b>Condition</b> scratched handle, works<br>
      <b>Next booking</b> 6 October, school garden<br><b>Late fee</b> 1.50 euro a day</div>`,
      actions: {Extend() {}, Close() { w2popup.close(); }}});
  }});
const people = new w2grid({name: "people", header: "Members", records: members,
  show: {header: true, toolbar: true, footer: true}, columns: [column("name", "Name", "28%"),
    column("street", "Street", "28%"), column("phone", "Telephone", "24%"), column("since", "Member since", "20%")]});
const side = new w2sidebar({name: "side", nodes: [{id: "shop", text: "Tool library", group: true, expanded: true,
  nodes: [{id: "lent", text: "Loans", icon: "w2ui-icon-info", count: 8}, {id: "people", text: "Members",
    icon: "w2ui-icon-search"}, {id: "opening", text: "Opening hours", icon: "w2ui-icon-pencil"}]}]});
const layout = new w2layout({box: "#app", name: "layout", panels: [{type: "left", size: 200, html: side},
  {type: "main", html: lent}]});
side.on("click", (event) => layout.html("main", event.target === "people" ? people : event.target === "lent" ? lent :
  `<div style="padding:30px;font-size:19px;line-height:2"><h2>Opening hours</h2>Tuesday 16:00 to 19:30<br>
   Thursday 9:00 to 12:15<br>Saturday 10:00 to 14:00<p>Closed from 22 December until 6 January.<br>
   Keys are with the caretaker, Mr. Olumide.</div>`));
side.select("lent");
</script>
"""
JOURNAL = """2025-06-02 flour from the mill
    expenses:flour     418.20
    assets:bank
2025-06-05 morning market
    assets:cash        936.50
    income:bread
2025-06-11 electricity
    expenses:power     203.75
    assets:bank
2025-06-14 wedding cake
    assets:bank        340.00
    income:cakes
2025-06-20 new dough hook
    expenses:repairs    87.90
    assets:cash
"""
TASKS = """[{"description": "Order rye flour", "project": "supplies", "priority": "H", "due": "20350612T120000Z"},
{"description": "Repair the oven door", "project": "workshop", "priority": "M", "due": "20350619T120000Z"},
{"description": "Train the new apprentice", "project": "staff", "priority": "L", "due": "20350701T120000Z"},
{"description": "Renew the hygiene certificate", "project": "office", "priority": "H", "due": "20350623T120000Z"}]
"""


def preprocessor(out: Path) -> None:
    """The slides of a talk about Dynare's preprocessor, while a machine's voice says something general about each."""
    slides = videos.material("dynare", MATERIAL) / "usr/share/doc/dynare/preprocessor.pdf.gz"
    takes.narrated(out, slides, SPEECH, seconds=SLIDE, dpi=190, voice=("en-us", "155"), pause=0.5)


def lending(out: Path) -> None:
    """A library of tools in w2ui: the loans, one loan's box, the question before it is deleted, members, hours."""
    root = videos.material("w2ui", MATERIAL) / "package"
    (root / "tools.html").write_text(TOOLS, encoding="utf-8")
    with videos.served(root) as address, Screencast(out, seconds=42.0) as cast:
        cast.browse(f"{address}/tools.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (8.0, "mousemove", "300", "205", "click", "--repeat", "2", "--delay", "120", "1"),
            (8.5, "mousemove", "1279", "719"), (16.0, "key", "Escape"),
            (18.0, "mousemove", "300", "128", "click", "1"), (19.5, "key", "Delete"),
            (20.0, "mousemove", "1279", "719"), (25.0, "key", "Escape"),
            (27.0, "mousemove", "70", "81", "click", "1", "mousemove", "1279", "719"),
            (35.0, "mousemove", "84", "113", "click", "1", "mousemove", "1279", "719"),
        )  # fmt: skip


def capture(out: Path) -> None:
    """Wireshark with a few packets: the list, a filter, the file's properties, and the box about it."""
    with home_folder() as home, Screencast(out, seconds=45.0) as cast:
        settings = home / ".config" / "wireshark"
        settings.mkdir(parents=True)
        (settings / "recent_common").write_text("privs.warn_if_elevated: FALSE\n")
        _packets(home / "office.pcap")
        cast.start("openbox", settle=1.0)
        look = ("env", f"HOME={home}", "LC_ALL=C.UTF-8", "TZ=UTC", "XDG_RUNTIME_DIR=/nonexistent")
        cast.start(*look, "wireshark", str(home / "office.pcap"), settle=14.0)
        cast.do("search", "--onlyvisible", "--name", "office.pcap", *FULL)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        cast.play(
            (8.0, "key", "ctrl+slash"), (8.5, "type", "--delay", "60", "dns"), (9.5, "key", "Return"),
            (17.0, "key", "ctrl+slash"), (17.3, "key", "ctrl+a", "BackSpace", "Return"),
            (19.0, "key", "alt+s"), (21.0, "key", "Return"),
            (29.0, "key", "Escape"), (30.0, "key", "alt+h"), (32.0, "key", "Up", "Return"),
        )  # fmt: skip


def bakery(out: Path) -> None:
    """A dark terminal: a bakery's accounts, its tasks, units, a script that is looked over, and two errors."""
    lines = (
        "hledger -f june.journal balance",
        "clear; task list",
        "units -t '14 stone + 6 lb' kg",
        "clear; shellcheck backup.sh",
        "clear; ls -l --time-style=long-iso orders",
        "curl http://localhost:8642/prices",
        "hledger -f july.journal balance",
    )
    with home_folder() as home, Screencast(out, seconds=45.0) as cast:
        plain = ["env", "PS1=bakery$ ", "PAGER=cat", "LC_ALL=C.UTF-8", "TZ=UTC", f"HOME={home}"]
        _bakery(home)
        cast.start(
            "xterm", "-fa", "DejaVu Sans Mono", "-fs", "14", "-geometry", "110x30+0+0", "-bg", "#10243b", "-fg",
            "#e6e6e6", "-e", *plain, "bash", "--norc", settle=3.0,
        )  # fmt: skip
        takes.typed(cast, home / "bakery", lines, first=1.5, every=6.2, delay=15)


def limits(out: Path) -> None:
    """SQLite's page about its limits, scrolled."""
    root = videos.material("sqlite", MATERIAL) / "usr/share/doc/sqlite3"
    with videos.served(root) as address, Screencast(out, seconds=36.0) as cast:
        cast.browse(f"{address}/limits.html", settle=10.0)
        cast.do("mousemove", "1279", "719")
        cast.roll()
        for number in range(1, 6):
            cast.at(5.5 * number)
            cast.do("key", "Next")


def _bakery(home: Path) -> None:
    """The files that the commands in `bakery` work on."""
    root = home / "bakery"
    (root / "orders").mkdir(parents=True)
    (root / "june.journal").write_text(JOURNAL)
    (root / "backup.sh").write_text('#!/bin/sh\nfiles=$(ls *.journal)\ncp $files /mnt/stick\nif [ $? == 0 ]; then\n'
                                    '  echo "saved"\nfi\n')  # fmt: skip
    for name, size, day in (("hotel-regina.txt", 2310, 1748856120), ("cafe-luna.txt", 845, 1749195660),
                            ("school-canteen.txt", 5127, 1750069500)):  # fmt: skip
        (root / "orders" / name).write_bytes(b"x" * size)
        os.utime(root / "orders" / name, (day, day))
    (home / ".taskrc").write_text(
        "data.location=~/.task\nconfirmation=no\nverbose=footnote,label\ndateformat=Y-M-D\n"
        "report.list.columns=id,priority,project,due,description\nreport.list.labels=ID,Priority,Project,Due,Task\n"
    )
    environment = {**os.environ, "HOME": str(home), "TZ": "UTC"}
    subprocess.run(["task", "import", "-"], input=TASKS.encode(), env=environment, check=True, capture_output=True)


def _packets(path: Path) -> None:
    """A capture of one visit: an address is asked for, a name, an echo, and a page over HTTP that is not there."""
    mac = {"192.168.40.17": b"\x02\x00\x00\x00\x00\x17", "192.168.40.1": b"\x02\x00\x00\x00\x00\x01"}
    us, router, server = "192.168.40.17", "192.168.40.1", "203.0.113.88"
    seen: list[tuple[float, bytes]] = []

    def checksum(data: bytes) -> int:
        total = sum(struct.unpack(f">{len(data + b'0') // 2}H", data + b"\0" * (len(data) % 2)))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    def ether(source: str, target: str, kind: int, data: bytes) -> bytes:
        return mac.get(target, mac[router]) + mac.get(source, mac[router]) + struct.pack(">H", kind) + data

    def ip(at: float, source: str, target: str, protocol: int, data: bytes) -> None:
        ends = socket.inet_aton(source) + socket.inet_aton(target)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), len(seen), 0x4000, 64, protocol, 0) + ends
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        seen.append((at, ether(source, target, 0x0800, head + data)))

    def dns(at: float, number: int, name: str, kind: int, answer: bytes | None) -> None:
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        asked = labels + struct.pack(">HH", kind, 1)
        flags = 0x0100 if answer is None else 0x8180 if answer else 0x8183
        body = struct.pack(">HHHHHH", number, flags, 1, int(bool(answer)), 0, 0) + asked
        if answer:
            body += struct.pack(">HHHIH", 0xC00C, kind, 1, 1800, len(answer)) + answer
        ports = (53124, 53) if answer is None else (53, 53124)
        ends = (us, router) if answer is None else (router, us)
        ip(at, *ends, 17, struct.pack(">HHHH", *ports, 8 + len(body), 0) + body)

    def tcp(at: float, out: bool, sequence: int, seen_to: int, flags: int, data: bytes = b"") -> None:
        ends = (us, server) if out else (server, us)
        ports = (41822, 80) if out else (80, 41822)
        part = struct.pack(">HHIIBBHHH", *ports, sequence, seen_to, 0x50, flags, 64240, 0, 0) + data
        pseudo = b"".join(map(socket.inet_aton, ends)) + struct.pack(">BBH", 0, 6, len(part))
        part = part[:16] + struct.pack(">H", checksum(pseudo + part)) + part[18:]
        ip(at, *ends, 6, part)

    def arp(at: float, source: str, target: str, reply: bool) -> None:
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1 + reply) + mac[source] + socket.inet_aton(source)
        body += (mac[target] if reply else bytes(6)) + socket.inet_aton(target)
        seen.append((at, ether(source, target, 0x0806, body)))

    arp(0.0, us, router, False)
    arp(0.0012, router, us, True)
    dns(0.41, 0x3A21, "weather.example.org", 1, None)
    dns(0.4368, 0x3A21, "weather.example.org", 1, socket.inet_aton(server))
    dns(0.9, 0x3A22, "printer.example.org", 1, None)
    dns(0.9214, 0x3A22, "printer.example.org", 1, b"")
    for at, kind in ((1.5, 8), (1.5187, 0)):
        body = struct.pack(">BBHHH", kind, 0, 0, 77, 5) + b"omitted" * 4
        body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
        ip(at, *((us, server) if kind else (server, us)), 1, body)
    request = b"GET /tides/harwich.json HTTP/1.1\r\nHost: weather.example.org\r\nUser-Agent: barometer/2.7\r\n\r\n"
    reply = b"HTTP/1.1 404 Not Found\r\nServer: lighthouse/1.19\r\nContent-Type: text/plain\r\n"
    reply += b"Content-Length: 9\r\n\r\nNo tides\n"
    tcp(2.2, True, 1000, 0, 0x02)
    tcp(2.2191, False, 5000, 1001, 0x12)
    tcp(2.2193, True, 1001, 5001, 0x10)
    tcp(2.2246, True, 1001, 5001, 0x18, request)
    tcp(2.2538, False, 5001, 1001 + len(request), 0x18, reply)
    tcp(2.254, True, 1001 + len(request), 5001 + len(reply), 0x11)
    tcp(2.2731, False, 5001 + len(reply), 1002 + len(request), 0x11)
    begun = 1741597325.0  # 2025-03-10 09:02:05 UTC
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for at, frame in seen:
            second, part = divmod(begun + at, 1)
            file.write(struct.pack("<IIII", int(second), round(part * 1e6), len(frame), len(frame)) + frame)


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (preprocessor, lending, capture, bakery, limits)
}
