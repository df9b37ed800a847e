"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Networks of the tests are so small that threads which wait for each other take longest of all.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines are slow at times; no test is about that.
settings.register_profile("i2pa", deadline=None)
settings.load_profile("i2pa")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real posts and pictures beside the checkout; tests skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of example photographs."""
    return Path(__file__).resolve().parents[1] / "examples" / "pictures"


@pytest.fixture(autouse=True)
def private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads or writes the user's own cache."""
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path_factory.mktemp("cache")))
