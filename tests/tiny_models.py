"""A model of a few numbers, so that tests of scoring take no time: bright pictures win."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference

SIDE = 224
CELLS = 7


def tiny_model(
    path: Path, *, spread: bool = False, link: str = "logistic", transform: str = "squash224@1"
) -> Path:
    """Score: mean brightness / 255 x 10. Embedding: colours of 7 x 7 cells, less the middle grey.

    With `spread` a picture is the surer, the redder it is: exp(-mean red / 255).
    """
    quantiles = tuple(np.linspace(0, 10, QUANTILES))
    reference = Reference("made up", 11, quantiles)
    metadata = ModelMetadata(
        "tiny",
        1,
        transform,
        reference,
        link,
        1.0,
        "nothing",
        "MIT",  # type: ignore[arg-type]
    )
    constants = {
        "middle": np.array(127.5, np.float32),
        "tenth": np.array(25.5, np.float32),
        "less": np.array(-255, np.float32),
        "red": np.array([0]),
        "all": np.array([1, 2, 3]),
        "cells": np.array([1, 2]),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], ["pooled"], kernel_shape=[32, 32], strides=[32, 32]),
        node("ReduceMean", ["pooled", "all"], ["mean"], keepdims=0),
        node("Div", ["mean", "tenth"], ["score"]),
        node("Sub", ["pooled", "middle"], ["features"]),
        node("Flatten", ["features"], ["embedding"]),
    ]
    outputs = [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3 * CELLS**2]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, CELLS, CELLS]),
    ]
    if spread:
        nodes += [
            node("Gather", ["pooled", "red"], ["reds"], axis=1),
            node("Squeeze", ["reds", "one"], ["red_plane"]),
            node("ReduceMean", ["red_plane", "cells"], ["redness"], keepdims=0),
            node("Div", ["redness", "less"], ["log_spread"]),
            node("Exp", ["log_spread"], ["spread"]),
        ]
        constants["one"] = np.array([1])
        outputs.append(helper.make_tensor_value_info("spread", TensorProto.FLOAT, ["n"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    helper.set_model_props(model, metadata.to_strings())
    path.write_bytes(model.SerializeToString())
    return path


def noise(folder: Path, n: int, *, side: int = 48) -> list[Path]:
    """`n` unlike pictures, rising in brightness, changed long ago."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(n):
        cells = rng.integers(0, 120, (6, 6, 3)) + 130 * number / n
        image = Image.fromarray(cells.astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
        path = folder / f"{number:04d}.png"
        image.save(path)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        paths.append(path)
    return paths
