"""What `i2pa train --help` says can be chosen is what there is."""

from __future__ import annotations

import pytest
from command_runner import run

from i2pa.errors import ModelError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BACKBONES
from i2pa.training.losses import LOSSES


def test_the_help_names_every_choice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    with pytest.raises(ModelError) as unknown:
        transform_named("none")
    transforms = unknown.value.remedy.removeprefix("this version knows ").split(", ")
    assert len(transforms) > 1
    for name in (*BACKBONES, *LOSSES, *transforms):
        assert name in out, name
