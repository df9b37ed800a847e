"""The parent's side of the process that decodes heavy pictures: started when first needed, used
again, ended when it takes too long, and started anew.

A picture may take so many seconds of processor time, which the process itself sees to where the
system can, and by the clock many times as long: on a busy machine a sound picture only waits.
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
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO, Any, get_args

import numpy as np

from i2pa.errors import FailureKind, ImageError
from i2pa.images.limits import Limits
from i2pa.images.thumbnail import Thumbnail
from i2pa.images.transforms import Pixels, Transform
from i2pa.images.worker import GO, PATIENCE, receive, send, take

Admit = Callable[[int], AbstractContextManager[None]]
Answer = tuple[Pixels, datetime | None]

BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
"""Python that lets a new process find what this one can import."""
SERVE = "from i2pa.images.worker import main; main()"

_START_SECONDS = 60.0
# The clock is looked at so often: what stops this process too, such as a pause of its container or
# of the whole machine, then costs one turn of many.
_TURNS = 100
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
        """`seconds` of processor time is what a picture may take; the process runs `code`."""
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
            with self._watched(process, where):
                send(requests, {"path": path, "where": where, "only_time": True})
                return _time(_checked(receive(replies), where))

    @contextlib.contextmanager
    def _talk(self, where: str) -> Iterator[None]:
        """One thread's turn to talk with the process."""
        with self._turn:
            if self._closed:
                raise stopped(where)
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
        with self._watched(process, where):
            send(requests, {"path": path, "where": where, "only_time": False}, data)
            reply = _checked(receive(replies), where)
        with admit(int(reply["memory"])), self._watched(process, where):
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
                kind="decoder_failed",
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
        with self._watched(process, where, starting=True):
            send(requests, start)
            receive(replies)
        return process

    @contextlib.contextmanager
    def _watched(
        self, process: subprocess.Popen[bytes], where: str, *, starting: bool = False
    ) -> Iterator[None]:
        """Ends the process when the clock says so; tells how it ended where it does."""
        patience = _START_SECONDS if starting else _patience(self._seconds)
        done, late = threading.Event(), threading.Event()

        def wait() -> None:
            if not any(done.wait(patience / _TURNS) for _ in range(_TURNS)):
                late.set()
                process.kill()

        threading.Thread(target=wait, daemon=True).start()
        try:
            yield
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            # The pipe broke, or what came out of it makes no sense.
            self._end()
            if self._closed:
                raise stopped(where) from error
            raise self._what_became_of(process, where, starting, late.is_set()) from error
        finally:
            done.set()

    def _what_became_of(
        self, process: subprocess.Popen[bytes], where: str, starting: bool, late: bool
    ) -> ImageError:
        """The error that tells how a process ended, or why it was."""
        kind: FailureKind = "decoder_failed"
        remedy = "save it again from its source"
        how = _how_it_ended(process)
        if starting:
            patience = f"did not start within {_START_SECONDS:g} s"
            what = f"the process that decodes it {patience if late else f'did not start ({how})'}"
            remedy = "try again when the machine is less busy"
        elif late or how == "SIGALRM":
            kind = "timed_out"
            what = f"took longer than {_patience(self._seconds):g} s to decode"
        elif how == "SIGPROF":
            kind = "timed_out"
            what = f"took more than {self._seconds:g} s of processor time to decode"
        else:
            what = f"its decoder crashed ({how})"
        return ImageError(what, kind=kind, where=where, remedy=remedy)


def _patience(seconds: float) -> float:
    """What a picture may take by the clock; where work cannot be limited, no more than that."""
    return seconds * PATIENCE if hasattr(signal, "setitimer") else seconds


def _checked(reply: dict[str, Any], where: str) -> dict[str, Any]:
    if "error" in reply:
        error = reply["error"]
        kind = error["kind"]
        if kind not in get_args(FailureKind):
            raise ValueError(f"there is no kind {kind!r} of failure")
        raise ImageError(str(error["what"]), kind=kind, where=where, remedy=str(error["remedy"]))
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


def stopped(where: str) -> ImageError:
    """What became of a picture that was still to be decoded."""
    return ImageError("not decoded: the decoder was closed", kind="stopped", where=where)
