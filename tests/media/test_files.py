"""Files as users hand them over, and files that are written whole or not at all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omni_agent.errors import OmniError, UsageError
from omni_agent.media import files, image


def test_a_pipe_is_read_once_and_kept(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(b"hello",), daemon=True).start()
    with files.opened(pipe) as path:
        assert path.read_bytes() == path.read_bytes() == b"hello"
    assert not path.exists()


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x.pdf", "a\0b", "x" * 5000])
def test_what_is_no_file_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        files.checked(name)


def test_a_device_or_a_socket_is_not_read(tmp_path: Path) -> None:
    """/dev/zero would fill the disk before anything is said."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "talk"))
        for name in ("/dev/zero", "/dev/null", str(tmp_path / "talk")):
            with pytest.raises(UsageError, match="is a device or a socket"), files.opened(name):
                pass


def test_a_closed_standard_input_is_a_sentence() -> None:
    done = subprocess.run(
        f"{sys.executable} -m omni_agent transcribe - <&-", shell=True, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "standard input" in done.stderr and "fault" not in done.stderr


def test_what_is_written_keeps_the_mode_and_goes_through_a_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("old")
    kept.chmod(0o600)
    link.symlink_to(kept)
    files.write(link, "new")
    assert link.is_symlink() and kept.read_text() == "new" and kept.stat().st_mode & 0o777 == 0o600
    files.write(tmp_path / "fresh", b"x")
    assert (tmp_path / "fresh").stat().st_mode & 0o111 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "kept", "link"]


def test_many_threads_write_at_once_and_the_mask_of_the_process_stays(tmp_path: Path) -> None:
    """Reading the mask means setting it, which two threads cannot do at once."""
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: files.write(tmp_path / f"f{n % 20}", b"x" * 100), range(800)))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
        assert len(list(tmp_path.iterdir())) == 20
    finally:
        assert os.umask(before) == 0o027


def test_a_device_is_written_to_and_not_replaced() -> None:
    files.write(Path("/dev/null"), "nothing")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OmniError, match="could not be written"):
        files.write(Path("/dev/full"), "x" * 10_000)


@pytest.mark.parametrize(("mode", "dtype", "ink", "paper"), [("I;16", np.uint16, 8000, 38600), ("F", np.float32, 0, 1)])
def test_a_picture_of_more_than_eight_bits_keeps_its_ink(
    tmp_path: Path, mode: str, dtype: type, ink: float, paper: float
) -> None:
    """Clipped to eight bits, both would be the same white."""
    pixels: np.ndarray = np.full((40, 40), paper, dtype)
    pixels[10:20] = ink
    Image.fromarray(pixels).save(tmp_path / "grey.tif")
    seen = image.load(tmp_path / "grey.tif").pixels
    assert int(seen[30, 5, 0]) - int(seen[15, 5, 0]) > 80
