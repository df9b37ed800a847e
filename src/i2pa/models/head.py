"""Reads and replaces the linear head of a saved model; the rest of its graph stays as it is.

Works on the ONNX file alone, without torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

from i2pa.errors import ModelError
from i2pa.models.engine import SPREAD
from i2pa.models.metadata import ModelMetadata

EMBEDDING = "embedding"
_WEIGHT, _BIAS = "head.weight", "head.bias"
_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


@dataclass(frozen=True)
class LinearHead:
    """score = embedding · weights + bias, with weights float64 [d]."""

    weights: npt.NDArray[np.float64]
    bias: float

    def score(self, embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scores [n] of embeddings [n, d]."""
        return embeddings @ self.weights + self.bias


def read_head(model: bytes, where: str) -> LinearHead:
    """The head of a serialised model.

    Raises ModelError where the score is not one linear layer on the output `embedding`, as it is
    in every model that i2pa exports.
    """
    return _head(_parse(model, where), where)


def with_head(model: bytes, head: LinearHead, metadata: ModelMetadata, where: str) -> bytes:
    """The same model with another head, in float32, and what it says of itself.

    With a logistic link it gives no spread, whatever the model did.
    Raises ModelError as `read_head` does, and where the number of weights is another.
    """
    proto = _parse(model, where)
    old = _head(proto, where)
    if old.weights.shape != head.weights.shape:
        raise ModelError(
            f"the head has {len(old.weights):,} weights, not {len(head.weights):,}", where=where
        )
    values = {_WEIGHT: head.weights[None], _BIAS: np.array([head.bias])}
    others = [tensor for tensor in proto.graph.initializer if tensor.name not in values]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(others)
    for name, value in values.items():
        tensor = onnx.numpy_helper.from_array(value.astype(np.float32), name)
        proto.graph.initializer.append(tensor)
    (linear,) = (node for node in proto.graph.node if _WEIGHT in node.input)
    linear.input[:] = [EMBEDDING, _WEIGHT, _BIAS]
    if metadata.link == "logistic":
        outputs = [value for value in proto.graph.output if value.name != SPREAD]
        del proto.graph.output[:]
        proto.graph.output.extend(outputs)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, metadata.to_strings())
    data: bytes = proto.SerializeToString()
    return data


def spreads_of(model: bytes, embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The output `spread` [n] of a Thurstone model, from embeddings [n, d]."""
    proto = onnx.load_model_from_string(model)
    nodes: list[onnx.NodeProto] = []
    wanted = {SPREAD}
    for node in reversed(proto.graph.node):
        if wanted & set(node.output):
            nodes.insert(0, node)
            wanted |= set(node.input) - {EMBEDDING}
    kept = {EMBEDDING, SPREAD}
    ends = {value.name: value for value in proto.graph.output if value.name in kept}
    tensors = [tensor for tensor in proto.graph.initializer if tensor.name in wanted]
    graph = onnx.helper.make_graph(nodes, SPREAD, [ends[EMBEDDING]], [ends[SPREAD]], tensors)
    part = onnx.helper.make_model(
        graph, opset_imports=proto.opset_import, ir_version=proto.ir_version
    )
    session = onnxruntime.InferenceSession(part.SerializeToString())
    (spreads,) = session.run([SPREAD], {EMBEDDING: embeddings.astype(np.float32)})
    return np.asarray(spreads, np.float64)


def _parse(model: bytes, where: str) -> onnx.ModelProto:
    try:
        return onnx.load_model_from_string(model)
    except DecodeError as error:
        raise ModelError("not an ONNX model", where=where) from error


def _head(proto: onnx.ModelProto, where: str) -> LinearHead:
    """The score must be Squeeze(Gemm(embedding, head.weight, head.bias)) and nothing more.

    A bias of 0, as pairs alone leave it, is left out by the exporter.
    """
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    users = [node for node in proto.graph.node if {_WEIGHT, _BIAS} & set(node.input)]
    made_score = [node for node in proto.graph.node if "score" in node.output]
    fits = (
        len(users) == len(made_score) == 1
        and users[0].op_type == "Gemm"
        and list(users[0].input) in ([EMBEDDING, _WEIGHT], [EMBEDDING, _WEIGHT, _BIAS])
        and set(users[0].input[1:]) <= tensors.keys()
        and made_score[0].op_type in ("Squeeze", "Reshape")
        and made_score[0].input[0] == users[0].output[0]
    )
    if fits:
        said = {a.name: onnx.helper.get_attribute_value(a) for a in users[0].attribute}
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | said
        weight = onnx.numpy_helper.to_array(tensors[_WEIGHT])
        bias = np.zeros(1)
        if _BIAS in users[0].input:
            bias = onnx.numpy_helper.to_array(tensors[_BIAS])
        fits = plain == _GEMM and weight.shape[:1] == bias.shape == (1,)
    if not fits:
        raise ModelError(
            "the score is not one linear head on the embedding, so there is no head to replace",
            where=where,
            remedy="give a model that i2pa train or i2pa export wrote",
        )
    return LinearHead(weight[0].astype(np.float64), float(bias[0]))
