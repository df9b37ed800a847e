"""Print how many pairs of pictures int8 copies of a model turn round: why int8 is not offered.

Run: python scripts/int8.py MODEL FOLDER (needs the extra [train])

MODEL is a name or a file. Every second picture of FOLDER (up to 128) sets the ranges of the
activations, the others are scored; copies are made by onnxruntime's own static quantisation, a
scale for each channel of the weights, in a few of its ways. A processor without VNNI instructions
adds up products of signed weights in 16 bits and may overflow, which `reduced` and `unsigned`
weights avoid.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from i2pa.errors import ImageError
from i2pa.images.decoder import Decoder
from i2pa.images.find import pictures_in
from i2pa.images.transforms import transform_named
from i2pa.metrics.agreement import agreement
from i2pa.models.checks import AT_MOST, processor_name
from i2pa.models.engine import INPUT, Pixels
from i2pa.models.metadata import TIE_LIMIT, ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import find_model

MOST = 128
BATCH = 8
WAYS: dict[str, dict[str, Any]] = {
    "signed weights": {"weight_type": QuantType.QInt8},
    "signed weights, reduced to 7 bits": {"weight_type": QuantType.QInt8, "reduce_range": True},
    "unsigned weights": {"weight_type": QuantType.QUInt8},
    "unsigned weights, mean ranges": {
        "weight_type": QuantType.QUInt8,
        "extra_options": {"CalibMovingAverage": True},
    },
}


class Ranges(CalibrationDataReader):  # type: ignore[misc]
    """Hands out pixels, some pictures at a time."""

    def __init__(self, pixels: Pixels) -> None:
        self._parts: Iterator[Pixels] = iter(
            [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
        )

    def get_next(self) -> dict[str, Pixels] | None:
        part = next(self._parts, None)
        return None if part is None else {INPUT: part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    file = find_model(asked.model)
    plain = OnnxEngine(file.data, threads=0)
    metadata = ModelMetadata.from_strings(plain.metadata, where=str(file.path))
    pictures = pictures_in([asked.folder])
    ranges = pixels_of(pictures[::2][:MOST], metadata.transform)
    judged = pixels_of(pictures[1::2], metadata.transform)
    scores = scored(plain, judged)
    margin = metadata.temperature * TIE_LIMIT[metadata.link]
    decided = agreement(scores, scores, margin).decided
    print(
        f"{metadata.tag}, {datetime.now(UTC):%Y-%m-%d}, {processor_name()}, "
        f"onnxruntime {onnxruntime.__version__}; ranges of {len(ranges)} pictures, {len(judged)} "
        f"others scored, {decided:,} of their pairs not too close to call; at most {AT_MOST:.0%} "
        "of all pairs may turn\n\n"
        "| int8 | pairs turned round | of decided | largest difference |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(file.data)
        quant_pre_process(source, source, skip_symbolic_shape=True)
        for name, way in WAYS.items():
            quantize_static(
                source,
                made,
                Ranges(ranges),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                per_channel=True,
                **way,
            )
            found = agreement(
                scores, scored(OnnxEngine(made.read_bytes(), threads=0), judged), margin
            )
            print(
                f"| {name} | {found.flip_rate:.1%} | {found.decided_flip_rate:.1%} "
                f"| {found.largest_difference:.2f} |",
                flush=True,
            )


def pixels_of(pictures: list[Any], transform: str) -> Pixels:
    """Those that can be read, as the model takes them."""
    found = []
    with Decoder(transform_named(transform)) as decoder:
        for picture in pictures:
            try:
                found.append(decoder.decode(picture).pixels)
            except ImageError:
                continue
    return np.stack(found)


def scored(engine: OnnxEngine, pixels: Pixels) -> np.ndarray:
    return np.concatenate(
        [engine.run(pixels[i : i + BATCH])["score"] for i in range(0, len(pixels), BATCH)]
    )


if __name__ == "__main__":
    main()
