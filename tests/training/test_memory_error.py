"""Memory that runs out in training is told in a line that says what helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from i2pa.errors import ModelError
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import FINETUNE, network, train
from i2pa.training.memory_error import told_of_memory
from made_up import album

ON_CPU = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 99 bytes. Error code 12 (Cannot allocate memory)"
)
ON_WINDOWS = "[enforce fail at alloc_cpu.cpp] data. DefaultCPUAllocator: not enough memory: you"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError(ON_CPU),
        RuntimeError(ON_WINDOWS),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError("Unable to allocate 9 GiB for an array"),
    ],
    ids=["cuda", "cpu", "windows", "cublas", "numpy"],
)
def test_the_remedy_is_one_that_can_be_taken(error: Exception, tmp_path: Path) -> None:
    def said(**recipe: int) -> str:
        with (
            pytest.raises(ModelError) as told,
            told_of_memory(replace(FINETUNE, **recipe), tmp_path),
        ):
            raise error
        return str(told.value)

    assert said(batch=64, accumulate=4) == (
        "memory ran out (--batch 64, --accumulate 4); train with --accumulate 8 or more, or a "
        "smaller --batch"
    )
    assert said(batch=2, accumulate=2).endswith("; train with a smaller --batch")
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"")
    assert "; begin anew (--overwrite) with --accumulate 2 or" in said()


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), told_of_memory(FINETUNE, tmp_path):
        raise RuntimeError("shapes differ")


def test_a_tensor_that_no_memory_holds() -> None:
    with pytest.raises(ModelError, match="memory ran out"), told_of_memory(FINETUNE, Path()):
        torch.empty(2**60, dtype=torch.uint8)


def test_a_network_in_training_tells_it_and_clears_what_a_killed_run_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "fit", fail)
    pairs = album(tmp_path / "album", users=3, pairs_each=1)
    run = tmp_path / "run"
    run.mkdir()
    (run / f".{CHECKPOINT_FILE}.abcd_123").write_bytes(b"half of it")
    with pytest.raises(ModelError, match="memory ran out"):
        train(pairs, tmp_path / "album", FINETUNE, folder=run, resume=True)
    assert list(run.iterdir()) == []
