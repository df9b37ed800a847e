"""Brings one published file over HTTP: bounded, resumable, and checked before it is there.

Only the SHA-256 decides what is accepted, so neither the server nor what an earlier try left
behind needs to be trusted.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import i2pa
from i2pa.errors import ModelError
from i2pa.files import file_sha256

MAX_BYTES = 128 * 1024**2
TIMEOUT_SECONDS = 30.0
TRIES = 5

_CHUNK = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """How much a server may send, and how long and how often it is waited for."""

    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT_SECONDS
    tries: int = TRIES
    pause: float = 1.0


class _CutError(Exception):
    """The connection failed or ended early; what has come stays."""


def part_of(path: Path) -> Path:
    """Where the beginning of an unfinished download lies."""
    return path.with_name(path.name + ".part")


def download(
    url: str,
    path: Path,
    sha256: str,
    *,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> None:
    """Bring the file of that SHA-256 from `url` to `path`, going on from an earlier try's part.

    A cut connection is taken up again, `limits.tries` requests in all; a server that cannot send
    a part sends the whole again. `progress` is called with (bytes so far, bytes in all), where
    the server tells the latter. Raises ModelError where the file cannot be had, is larger than
    `limits.max_bytes`, or is another than the one expected; the part then stays for the next
    try, unless it is what was wrong.
    """
    if path.is_file() and file_sha256(path) == sha256:
        return
    part = part_of(path)
    began_before = part.is_file()
    _fetch(url, part, limits, progress)
    if began_before and file_sha256(part) != sha256:
        # What lay there may have begun another file.
        part.unlink()
        _fetch(url, part, limits, progress)
    found = file_sha256(part)
    if found != sha256:
        part.unlink()
        raise ModelError(
            f"SHA-256 {found} is not the expected {sha256}",
            where=url,
            remedy="the file was altered on the way or replaced there; nothing of it was kept",
        )
    part.replace(path)


def _fetch(url: str, part: Path, limits: Limits, progress: Progress | None) -> None:
    for left in range(limits.tries - 1, -1, -1):
        try:
            _request(url, part, limits, progress)
        except _CutError as error:
            if left:
                time.sleep(limits.pause)
                continue
            done = part.stat().st_size if part.is_file() else 0
            raise ModelError(
                f"cannot be downloaded ({error})",
                where=url,
                remedy=f"the first {done:,} bytes are kept: give the same command to go on"
                if done
                else "see that this machine reaches it",
            ) from error
        else:
            return


def _request(url: str, part: Path, limits: Limits, progress: Progress | None) -> None:
    """One request for what is missing. Raises _CutError where it may be tried again."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": f"i2pa/{i2pa.__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=limits.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # All of it is there already, or more: its digest tells.
            return
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _CutError(f"the server answers {error.code} {error.reason}") from error
        raise ModelError(f"the server answers {error.code} {error.reason}", where=url) from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(str(getattr(error, "reason", "") or error)) from error
    with response:
        start, total = _extent(response)
        if start not in (0, have):
            part.unlink()
            raise _CutError("the server sent another part than the one asked for")
        if total is not None and total > limits.max_bytes:
            raise _too_large(url, total, limits)
        done = start
        with part.open("ab") as file:
            file.truncate(start)
            while chunk := _read(response):
                done += len(chunk)
                if done > limits.max_bytes:
                    raise _too_large(url, done, limits)
                file.write(chunk)
                if progress and total:
                    progress(done, total)
    if total is not None and done < total:
        raise _CutError(f"the connection ended at {done:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the answer begins, and how long the file is, if the server tells."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if told is None:
            return -1, None
        return int(told[1]), int(told[2]) if told[2].isdigit() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _too_large(url: str, size: int, limits: Limits) -> ModelError:
    return ModelError(
        f"is {size:,} bytes or more, over the limit of {limits.max_bytes:,}", where=url
    )
