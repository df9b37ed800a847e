"""The engine of the extra `fast`: OpenVINO on the processor, float32 or bfloat16.

One stream of work a core, one picture in each: that is the fastest arrangement measured
(benchmarks/engines.py), and a picture's score cannot depend on its neighbours in a batch.
Pictures of a batch follow each other, while the network's weights are in the core's cache.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any

import numpy as np

from i2pa.errors import ModelError, UserInputError, needs_extra
from i2pa.models.engine import INPUT, FloatArray, Pixels, check_asked, check_input, check_signature

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_FIRST = threading.Lock()


class OpenVinoEngine:
    """OpenVINO on the processor; an `Engine`."""

    batch = 8
    # While one waits for its stream, another decodes.
    callers_a_core = 2

    def __init__(
        self, model: bytes, *, where: str = "<model>", precision: str = "float32", threads: int = 1
    ) -> None:
        """Load a serialised ONNX model to run on as many cores as `threads`.

        Raises MissingExtraError where OpenVINO is not installed, UserInputError where the
        processor does not have the precision, and ModelError for bytes that are not one of ours.
        """
        core = _core(_openvino())
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise UserInputError(
                "this processor does not calculate in bfloat16",
                remedy="give --precision float32, which is as fast here",
            )
        self.precision = precision
        self.name = f"openvino-cpu-{precision}"
        self._idle: SimpleQueue[Any] = SimpleQueue()
        try:
            graph = core.read_model(model)
            self.outputs = check_signature(
                [port.any_name for port in graph.inputs],
                [port.any_name for port in graph.outputs],
                where,
            )
            self.metadata: Mapping[str, str] = _metadata(graph)
            sides = [int(side.get_length()) for side in graph.input(0).partial_shape[1:]]
            self.size: Sequence[int | None] = sides[:2]
            graph.reshape([1, *sides])
            self._compiled = core.compile_model(graph, "CPU", _settings(precision, threads))
            # Two threads that both call OpenVINO for the first time may stand still for ever.
            with _FIRST:
                self.run(np.zeros((1, *sides), np.uint8), self.outputs)
        except RuntimeError as error:
            raise ModelError(
                f"cannot be loaded as an ONNX model ({_last_line(error)})", where=where
            ) from error

    def run(self, pixels: Pixels, outputs: Sequence[str] = ("score",)) -> dict[str, FloatArray]:
        """See `Engine.run`."""
        check_asked(outputs, self)
        block = check_input(pixels, self.size, self)
        parts: list[list[FloatArray]] = []
        with self._request() as request:
            for place in range(len(block)):
                request.infer({INPUT: block[place : place + 1]}, share_inputs=True)
                parts.append([request.get_tensor(name).data.copy() for name in outputs])
        arrays = (np.concatenate(part) for part in zip(*parts, strict=True))
        return dict(zip(outputs, arrays, strict=True))

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """A request that no other thread uses at this time."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)


def _settings(precision: str, threads: int) -> dict[str, Any]:
    return {
        # Left alone, OpenVINO takes bfloat16 wherever the processor has it.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # Threads that decode need the same cores.
        "ENABLE_CPU_PINNING": False,
    }


def _metadata(graph: Any) -> dict[str, str]:
    """The strings in the ONNX file, which OpenVINO keeps as what it knows of the framework."""
    if not graph.has_rt_info(["framework"]):
        return {}
    names = graph.get_rt_info(["framework"]).value
    return {name: str(graph.get_rt_info(["framework", name]).value) for name in names}


@cache
def _core(openvino: ModuleType) -> Any:
    """The one core of this process, kept to its end.

    Each core gives its thread a stack for signal handlers and, when it goes, puts back the one
    that was there before, even where that is gone: the next signal, a Ctrl-C, would then be a
    segmentation fault.
    """
    return openvino.Core()


def _openvino() -> ModuleType:
    """OpenVINO, imported without the package that reports each import to a server.

    Where that package cannot be imported, OpenVINO uses a stand-in that sends nothing.
    """
    reporter = "openvino_telemetry"
    already = reporter in sys.modules
    if not already:
        sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        with needs_extra("the engine openvino", "fast"):
            import openvino
    finally:
        if not already:
            del sys.modules[reporter]
    module: ModuleType = openvino
    return module


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
