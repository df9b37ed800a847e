"""From any number of pictures to numbers: read, hash, look up, decode, run the network, keep.

One pool of threads, each of which takes a small batch through all steps, so that one decodes while
another computes. Memory is bounded by threads and batch, never by how many pictures there are, and
results come in the order given. What the numbers mean is no concern of this module.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.errors import ImageError
from i2pa.images.decoder import Decoded, Decoder
from i2pa.images.failure import Failure
from i2pa.images.find import Found
from i2pa.images.regular import read_bytes
from i2pa.models.engine import Engine
from i2pa.models.score_cache import FileState, KeptScore, ScoreCache, Variant
from i2pa.scoring.given import Given, Plain, as_picture, name_of
from i2pa.scoring.results import StandIn

# Pictures whose files are looked up in the cache at once.
LOOK_AHEAD = 32
# Files above this are worked on one at a time, so that the bytes of many cannot pile up.
LARGE_FILE = 16_000_000


@dataclass(frozen=True, eq=False)
class Measured:
    """One picture's numbers.

    `digest` is the SHA-256 of its bytes (of the network's pixels, where it came without bytes),
    `embedding` a float16 vector of unit length, `spread` the model's own uncertainty, if told.
    `stand_in` says where this is a twin of the file that was to be looked at.
    """

    name: str
    twins: tuple[str, ...]
    digest: bytes
    score: float
    spread: float | None
    embedding: npt.NDArray[np.float16]
    taken: datetime | None
    stand_in: StandIn | None = None


@dataclass(frozen=True, eq=False)
class _Entry:
    """A picture on its way, with the name that results call it by."""

    name: str
    twins: tuple[str, ...]
    picture: Plain
    stand_in: StandIn | None = None

    @property
    def path(self) -> Path | None:
        return Path(self.picture) if isinstance(self.picture, str | Path) else None

    def measured(self, digest: bytes, kept: KeptScore) -> Measured:
        return Measured(
            self.name,
            self.twins,
            digest,
            kept.score,
            kept.spread,
            kept.embedding,
            kept.taken,
            self.stand_in,
        )

    def in_its_place(self, twin: str, reason: str) -> _Entry:
        """The same picture by another of its files; this one becomes a twin of it."""
        others = tuple(name for name in self.twins if name != twin)
        stand_in = StandIn(twin, self.name, reason)
        return _Entry(twin, (self.name, *others), Path(twin), stand_in)


@dataclass(frozen=True, eq=False)
class _Ready:
    """A picture that is ready for the network."""

    entry: _Entry
    digest: bytes
    state: FileState | None
    decoded: Decoded
    has_bytes: bool = True


Result: TypeAlias = Measured | Failure
_Piece: TypeAlias = list[tuple[_Entry, Measured | None]]


class Pipeline:
    """One model's way from pictures to numbers; several threads may use it at once."""

    def __init__(
        self,
        engine: Engine,
        decoder: Decoder,
        variant: Variant,
        *,
        threads: int,
        cache: ScoreCache | None = None,
    ) -> None:
        self._engine = engine
        self._decoder = decoder
        self._variant = variant
        self._threads = threads
        self._cache = cache
        self._large = threading.Lock()
        self._outputs = [
            name for name in ("score", "embedding", "spread") if name in engine.outputs
        ]

    def one(self, picture: Given, place: int = 0) -> Measured:
        """The numbers of one picture, which stands at `place` in the order given.

        Raises ImageError where it cannot be read.
        """
        (result,) = self._work([(_entry(picture, place), None)])
        if isinstance(result, Failure):
            raise result.as_error()
        return result

    def run(self, pictures: Iterable[Given]) -> Iterator[Result]:
        """Numbers or a failure for each picture, in the order given, as they are ready.

        What has been given out is in the cache, if there is one. Closing the iterator, or Ctrl-C,
        waits for the pictures being worked on; they are kept as well.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="score")
        waiting: deque[Future[list[Result]]] = deque()
        try:
            for piece in self._pieces(pictures):
                waiting.append(pool.submit(self._work, piece))
                if len(waiting) > 2 * self._threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except KeyboardInterrupt:
            # A picture in the decoder's worker process would hold up the end.
            self._decoder.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pieces(self, pictures: Iterable[Given]) -> Iterator[_Piece]:
        """Pictures in the order given, cut where a batch of them needs the network.

        Of a few pictures each thread gets its share.
        """
        entries = (_entry(picture, place) for place, picture in enumerate(pictures))
        a_round = self._engine.batch * self._threads
        look_ahead = max(LOOK_AHEAD, a_round) if self._cache else a_round
        while ahead := list(itertools.islice(entries, look_ahead)):
            found = self._already_known(ahead)
            share = math.ceil(found.count(None) / self._threads)
            at_once = max(1, min(self._engine.batch, share))
            piece: _Piece = []
            unknown = 0
            for entry, known in zip(ahead, found, strict=True):
                piece.append((entry, known))
                unknown += known is None
                if unknown == at_once:
                    yield piece
                    piece, unknown = [], 0
            if piece:
                yield piece

    def _already_known(self, entries: Sequence[_Entry]) -> list[Measured | None]:
        """What the cache has of files that have not changed; they are not even opened."""
        if self._cache is None:
            return [None] * len(entries)
        states = [FileState.of(entry.path) if entry.path else None for entry in entries]
        digests = self._cache.digests([state for state in states if state])
        kept = self._cache.read(self._variant, list(digests.values()))
        known: list[Measured | None] = []
        for entry, state in zip(entries, states, strict=True):
            digest = digests.get(state) if state else None
            score = kept.get(digest) if digest else None
            known.append(entry.measured(digest, score) if digest and score else None)
        return known

    def _work(self, piece: _Piece) -> list[Result]:
        """Take each picture of a piece as far as it has to go."""
        steps = [known or self._prepare(entry) for entry, known in piece]
        ready = [step for step in steps if isinstance(step, _Ready)]
        scored = iter(self._through_the_network(ready) if ready else ())
        return [next(scored) if isinstance(step, _Ready) else step for step in steps]

    def _prepare(self, entry: _Entry) -> _Ready | Result:
        """A picture by the first of its files that can be read; all broken, the first failure."""
        first = self._prepare_one(entry)
        if isinstance(first, Failure):
            for twin in entry.twins:
                found = self._prepare_one(entry.in_its_place(twin, first.reason))
                if not isinstance(found, Failure):
                    return found
        return first

    def _prepare_one(self, entry: _Entry) -> _Ready | Result:
        """Read and hash a picture, and decode it unless the cache knows its bytes."""
        try:
            if isinstance(entry.picture, str) and not entry.picture:
                raise ImageError("an empty path names no picture", kind="no_path")
            if entry.path:
                return self._prepare_file(entry, entry.path)
            picture = as_picture(entry.picture, entry.name, self._decoder.limits)
            if isinstance(picture, bytes):
                return self._prepare_bytes(entry, picture, None)
            decoded = self._decoder.decode(picture)
            digest = sha256(decoded.pixels.tobytes()).digest()
            return _Ready(entry, digest, None, decoded, has_bytes=False)
        except ImageError as error:
            return Failure.of(entry.name, error)

    def _prepare_file(self, entry: _Entry, path: Path) -> _Ready | Measured:
        before = FileState.of(path)
        with self._large if before and before.size > LARGE_FILE else nullcontext():
            data = read_bytes(path, self._decoder.limits)
            settled = before is not None and before.settled() and before == FileState.of(path)
            return self._prepare_bytes(entry, data, before if settled else None)

    def _prepare_bytes(
        self, entry: _Entry, data: bytes, state: FileState | None
    ) -> _Ready | Measured:
        """`state` is that of the file, where it will tell that the bytes are still the same."""
        digest = sha256(data).digest()
        kept = self._cache.read(self._variant, [digest]).get(digest) if self._cache else None
        if not kept:
            return _Ready(entry, digest, state, self._decoder.decode_bytes(data, entry.name))
        if self._cache and state:
            self._cache.write(self._variant, {}, {state: digest})
        return entry.measured(digest, kept)

    def _through_the_network(self, ready: Sequence[_Ready]) -> list[Result]:
        """Run the network on a batch, and keep what it says before anyone hears of it."""
        pixels = np.stack([step.decoded.pixels for step in ready])
        arrays = self._engine.run(pixels, self._outputs)
        scores = arrays["score"].astype(np.float64)
        spreads = arrays["spread"].astype(np.float64) if "spread" in arrays else None
        embeddings = _unit_length(arrays["embedding"])
        results: list[Result] = []
        new: dict[bytes, KeptScore] = {}
        states: dict[FileState, bytes] = {}
        for place, step in enumerate(ready):
            spread = None if spreads is None else float(spreads[place])
            if not (np.isfinite(scores[place]) and np.isfinite(spread or 0.0)):
                reason = "the model gives it no finite score"
                results.append(Failure(step.entry.name, "no_score", reason))
                continue
            kept = KeptScore(float(scores[place]), spread, embeddings[place], step.decoded.taken)
            results.append(step.entry.measured(step.digest, kept))
            if step.has_bytes:
                new[step.digest] = kept
            if step.state:
                states[step.state] = step.digest
        if self._cache:
            self._cache.write(self._variant, new, states)
        return results


def _entry(picture: Given, place: int) -> _Entry:
    """Results call a picture by its path, or by its place in the order given."""
    if isinstance(picture, str | Path):
        return _Entry(str(picture), (), picture)
    if isinstance(picture, Found):
        return _Entry(str(picture.path), tuple(map(str, picture.twins)), picture.path)
    return _Entry(name_of(picture, place), (), picture)


def _unit_length(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Directions [n, d]: cosines are all that is asked of them, and float16 holds them."""
    wide = np.nan_to_num(embeddings.astype(np.float64))
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    np.divide(wide, length, out=wide, where=length > 0)
    return wide.astype(np.float16)
