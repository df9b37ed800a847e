"""Downloads from a server on this machine that does what servers do: cut, refuse, lie."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from i2pa.errors import ModelError
from i2pa.models.download import Limits, download, part_of

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(pause=0.0, timeout=5.0, tries=3)


class Server:
    """What it sends is `content`; it remembers the ranges it was asked for."""

    def __init__(self):
        self.content = CONTENT
        self.ranges = True
        self.cut_after = []  # bytes after which each answer in turn breaks off
        self.status = None
        self.tells_length = True
        self.wrong_part = False
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/model.pth"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def answer(self, to):
        asked = to.headers.get("Range")
        self.asked.append(asked)
        if self.status:
            to.send_error(self.status)
            return
        start = 0
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(self.content):
                to.send_error(416)
                return
            start -= 10 if self.wrong_part else 0
            to.send_response(206)
            last = len(self.content) - 1
            to.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        else:
            to.send_response(200)
        body = self.content[start:]
        if self.tells_length:
            to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        if self.cut_after:
            body = body[: self.cut_after.pop(0)]
        to.wfile.write(body)

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    server.close()


def test_a_file_comes_whole_and_tells_of_its_progress(server, tmp_path):
    told = []
    download(
        server.url, tmp_path / "m", SHA256, limits=QUICK, progress=lambda *now: told.append(now)
    )
    assert (tmp_path / "m").read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up_again(server, tmp_path, ranges):
    server.ranges = ranges
    server.cut_after = [100_000]
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert (tmp_path / "m").read_bytes() == CONTENT
    # A server that knows no ranges sends all of it again, and nothing stands there twice.
    assert server.asked == [None, "bytes=100000-"]


def test_what_a_stopped_command_left_is_gone_on_from(server, tmp_path):
    server.cut_after = [50_000, 50_000, 50_000]
    with pytest.raises(ModelError, match="first 150,000 bytes are kept") as raised:
        download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "m").exists()
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert (tmp_path / "m").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=150000-"


def test_a_part_of_another_file_costs_one_more_download(server, tmp_path):
    part_of(tmp_path / "m").write_bytes(b"something else" * 1000)
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert (tmp_path / "m").read_bytes() == CONTENT
    assert server.asked == ["bytes=14000-", None]


@pytest.mark.parametrize("extra", [b"", b"and more"])
def test_a_part_that_is_the_whole_or_more(server, tmp_path, extra):
    part_of(tmp_path / "m").write_bytes(CONTENT + extra)
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert (tmp_path / "m").read_bytes() == CONTENT
    assert len(server.asked) == (2 if extra else 1)


def test_wrong_bytes_are_refused_with_both_digests_and_not_kept(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match="is not the expected") as raised:
        download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert SHA256 in str(raised.value)
    assert hashlib.sha256(server.content).hexdigest() in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_tells_no_length_or_sends_another_part(server, tmp_path):
    server.tells_length = False
    download(server.url, tmp_path / "a", SHA256, limits=QUICK)
    server.tells_length = True
    server.wrong_part = True
    part_of(tmp_path / "b").write_bytes(CONTENT[:1000])
    download(server.url, tmp_path / "b", SHA256, limits=QUICK)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT


@pytest.mark.parametrize("tells_length", [True, False])
def test_more_than_the_limit_is_not_taken(server, tmp_path, tells_length):
    server.tells_length = tells_length
    with pytest.raises(ModelError, match=r"over the limit of 200,000"):
        download(server.url, tmp_path / "m", SHA256, limits=replace(QUICK, max_bytes=200_000))
    assert not (tmp_path / "m").exists()
    left = part_of(tmp_path / "m")
    assert not left.exists() or left.stat().st_size <= 200_000


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3)])
def test_refusals_are_one_line_and_only_passing_ones_are_tried_again(
    server, tmp_path, status, requests
):
    server.status = status
    with pytest.raises(ModelError, match=f"the server answers {status}") as raised:
        download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert server.url in str(raised.value)
    assert len(server.asked) == requests


def test_nobody_there(server, tmp_path):
    server.close()
    with pytest.raises(ModelError, match=r"cannot be downloaded .*see that this machine"):
        download(server.url, tmp_path / "m", SHA256, limits=QUICK)


def test_a_server_that_falls_silent_is_not_waited_for_longer_than_said(server, tmp_path):
    hold = threading.Event()
    answer = server.answer

    def slow(to):
        to.send_response(200)
        to.send_header("Content-Length", str(len(CONTENT)))
        to.end_headers()
        to.wfile.write(CONTENT[:70_000])
        to.wfile.flush()
        hold.wait(10)

    server.answer = slow
    with pytest.raises(ModelError, match="timed out"):
        download(server.url, tmp_path / "m", SHA256, limits=replace(QUICK, timeout=0.2, tries=1))
    hold.set()
    server.answer = answer
    download(server.url, tmp_path / "m", SHA256, limits=QUICK)
    assert (tmp_path / "m").read_bytes() == CONTENT
