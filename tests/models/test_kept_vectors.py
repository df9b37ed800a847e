"""Vectors that go on without their cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from i2pa.models.cache import KeptVectors, embeddings_folder

THIRDS = np.full((2, 3), 1 / 3)


def test_what_is_kept_is_found_by_the_next() -> None:
    told: list[str] = []
    added = KeptVectors("kind", 3, np.float16, told.append).add(["a", "b"], THIRDS)
    found = KeptVectors("kind", 3, np.float16, told.append).read(["b", "a", "c"])
    assert found.keys() == added.keys() == {"a", "b"}
    assert all((found[name] == added[name]).all() for name in found)
    assert found["a"].dtype == np.float16
    assert told == []


def test_a_cache_that_cannot_be_made_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    told: list[str] = []
    kept = KeptVectors("kind", 3, np.float16, told.append)
    assert kept.read(["a"]) == {}
    assert kept.add(["a", "b"], THIRDS)["b"].tolist() == THIRDS[1].astype(np.float16).tolist()
    assert kept.read(["a"]) == {}
    assert len(told) == 1
    assert told[0].startswith(f"going on without the cache: {tmp_path / 'file'}")


def test_a_cache_that_goes_meanwhile_costs_one_line_and_no_vector() -> None:
    told: list[str] = []
    kept = KeptVectors("kind", 3, np.float16, told.append)
    kept.add(["a"], THIRDS[:1])
    shutil.rmtree(embeddings_folder())
    assert kept.add(["b"], THIRDS[1:]).keys() == {"b"}
    assert kept.read(["a"]) == {}
    assert len(told) == 1
    assert os.listdir(embeddings_folder().parent) == []  # noqa: PTH208
