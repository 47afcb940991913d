"""Kept tensors on disk: what comes back is what was written or nothing, whoever kills, fills, shares or alters."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omni_agent.runtime.store import Store, open_store
from omni_agent.runtime.tiers import Limits, Tiers

CPU = torch.device("cpu")
PLENTY = 1 << 30


def name(number: int) -> str:
    return "keys-" + hashlib.sha256(str(number).encode()).hexdigest()


def blob(number: int, size: int = 1000) -> dict[str, torch.Tensor]:
    make = torch.Generator().manual_seed(number)
    return {
        "keys": torch.randn(2, 3, size, generator=make).bfloat16(),
        "state": torch.randn(5, 7, generator=make),
        "none": torch.empty(0, 4),
    }


def equal(left: dict[str, torch.Tensor] | None, right: dict[str, torch.Tensor]) -> bool:
    return left is not None and left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def opened(folder: Path, notes: list[str], limit: int = PLENTY) -> Store:
    store = open_store(folder, limit, notes.append)
    assert store is not None, notes
    return store


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_what_was_put_in_comes_back_in_another_process_of_ours(tmp_path: Path) -> None:
    notes: list[str] = []
    opened(tmp_path / "kept", notes).put(name(1), blob(1))
    again = opened(tmp_path / "kept", notes)
    assert name(1) in again and equal(again.get(name(1), CPU), blob(1))
    assert name(2) not in again and again.get(name(2), CPU) is None
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()] == [0o600] * 2
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert equal(load_file(files(tmp_path / "kept")[0]), blob(1))  # a safetensors file like any other
    again.clear()
    assert again.get(name(1), CPU) is None and not notes


def test_no_altered_byte_is_believed(tmp_path: Path) -> None:
    """Every region of the file: length, header, padding, data, end; and the file cut or longer."""
    notes: list[str] = []
    store = opened(tmp_path, notes)
    store.put(name(1), blob(1))
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    spots = [*range(12), *range(12, len(whole), 97), len(whole) - 1]
    for spot in spots:
        path.write_bytes(whole[:spot] + bytes([whole[spot] ^ 0x41]) + whole[spot + 1 :])
        found = store.get(name(1), CPU)
        assert found is None or equal(found, blob(1)), spot  # padding of the header may say anything
        path.touch(0o600)
    for size in (0, 1, 7, 8, 9, 500, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert store.get(name(1), CPU) is None and not path.exists()
        path.touch(0o600)
    path.write_bytes(whole + b"x")
    assert store.get(name(1), CPU) is None and not path.exists()
    assert len(notes) > len(spots) and all("was dropped" in note for note in notes)


def test_planted_files_are_not_believed(tmp_path: Path) -> None:
    """A sound file of another store, another entry's file under this name, links, a pipe, what others may read."""
    notes: list[str] = []
    store, other = opened(tmp_path / "mine", notes), opened(tmp_path / "theirs", notes)
    other.put(name(1), blob(666))
    foreign = files(tmp_path / "theirs")[0].read_bytes()
    store.put(name(2), blob(2))
    mine = files(tmp_path / "mine")[0]
    place = tmp_path / "mine" / f"{name(1)}.safetensors"

    def planted(content: bytes, mode: int = 0o600) -> None:
        place.write_bytes(content)
        place.chmod(mode)

    for plant in (
        lambda: planted(foreign),
        lambda: planted(mine.read_bytes()),
        lambda: place.symlink_to(mine),
        lambda: place.symlink_to(tmp_path / "nowhere"),
        lambda: os.mkfifo(place, 0o600),
    ):
        plant()
        assert store.get(name(1), CPU) is None and not place.is_symlink() and not place.exists()
    mine.chmod(0o644)
    assert store.get(name(2), CPU) is None and not mine.exists()
    assert len(notes) == 6


def test_a_folder_that_is_not_ours_alone_is_not_used(tmp_path: Path) -> None:
    notes: list[str] = []
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")
    for folder in (loose, tmp_path / "link", tmp_path / "file", tmp_path / "file" / "below", Path("/proc/kept")):
        assert open_store(folder, PLENTY, notes.append) is None
    assert len(notes) == 5 and "others may write" in notes[0]
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 12345, 12345)
        assert open_store(theirs, PLENTY, notes.append) is None
        assert "not a folder of yours" in notes[-1]


def test_a_lost_secret_only_loses_what_was_kept(tmp_path: Path) -> None:
    notes: list[str] = []
    opened(tmp_path, notes).put(name(1), blob(1))
    (tmp_path / "secret").write_bytes(b"short")
    store = opened(tmp_path, notes)
    assert store.get(name(1), CPU) is None
    store.put(name(1), blob(1))
    assert equal(opened(tmp_path, notes).get(name(1), CPU), blob(1))


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = opened(tmp_path, [])
    store.put(name(0), blob(0))
    store.limit = 4 * files(tmp_path)[0].stat().st_size
    for number in range(1, 4):
        time.sleep(0.01)  # times of use differ
        store.put(name(number), blob(number))
    time.sleep(0.01)
    store.get(name(0), CPU)
    store.put(name(4), blob(4))
    assert [number for number in range(5) if name(number) in store] == [0, 2, 3, 4]
    store.put(name(5), blob(5, size=100_000))  # more than fits at all
    assert [number for number in range(6) if name(number) in store] == [0, 2, 3, 4]


def test_tiers_move_down_and_come_back(tmp_path: Path) -> None:
    size = sum(part.nbytes for part in blob(0).values())
    tiers = Tiers(CPU, Limits(device=2 * size, host=2 * size), opened(tmp_path, []))
    for number in range(6):
        tiers.put(name(number), blob(number))
    tiers.flush()
    assert all(equal(tiers.get(name(number)), blob(number)) for number in (5, 0, 3, 1, 2, 4))
    assert tiers.get(name(7)) is None
    tiers.clear()
    assert tiers.get(name(0)) is None


WORK = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from omni_agent.runtime.store import open_store
from tests.runtime.test_store import CPU, blob, equal, name, opened
torch.set_num_threads(1)
folder, limit, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def work(seed, rounds, size):
    notes, wrong, hits = [], 0, 0
    store, chance = opened(folder, notes, limit), random.Random(seed)
    for _ in range(rounds):
        number = chance.randrange(8)
        found = store.get(name(number), CPU)
        if found is None:
            store.put(name(number), blob(number, size))
        else:
            hits += 1
            wrong += not equal(found, blob(number, size))
    assert (wrong, notes) == (0, []) and hits > rounds // 20, (wrong, hits, notes)

def forked(*arguments):
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return child
"""
TWO = """
children = [forked(seed, 200, 20_000) for seed in (1, 2)]
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""
KILLED = """
chance, cut, parts = random.Random(times), 0, 0
for number in range(times):
    child = forked(number, 1_000_000, 400_000)
    time.sleep(chance.random() * 0.3)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it ended before it was killed"
    parts += len(list(folder.glob("*.part")))
    notes = []
    store = opened(folder, notes)
    for which in range(8):
        found = store.get(name(which), CPU)
        cut += found is None
        assert found is None or equal(found, blob(which, 400_000))
    assert not notes and not list(folder.glob("*.part"))
    store.clear()
print(parts, "half files,", cut, "blobs not there")
"""


def script(text: str, *arguments: object) -> str:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", text, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Both read, write and evict the same few names; neither ever sees a wrong or a half file."""
    script(WORK + TWO, tmp_path, 5 * sum(part.nbytes for part in blob(0, 20_000).values()), 0)
    assert not list(tmp_path.glob("*.part"))


def test_killed_at_random_points(tmp_path: Path) -> None:
    script(WORK + KILLED, tmp_path, PLENTY, 5)


@pytest.mark.soak
def test_killed_at_random_points_fifty_times(tmp_path: Path) -> None:
    told = script(WORK + KILLED, tmp_path, PLENTY, 50)
    assert int(told.split()[0]) > 0, f"no kill ever hit a half-written file: {told}"


def test_a_disk_that_is_full_is_no_error(tmp_path: Path) -> None:
    """A limit on the size of files makes the system refuse to write on, half way through a file."""
    text = """
import resource, sys
from pathlib import Path
from omni_agent.runtime.store import open_store
from tests.runtime.test_store import CPU, blob, name
notes = []
store = open_store(Path(sys.argv[1]), 1 << 30, notes.append)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
store.put(name(1), blob(1))
store.put(name(2), blob(2))
assert store.get(name(1), CPU) is None
print(notes)
"""
    told = script(text, tmp_path)
    assert told.count("nothing more is kept on disk") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
