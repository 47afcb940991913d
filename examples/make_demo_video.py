"""Make `examples/demo.mp4`: a narrated recording of a page in Chromium, used with a real mouse and keyboard.

    python -m examples.make_demo_video

Needs Xvfb, Chromium, xdotool, ffmpeg and espeak-ng. `STEPS` says what can be seen from when on, `NARRATION` what is
said when; the tests check omni against both.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from examples.screencast import Screencast

SECONDS = 50.0
STEPS = {
    "HM-2043": 0.0,  # the table of bookings
    "Add a group": 11.0,  # the dialog that "New booking" opens
    "Lindqvist School": 13.0,  # typed into it
    "Booking HM-2047 saved": 27.0,  # the note after Save
    "The museum is closed on Mondays": 38.0,  # the error
}
NARRATION = {
    0.5: "Welcome. This is the booking desk of the harbour museum.",
    6.0: "To add a group, press the new booking button.",
    17.0: "Children pay half, so the whole class costs one hundred and eight euros.",
    28.5: "The booking is saved, and the teacher gets a letter with the entrance code.",
    39.5: "Mondays are for the cleaners, so please choose another day.",
}
PAGE = """<!doctype html><title>Bookings</title><style>
body{font:20px sans-serif;margin:0;background:#f4f6f8;color:#1c2733}
header{background:#14405c;color:#fff;padding:18px 40px;font-size:28px}
main{padding:24px 40px} table{border-collapse:collapse;width:860px;background:#fff}
td,th{padding:10px 16px;text-align:left;border-bottom:1px solid #d5dce2}
button{font:20px sans-serif;padding:10px 22px;background:#1769aa;color:#fff;border:0;border-radius:6px}
#form{display:none;position:fixed;left:330px;top:150px;width:620px;background:#fff;padding:26px}
#form label{display:block;margin:12px 0} input{font:20px sans-serif;padding:6px;width:300px;margin-left:10px}
#note{display:none;position:fixed;right:40px;top:90px;padding:16px 26px;color:#fff;font-size:22px}
</style><header>Harbour Museum: group bookings</header><main>
<p><button onclick="show('form')">New booking</button></p>
<table id=list><tr><th>Number<th>Group<th>Visitors<th>Day<th>Price
<tr><td>HM-2043<td>Rowing club<td>12<td>Tuesday<td>108.00 EUR
<tr><td>HM-2044<td>Ferry crew<td>8<td>Thursday<td>72.00 EUR
<tr><td>HM-2046<td>City archive<td>15<td>Friday<td>135.00 EUR</table></main>
<div id=form><b>Add a group</b><label>Group <input id=group></label><label>Visitors <input id=visitors></label>
<label>Day <input id=day></label><button onclick="save()">Save</button></div><div id=note></div><script>
const at = id => document.getElementById(id), show = id => at(id).style.display = 'block'
function tell(text, colour) { at('note').textContent = text; at('note').style.background = colour; show('note') }
function save() {
  if (at('day').value == 'Monday') return tell('Error 409: The museum is closed on Mondays', '#b3261e')
  at('form').style.display = 'none'
  at('list').insertRow().innerHTML = `<td>HM-2047<td>${at('group').value}<td>${at('visitors').value}` +
    `<td>${at('day').value}<td>108.00 EUR`
  tell('Booking HM-2047 saved', '#1b7a3d')
}
</script>"""


def record(out: Path) -> None:
    """Use the page as a person would while the camera runs."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "bookings.html")
        page.write_text(PAGE, encoding="utf-8")
        with Screencast(out, seconds=SECONDS, narration=NARRATION) as cast:
            cast.browse(f"file://{page}")
            cast.do("mousemove", "1270", "710")
            cast.roll()
            cast.at(11.0)
            cast.do("mousemove", "130", "117", "click", "1")
            cast.at(13.0)
            fill(cast, "Lindqvist School", "24", "Wednesday")
            cast.at(27.0)
            cast.do("mousemove", "403", "388", "click", "1")
            cast.at(33.0)
            cast.do("mousemove", "130", "117", "click", "1")
            fill(cast, "Chess club", "9", "Monday")
            cast.at(38.0)
            cast.do("mousemove", "403", "388", "click", "1")


def fill(cast: Screencast, *values: str) -> None:
    """Type over the form's fields, from the first on."""
    cast.do("mousemove", "560", "233", "click", "--repeat", "3", "1")
    for value in values:
        cast.do("key", "ctrl+a")
        cast.do("type", "--delay", "60", value)
        cast.do("key", "Tab")


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("demo.mp4"))
