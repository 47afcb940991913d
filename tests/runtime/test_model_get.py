"""`omni model get` against a hub of the tests' own on this machine: what is fetched, interrupted, resumed, refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPOSITORY = "someone/tiny"
COMMIT = "e5e9932441de940c9a62185c870ea5bcd4cd24e2"


class Hub:
    """The three requests of the hub's protocol that a download makes. `asked` keeps (method, path, Range)."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str, str | None]] = []
        self.stall: str | None = None  # a file of which only the first half is sent, and then nothing
        self.cut: set[str] = set()  # files whose connection breaks once in the middle
        self.ranges = True  # a server that knows no ranges answers with the whole file
        self.damage: set[str] = set()  # files of which the last byte arrives wrong
        self.sent: Counter[str] = Counter()  # bytes of each file
        self.status = 200  # of the request for the list of files
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def fetched(self) -> list[str]:
        return [path.rpartition("/")[2] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]

    def _handler(hub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self._file(body=False)

            def do_GET(self) -> None:
                if self.path.startswith("/api/"):
                    hub.asked.append(("GET", self.path, None))
                    self._list()
                else:
                    self._file(body=True)

            def _list(self) -> None:
                siblings = [sibling(name, data) for name, data in hub.files.items()]
                text = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode()
                self.send_response(hub.status)
                if hub.status == 403:
                    self.send_header("X-Error-Code", "GatedRepo")
                if hub.status == 404:
                    self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _file(self, body: bool) -> None:
                name = self.path.rpartition("/")[2]
                wanted = self.headers.get("Range")
                hub.asked.append((self.command, self.path, wanted))
                wanted = wanted if hub.ranges else None
                data = hub.files[name]
                start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
                self.send_response(206 if wanted else 200)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.send_header("Content-Length", str(len(data) - start))
                if wanted:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                if not body:
                    return
                data = data[:-1] + b"?" if name in hub.damage else data
                whole = hub.stall != name and name not in hub.cut
                part = data[start:] if whole else data[start : len(data) // 2]
                self.wfile.write(part)
                self.wfile.flush()
                hub.sent[name] += len(part)
                if hub.stall == name:
                    time.sleep(60)
                elif not whole:
                    hub.cut.remove(name)
                    self.close_connection = True
                    self.connection.close()

        return Handler


def sibling(name: str, data: bytes) -> dict[str, object]:
    """What the hub says of a file; of a large one also its sum."""
    said: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
    if name.endswith(".safetensors") and "/" not in name:
        digest = "" if isinstance(data, Petabyte) else hashlib.sha256(data).hexdigest()
        said["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 134}
    return said


class Petabyte(bytes):
    def __len__(self) -> int:
        return 1 << 50


FILES = {
    "config.json": b'{"a": 1}',
    "model-00001-of-00002.safetensors": b"first" * 100_000,
    "model-00002-of-00002.safetensors": b"second" * 100_000,
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    ).encode(),
    "chat_template.jinja": b"{{ messages }}",
    "modeling.py": b"import os",
    "pytorch_model.bin": b"\x80\x04",
    "README.md": b"read me",
    "onnx/model.safetensors": b"elsewhere",
}
WANTED = [name for name in FILES if name.endswith((".safetensors", ".json", ".jinja")) and "/" not in name]


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub(dict(FILES))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMNI_OFFLINE": "0",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "omni_agent", "model", "get", *arguments]


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=120)


def test_what_omni_reads_is_fetched_once_and_nothing_else(hub: Hub, environment: dict[str, str]) -> None:
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.name == COMMIT and sorted(path.name for path in folder.iterdir()) == sorted(WANTED)
    assert all((folder / name).read_bytes() == FILES[name] for name in WANTED)
    assert sorted(hub.fetched()) == sorted(WANTED)
    assert f'model_path = "{folder}"' in done.stderr and "5 of 5 files" in done.stderr
    again = run(environment, REPOSITORY, "--json", "-q")
    result = json.loads(again.stdout)
    assert (result["fetched"], result["folder"], result["revision"]) == (0, str(folder), COMMIT)
    assert len(hub.fetched()) == len(WANTED) and again.stderr == ""


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, environment: dict[str, str], how: int) -> None:
    """Ctrl-C, or the end of the process, in the middle of the second shard: no byte that came is asked for again."""
    hub.files[SECOND] = bytes(range(256)) * 40_000
    hub.stall, half = SECOND, 128 * 40_000
    process = subprocess.Popen(command(REPOSITORY), env=environment, stderr=subprocess.PIPE, text=True)
    blob = Path(
        environment["HF_HOME"], "hub/models--someone--tiny/blobs", hashlib.sha256(hub.files[SECOND]).hexdigest()
    )
    partial = blob.with_name(f"{blob.name}.incomplete")
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size == half) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how) and "Traceback" not in said
    before, hub.stall = len(hub.asked), None
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    bodies = [(path.rpartition("/")[2], wanted) for method, path, wanted in hub.asked[before:] if method == "GET"]
    assert bodies[1:] == [(SECOND, f"bytes={half}-")]  # after the list of files
    assert hub.sent[SECOND] == len(hub.files[SECOND]) and hub.sent[FIRST] == len(FILES[FIRST])
    assert (Path(done.stdout.strip()) / SECOND).read_bytes() == hub.files[SECOND]
    assert blob.is_file() and not partial.exists()


def test_a_connection_that_breaks_is_taken_up_in_the_middle(hub: Hub, environment: dict[str, str]) -> None:
    hub.cut = {FIRST}
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and asked]
    assert ranges == [f"bytes={len(FILES[FIRST]) // 2}-"]
    assert (Path(done.stdout.strip()) / FIRST).read_bytes() == FILES[FIRST]


def test_a_server_without_ranges_still_gives_the_right_file(hub: Hub, environment: dict[str, str]) -> None:
    hub.cut, hub.ranges = {FIRST}, False
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / FIRST).read_bytes() == FILES[FIRST]


def test_a_shard_that_arrives_damaged_is_never_used(hub: Hub, environment: dict[str, str]) -> None:
    hub.damage = {FIRST}
    done = run(environment, REPOSITORY)
    assert done.returncode == 1 and f"{FIRST} arrived damaged" in done.stderr and "Traceback" not in done.stderr
    kept = list(Path(environment["HF_HOME"]).rglob(FIRST))
    hub.damage = set()
    done = run(environment, REPOSITORY)
    assert kept == [] and done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / FIRST).read_bytes() == FILES[FIRST]


def test_what_an_earlier_run_left_is_not_trusted(hub: Hub, environment: dict[str, str]) -> None:
    """A half file that holds something else: the sum tells, and the next run begins anew."""
    blobs = Path(environment["HF_HOME"], "hub/models--someone--tiny/blobs")
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(FILES[FIRST]).hexdigest()}.incomplete").write_bytes(b"x" * 1000)
    done = run(environment, REPOSITORY)
    assert done.returncode == 1 and "arrived damaged" in done.stderr
    done = run(environment, REPOSITORY)
    assert done.returncode == 0 and (Path(done.stdout.strip()) / FIRST).read_bytes() == FILES[FIRST], done.stderr


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "OMNI_OFFLINE"])
def test_offline_asks_nobody(hub: Hub, environment: dict[str, str], switch: str) -> None:
    offline = environment | {switch: "1"}
    done = run(offline, REPOSITORY)
    assert done.returncode == 5 and "offline, and someone/tiny is not in the Hugging Face cache" in done.stderr
    assert hub.asked == []
    fetched = run(environment, REPOSITORY)
    asked = len(hub.asked)
    done = run(offline, REPOSITORY)
    assert done.returncode == 0 and done.stdout == fetched.stdout and len(hub.asked) == asked
    (Path(done.stdout.strip()) / "model-00001-of-00002.safetensors").unlink()
    done = run(offline, REPOSITORY)
    assert done.returncode == 5 and "not complete" in done.stderr


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(404, 5, "knows no repository"), (403, 5, "accept its terms"), (500, 1, "broke off")],
)
def test_what_the_hub_refuses_is_a_sentence(
    hub: Hub, environment: dict[str, str], status: int, code: int, words: str
) -> None:
    hub.status = status
    done = run(environment, REPOSITORY)
    assert done.returncode == code and words in done.stderr.replace("you to accept", "accept")
    assert "Traceback" not in done.stderr


def test_a_repository_of_pickles_is_refused(hub: Hub, environment: dict[str, str]) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04"}
    done = run(environment, REPOSITORY)
    assert done.returncode == 1 and "pickle files can run code and are never fetched" in done.stderr
    assert hub.fetched() == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(hub: Hub, environment: dict[str, str]) -> None:
    hub.files = {"config.json": b"{}", "model.safetensors": Petabyte()}
    done = run(environment, REPOSITORY)
    assert done.returncode == 5 and "the download needs 1125899.9 GB" in done.stderr
    assert hub.fetched() == []


def test_no_hub_and_no_name(environment: dict[str, str]) -> None:
    done = run(environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}, REPOSITORY)
    assert done.returncode == 5 and "does not answer" in done.stderr and "Traceback" not in done.stderr
    done = run(environment, "not a name/../x")
    assert done.returncode == 2 and "is no repository's name" in done.stderr
