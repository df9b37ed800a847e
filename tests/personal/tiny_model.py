"""A model small enough to see through: its embedding is the colour of 2 x 2 fields of the picture.

And pictures made for it, whose fields are random colours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference

FIELDS = 2
WIDTH = 3 * FIELDS * FIELDS
FIELD = 130

METADATA = ModelMetadata(
    name="tiny",
    version=1,
    transform="squash260@1",
    reference=Reference("made up", QUANTILES, tuple(np.linspace(-1, 1, QUANTILES).tolist())),
    link="logistic",
    temperature=2.0,
    training="nothing",
    licenses="none",
)


def tiny_model(
    path: Path,
    *,
    weights: np.ndarray | None = None,
    head: str = "Gemm",
    spread_of: tuple[np.ndarray, float] | None = None,
) -> Path:
    """Write it. `weights` [12] are the head's, of a fixed seed if not given.

    With `spread_of`, weights [12] and a bias, it is a Thurstone model: spread = softplus + .05.
    """
    if weights is None:
        weights = np.random.default_rng(1).normal(size=WIDTH)
    tensors = {
        "middle": np.array(127.5, np.float32),
        "scale": np.array(64, np.float32),
        "shape": np.array([0, WIDTH], np.int64),
        "head.weight": weights[None].astype(np.float32),
        "head.bias": np.array([0.25], np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "middle"], ["off"]),
        helper.make_node("Div", ["off", "scale"], ["scaled"]),
        helper.make_node(
            "AveragePool",
            ["scaled"],
            ["features"],
            kernel_shape=[FIELD, FIELD],
            strides=[FIELD, FIELD],
        ),
        helper.make_node("Reshape", ["features", "shape"], ["embedding"]),
    ]
    if head == "Gemm":
        nodes.append(
            helper.make_node(
                "Gemm", ["embedding", "head.weight", "head.bias"], ["linear"], transB=1
            )
        )
    else:
        tensors["head.weight"] = tensors["head.weight"].T
        nodes += [
            helper.make_node("MatMul", ["embedding", "head.weight"], ["product"]),
            helper.make_node("Add", ["product", "head.bias"], ["linear"]),
        ]
    nodes.append(helper.make_node("Squeeze", ["linear", "axis"], ["score"]))
    outputs = [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, FIELDS, FIELDS]),
    ]
    metadata = METADATA
    if spread_of is not None:
        along, bias = spread_of
        metadata = replace(METADATA, link="thurstone")
        tensors |= {
            "spread.weight": along[None].astype(np.float32),
            "spread.bias": np.array([bias], np.float32),
            "floor": np.array(0.05, np.float32),
        }
        nodes += [
            helper.make_node(
                "Gemm", ["embedding", "spread.weight", "spread.bias"], ["raw"], transB=1
            ),
            helper.make_node("Squeeze", ["raw", "axis"], ["flat"]),
            helper.make_node("Softplus", ["flat"], ["soft"]),
            helper.make_node("Add", ["soft", "floor"], ["spread"]),
        ]
        outputs.append(helper.make_tensor_value_info("spread", TensorProto.FLOAT, ["n"]))
    side = FIELD * FIELDS
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, 3])],
        outputs,
        [numpy_helper.from_array(t, name) for name, t in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata.to_strings())
    path.write_bytes(model.SerializeToString())
    return path


def make_pictures(folder: Path, n: int, seed: int = 0) -> dict[Path, np.ndarray]:
    """n pictures in `folder`, and the colours [2, 2, 3] of each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    made = {}
    for number in range(n):
        colours = rng.integers(0, 256, (FIELDS, FIELDS, 3)).astype(np.uint8)
        path = folder / f"{seed}-{number:03}.png"
        Image.fromarray(colours).resize((80, 80), Image.Resampling.NEAREST).save(path)
        made[path] = colours.astype(float)
    return made


def redness(colours: np.ndarray) -> float:
    """A taste that the tiny model's embedding can hold: red in the upper half."""
    return float(colours[0, :, 0].mean())
