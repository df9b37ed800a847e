"""Writes a ranker as the one file that every engine runs: ONNX with its metadata inside."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from i2pa.errors import ModelError
from i2pa.models.engine import OUTPUTS, SPREAD
from i2pa.models.metadata import ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.ranker import Ranker
from i2pa.models.registry import ModelFile
from i2pa.models.saving import save_model

OPSET = 18
TOLERANCE = 1e-4


def export_onnx(ranker: Ranker, metadata: ModelMetadata, size: int, path: Path) -> ModelFile:
    """Write `ranker` to `path` as float32 ONNX, with its SHA-256 in a file beside it.

    A ranker with a spread gives the file the further output `spread` [n].

    `size` is the side in pixels of the transform named in `metadata`. The file is checked before
    it appears: on pixels of a fixed seed onnxruntime's scores must equal torch's within 1e-4,
    or within that share of the scores, or of their standard deviation, where those exceed 1.
    Raises ModelError where they do not.
    """
    ranker = ranker.eval()
    pixels = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    )
    with _quiet_exporter():
        program = torch.onnx.export(
            ranker,
            (pixels,),
            input_names=["pixels"],
            output_names=list(OUTPUTS if ranker.spread is None else (*OUTPUTS, SPREAD)),
            dynamic_shapes={"pixels": {0: torch.export.Dim("n", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError("the network could not be exported to ONNX")
    proto = program.model_proto
    _forget_where_it_was_made(proto)
    onnx.helper.set_model_props(proto, metadata.to_strings())
    data: bytes = proto.SerializeToString()
    with torch.inference_mode():
        expected = ranker(pixels)[0].numpy()
    got = OnnxEngine(data).run(pixels.numpy())["score"]
    difference = float(np.abs(got - expected).max())
    spread = float(np.std(metadata.reference.quantiles))
    # Float32 rounds in proportion: scores far from 0, as those of other loaders may be, round more.
    tolerance = TOLERANCE * max(1.0, spread, float(np.abs(expected).max()))
    if not difference <= tolerance:
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} differs from torch by {difference:.2g}, "
            f"over {tolerance:.2g}"
        )
    return save_model(data, path)


def _forget_where_it_was_made(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with this machine's paths, and names of modules."""
    graph = proto.graph
    parts = (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (proto, graph, *parts):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter narrates to stdout, warnings and logs; none of it concerns a user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
