"""PDFs as values: words with true places, pictures within bounds, and files that lie."""

from __future__ import annotations

import base64
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymupdf
import pytest

from omni_agent.errors import MediaError, PasswordError
from omni_agent.media.pdf import MAX_PIXELS, MAX_SIDE, Pdf


def made(path: Path, *texts: str, rotation: int = 0, size: tuple[float, float] = (600, 800)) -> Path:
    document = pymupdf.open()
    for text in texts:
        page = document.new_page(width=size[0], height=size[1])
        page.insert_text((100, 200), text, fontsize=20)
        page.set_rotation(rotation)
    document.save(path)
    return path


def raw(path: Path, *objects: bytes) -> Path:
    """A PDF written by hand: what no library would write."""
    body, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        *(len(objects) + 1, table, len(objects) + 1),
        len(body),
    )
    path.write_bytes(body)
    return path


def test_words_have_their_places_from_the_top_left(tmp_path: Path) -> None:
    (line,) = Pdf(made(tmp_path / "a.pdf", "Revenue 4711")).text(1).lines
    assert line.text == "Revenue 4711"
    assert line.words[0].box.x0 == pytest.approx(100 / 600, abs=0.005)
    assert 170 / 800 < line.box.y0 < 200 / 800 < line.box.y1 < 215 / 800


def test_a_rotated_page_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    """Turned by 90° the text that stood at the top left stands at the top right and runs downwards."""
    pdf = Pdf(made(tmp_path / "a.pdf", "Revenue", rotation=90))
    (line,) = pdf.text(1).lines
    picture = pdf.picture(1, 72)
    assert (picture.width, picture.height) == (800, 600)
    assert line.box.x0 > 0.7 and line.box.height > line.box.width
    x0, y0, x1, y1 = (round(side) for side in line.box.pixels(800, 600))
    assert picture.pixels[y0:y1, x0:x1].min() < 100  # there is ink in the box


def test_a_cropped_page_is_measured_from_its_crop(tmp_path: Path) -> None:
    document = pymupdf.open()
    page = document.new_page(width=600, height=800)
    page.insert_text((100, 200), "Revenue", fontsize=20)
    page.set_cropbox(pymupdf.Rect(90, 150, 390, 350))
    document.save(tmp_path / "a.pdf")
    (line,) = Pdf(tmp_path / "a.pdf").text(1).lines
    assert line.box.x0 == pytest.approx(10 / 300, abs=0.01)
    assert 30 / 200 - 0.05 < line.box.y0 < line.box.y1 < 60 / 200


def test_a_page_of_20000_inches_is_drawn_small(tmp_path: Path) -> None:
    contents = b"<</Length 0>>stream\n\nendstream"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 1440000 1440000]/Contents 4 0 R>>"
    path = raw(
        tmp_path / "a.pdf", b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, contents
    )
    picture = Pdf(path).picture(1, 300)
    assert picture.width * picture.height <= MAX_PIXELS * 1.01 and max(picture.width, picture.height) <= MAX_SIDE


@pytest.mark.parametrize(("claimed", "message"), [(100_000, "claims more pages than it can hold"), (4, "")])
def test_claimed_pages_are_not_believed(tmp_path: Path, claimed: int, message: str) -> None:
    """More pages than objects are refused by name; a smaller lie is found out by looking for the pages."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"
    pages = b"<</Type/Pages/Kids[3 0 R]/Count %d>>" % claimed
    path = raw(tmp_path / "a.pdf", b"<</Type/Catalog/Pages 2 0 R>>", pages, page, b"null", b"null", b"null")
    if message:
        with pytest.raises(MediaError, match=message):
            Pdf(path)
    else:
        pdf = Pdf(path)
        assert pdf.pages == 1 and pdf.damaged


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """300 MB of drawing instructions in two deflate layers: a few kilobytes."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"q Q " * 262_144) for _ in range(300)) + packer.flush()
    packed = zlib.compress(packed, 9)
    assert len(packed) < 20_000
    return packed


@pytest.mark.parametrize("place", ["contents", "behind another filter", "form", "annotation", "inherited"])
def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path, bomb: bytes, place: str) -> None:
    """Wherever on the page it is drawn from, and whatever it is wrapped in."""
    data, filters = bomb, b"/FlateDecode/FlateDecode"
    if place == "behind another filter":
        data, filters = base64.a85encode(bomb) + b"~>", b"/ASCII85Decode/FlateDecode/FlateDecode"
    hidden = place in ("form", "annotation", "inherited")
    kind = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]" if hidden else b""
    stream = b"<<%s/Length %d/Filter[%s]>>stream\n%s\nendstream" % (kind, len(data), filters, data)
    contents = b"<</Length 5>>stream\n/F Do\nendstream"
    resources = b"/Resources<</XObject<</F 4 0 R>>>>" if hidden else b""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents %d 0 R" % (5 if hidden else 4)
    page += resources if place == "form" else b"/Annots[6 0 R]" if place == "annotation" else b""
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1%s>>" % (resources if place == "inherited" else b"")
    note = b"<</Type/Annot/Subtype/Stamp/P 3 0 R/Rect[0 0 99 99]/AP<</N 4 0 R>>>>"
    path = raw(tmp_path / "a.pdf", b"<</Type/Catalog/Pages 2 0 R>>", tree, page + b">>", stream, contents, note)
    pdf = Pdf(path)
    for use in (lambda: pdf.text(1), lambda: pdf.picture(1, 72)):  # also the second time
        with pytest.raises(MediaError, match="unpacks to more than 256 MB"):
            use()


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (b"/Width 60000/Height 60000", "more than 400 million pixels"),
        (b"/Width 9/Height 9/Filter[/FlateDecode/FlateDecode]", "packed twice over"),
    ],
)
def test_a_picture_inside_a_form_is_looked_at_before_it_is_drawn(tmp_path: Path, about: bytes, message: str) -> None:
    image = b"<</Subtype/Image/BitsPerComponent 8/ColorSpace/DeviceGray%s/Length 1>>stream\n0\nendstream" % about
    form = b"<</Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</I 4 0 R>>>>/Length 5>>stream\n/I Do\nendstream"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<</XObject<</F 5 0 R>>>>>>"
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    path = raw(tmp_path / "a.pdf", b"<</Type/Catalog/Pages 2 0 R>>", tree, page, image, form)
    with pytest.raises(MediaError, match=message):
        Pdf(path).picture(1, 72)


def drawing(path: Path, kind: bytes, *bodies: bytes, given: bytes = b"") -> Path:
    """A page that draws the first of several forms or patterns; each is given the next by the name F, or `given`."""
    resources = b"/Resources<</%s<<%s>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R%s>>"
    begin = b"/F Do" if kind == b"XObject" else b"/Pattern cs /F scn 0 0 90 90 re f"
    about = b"/Subtype/Form" if kind == b"XObject" else b"/PatternType 1/PaintType 1/TilingType 1/XStep 50/YStep 50"
    drawn = []
    for number, body in enumerate(bodies, start=6):
        own = resources % (kind, given or b"/F %d 0 R" % number) if given or number < 5 + len(bodies) else b""
        drawn.append(b"<<%s/BBox[0 0 50 50]%s/Length %d>>stream\n%s\nendstream" % (about, own, len(body), body))
    return raw(
        path,
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page % (resources % (kind, b"/F 5 0 R")),
        b"<</Length %d>>stream\n%s\nendstream" % (len(begin), begin),
        *drawn,
    )


ROUND = b"".join(b"/F%d %d 0 R" % (number, number) for number in range(5, 19))


@pytest.mark.parametrize(
    ("kind", "bodies", "given"),
    [
        (b"XObject", [b"/F Do " * 10] * 11 + [b"0 0 1 1 re f"], b""),
        (b"XObject", [b"/#46 %\n Do " * 10] * 11 + [b"0 0 1 1 re f"], b""),
        (b"XObject", [b"".join(b"/F%d Do " % number for number in range(5, 19))] * 14, ROUND),
        (b"Pattern", [b"/Pattern cs /F scn " + b"0 0 90 90 re f " * 10] * 11 + [b"0 0 1 1 re f"], b""),
    ],
    ids=["eleven times ten", "in disguise", "in circles", "patterns"],
)
def test_what_draws_itself_over_and_over_is_not_drawn(
    tmp_path: Path, kind: bytes, bodies: list[bytes], given: bytes
) -> None:
    """A kilobyte can ask for 10 to the power of 11 drawings, which takes MuPDF days."""
    pdf = Pdf(drawing(tmp_path / "a.pdf", kind, *bodies, given=given))
    for use in (lambda: pdf.text(1), lambda: pdf.picture(1, 72)):
        with pytest.raises(MediaError, match="draws the same things over and over"):
            use()


def test_forms_inside_forms_are_drawn(tmp_path: Path) -> None:
    """Also where one draws itself, which is a mistake and no harm."""
    body = b"/F Do " * 3 + b"0 0 50 50 re f "
    assert Pdf(drawing(tmp_path / "a.pdf", b"XObject", *[body] * 5)).picture(1, 72).pixels.min() < 200
    assert Pdf(drawing(tmp_path / "b.pdf", b"XObject", body, given=b"/F 5 0 R")).picture(1, 72).pixels.min() < 200
    body = b"/Pattern cs /F scn " + b"0 0 50 50 re f " * 3
    path = drawing(tmp_path / "c.pdf", b"Pattern", body, b"0 0 50 50 re f")
    assert Pdf(path).picture(1, 72).pixels.min() < 200


def test_a_book_that_unpacks_to_gigabytes_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book, book.open("a.html", "w") as page:
        for _ in range(513):
            page.write(bytes(2**20))
    with pytest.raises(MediaError, match="unpacks to more than 512 MB"):
        Pdf(path, kind="epub")
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(MediaError, match="damaged"):
        Pdf(path, kind="epub")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_long_text_is_read_whole_and_in_order(tmp_path: Path, encoding: str) -> None:
    """It is laid out in pieces, since MuPDF goes through all of a text for each of its pages."""
    path = tmp_path / "log.txt"
    path.write_text("".join(f"entry {n} von Müller{chr(10) * (1 + n % 2)}" for n in range(8000)), encoding=encoding)
    pdf = Pdf(path, kind="txt")
    words = [word.text for n in range(1, pdf.pages + 1) for line in pdf.text(n).lines for word in line.words]
    assert [int(word) for word in words if word.isdigit()] == list(range(8000))
    assert words[-1] == "Müller" and words.count("Müller") == 8000


def test_threads_read_at_once_what_they_read_alone(examples: Path) -> None:
    def work(name: str) -> tuple[int, int]:
        pdf = Pdf(examples / name)
        found = len(pdf.text(1).lines), int(pdf.picture(1, 40).pixels.sum())
        pdf.close()
        return found

    names = ["report.pdf", "report-scan.pdf"]
    alone = [work(name) for name in names]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, names * 6)) == alone * 6


def test_passwords(tmp_path: Path) -> None:
    document = pymupdf.open()
    document.new_page().insert_text((100, 100), "secret")
    path = tmp_path / "locked.pdf"
    document.save(path, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="open sesame", owner_pw="owner")
    with pytest.raises(PasswordError, match="protected by a password"):
        Pdf(path)
    with pytest.raises(PasswordError, match="does not open"):
        Pdf(path, password="wrong")
    assert Pdf(path, password="open sesame").text(1).lines[0].text == "secret"


def test_a_truncated_file_is_read_as_far_as_it_goes_or_refused(tmp_path: Path, examples: Path) -> None:
    whole = (examples / "report.pdf").read_bytes()
    short = tmp_path / "short.pdf"
    short.write_bytes(whole[:300])
    with pytest.raises(MediaError, match="damaged"):
        Pdf(short)
