"""Pixels for the training loop: decoded ahead in threads, kept in memory as far as it goes.

A picture's crop is drawn from the seed, the epoch and the picture, never from the order in which
threads finish, so that a resumed run sees the same pixels. Where the first layers take no part in
training, what they give is kept in the pixels' place.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from i2pa.cores import usable_cores
from i2pa.errors import FailureKind, ImageError
from i2pa.images.transforms import Pixels, Transform
from i2pa.models.ranker import Ranker
from i2pa.training.pairset import Ints

_BATCHES_AHEAD = 2
_AT_ONCE = 4


@dataclass(frozen=True)
class Fed:
    """Pixels uint8 [n, size, size, 3] of the readable ones among the pictures asked for.

    `place` [m] says where in `pixels` each picture asked for is, -1 where it cannot be read. Of an
    `EarlyFeed` it is what the frozen layers gave, float32 [n, c, h, w].
    """

    pixels: npt.NDArray[Any]
    place: Ints


class Feed(Protocol):
    """Pictures by row, as a network takes them in."""

    unreadable: dict[int, tuple[FailureKind, str]]

    def batches(
        self, wanted: Iterable[Ints], *, random_crop_of_epoch: int | None = None
    ) -> Iterator[Fed]:
        """See `PictureFeed.batches`."""
        ...


class PictureFeed:
    """Pictures by row, as one transform shows them."""

    def __init__(
        self,
        files: Sequence[Path],
        transform: Transform,
        *,
        seed: int = 0,
        memory_bytes: int = 1 << 31,
        threads: int | None = None,
    ) -> None:
        """`memory_bytes` bounds the pixels kept for later epochs; what is met first stays."""
        self._files = files
        self._transform = transform
        self._seed = seed
        self._left = memory_bytes
        self._threads = threads or usable_cores()
        self._kept: dict[int, Pixels] = {}
        self.unreadable: dict[int, tuple[FailureKind, str]] = {}
        """Rows of pictures met that cannot be read, and why."""

    def batches(
        self, wanted: Iterable[Ints], *, random_crop_of_epoch: int | None = None
    ) -> Iterator[Fed]:
        """The pictures of each batch of rows, in order; centre crops unless an epoch is named."""
        ahead: deque[list[Future[Pixels | None]]] = deque()
        rows = iter(wanted)
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                while True:
                    while len(ahead) <= _BATCHES_AHEAD and (batch := next(rows, None)) is not None:
                        ahead.append(
                            [
                                pool.submit(self._pixels, int(row), random_crop_of_epoch)
                                for row in batch
                            ]
                        )
                    if not ahead:
                        return
                    yield self._stacked([future.result() for future in ahead.popleft()])
            finally:
                pool.shutdown(cancel_futures=True)

    def _stacked(self, decoded: Sequence[Pixels | None]) -> Fed:
        good = [pixels for pixels in decoded if pixels is not None]
        readable = np.array([pixels is not None for pixels in decoded], dtype=bool)
        size = self._transform.size
        return Fed(
            np.stack(good) if good else np.zeros((0, size, size, 3), np.uint8),
            np.where(readable, np.cumsum(readable) - 1, -1),
        )

    def _pixels(self, row: int, epoch: int | None) -> Pixels | None:
        if row in self.unreadable:
            return None
        resized = self._kept.get(row)
        if resized is None:
            try:
                resized = self._transform.resized(self._files[row])
            except ImageError as error:
                self.unreadable[row] = (error.kind, error.what)
                return None
            if resized.nbytes <= self._left:
                self._left -= resized.nbytes
                self._kept[row] = resized
        if epoch is None:
            return self._transform.crop(resized)
        key = f"{self._seed}/{epoch}/{row}".encode()
        drawn = np.frombuffer(hashlib.blake2b(key, digest_size=8).digest(), np.uint32)
        down, across = (drawn / 2**32).tolist()
        return self._transform.crop(resized, (down, across))


class EarlyFeed:
    """What the frozen first blocks of a ranker give for pictures, computed once each.

    Always from the centre crop, in float32 whatever the training's precision.
    """

    def __init__(
        self, pictures: PictureFeed, ranker: Ranker, blocks: int, *, memory_bytes: int = 1 << 31
    ) -> None:
        """`ranker`, in evaluation mode, is not the one that is trained; it computes where it lies.

        `memory_bytes` bounds what is kept; what is met first stays.
        """
        self.unreadable = pictures.unreadable
        self._pictures = pictures
        self._ranker = ranker
        self._blocks = blocks
        self._left = memory_bytes
        self._kept: dict[int, npt.NDArray[np.float32]] = {}

    def batches(
        self, wanted: Iterable[Ints], *, random_crop_of_epoch: int | None = None
    ) -> Iterator[Fed]:
        """What the frozen blocks give for each batch of rows, in order."""
        if random_crop_of_epoch is not None:
            raise ValueError("what frozen layers give is kept, so crops cannot be drawn anew")
        asked: deque[tuple[Ints, Ints]] = deque()

        def missing() -> Iterator[Ints]:
            for rows in wanted:
                new = np.array([row for row in rows.tolist() if row not in self._kept], np.int64)
                asked.append((rows, new))
                yield new

        for fed in self._pictures.batches(missing()):
            rows, new = asked.popleft()
            seen = new[fed.place >= 0].tolist()
            fresh = dict(zip(seen, self._early(fed.pixels), strict=True)) if seen else {}
            for row, early in fresh.items():
                if early.nbytes <= self._left and row not in self._kept:
                    self._left -= early.nbytes
                    self._kept[row] = early
            found = [self._kept.get(row, fresh.get(row)) for row in rows.tolist()]
            readable = np.array([early is not None for early in found], dtype=bool)
            good = [early for early in found if early is not None]
            yield Fed(
                np.stack(good) if good else self._early(fed.pixels[:0]),
                np.where(readable, np.cumsum(readable) - 1, -1),
            )

    def _early(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """[n, c, h, w] of uint8 [n, size, size, 3]."""
        device = self._ranker.head.weight.device
        with torch.inference_mode():
            # Few at a time stay in a core's cache.
            parts = [
                self._ranker.earlier(torch.from_numpy(part).to(device), self._blocks).cpu()
                for part in np.array_split(pixels, max(1, len(pixels) // _AT_ONCE))
            ]
        early: npt.NDArray[np.float32] = torch.cat(parts).contiguous().numpy()
        return early
