"""Pictures to the pixels of one transform, many at once, in bounded memory and time.

Threads decode; what is heavy (more than `Limits.light_pixels`, HEIC, camera RAW, JPEGs of very many
scans, what takes long to parse) goes to one process that can be stopped. All of them share one
budget of decoded bytes. Pixels are those of `Transform.pixels`, to the byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.budget import IN_FLIGHT_BYTES, Budget, BudgetClosedError
from i2pa.images.formats import kind_of
from i2pa.images.freed import give_back
from i2pa.images.limits import LIMITS, Limits
from i2pa.images.meter import TooMuchWorkError
from i2pa.images.open import as_image_error, name_of, opened
from i2pa.images.regular import open_file
from i2pa.images.thumbnail import Thumbnail
from i2pa.images.transforms import Picture, Pixels, Transform, loaded_of
from i2pa.images.worker_process import WorkerProcess, stopped

_HEAVY_KINDS = ("HEIC", "RAW")
_WORTH_GIVING_BACK = 30_000_000


@dataclass(frozen=True)
class Decoded:
    """What a model, or a person, sees of a picture, and when it was taken.

    `pixels` is uint8 RGB: [size, size, 3] of a transform, [h, w, 3] of a thumbnail. `taken` is
    the camera's own clock (EXIF DateTimeOriginal, with its fraction of a second), without a zone;
    None where nothing says.
    """

    pixels: Pixels
    taken: datetime | None


class Decoder:
    """Decodes pictures to one shape; a context manager that threads may share.

    Create one for a run, not one for a picture: it owns the process for heavy pictures.
    """

    def __init__(
        self,
        shape: Transform | Thumbnail,
        *,
        limits: Limits = LIMITS,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
        seconds: float = 20.0,
    ) -> None:
        """`in_flight_bytes` bounds what is decoded at one time over all threads; a picture that
        takes more goes alone. `seconds` of processor time are what a heavy picture may take.
        """
        self.limits = limits
        self._shape = shape
        self._budget = Budget(in_flight_bytes)
        self._worker = WorkerProcess(shape, limits, seconds)

    def decode(self, picture: Picture) -> Decoded:
        """The pixels of one picture; waits until there is room for it.

        Raises ImageError for an unreadable picture, and after `close`; UserInputError for an array
        of a wrong shape or dtype.
        """
        if isinstance(picture, bytes):
            return self.decode_bytes(picture, "<bytes>")
        if isinstance(picture, str | Path):
            where = str(picture)
            with open_file(Path(picture), self.limits) as file:
                found = self._decode_light(file, where)
            return found or self._decode_heavy(os.path.abspath(picture), where)  # noqa: PTH100
        return self._decode_in_memory(picture)

    def decode_bytes(self, data: bytes, where: str) -> Decoded:
        """`decode` of the bytes of a picture file; `where` names it in errors."""
        self.limits.check_file(len(data), where)
        return self._decode_light(data, where) or self._decode_heavy(data, where)

    def time_taken(self, path: Path) -> datetime | None:
        """When the picture at `path` was taken (see `Decoded`), undecoded; None where nothing says.

        What cannot be read says nothing either.
        """
        try:
            with open_file(path, self.limits) as file:
                if kind_of(file) not in _HEAVY_KINDS:
                    side = self._shape.decode_side
                    with opened(file, at_least=side, limits=self.limits, light=True) as picture:
                        return picture.taken()
            return self._worker.time_taken(os.path.abspath(path), str(path))  # noqa: PTH100
        except (ImageError, TooMuchWorkError):
            return None

    @contextmanager
    def threads(self, number: int) -> Iterator[ThreadPoolExecutor]:
        """Threads that decode; any exception, Ctrl-C too, closes the decoder and so ends them soon.

        Otherwise a picture in the process would hold up the end.
        """
        pool = ThreadPoolExecutor(number, thread_name_prefix="decode")
        try:
            yield pool
        except BaseException:
            self.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """End the process and turn away who waits. Safe from any thread, any number of times."""
        self._budget.close()
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode_light(self, source: bytes | BinaryIO, where: str) -> Decoded | None:
        """None where the picture is heavy."""
        file = BytesIO(source) if isinstance(source, bytes) else source
        if kind_of(file) in _HEAVY_KINDS:
            return None
        # Admitted until all of the picture is freed, which is when the inner function has returned.
        try:
            with ExitStack() as admitted:
                return self._decode_admitted(file, where, admitted)
        except TooMuchWorkError:
            return None

    def _decode_admitted(self, file: BinaryIO, where: str, admitted: ExitStack) -> Decoded | None:
        with opened(
            file,
            at_least=self._shape.decode_side,
            where=where,
            limits=self.limits,
            light=True,
        ) as picture:
            if picture.heavy:
                return None
            admitted.enter_context(self._admitted(picture.bytes, where))
            if picture.bytes > _WORTH_GIVING_BACK:
                admitted.callback(give_back)
            loaded = picture.load()
            return Decoded(self._shape.of(loaded), loaded.taken)

    def _decode_heavy(self, source: str | bytes, where: str) -> Decoded:
        return Decoded(
            *self._worker.decode(source, where, lambda size: self._admitted(size, where))
        )

    def _decode_in_memory(self, picture: Image.Image | Pixels) -> Decoded:
        if isinstance(picture, Image.Image):
            size = 4 * picture.width * picture.height
        else:
            size = picture.nbytes if isinstance(picture, np.ndarray) else 0
        with self._admitted(size, ""), as_image_error(name_of(picture)):
            loaded = loaded_of(picture)
            return Decoded(self._shape.of(loaded), loaded.taken)

    @contextmanager
    def _admitted(self, size: int, where: str) -> Iterator[None]:
        try:
            with self._budget.admitted(size):
                yield
        except BudgetClosedError:
            raise stopped(where) from None
