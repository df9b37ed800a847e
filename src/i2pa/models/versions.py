"""Versions of whatever has a say in a score: a score is told, and kept, with those that made it.

A new version of a decoder may change pixels, and one of an engine the last digits.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from PIL import features

import i2pa


@dataclass(frozen=True)
class Versions:
    """Of i2pa, the engine's library, Pillow with what it decodes by, and the packages of `formats`.

    Empty where something is not installed, or does not say. The packages `pillow_heif` and `rawpy`
    bring libheif and LibRaw; `pillow_avif_plugin` reads AVIF for builds of Pillow that do not.
    """

    i2pa: str
    engine: str
    pillow: str
    libjpeg_turbo: str
    libwebp: str
    libavif: str
    libtiff: str
    littlecms: str
    pillow_heif: str
    rawpy: str
    pillow_avif_plugin: str

    @property
    def key(self) -> str:
        """All of them in one line, for the cache."""
        return ", ".join(
            f"{name} {said}" for name, said in dataclasses.asdict(self).items() if said
        )


def versions(engine: str) -> Versions:
    """Those in use now, with an engine of this name (`openvino-cpu-float32`)."""
    return Versions(
        i2pa=i2pa.__version__,
        engine=library(engine),
        pillow=_of("pillow"),
        libjpeg_turbo=_part("libjpeg_turbo"),
        libwebp=_part("webp"),
        libavif=_part("avif"),
        libtiff=_part("libtiff"),
        littlecms=_part("littlecms2"),
        pillow_heif=_of("pillow-heif"),
        rawpy=_of("rawpy"),
        pillow_avif_plugin=_of("pillow-avif-plugin"),
    )


def library(engine: str) -> str:
    """The package behind an engine's name, with its version: `onnxruntime 1.32.0`."""
    name = engine.partition("-")[0]
    for package in (name, f"{name}-gpu"):
        if found := _of(package):
            return f"{package} {found}"
    return name


def _of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _part(feature: str) -> str:
    return features.version(feature) or ""
