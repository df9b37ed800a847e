"""What runs in the process that decodes heavy pictures, and how it talks with its parent.

It reads requests from stdin and answers on stdout, one picture at a time: first the memory that
decoding will take, then, at a sign from the parent, the finished pixels. Answers are JSON and plain
bytes, so that a process taken over by a hostile picture can say nothing but numbers and text.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from i2pa.errors import ImageError
from i2pa.images.limits import Limits
from i2pa.images.open import opened
from i2pa.images.regular import open_file
from i2pa.images.thumbnail import Thumbnail
from i2pa.images.transforms import Transform

GO = b"!"
PATIENCE = 10.0
"""How many times as long as a picture may work it may take by the clock: that it has to wait for
the processor, or was stopped for a while, is no fault of the picture."""
SHAPES: dict[str, type[Transform] | type[Thumbnail]] = {
    kind.__name__: kind for kind in (Transform, Thumbnail)
}

# Bytes of a picture beyond this wait on disk, not in memory.
_IN_MEMORY = 32_000_000
_COPY = 1 << 20
# Address space that threads' stacks and allocators reserve and hardly use.
_RESERVED = 200_000_000


def main() -> None:
    """Answer requests until the parent closes stdin."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Libraries that print must not disturb the talk.
    silent = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silent, standard)
    _be_expendable()
    start = receive(requests)
    limits = Limits(**start["limits"])
    _limit_memory(limits.decode_bytes + _RESERVED)
    shape = SHAPES[start["shape"]](**start["fields"])
    send(replies, {"ready": True})
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        _answer(request, requests, replies, shape, limits, start["seconds"])


def send(stream: IO[bytes], message: dict[str, Any], data: bytes = b"") -> None:
    """Write one message, then `data`, whose length the message gains as `bytes_follow`."""
    text = json.dumps({**message, "bytes_follow": len(data)}).encode("ascii")
    stream.write(len(text).to_bytes(4, "big") + text)
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any]:
    """Read one message; `bytes_follow` of it are left to read. Raises EOFError at the end."""
    message = json.loads(take(stream, int.from_bytes(take(stream, 4), "big")))
    if not isinstance(message, dict):
        raise EOFError("not a message")
    return message


def take(stream: IO[bytes], size: int) -> bytes:
    """Exactly `size` bytes. Raises EOFError where there are fewer."""
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _answer(
    request: dict[str, Any],
    requests: IO[bytes],
    replies: IO[bytes],
    shape: Transform | Thumbnail,
    limits: Limits,
    seconds: float,
) -> None:
    try:
        with _source(request, requests, limits) as source:
            _limit_work(seconds)
            _limit_wait(seconds)
            with opened(
                source, at_least=shape.decode_side, where=request["where"], limits=limits
            ) as picture:
                if request["only_time"]:
                    send(replies, {"taken": _as_text(picture.taken())})
                    return
                send(replies, {"memory": picture.bytes})
                _limit_wait(0)
                take(requests, len(GO))
                _limit_wait(seconds)
                loaded = picture.load()
                pixels = shape.of(loaded)
        answer = {"taken": _as_text(loaded.taken), "size": pixels.shape[:2]}
        send(replies, answer, pixels.tobytes())
    except ImageError as error:
        send(replies, {"error": {"kind": error.kind, "what": error.what, "remedy": error.remedy}})
    finally:
        _limit_work(0)
        _limit_wait(0)


def _as_text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


@contextlib.contextmanager
def _source(
    request: dict[str, Any], requests: IO[bytes], limits: Limits
) -> Iterator[bytes | BinaryIO]:
    size = int(request["bytes_follow"])
    if request["path"] is not None:
        with open_file(Path(request["path"]), limits) as file:
            yield file
    elif size <= _IN_MEMORY:
        yield take(requests, size)
    else:
        with tempfile.TemporaryFile() as file:
            for start in range(0, size, _COPY):
                file.write(take(requests, min(_COPY, size - start)))
            yield file


def _limit_work(seconds: float) -> None:
    """Have the system end this process once it has worked so long; 0 calls that off.

    Processor time counts, not the clock's.
    """
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_wait(seconds: float) -> None:
    """The same by the clock, for want of a parent that would."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 2 * PATIENCE * seconds)


def _be_expendable() -> None:
    """Where memory runs out, this process is the one to end; it leaves no core file behind."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(more: int) -> None:
    """Allow `more` bytes of address space than are in use now, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
