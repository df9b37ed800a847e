"""The engine of the extra `train`: a model file's graph rebuilt in torch, float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from i2pa.errors import ModelError, needs_extra
from i2pa.models.engine import FloatArray, Pixels, check_asked, check_input, check_signature


class TorchEngine:
    """torch on the processor, float32; an `Engine`. A call's work is shared by torch's threads."""

    precision = "float32"
    name = "torch-cpu-float32"
    batch = 4
    callers_a_core = 1

    def __init__(self, model: bytes, *, where: str = "<model>", threads: int | None = None) -> None:
        """Rebuild a serialised ONNX model.

        `threads`, unless None, becomes the whole process's number of torch's threads: torch has
        no other. Raises MissingExtraError without torch, and ModelError for bytes that are not
        one of ours.
        """
        with needs_extra("the engine torch", "train"):
            import onnx
            import torch

            from i2pa.models.onnx_to_torch import OnnxGraph
        try:
            proto = onnx.load_from_string(model)
        except Exception as error:
            # protobuf's DecodeError, which it exports under no stable name.
            raise ModelError(f"cannot be loaded as an ONNX model ({error})", where=where) from error
        self.outputs = check_signature(
            [value.name for value in proto.graph.input],
            [value.name for value in proto.graph.output],
            where,
        )
        self.metadata: Mapping[str, str] = {p.key: p.value for p in proto.metadata_props}
        sides = proto.graph.input[0].type.tensor_type.shape.dim[1:3]
        self.size: Sequence[int | None] = [side.dim_value or None for side in sides]
        self._graph = OnnxGraph(proto, where).eval()
        if threads is not None:
            torch.set_num_threads(threads)

    def run(self, pixels: Pixels, outputs: Sequence[str] = ("score",)) -> dict[str, FloatArray]:
        """See `Engine.run`."""
        import torch

        check_asked(outputs, self)
        block = check_input(pixels, self.size, self)
        if not block.flags.writeable:
            block = block.copy()
        with torch.inference_mode():
            arrays = self._graph(torch.from_numpy(block))
        return {name: arrays[name].numpy() for name in outputs}
