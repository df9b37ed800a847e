"""The default engine: onnxruntime on the processor, or on an NVIDIA card with onnxruntime-gpu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import onnxruntime

from i2pa.errors import ModelError, UserInputError
from i2pa.models.engine import INPUT, FloatArray, Pixels, check_asked, check_input, check_signature

# Pictures in parallel beat operators in parallel for networks this small, and small batches stay
# in a core's cache (benchmarks/engines.py).
_CPU_BATCH = 2
_CUDA_BATCH = 32

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"

# TensorFloat-32, the default, keeps 10 bits of each factor: too few for the bound on scores.
_CUDA_OPTIONS = {"use_tf32": "0"}


def has_cuda() -> bool:
    """Whether the onnxruntime that is installed was built for CUDA."""
    return _CUDA in onnxruntime.get_available_providers()


def check_cuda() -> None:
    """Raise UserInputError, with what to install, where onnxruntime was not built for CUDA."""
    if not has_cuda():
        raise UserInputError(
            "the engine cuda needs onnxruntime-gpu",
            remedy="run: pip uninstall onnxruntime && pip install onnxruntime-gpu "
            "(NVIDIA driver, CUDA and cuDNN included)",
        )


class OnnxEngine:
    """onnxruntime, float32; an `Engine`."""

    precision = "float32"
    callers_a_core = 1

    def __init__(
        self,
        model: bytes,
        *,
        where: str = "<model>",
        threads: int = 1,
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:
        """Load a serialised ONNX model. Raises ModelError for bytes that are not one of ours.

        `threads` is how many threads share the work of one call. UserInputError is raised where
        the card of cuda cannot be used.
        """
        self.name = f"onnxruntime-{device}-{self.precision}"
        self.batch = _CUDA_BATCH if device == "cuda" else _CPU_BATCH
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        providers: list[Any] = [_CPU]
        if device == "cuda":
            # Of a card that cannot be used, only the line below shall tell.
            options.log_severity_level = 4
            providers = [(_CUDA, _CUDA_OPTIONS), _CPU]
        try:
            self._session = onnxruntime.InferenceSession(
                model, sess_options=options, providers=providers
            )
        except Exception as error:
            # onnxruntime raises types of its own that it does not export.
            why = str(error).splitlines()[0]
            raise ModelError(
                "is no ONNX model, or a damaged one"
                if "INVALID_PROTOBUF" in why
                else f"cannot be loaded as an ONNX model ({why})",
                where=where,
                remedy="give a .onnx file, a run folder, or a model that i2pa models lists",
            ) from error
        if device == "cuda" and _CUDA not in self._session.get_providers():
            raise UserInputError(
                "the engine cuda finds no NVIDIA card that it can use",
                remedy="check that nvidia-smi lists it, and that CUDA and cuDNN are installed",
            )
        inputs, found = self._session.get_inputs(), self._session.get_outputs()
        self.outputs = check_signature([i.name for i in inputs], [o.name for o in found], where)
        sides = inputs[0].shape[1:3]
        self.size: Sequence[int | None] = [s if isinstance(s, int) else None for s in sides]

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings stored in the model file."""
        strings: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return strings

    def run(self, pixels: Pixels, outputs: Sequence[str] = ("score",)) -> dict[str, FloatArray]:
        """See `Engine.run`."""
        check_asked(outputs, self)
        block = check_input(pixels, self.size, self)
        arrays = self._session.run(list(outputs), {INPUT: block})
        return dict(zip(outputs, arrays, strict=True))
