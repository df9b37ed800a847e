import hashlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import ModelError, UserInputError
from i2pa.models.cache import VectorStore
from i2pa.models.catalogue import PUBLISHED
from i2pa.models.checks import check_engine
from i2pa.models.engine import OUTPUTS
from i2pa.models.metadata import QUANTILES, Likeness, ModelMetadata, Reference
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import DEFAULT, digest_file, find_model, place_of
from i2pa.scoring import load_model
from tiny_models import tiny_model

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
rising = st.integers(0, 2**32 - 1).map(
    lambda seed: tuple(np.sort(np.random.default_rng(seed).normal(size=QUANTILES)).tolist())
)


@pytest.fixture(scope="module")
def engine():
    return OnnxEngine(find_model().data)


cosines = st.floats(0, 1, exclude_min=True)


@given(
    *(texts, st.integers(1, 99), texts, rising, st.floats(1e-3, 1e3)),
    st.none() | st.builds(Likeness, cosines, cosines),
)
def test_metadata_round_trip(name, version, licenses, quantiles, temperature, likeness):
    metadata = ModelMetadata(
        name,
        version,
        "squash260@1",
        Reference(name, len(quantiles), quantiles),
        "logistic",
        temperature,
        "",
        licenses,
        likeness,
    )
    assert ModelMetadata.from_strings(metadata.to_strings(), "here") == metadata


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("i2pa.format", "i2pa.model/999"),
        ("i2pa.temperature", "0"),
        ("i2pa.temperature", "nan"),
        ("i2pa.link", "guess"),
        ("i2pa.version", "one"),
        ("i2pa.reference", '{"name": "x", "n": 1, "quantiles": [2, 1]}'),
        ("i2pa.reference", "[]"),
        ("i2pa.likeness", '{"same_picture": 0.8}'),
        ("i2pa.likeness", '{"same_picture": 0.8, "same_moment": 0}'),
        ("i2pa.likeness", '{"same_picture": 1.1, "same_moment": 0.7}'),
        ("i2pa.likeness", "0.8"),
    ],
)
def test_damaged_metadata_is_named(engine, field, value):
    with pytest.raises(ModelError, match=r"my\.onnx"):
        ModelMetadata.from_strings({**engine.metadata, field: value}, "my.onnx")


def test_the_default_has_all_a_model_must_say(engine):
    metadata = ModelMetadata.from_strings(engine.metadata, "default")
    assert metadata.tag == "i2pa-lite2@1"
    assert "Apache-2.0" in metadata.licenses
    assert metadata.reference.n > 100


def test_the_engine_gives_every_output_for_any_batch(engine):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 260, 260, 3), dtype=np.uint8)
    outputs = engine.run(pixels, OUTPUTS)
    assert outputs["score"].shape == (3,)
    assert outputs["embedding"].shape == (3, 1280)
    assert outputs["features"].shape == (3, 1280, 9, 9)
    one_by_one = [engine.run(pixels[i : i + 1])["score"][0] for i in range(3)]
    assert outputs["score"] == pytest.approx(one_by_one, abs=1e-3)
    pooled = outputs["features"].mean(axis=(2, 3))
    assert outputs["embedding"] == pytest.approx(pooled, abs=1e-4)


def test_names_and_paths_find_the_same_model(tmp_path):
    newest = find_model()
    assert find_model(DEFAULT).sha256 == newest.sha256 == find_model("i2pa-lite2@1").sha256
    shutil.copy(newest.path, tmp_path / "model.onnx")
    assert find_model(tmp_path).sha256 == newest.sha256
    assert find_model(str(tmp_path / "model.onnx")).sha256 == newest.sha256


def test_every_embedded_model_has_its_digest():
    for path in (place_of(model) for model in PUBLISHED if model.source is None):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest_file(path).read_text().split() == [digest, path.name]


def test_altered_bytes_are_refused(tmp_path):
    model = find_model()
    copy = tmp_path / "m.onnx"
    copy.write_bytes(model.data[:-1] + b"\0")
    digest_file(copy).write_text(f"{model.sha256}  m.onnx\n")
    with pytest.raises(ModelError, match="SHA-256"):
        find_model(copy)
    digest_file(copy).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ModelError, match="SHA-256"):
        find_model(copy)


def test_a_digest_counts_in_any_case(tmp_path):
    copy = tmp_path / "m.onnx"
    shutil.copy(find_model().path, copy)
    digest_file(copy).write_text(f"{find_model().sha256.upper()}  m.onnx\n")
    assert find_model(copy).sha256 == find_model().sha256


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        ("squash999@1", "unknown transform 'squash999@1'; this version knows squash260@1"),
        ("squash260@1", "the model takes 224 × 224 pixels, where its transform squash260@1 gives"),
    ],
)
def test_a_model_that_its_transform_does_not_fit_is_refused_when_it_is_loaded(
    tmp_path, transform, says
):
    path = tiny_model(tmp_path / "odd.onnx", transform=transform)
    with pytest.raises(ModelError, match=rf"odd\.onnx: {says}"):
        load_model(path)
    engine = OnnxEngine(path.read_bytes())
    with pytest.raises(ModelError, match=rf"odd\.onnx: {says}"):
        check_engine(find_model(path), engine, engine, [])


def test_missing_and_foreign_models_are_named(tmp_path):
    with pytest.raises(UserInputError, match="i2pa-lite2@1"):
        find_model("no-such-model")
    other = tmp_path / "other.onnx"
    other.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"other\.onnx"):
        OnnxEngine(other.read_bytes(), where=str(other))


def test_vectors_come_back_and_stay_when_appended_twice(tmp_path):
    store = VectorStore(tmp_path, 3, np.float16)
    first = np.arange(6, dtype=np.float16).reshape(2, 3)
    store.append(["a", "b"], first)
    store.append(["b", "c"], np.full((2, 3), 7, np.float16))
    rows = VectorStore(tmp_path, 3, np.float16).rows(["a", "b", "c", "d"])
    assert rows.keys() == {"a", "b", "c"}
    assert (store.read([rows["a"], rows["b"]]) == first).all()
    assert (store.read([rows["c"]]) == 7).all()
    assert store.read([]).shape == (0, 3)


def test_a_crash_in_the_middle_of_writing_costs_only_that_batch(tmp_path):
    store = VectorStore(tmp_path, 3, np.float32)
    store.append(["a"], np.ones((1, 3)))
    array = next(tmp_path.glob("vectors-*"))
    with array.open("ab") as file:
        file.write(b"\x01\x02\x03\x04\x05")
    assert store.rows(["b"]) == {}
    store.append(["b"], np.full((1, 3), 2.0))
    rows = store.rows(["a", "b"])
    assert (store.read([rows["a"], rows["b"]]) == [[1, 1, 1], [2, 2, 2]]).all()


def test_two_processes_append_to_one_store(tmp_path):
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from i2pa.models.cache import VectorStore;"
        "s = VectorStore(Path(sys.argv[1]), 4, np.float32); k = int(sys.argv[2]);"
        "[s.append([f'{k}-{i}'], np.full((1, 4), 1000 * k + i)) for i in range(40)]"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(k)]) for k in (1, 2)
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    store = VectorStore(tmp_path, 4, np.float32)
    names = [f"{k}-{i}" for k in (1, 2) for i in range(40)]
    rows = store.rows(names)
    wanted = np.array([[1000 * k + i] * 4 for k in (1, 2) for i in range(40)])
    assert (store.read([rows[name] for name in names]) == wanted).all()


def test_an_unusable_cache_says_what_to_do(tmp_path):
    (tmp_path / "index-3.sqlite").write_bytes(b"this is no database, but long enough " * 9)
    with pytest.raises(UserInputError, match="I2PA_CACHE"):
        VectorStore(tmp_path, 3, np.float32)


def test_vectors_that_a_damaged_array_lost_are_computed_again(tmp_path):
    store = VectorStore(tmp_path, 3, np.float32)
    store.append(["a", "b"], np.array([[1, 1, 1], [2, 2, 2]]))
    array = next(tmp_path.glob("vectors-*"))
    array.write_bytes(array.read_bytes()[:13])
    assert store.rows(["a", "b"]).keys() == {"a"}
    store.append(["c"], np.full((1, 3), 3.0))
    # The row that b had is c's now: b must not be found there.
    rows = store.rows(["a", "b", "c"])
    assert rows.keys() == {"a", "c"}
    assert (store.read([rows["c"]]) == 3).all()
    array.unlink()
    assert store.rows(["a", "c"]) == {}


def test_the_embedded_model_says_nothing_of_the_machine_that_made_it():
    data = find_model().data
    for trace in (b"/site-packages/", b'File "/', b"stack_trace", b"/home/", b"/src/i2pa"):
        assert trace not in data
