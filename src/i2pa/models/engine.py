"""What runs a saved model: the protocol of engines, and the choice among those installed.

Engines know arrays; never files, posts or users. Each lives in a module of its own, which alone
imports the library that does the arithmetic, and only when it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from numbers import Integral
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.cores import MOST_THREADS, usable_cores
from i2pa.errors import ModelError, UserInputError, require

FloatArray: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint8]

INPUT = "pixels"
OUTPUTS = ("score", "embedding", "features")
"""What every model gives."""

SPREAD = "spread"
"""A fourth output, of Thurstone models alone: the standard deviation of a score, [n]."""

AUTO = "auto"
ENGINES = ("onnxruntime", "openvino", "torch", "cuda")
PRECISIONS = ("float32", "bfloat16")
_SHORT = {"f32": "float32", "fp32": "float32", "bf16": "bfloat16"}

BOUND = 1e-3
"""How far scores of two float32 engines may lie apart, on the same pixels and library versions."""


class Engine(Protocol):
    """Turns pixels into named arrays, whatever library does the arithmetic.

    `run` may be called from any number of threads at once. It gives a picture the same arrays
    whatever else is in its batch, within `BOUND`.
    """

    @property
    def name(self) -> str:
        """Library, device and precision, as shown beside a score: `openvino-cpu-bfloat16`."""
        ...

    @property
    def precision(self) -> str:
        """One of `PRECISIONS`: scores of two precisions are not to be mixed."""
        ...

    @property
    def batch(self) -> int:
        """How many pictures it likes best in one call; any other number works too."""
        ...

    @property
    def callers_a_core(self) -> int:
        """How many threads for each core keep it busy, where they decode between calls."""
        ...

    @property
    def size(self) -> Sequence[int | None]:
        """Height and width of the pixels that it takes; None where any will do."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names that `run` can give: `OUTPUTS`, and `SPREAD` where the model has it."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings stored in the model file."""
        ...

    def run(self, pixels: Pixels, outputs: Sequence[str] = ("score",)) -> dict[str, FloatArray]:
        """(n, h, w, 3) uint8 RGB of the model's own size in; arrays by name out, same order.

        Raises ModelError for pixels of another shape or kind, and for an output it does not have.
        """
        ...


def load_engine(
    model: bytes,
    *,
    engine: str = AUTO,
    precision: str = "float32",
    threads: int | None = None,
    where: str = "<model>",
) -> Engine:
    """An engine that runs a serialised ONNX model.

    `engine` is one of `ENGINES`, or `auto`: onnxruntime for float32, since OpenVINO is no faster
    there and starts later (benchmarks/engines.py), and OpenVINO for bfloat16. `precision` is
    float32, whatever the processor would rather do, or bfloat16, which must be asked for: scores
    are to be the same on every machine. `threads` bounds the processor's cores at work; None
    means all. Raises UserInputError for an engine or a precision that is unknown or
    cannot be had here, ModelError for bytes that are not one of our models.
    """
    require(isinstance(engine, str), "engine", engine, f"one of {', '.join((AUTO, *ENGINES))}")
    precision = precision_named(precision)
    check_threads(threads)
    chosen = _chosen(engine, precision)
    if chosen == "openvino":
        from i2pa.models.openvino_engine import OpenVinoEngine

        cores = threads or usable_cores()
        return OpenVinoEngine(model, where=where, precision=precision, threads=cores)
    if precision != "float32":
        raise UserInputError(
            f"the engine {chosen} has no precision {precision}",
            remedy="give --precision float32, or --engine openvino",
        )
    if chosen == "torch":
        from i2pa.models.torch_engine import TorchEngine

        return TorchEngine(model, where=where, threads=threads)
    from i2pa.models.onnx_engine import OnnxEngine, check_cuda

    if chosen == "cuda":
        check_cuda()
        return OnnxEngine(model, where=where, device="cuda")
    return OnnxEngine(model, where=where)


def check_threads(threads: int | None) -> None:
    """Raise UserInputError unless it is None or a whole number from 1 to MOST_THREADS."""
    whole = isinstance(threads, Integral) and not isinstance(threads, bool)
    good = threads is None or (whole and 1 <= threads <= MOST_THREADS)
    wanted = f"a whole number from 1 to {MOST_THREADS:,}, or None for all cores"
    require(good, "threads", threads, wanted)


def precision_named(name: str) -> str:
    """The precision meant by `name`, `bf16` and `f32` among them. Raises UserInputError."""
    require(isinstance(name, str), "precision", name, f"one of {', '.join(PRECISIONS)}")
    precision = _SHORT.get(name, name)
    if precision == "int8":
        raise UserInputError(
            "int8 is refused: quantised copies of the default model turn round over 1 % of pairs",
            remedy=f"choose from {', '.join(PRECISIONS)}",
        )
    if precision not in PRECISIONS:
        raise UserInputError(
            f"there is no precision {name!r}", remedy=f"choose from {', '.join(PRECISIONS)}"
        )
    return precision


def installed_engines() -> tuple[str, ...]:
    """Those of `ENGINES` that can be had here; of torch's and OpenVINO's nothing is imported."""
    found = {
        "onnxruntime": True,
        "openvino": _is_installed("openvino"),
        "torch": _is_installed("torch") and _is_installed("onnx"),
        "cuda": _has_cuda(),
    }
    return tuple(name for name in ENGINES if found[name])


def check_signature(inputs: Sequence[str], outputs: Sequence[str], where: str) -> tuple[str, ...]:
    """The outputs of ours that a model has, given the names of all it takes and gives.

    Raises ModelError where it takes anything but `INPUT`, or lacks one of `OUTPUTS`.
    """
    if list(inputs) != [INPUT]:
        raise ModelError(f"the model takes {', '.join(inputs)}, not {INPUT}", where=where)
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise ModelError(f"the model has no output {', '.join(missing)}", where=where)
    return (*OUTPUTS, SPREAD) if SPREAD in outputs else OUTPUTS


def check_input(pixels: Pixels, size: Sequence[int | None], engine: Engine) -> Pixels:
    """`pixels` as one block, if they are uint8 [n, h, w, 3] with n > 0 and h, w as in `size`.

    None in `size` admits any length. Raises ModelError.
    """
    wanted = (None, *size, 3)
    shape = pixels.shape
    if (
        pixels.dtype != np.uint8
        or len(shape) != len(wanted)
        or any(want not in (None, got) for want, got in zip(wanted, shape, strict=True))
        or not len(pixels)
    ):
        sides = ", ".join("n" if side is None else str(side) for side in wanted)
        raise ModelError(
            f"{engine.name} takes uint8 pixels [{sides}], not {pixels.dtype} {list(shape)}",
            remedy="make them with the model's transform",
        )
    return np.ascontiguousarray(pixels)


def check_asked(outputs: Sequence[str], engine: Engine) -> None:
    """Raise ModelError where the model of `engine` does not have one of `outputs`."""
    for name in outputs:
        if name not in engine.outputs:
            raise ModelError(
                f"the model has no output {name}", remedy=f"it has {', '.join(engine.outputs)}"
            )


def _chosen(engine: str, precision: str) -> str:
    if engine == AUTO:
        return "onnxruntime" if precision == "float32" else "openvino"
    if engine not in ENGINES:
        raise UserInputError(
            f"there is no engine {engine!r}", remedy=f"choose from {', '.join((AUTO, *ENGINES))}"
        )
    return engine


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:
        # What is in sys.modules without a specification, as a stand-in of a test is.
        return False


def _has_cuda() -> bool:
    from i2pa.models.onnx_engine import has_cuda

    return has_cuda()
