"""An ONNX file's graph as a torch module: the same operations on the same weights.

Knows the operations that `export` writes for our networks and refuses any other by name. What is
gained over onnxruntime: a second opinion on every score, and gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from i2pa.errors import ModelError

Attributes: TypeAlias = Mapping[str, Any]
Operation: TypeAlias = Callable[..., Tensor]

_TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64}


class OnnxGraph(nn.Module):
    """Runs the nodes of an ONNX graph one after the other."""

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        """Raises ModelError for an operation that is not known here."""
        super().__init__()
        graph = model.graph
        self._inputs = [value.name for value in graph.input]
        self._outputs = [value.name for value in graph.output]
        # Names in ONNX hold dots, which a module's buffers must not.
        self._constants = {tensor.name: f"w{i}" for i, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            array = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            self.register_buffer(self._constants[tensor.name], array)
        self._steps: list[tuple[Operation, list[str], str, Attributes]] = []
        for node in graph.node:
            if node.op_type not in _OPERATIONS or len(node.output) != 1:
                raise ModelError(
                    f"the engine torch does not know the operation {node.op_type}",
                    where=where,
                    remedy="choose --engine onnxruntime",
                )
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
                raise ModelError("the engine torch does not know auto_pad", where=where)
            operation = _OPERATIONS[node.op_type]
            self._steps.append((operation, list(node.input), node.output[0], attributes))
        uses = [name for _, inputs, _, _ in self._steps for name in inputs] + self._outputs
        self._last_use = {name: place for place, name in enumerate(uses)}

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Every output by name."""
        values = {name: self.get_buffer(key) for name, key in self._constants.items()}
        values.update(zip(self._inputs, inputs, strict=True))
        place = 0
        for operation, names, output, attributes in self._steps:
            # An empty name stands for an input left out.
            given = [values[name] if name else None for name in names]
            values[output] = operation(*given, **attributes)
            for name in names:
                # A picture's planes are large: they go when nothing needs them any more.
                if self._last_use[name] == place:
                    values.pop(name, None)
                place += 1
        return {name: values[name] for name in self._outputs}


def _padding(x: Tensor, pads: list[int] | None, fill: float = 0.0) -> Tensor:
    """ONNX gives pads as [top, left, bottom, right]."""
    top, left, bottom, right = pads or [0, 0, 0, 0]
    if not any((top, left, bottom, right)):
        return x
    return functional.pad(x, (left, right, top, bottom), value=fill)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, **a: Any) -> Tensor:
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    top, left, bottom, right = a.get("pads") or [0, 0, 0, 0]
    padding: Any = (top, left)
    if (top, left) != (bottom, right):
        x, padding = _padding(x, a["pads"]), 0
    convolved: Tensor = functional.conv2d(
        x, weight, bias, strides, padding, dilations, a.get("group", 1)
    )
    return convolved


def _max_pool(x: Tensor, **a: Any) -> Tensor:
    x = _padding(x, a.get("pads"), float("-inf"))
    return functional.max_pool2d(
        x,
        a["kernel_shape"],
        a.get("strides", [1, 1]),
        dilation=a.get("dilations", [1, 1]),
        ceil_mode=bool(a.get("ceil_mode", 0)),
    )


def _average_pool(x: Tensor, **a: Any) -> Tensor:
    top, left, bottom, right = a.get("pads") or [0, 0, 0, 0]
    if (top, left) != (bottom, right):
        raise ModelError("the engine torch does not know uneven pads of AveragePool")
    return functional.avg_pool2d(
        x,
        a["kernel_shape"],
        a.get("strides", [1, 1]),
        (top, left),
        bool(a.get("ceil_mode", 0)),
        bool(a.get("count_include_pad", 0)),
    )


def _gemm(a: Tensor, b: Tensor, c: Tensor | None = None, **k: Any) -> Tensor:
    a = a.T if k.get("transA", 0) else a
    b = b.T if k.get("transB", 0) else b
    product: Tensor = (a @ b) * k.get("alpha", 1.0)
    return product if c is None else product + c * k.get("beta", 1.0)


def _reduce_mean(x: Tensor, axes: Tensor, **a: Any) -> Tensor:
    return x.mean(dim=axes.tolist(), keepdim=bool(a.get("keepdims", 1)))


def _reshape(x: Tensor, shape: Tensor, **a: Any) -> Tensor:
    sides = shape.tolist()
    if not a.get("allowzero", 0):
        sides = [x.shape[i] if side == 0 else side for i, side in enumerate(sides)]
    return x.reshape(sides)


def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes.tolist())


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(min=low, max=high)


_OPERATIONS: dict[str, Operation] = {
    "Add": torch.add,
    "AveragePool": _average_pool,
    "Cast": lambda x, to: x.to(_TYPES[to]),
    "Clip": _clip,
    "Conv": _conv,
    "Div": torch.div,
    "Exp": torch.exp,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean(dim=(2, 3), keepdim=True),
    "Identity": lambda x: x,
    "MaxPool": _max_pool,
    "Mul": torch.mul,
    "ReduceMean": _reduce_mean,
    "Relu": functional.relu,
    "Reshape": _reshape,
    "Sigmoid": torch.sigmoid,
    "Softplus": functional.softplus,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": torch.sub,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": _unsqueeze,
}
