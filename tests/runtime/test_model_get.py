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
                siblings = [
                    {"rfilename": name, "size": len(data), "blobId": "0" * 40} for name, data in hub.files.items()
                ]
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
                if hub.stall == name:
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    time.sleep(60)
                elif name in hub.cut:
                    hub.cut.remove(name)
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                else:
                    self.wfile.write(data[start:])

        return Handler


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


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, environment: dict[str, str]) -> None:
    """Ctrl-C while the second shard comes in: the first is not fetched again."""
    hub.stall = "model-00002-of-00002.safetensors"
    process = subprocess.Popen(command(REPOSITORY), env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while hub.stall not in hub.fetched() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    before, hub.stall = hub.fetched(), None
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert hub.fetched()[len(before) :] == ["model-00002-of-00002.safetensors"]
    assert (Path(done.stdout.strip()) / "model-00002-of-00002.safetensors").read_bytes() == b"second" * 100_000


def test_a_connection_that_breaks_is_taken_up_in_the_middle(hub: Hub, environment: dict[str, str]) -> None:
    hub.files["model-00001-of-00002.safetensors"] = b"first" * 6_000_000
    hub.cut = {"model-00001-of-00002.safetensors"}
    done = run(environment, REPOSITORY)
    assert done.returncode == 0, done.stderr
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and asked]
    assert ranges == [f"bytes={10 << 20}-"]  # the library writes pieces of 10 MiB, the break was at 15 MB
    assert (Path(done.stdout.strip()) / "model-00001-of-00002.safetensors").read_bytes() == b"first" * 6_000_000


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
    class Petabyte(bytes):
        def __len__(self) -> int:
            return 1 << 50

    hub.files = {"config.json": b"{}", "model.safetensors": Petabyte()}
    done = run(environment, REPOSITORY)
    assert done.returncode == 5 and "the download needs 1125899.9 GB" in done.stderr
    assert hub.fetched() == []


def test_no_hub_and_no_name(environment: dict[str, str]) -> None:
    done = run(environment | {"HF_ENDPOINT": "http://127.0.0.1:9"}, REPOSITORY)
    assert done.returncode == 5 and "does not answer" in done.stderr and "Traceback" not in done.stderr
    done = run(environment, "not a name/../x")
    assert done.returncode == 2 and "is no repository's name" in done.stderr
