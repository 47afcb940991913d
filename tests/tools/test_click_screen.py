"""`omni click` on real screens: windows and a browser under Xvfb, really pressed; and screens that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

WINDOW = """
import pathlib, sys, tkinter
root = tkinter.Tk()
root.geometry(sys.argv[2])
root.title("Order")
tkinter.Label(root, text="Your order is ready to be sent.", font=("DejaVu Sans", 14)).pack(pady=30)
buttons = []
for name in ("Cancel", "Submit"):
    out = pathlib.Path(sys.argv[1], name)
    press = lambda out=out: out.write_text("pressed")
    buttons.append(tkinter.Button(root, text=name, font=("DejaVu Sans", 14), command=press))
    buttons[-1].pack(pady=10)
def watch():
    for name in ("recolour", "swap"):
        file = pathlib.Path(sys.argv[1], name)
        if file.exists():
            file.unlink()
            if name == "recolour":
                buttons[1].configure(background="#b0e0b0")
            else:
                buttons[0].pack_forget()
                buttons[0].pack(pady=10)
            root.update()
            pathlib.Path(sys.argv[1], name + "ed").touch()
    root.after(100, watch)
watch()
root.after(200, lambda: pathlib.Path(sys.argv[1], "ready").touch())
root.mainloop()
"""
PAGE = b"""<!doctype html><title>Form</title><body style="font:18px sans-serif;background:#fff">
<h1>Sign up for the newsletter</h1><p>One letter a month.</p>
<button style="font-size:18px;padding:10px 24px" onclick="fetch('/pressed')">Subscribe now</button></body>"""


def omni(*arguments: str, display: str | None, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    if display:
        environment["DISPLAY"] = display
    command = [sys.executable, *(options.get("python") or ()), "-m", "omni_agent", *arguments]  # type: ignore[misc]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=240, stdin=subprocess.DEVNULL
    )


@contextmanager
def xvfb(size: str) -> Iterator[str]:
    """A display of its own; -noreset because the server otherwise starts over whenever the last client leaves."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-noreset", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def display(require: Callable[..., None]) -> Iterator[str]:
    require("Xvfb")
    with xvfb("1024x640") as name:
        yield name


@contextmanager
def window(display: str, folder: Path, place: str) -> Iterator[None]:
    """The order window, once it is drawn."""
    pytest.importorskip("tkinter") if not os.environ.get("OMNI_TEST_ALL") else __import__("tkinter")
    program = subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(folder), place], env={**os.environ, "DISPLAY": display}
    )
    try:
        wait_for(folder / "ready")
        time.sleep(0.5)
        yield
    finally:
        program.terminate()
        program.wait(10)


def wait_for(path: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never appeared"
        time.sleep(0.1)


def test_the_submit_button_of_a_window_is_really_pressed(display: str, tmp_path: Path) -> None:
    """Located first without touching it, refused without --yes, then pressed: only that button, and only then."""
    with window(display, tmp_path, "420x260+300+150"):
        found = omni("click", "Submit button", display=display)
        assert found.returncode == 0, found.stderr
        x, y = map(int, found.stdout.split())
        assert 300 <= x <= 720 and 150 <= y <= 410 and found.stdout == f"{x} {y}\n"
        refused = omni("click", "Submit button", "--do", display=display)
        assert refused.returncode == 5 and refused.stdout == "" and "--yes" in refused.stderr
        assert not (tmp_path / "Submit").exists()
        pressed = omni("click", "Submit button", "--do", "--yes", display=display)
        assert pressed.returncode == 0 and pressed.stdout == f"{x} {y}\n", pressed.stderr
        wait_for(tmp_path / "Submit", 10)
        assert not (tmp_path / "Cancel").exists()
        assert f"pressed {x} {y}" in pressed.stderr


def test_on_a_terminal_it_asks_before_it_presses(display: str, tmp_path: Path, terminal: Callable[..., Any]) -> None:
    """The answer is no unless yes is typed; the question is for the terminal, the point for stdout."""
    with window(display, tmp_path, "420x260+300+150"):
        for typed, code, told in (("\n", 1, "nothing was pressed"), ("y\n", 0, "pressed ")):
            done = terminal(
                "click", "Submit button", "--do", answers=[("[y/N]: ", typed)], cwd=tmp_path, DISPLAY=display
            )
            x, y = map(int, done.out.split())
            assert done.code == code and told in done.shown and done.out == f"{x} {y}\n"
            assert f"press at {x} {y} (Submit)? [y/N]" in done.shown
            assert (tmp_path / "Submit").exists() == (code == 0)


def test_the_printed_point_moves_the_mouse_of_another_program(
    display: str, tmp_path: Path, require: Callable[..., None]
) -> None:
    """xdotool mousemove $(omni click "Submit"): two numbers and nothing else, also when nothing is found."""
    require("xdotool")
    omni_click = f"{sys.executable} -m omni_agent click"
    with window(display, tmp_path, "420x260+300+150"):
        shell = (
            f'xdotool mousemove $({omni_click} "Submit") click 1 && {omni_click} -q Submit && xdotool getmouselocation'
        )
        done = subprocess.run(
            shell, shell=True, capture_output=True, text=True, env={**os.environ, "DISPLAY": display}, timeout=240
        )
        x, y, *_, place = done.stdout.replace("\n", " ").split(maxsplit=2)
        assert place.startswith(f"x:{x} y:{y} "), done.stderr
        wait_for(tmp_path / "Submit", 10)


PRESS = """
import pathlib, sys, time
from omni_agent import click, press
from omni_agent.errors import OmniError
from omni_agent.perception.choose import perceive
folder, change = pathlib.Path(sys.argv[1]), sys.argv[2]
eyes = perceive("lite")
seen = click("Submit button", engine=eyes)
(folder / change).touch()
while not (folder / (change + "ed")).exists():
    time.sleep(0.1)
time.sleep(0.3)
try:
    press(seen, engine=eyes)
except OmniError as error:
    sys.exit(str(error))
"""


def test_what_moved_after_it_was_seen_is_not_pressed(display: str, tmp_path: Path) -> None:
    """A button that changed colour is looked at again and pressed; where another one came in its place, neither is."""
    with window(display, tmp_path, "420x260+300+150"):
        for change, code in (("recolour", 0), ("swap", 1)):
            (tmp_path / "Submit").unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-c", PRESS, str(tmp_path), change],
                capture_output=True,
                text=True,
                env={**os.environ, "DISPLAY": display},
                timeout=240,
            )
            assert done.returncode == code, done.stderr
            if change == "recolour":
                wait_for(tmp_path / "Submit", 10)
        assert "no longer where it was seen" in done.stderr
        assert not (tmp_path / "Submit").exists() and not (tmp_path / "Cancel").exists()


def test_on_two_monitors_the_point_is_one_of_the_desktop(tmp_path: Path, require: Callable[..., None]) -> None:
    """A window on the second monitor: found there, in desktop coordinates, and absent from the first."""
    require("Xvfb", "xrandr")
    with xvfb("1600x600") as display:
        for name, place, output in (("L", "800/211x600/158+0+0", "screen"), ("R", "800/211x600/158+800+0", "none")):
            subprocess.run(["xrandr", "-d", display, "--setmonitor", name, place, output], check=True)
        with window(display, tmp_path, "420x260+1000+150"):
            everywhere = omni("click", "Submit button", "--json", display=display)
            answer = json.loads(everywhere.stdout)
            x, y = answer["point"]["screen"]
            assert answer["found"] and answer["screen"] == 2
            assert 1000 <= x <= 1420 and 150 <= y <= 410
            assert answer["point"]["image"] == [x - 800, y]
            assert omni("click", "Submit button", "--screen", "1", display=display).returncode == 3
            none = omni("click", "Submit button", "--screen", "3", display=display)
            assert none.returncode == 2 and "no screen 3" in none.stderr and "1 to 2" in none.stderr
            omni("click", "Submit button", "--do", "--yes", display=display)
            wait_for(tmp_path / "Submit", 10)


def test_a_button_of_a_page_in_a_real_browser_is_pressed(
    display: str, tmp_path: Path, require: Callable[..., None]
) -> None:
    require("chromium")
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path}", "--window-position=0,0"]
    flags += ["--window-size=1024,640", f"--app=http://127.0.0.1:{server.server_address[1]}/"]
    environment = {**os.environ, "DISPLAY": display}
    browser = subprocess.Popen(
        ["chromium", *flags], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(12):  # the window is drawn some time after the page was asked for
            done = omni("click", "Subscribe now button", "--do", "--yes", display=display)
            if done.returncode == 0 or browser.poll() is not None:
                break
            time.sleep(1)
        assert done.returncode == 0, done.stderr
        end = time.monotonic() + 10
        while "/pressed" not in asked and time.monotonic() < end:
            time.sleep(0.1)
        assert asked.count("/pressed") == 1
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()


def test_no_display_is_one_sentence_with_the_next_step() -> None:
    for arguments in (("click", "Submit"), ("click", "Submit", "--do", "--yes")):
        done = omni(*arguments, display=None)
        assert done.returncode == 5 and done.stdout == ""
        assert "no screen here" in done.stderr and "--image" in done.stderr and "Traceback" not in done.stderr


def test_a_display_that_does_not_answer(tmp_path: Path) -> None:
    done = omni("click", "Submit", display=":4711")
    assert done.returncode == 5 and "cannot be seen" in done.stderr and "Traceback" not in done.stderr


def test_without_tkinter_pressing_says_what_to_install(display: str, tmp_path: Path) -> None:
    """pyautogui's helper ends the whole program when tkinter is missing; here that is a sentence and exit 5."""
    (tmp_path / "tkinter.py").write_text("raise ImportError('no tkinter in this Python')")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from omni_agent.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "click", "Submit", "--do", "--yes"],
        capture_output=True,
        text=True,
        env={**os.environ, "DISPLAY": display},
        timeout=120,
    )
    assert done.returncode == 5 and done.stdout == "", done.stderr
    assert "tkinter" in done.stderr and "python3-tk" in done.stderr and "Traceback" not in done.stderr


def test_doctor_names_the_screen_and_the_mouse(display: str) -> None:
    seen = omni("doctor", "--json", display=display)
    findings = {finding["part"]: finding for finding in json.loads(seen.stdout)["findings"]}
    assert findings["screen"]["ok"] and "1024x640" in findings["screen"]["detail"]
    assert findings["mouse"]["ok"]
    blind = json.loads(omni("doctor", "--json", display=None).stdout)["findings"]
    assert not any(finding["ok"] for finding in blind if finding["part"] in ("screen", "mouse"))


def test_wayland_alone_is_refused_with_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-m", "omni_agent", "click", "Submit"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 5 and "Wayland" in done.stderr and "--image" in done.stderr
