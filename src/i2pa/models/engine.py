"""Runs one saved model. Knows arrays; never files, posts or users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime

from i2pa.errors import ModelError

FloatArray: TypeAlias = npt.NDArray[np.float32]

OUTPUTS = ("score", "embedding", "features")
"""What every model gives."""

SPREAD = "spread"
"""What a model with the link `thurstone` gives besides: each score's standard deviation, [n]."""


class Engine(Protocol):
    """Turns pixels into named arrays, whatever library does the arithmetic."""

    @property
    def name(self) -> str:
        """Library and precision, as shown beside a score."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings stored in the model file."""
        ...

    def run(
        self, pixels: npt.NDArray[np.uint8], outputs: Sequence[str] = ("score",)
    ) -> dict[str, FloatArray]:
        """(n, h, w, 3) uint8 RGB of the model's own size in; arrays by name out, same order."""
        ...


class OnnxEngine:
    """onnxruntime on the processor, float32. `run` may be called from several threads at once."""

    name = "onnxruntime-cpu-float32"

    def __init__(self, model: bytes, *, where: str = "<model>", threads: int = 1) -> None:
        """Load a serialised ONNX model. Raises ModelError for bytes that are not one of ours.

        `threads` is how many threads share the work of one call.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                model, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # onnxruntime raises types of its own that it does not export.
            raise ModelError(
                f"cannot be loaded as an ONNX model ({str(error).splitlines()[0]})", where=where
            ) from error
        missing = {*OUTPUTS} - {output.name for output in self._session.get_outputs()}
        if missing:
            raise ModelError(f"the model has no output {', '.join(sorted(missing))}", where=where)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings stored in the model file."""
        strings: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return strings

    def run(
        self, pixels: npt.NDArray[np.uint8], outputs: Sequence[str] = ("score",)
    ) -> dict[str, FloatArray]:
        """See `Engine.run`."""
        arrays = self._session.run(list(outputs), {"pixels": pixels})
        return dict(zip(outputs, arrays, strict=True))
