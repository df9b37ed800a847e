"""A whole network's run begun in the place of another, or gone on with after pictures were lost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tiny import RECIPE, TINY, TinyRanker

from i2pa.errors import ModelError
from i2pa.images.failure import Failure
from i2pa.models.backbones import backbone_weights
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import PROBE, network
from i2pa.training.features import Features
from i2pa.training.feed import PictureFeed
from i2pa.training.gather import Gathered
from i2pa.training.network import fit_network
from i2pa.training.pairset import by_split, images_of, pair_set
from made_up import album

WEIGHTS = backbone_weights(PROBE.backbone)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, Path]:
    folder = tmp_path_factory.mktemp("again") / "album"
    return album(folder, users=4, pairs_each=2), folder


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ranker", lambda *_: TinyRanker())


def run(
    pictures: tuple[pa.Table, Path],
    folder: Path,
    *,
    gone: Collection[str] = (),
    epochs: int = 1,
    resume: bool = False,
) -> None:
    pairs, place = pictures
    learn, held_out = by_split(pairs)
    names = [name for name in images_of(pairs) if name not in gone]
    paths, nothing = tuple(place / name for name in names), np.zeros((len(names), 2))
    features = Features(
        row={name: row for row, name in enumerate(names)},
        paths=paths,
        embedded=None,
        properties=nothing,
        unreadable=tuple(Failure(name, "missing", "no such file") for name in gone),
        sha256=tuple(names),
    )
    used, table = pair_set(learn, features.row)
    gathered = Gathered(learn, held_out, None, features, used, table)
    recipe, feed = replace(RECIPE, epochs=epochs), PictureFeed(paths, TINY)
    fit_network(gathered, recipe, WEIGHTS, folder, head=None, resume=resume, feed=feed)


def test_another_run_goes_only_once_there_is_something_in_its_place(
    pictures: tuple[pa.Table, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "folds" / "fold-0-0123456789abcdef" / "fold-0123456789abcdef.json"
    own = tmp_path / "folds" / "fold-0" / "mine.csv"
    for file in (kept, own):
        file.parent.mkdir(parents=True)
    old = [tmp_path / name for name in ("run.json", "model.onnx", "card.md", "metrics.csv")]
    old += [tmp_path / CHECKPOINT_FILE, kept, own]
    for file in old:
        file.write_text("old")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PictureFeed, "batches", stop)
        with pytest.raises(KeyboardInterrupt):
            run(pictures, tmp_path)
    assert [file.read_text() for file in old] == ["old"] * len(old)
    run(pictures, tmp_path)
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in left if "tensorboard" not in path.parts} == {
        *(tmp_path / CHECKPOINT_FILE, tmp_path / "metrics.csv", own)
    }
    assert (tmp_path / "metrics.csv").read_text() != "old"


def test_a_picture_lost_on_the_way_is_named(
    pictures: tuple[pa.Table, Path], tmp_path: Path
) -> None:
    run(pictures, tmp_path)
    gone = [f"0-{number}-{side}.png" for number in (0, 1) for side in ("loser", "winner")]
    with pytest.raises(ModelError) as refused:
        run(pictures, tmp_path, gone=gone[:1], epochs=2, resume=True)
    assert str(refused.value) == (
        f"{tmp_path / CHECKPOINT_FILE}: trained on pictures that can no longer be read: {gone[0]}; "
        "put them back, or add --overwrite in place of --resume to begin anew"
    )
    with pytest.raises(ModelError, match=r"read: (0-\S+, ){2}0-\S+ and 1 more picture; put"):
        run(pictures, tmp_path, gone=gone, epochs=2, resume=True)
    run(pictures, tmp_path, epochs=2, resume=True)
