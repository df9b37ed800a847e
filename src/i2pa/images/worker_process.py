"""The parent's side of the process that decodes heavy pictures: started when first needed, used
again, ended when it takes too long, and started anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO, Any

import numpy as np

from i2pa.errors import ImageError
from i2pa.images.open import Limits
from i2pa.images.thumbnail import Thumbnail
from i2pa.images.transforms import Pixels, Transform
from i2pa.images.worker import GO, receive, send, take

Admit = Callable[[int], AbstractContextManager[None]]
Answer = tuple[Pixels, datetime | None]

BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
"""Python that lets a new process find what this one can import."""
SERVE = "from i2pa.images.worker import main; main()"

_START_SECONDS = 60.0
# One thread for libraries that would start more; memory goes back to the system when freed (glibc).
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
}


class WorkerProcess:
    """One process that decodes one picture at a time; threads wait for one another."""

    def __init__(
        self,
        shape: Transform | Thumbnail,
        limits: Limits,
        seconds: float,
        *,
        code: str = SERVE,
    ) -> None:
        """`seconds` is what one picture may take, `code` what the process runs."""
        self._shape = shape
        self._limits = limits
        self._seconds = seconds
        self._code = code
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None
        self._closed = False

    def decode(self, source: str | bytes, where: str, admit: Admit) -> Answer:
        """Pixels and time of a picture given as absolute path or bytes.

        `admit` is entered with the memory that decoding will take. Raises ImageError, also where
        the process has to be ended or ends by itself.
        """
        with self._talk(where):
            return self._exchange(source, where, admit)

    def time_taken(self, path: str, where: str) -> datetime | None:
        """When a picture was taken, undecoded. Raises ImageError as `decode` does."""
        with self._talk(where):
            process = self._running(where)
            requests, replies = _pipes(process)
            with self._watched(process, where, self._seconds):
                send(requests, {"path": path, "where": where, "only_time": True})
                return _time(_checked(receive(replies), where))

    @contextlib.contextmanager
    def _talk(self, where: str) -> Iterator[None]:
        """One thread's turn to talk with the process."""
        with self._turn:
            if self._closed:
                raise _stopped(where)
            try:
                yield
            except ImageError:
                raise
            except BaseException:
                # Ctrl-C in the middle: what the process says next would be taken for an answer.
                self._end()
                raise

    def close(self) -> None:
        """End the process, also in the middle of a picture, which then fails."""
        self._closed = True
        self._end()

    def _exchange(self, source: str | bytes, where: str, admit: Admit) -> Answer:
        process = self._running(where)
        requests, replies = _pipes(process)
        path, data = (source, b"") if isinstance(source, str) else (None, source)
        begun = time.monotonic()
        with self._watched(process, where, self._seconds):
            send(requests, {"path": path, "where": where, "only_time": False}, data)
            reply = _checked(receive(replies), where)
        left = max(1.0, self._seconds - (time.monotonic() - begun))
        with admit(int(reply["memory"])), self._watched(process, where, left):
            requests.write(GO)
            requests.flush()
            reply = _checked(receive(replies), where)
            height, width = map(int, reply["size"])
            if not self._shape.may_be(height, width):
                raise ValueError(f"no pixels of {height} x {width} were asked for")
            pixels = np.frombuffer(take(replies, 3 * height * width), np.uint8)
            taken = _time(reply)
        return pixels.reshape(height, width, 3).copy(), taken

    def _running(self, where: str) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        command = [sys.executable, "-W", "ignore", "-c", BOOT + self._code]
        try:
            process = subprocess.Popen(
                [*command, json.dumps([str(place) for place in sys.path])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
                # Ctrl-C is for this process to take.
                start_new_session=True,
            )
        except OSError as error:
            raise ImageError(
                f"the process that decodes it cannot be started ({error.strerror or error})",
                where=where,
            ) from error
        self._process = process
        self._end = weakref.finalize(self, _end, process)
        if self._closed:
            self._end()
        requests, replies = _pipes(process)
        start = {
            "shape": type(self._shape).__name__,
            "fields": dataclasses.asdict(self._shape),
            "limits": dataclasses.asdict(self._limits),
            "seconds": self._seconds,
        }
        with self._watched(process, where, _START_SECONDS):
            send(requests, start)
            receive(replies)
        return process

    @contextlib.contextmanager
    def _watched(
        self, process: subprocess.Popen[bytes], where: str, seconds: float
    ) -> Iterator[None]:
        """Ends the process after `seconds`; tells how it ended where it does."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            # The pipe broke, or what came out of it makes no sense.
            self._end()
            if self._closed:
                raise _stopped(where) from error
            if late.is_set():
                raise ImageError(
                    f"took longer than {self._seconds:g} s to decode",
                    where=where,
                    remedy="save it again from its source",
                ) from error
            raise ImageError(
                f"its decoder crashed ({_how_it_ended(process)})",
                where=where,
                remedy="save it again from its source",
            ) from error
        finally:
            timer.cancel()


def _checked(reply: dict[str, Any], where: str) -> dict[str, Any]:
    if "error" in reply:
        error = reply["error"]
        raise ImageError(str(error["what"]), where=where, remedy=str(error["remedy"]))
    return reply


def _time(reply: dict[str, Any]) -> datetime | None:
    return datetime.fromisoformat(reply["taken"]) if reply["taken"] else None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Where requests go in and where replies come out."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    return process.stdin, process.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in _pipes(process):
        # What was not yet written is lost with the process.
        with contextlib.suppress(OSError, ValueError):
            pipe.close()


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def _stopped(where: str) -> ImageError:
    return ImageError("not decoded: the decoder was closed", where=where)
