"""The catalogue says what the files, the model card and the packages say."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from i2pa.models.catalogue import LITE2, PAPER_RESNET50, PUBLISHED, known_likeness, published
from i2pa.models.listing import listed_models, model_facts
from i2pa.models.metadata import Likeness, ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.paper import paper_metadata
from i2pa.models.registry import find_model, place_of
from i2pa.scoring.bursts import MEASURED

CARD = (Path(__file__).parents[2] / "docs" / "model-card.md").read_text(encoding="utf-8")


def test_every_embedded_file_is_in_the_catalogue_and_the_other_way_round():
    embedded = [model for model in PUBLISHED if model.source is None]
    files = {path.name for path in place_of(LITE2).parent.glob("*.onnx")}
    assert {model.file_name for model in embedded} == files
    for model in embedded:
        facts = model_facts(model.tag)
        assert (facts.name, facts.version) == (model.name, model.version)
        assert facts.transform == model.transform
        assert facts.megabytes == model.megabytes
        assert facts.pinned


def test_figures_are_those_of_the_model_card():
    figures = LITE2.accuracy
    row = re.search(r"up to 30 days apart \| \*\*model\*\* \| (.*) \|", CARD)
    pairs, _, mean = row[1].split(" | ")
    assert pairs == f"{figures.pairs} / {figures.users}"
    assert mean == f"**{figures.value:.3f} [{figures.low:.3f}, {figures.high:.3f}]**".replace(
        "0.", "."
    )


def test_the_papers_interval_is_that_of_its_count():
    figures = PAPER_RESNET50.accuracy
    half = 1.96 * (figures.value * (1 - figures.value) / figures.pairs) ** 0.5
    assert figures.low == pytest.approx(figures.value - half, abs=5e-5)
    assert figures.high == pytest.approx(figures.value + half, abs=5e-5)


def test_the_papers_file_will_say_what_the_catalogue_says():
    metadata = paper_metadata(PAPER_RESNET50, PAPER_RESNET50.source)
    assert (metadata.name, metadata.version) == (PAPER_RESNET50.name, PAPER_RESNET50.version)
    assert metadata.transform == PAPER_RESNET50.transform
    assert PAPER_RESNET50.source.commit in PAPER_RESNET50.source.url


def test_names_and_tags():
    assert published("i2pa-lite2") is published("i2pa-lite2@1") is LITE2
    assert published("i2pa-lite2@2") is None


def test_a_models_likeness_is_its_files_or_else_the_catalogues():
    metadata = ModelMetadata.from_strings(OnnxEngine(find_model().data).metadata, "default")
    assert metadata.likeness is None
    assert known_likeness(metadata) == LITE2.likeness == MEASURED
    assert model_facts("i2pa-lite2").likeness == LITE2.likeness
    own = replace(metadata, likeness=Likeness(0.6, 0.5))
    assert known_likeness(own) == own.likeness
    assert known_likeness(replace(metadata, name="another")) is None


def test_listing_tells_what_is_here():
    lite2, paper = listed_models()
    assert (lite2.on_disk, lite2.sha256) == (True, find_model().sha256)
    assert (paper.on_disk, paper.path, paper.sha256) == (False, "", "")
    assert paper.weights_sha256 == PAPER_RESNET50.source.sha256


def test_a_path_of_a_published_name_is_still_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("paper-resnet50").mkdir()
    (tmp_path / "paper-resnet50" / "model.onnx").write_bytes(find_model().data)
    assert find_model("paper-resnet50").path == Path("paper-resnet50/model.onnx")
