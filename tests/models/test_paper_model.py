"""`paper-resnet50` from a file that looks like the authors', by network and by hand."""

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from statistics import NormalDist

import numpy as np
import pytest
import small_models
import torch
from filelock import FileLock

from i2pa.errors import MissingExtraError, ModelError, UserInputError
from i2pa.metrics.reference import percentile
from i2pa.models import paper
from i2pa.models.catalogue import PAPER_RESNET50
from i2pa.models.download import Limits, part_of
from i2pa.models.paper import get_paper_resnet50, normal_quantiles
from i2pa.models.ranker import load_ranker
from i2pa.models.registry import digest_file, find_model, models_folder, place_of
from i2pa.scoring import load_model

QUICK = Limits(pause=0.0, timeout=10.0, tries=2)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "model-resnet50.pth"
    # As torch 1.1 of 2019 wrote it.
    torch.save(small_models.authors_state(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture
def source(weights, monkeypatch):
    """The made-up weights on a server, with their own digest as the published one."""
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(weights.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield replace(
        PAPER_RESNET50.source,
        url=f"http://127.0.0.1:{server.server_port}/{weights.name}",
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    server.shutdown()
    server.server_close()


def test_before_it_is_got_one_line_says_how():
    for name in ("paper-resnet50", "paper-resnet50@1"):
        with pytest.raises(UserInputError, match=r"run: i2pa models get paper-resnet50$"):
            load_model(name)


@pytest.mark.slow
def test_got_from_a_server_it_scores_as_the_authors_weights_do(source, weights, examples, tmp_path):
    told = []
    file = get_paper_resnet50(source=source, limits=QUICK, progress=lambda *now: told.append(now))
    assert told[-1] == (weights.stat().st_size,) * 2
    assert file.path == place_of(PAPER_RESNET50)
    # Neither the authors' file, nor a part of it, is kept.
    kept = {path.name for path in models_folder().iterdir()} - {"get.lock"}
    assert kept == {file.path.name, digest_file(file.path).name}

    scorer = load_model("paper-resnet50", threads=1)
    assert scorer.model.tag == "paper-resnet50@1"
    assert scorer.model.sha256 == file.sha256 == find_model("paper-resnet50@1").sha256
    assert scorer.model.transform == "squash224@1"
    picture = examples / "coffee.png"
    pixels = scorer._transform.pixels(picture)
    ranker = load_ranker("resnet50", weights, pixel_scaling="unit")
    with torch.inference_mode():
        wanted = float(ranker(torch.from_numpy(pixels[None]))[0][0])
    assert scorer.score_one(picture).score == pytest.approx(wanted, abs=1e-3)

    metadata = scorer.metadata
    assert metadata.temperature == 1.0
    assert "normal approximation N(2.96, 1.55²)" in metadata.reference.name
    assert source.sha256 in metadata.training
    assert "MIT" in metadata.licenses

    # What is there stays, even with nobody to ask.
    gone = replace(source, url="http://127.0.0.1:9/gone")
    assert get_paper_resnet50(source=gone, limits=QUICK).sha256 == file.sha256
    # And a whole file that was left there is not brought again.
    (models_folder() / "gone").write_bytes(weights.read_bytes())
    again = get_paper_resnet50(source=gone, again=True, limits=QUICK)
    assert load_model("paper-resnet50").score_one(picture).score == pytest.approx(wanted, abs=1e-3)
    assert not (models_folder() / "gone").exists()

    file.path.write_bytes(again.data[:-1] + b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        load_model("paper-resnet50")


@pytest.mark.slow
def test_a_file_brought_by_hand_gives_the_same_model(source, weights, tmp_path):
    file = get_paper_resnet50(weights, source=replace(source, url="http://127.0.0.1:9/gone"))
    assert find_model("paper-resnet50").sha256 == file.sha256
    assert weights.is_file()


def test_wrong_weights_are_refused_with_both_digests(source, weights, tmp_path):
    other = tmp_path / "model-resnet50.pth"
    other.write_bytes(weights.read_bytes()[:-1] + b"!")
    found = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=f"{found} is not the expected {source.sha256}") as raised:
        get_paper_resnet50(other, source=source)
    assert str(other) in str(raised.value)
    # The published digest is the default: made-up weights never pass for the authors'.
    with pytest.raises(ModelError, match=PAPER_RESNET50.source.sha256):
        get_paper_resnet50(weights)
    wrong = replace(source, sha256="0" * 64)
    with pytest.raises(ModelError, match=f"not the expected {'0' * 64}"):
        get_paper_resnet50(source=wrong, limits=QUICK)
    gone = replace(source, url="http://127.0.0.1:9/gone")
    with pytest.raises(
        ModelError, match=r"; or bring .*i2pa models get paper-resnet50 --from FILE"
    ):
        get_paper_resnet50(source=gone, limits=QUICK)
    with pytest.raises(UserInputError, match="cannot be read"):
        get_paper_resnet50(tmp_path / "nowhere.pth", source=source)
    with pytest.raises(UserInputError, match="is a folder; give the file"):
        get_paper_resnet50(tmp_path, source=source)
    with pytest.raises(UserInputError, match="run: i2pa models get"):
        find_model("paper-resnet50")
    assert not part_of(models_folder() / weights.name).exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"module.{name}": v for name, v in state.items()}},
    ],
)
def test_wrapped_state_dicts_are_the_same_weights(weights, tmp_path, wrap):
    state = torch.load(weights, weights_only=True)
    torch.save(wrap(state), tmp_path / "wrapped.pth")
    loaded = load_ranker("resnet50", tmp_path / "wrapped.pth").state_dict()
    assert (loaded["head.weight"] == state["fc.weight"]).all()
    assert (loaded["backbone.layer4.2.conv3.weight"] == state["layer4.2.conv3.weight"]).all()


def test_without_the_extra_nothing_is_downloaded(source, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(paper, "download", lambda *a, **k: pytest.fail("downloaded"))
    with pytest.raises(MissingExtraError, match=r"i2pa\[train\]"):
        get_paper_resnet50(source=source)


def test_two_at_once_do_not_write_into_one_part(source):
    models_folder().mkdir(parents=True)
    with (
        FileLock(models_folder() / "get.lock"),
        pytest.raises(UserInputError, match="another i2pa models get is at work"),
    ):
        get_paper_resnet50(source=source)


def test_an_unwritable_folder_says_what_to_do(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserInputError, match="set I2PA_CACHE"):
        get_paper_resnet50(source=source)


def test_percentiles_are_those_of_the_stated_normal_distribution():
    official = NormalDist(2.96, 1.55)
    quantiles = np.array(normal_quantiles(official))
    assert len(quantiles) == 1001
    assert np.isfinite(quantiles).all()
    for score in (0.0, 1.41, 2.96, 4.51, 6.07):
        wanted = 100 * official.cdf(score)
        assert float(percentile(score, quantiles)[0]) == pytest.approx(wanted, abs=0.02)
