"""Features of pictures where the cache is of no use, and of names that nothing can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from i2pa.images.failure import Failure
from i2pa.images.transforms import transform_named
from i2pa.training import PROBE
from i2pa.training.features import Features, image_features

NAMES = ("camera.png", "coffee.png", "rocket.jpg")


def features(folder: Path, names: tuple[str, ...] = NAMES, **options: object) -> Features:
    transform = transform_named(PROBE.transform)
    return image_features(names, [folder], PROBE.backbone, transform, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_a_cache_features_are_the_same_and_one_line_says_so(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cache = features(examples)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    told: list[str] = []
    without = features(examples, warn=told.append)
    assert len(told) == 1
    assert "going on without the cache" in told[0]
    assert "set I2PA_CACHE to a writable folder" in told[0]
    assert np.array_equal(with_cache.embeddings, without.embeddings)
    assert np.array_equal(with_cache.properties, without.properties)
    with pytest.warns(RuntimeWarning, match="going on without the cache"):
        features(examples)


@pytest.mark.slow
def test_a_name_that_no_file_can_have_is_listed_like_any_that_is_missing(examples: Path) -> None:
    impossible = ("x" * 300, "a\0b", "camera.png/inside.png", "gone.png")
    found = features(examples, (*impossible, "camera.png"))
    assert found.row == {"camera.png": 0}
    assert found.unreadable == tuple(Failure(name, "no such file") for name in impossible)
