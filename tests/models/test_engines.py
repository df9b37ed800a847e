"""One contract for every engine that is installed, and what is said of those that are not."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
import small_models

from i2pa.errors import MissingExtraError, ModelError, UserInputError
from i2pa.models import onnx_engine
from i2pa.models.engine import (
    BOUND,
    ENGINES,
    OUTPUTS,
    PRECISIONS,
    SPREAD,
    installed_engines,
    load_engine,
    precision_named,
)
from i2pa.models.registry import find_model

REFERENCE = "onnxruntime"

# What an engine cannot promise, and why.
NOT_WITHIN_BOUND = {("openvino", "bfloat16"): "its factors have 8 bits; see i2pa models check"}
NO_PRECISION = {
    ("onnxruntime", "bfloat16"): "its processor kernels are float32",
    ("torch", "bfloat16"): "OpenVINO's is faster",
    ("cuda", "bfloat16"): "never measured",
}

CASES = [
    (engine, precision)
    for engine in ENGINES
    for precision in PRECISIONS
    if (engine, precision) not in NO_PRECISION
]


def load(engine, precision, model, **options):
    if engine not in installed_engines():
        pytest.skip(f"the engine {engine} is not installed here")
    try:
        return load_engine(model, engine=engine, precision=precision, **options)
    except UserInputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_models.tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def pixels():
    side = small_models.SIZE
    return np.random.default_rng(0).integers(0, 256, (7, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(model, pixels):
    return load_engine(model, engine=REFERENCE).run(pixels, OUTPUTS)


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_arrays_have_the_shapes_and_values_of_the_reference(
    engine, precision, model, pixels, expected
):
    runner = load(engine, precision, model, threads=2)
    assert runner.name.endswith(f"-{precision}")
    assert runner.precision == precision
    assert runner.batch >= 1
    assert runner.callers_a_core >= 1
    assert runner.outputs == OUTPUTS
    assert runner.metadata["i2pa.name"] == "tiny"
    got = runner.run(pixels, OUTPUTS)
    assert list(got) == list(OUTPUTS)
    for name in OUTPUTS:
        assert got[name].shape == expected[name].shape
        assert got[name].dtype == np.float32
    if (engine, precision) in NOT_WITHIN_BOUND:
        assert np.corrcoef(got["score"], expected["score"])[0, 1] > 0.9
    else:
        assert np.abs(got["score"] - expected["score"]).max() < BOUND
    assert list(runner.run(pixels, ("embedding",))) == ["embedding"]


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_a_score_depends_on_no_neighbour_no_order_and_no_thread(engine, precision, model, pixels):
    runner = load(engine, precision, model, threads=2)
    together = runner.run(pixels)["score"]
    again = runner.run(pixels)["score"]
    assert (together == again).all()
    for size in (1, 2):
        parts = [runner.run(pixels[at : at + size])["score"] for at in range(0, 7, size)]
        assert np.abs(np.concatenate(parts) - together).max() < BOUND
    assert np.abs(runner.run(pixels[::-1])["score"][::-1] - together).max() < BOUND
    one_by_one = [pixels[at : at + 1] for at in range(7)] * 8
    with ThreadPoolExecutor(5) as pool:
        scores = [result["score"][0] for result in pool.map(runner.run, one_by_one)]
    assert np.abs(np.array(scores) - np.tile(together, 8)).max() < BOUND


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_what_it_gives_is_the_callers_own(engine, precision, model, pixels):
    runner = load(engine, precision, model)
    first = runner.run(pixels[:1])["score"]
    kept = first.copy()
    runner.run(pixels[1:2])
    assert (first == kept).all()
    frozen = pixels[:1].copy()
    frozen.flags.writeable = False
    assert runner.run(frozen)["score"] == pytest.approx(kept, abs=BOUND)
    assert (frozen == pixels[:1]).all()


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_wrong_pixels_and_outputs_are_one_clear_line(engine, precision, model, pixels):
    runner = load(engine, precision, model)
    for wrong in (
        pixels[0],
        pixels[:0],
        pixels.astype(np.float32),
        pixels[:, :32],
        pixels[..., :2],
    ):
        with pytest.raises(ModelError, match=r"takes uint8 pixels \[n, 64, 64, 3\], not"):
            runner.run(wrong)
    with pytest.raises(ModelError, match="no output spread"):
        runner.run(pixels, (SPREAD,))


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_foreign_and_damaged_models_are_named(engine, precision, model):
    load(engine, precision, model)
    for data in (b"no model", model[:1000], b""):
        with pytest.raises(ModelError, match=r"mine\.onnx: ") as raised:
            load_engine(data, engine=engine, precision=precision, where="mine.onnx")
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_a_spread_comes_out_where_the_model_has_one(engine, precision, model, pixels):
    runner = load(engine, precision, small_models.with_spread(model))
    assert runner.outputs == (*OUTPUTS, SPREAD)
    got = runner.run(pixels, ("score", SPREAD))
    assert got[SPREAD].shape == (7,)
    assert got[SPREAD] == pytest.approx(np.logaddexp(0, got["score"]), abs=0.02)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != REFERENCE])
def test_the_default_model_scores_alike_on_every_float32_engine(engine):
    data = find_model().data
    runner = load(engine, "float32", data)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 260, 260, 3), dtype=np.uint8)
    pixels[0, 100:] = 200
    wanted = load_engine(data, engine=REFERENCE).run(pixels)["score"]
    assert np.abs(runner.run(pixels)["score"] - wanted).max() < BOUND


def test_auto_is_the_same_on_every_machine_and_never_takes_bfloat16_unasked(model):
    assert load_engine(model).name == "onnxruntime-cpu-float32"
    load("openvino", "bfloat16", model)
    assert load_engine(model, precision="bf16").name == "openvino-cpu-bfloat16"


def test_float32_is_set_though_the_processor_would_rather_have_bfloat16(model):
    runner = load("openvino", "float32", model)
    hint = runner._compiled.get_property("INFERENCE_PRECISION_HINT")
    assert hint.get_type_name() == "f32"


@pytest.mark.parametrize("package", ["openvino", "torch"])
def test_a_missing_engine_names_the_extra(package, model, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "i2pa.models.onnx_to_torch", raising=False)
    extra = {"openvino": "fast", "torch": "train"}[package]
    with pytest.raises(MissingExtraError, match=rf"i2pa\[{extra}\]"):
        load_engine(model, engine=package)
    assert package not in installed_engines()


@pytest.mark.skipif(onnx_engine.has_cuda(), reason="onnxruntime-gpu is installed here")
def test_cuda_says_what_it_lacks(model, monkeypatch):
    with pytest.raises(UserInputError, match="pip install onnxruntime-gpu"):
        load_engine(model, engine="cuda")
    assert "cuda" not in installed_engines()
    # A build for CUDA takes the processor by itself where it finds no card that it can use.
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda *arguments, providers, **options: real(
            *arguments, providers=[p for p in providers if isinstance(p, str)], **options
        ),
    )
    assert "cuda" in installed_engines()
    with pytest.raises(UserInputError, match="nvidia-smi"):
        load_engine(model, engine="cuda")


def test_unknown_engines_and_precisions_are_refused_with_the_choice(model):
    with pytest.raises(UserInputError, match="auto, onnxruntime, openvino, torch, cuda"):
        load_engine(model, engine="tensorrt")
    with pytest.raises(UserInputError, match="float32, bfloat16"):
        load_engine(model, precision="float16")
    with pytest.raises(UserInputError, match="int8 is refused"):
        load_engine(model, precision="int8")
    for engine, precision in NO_PRECISION:
        says = f"{engine} has no precision {precision}; give --precision float32, or"
        with pytest.raises(UserInputError, match=says):
            load_engine(model, engine=engine, precision=precision)
    assert precision_named("bf16") == "bfloat16"


@pytest.mark.skipif("openvino" not in installed_engines(), reason="OpenVINO is not installed here")
def test_openvino_reports_to_nobody(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from i2pa.models.registry import find_model;"
        "from i2pa.models.engine import load_engine;"
        "load_engine(find_model().data, engine='openvino');"
        "print([m for m in sys.modules if m.startswith('openvino_telemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if k != "CI"} | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert list(home.rglob("*")) == []


@pytest.mark.skipif("openvino" not in installed_engines(), reason="OpenVINO is not installed here")
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_is_no_crash_after_engines_have_come_and_gone():
    code = (
        "import os, signal;"
        "from i2pa.models.registry import find_model;"
        "from i2pa.models.engine import load_engine;"
        "data = find_model().data;"
        "first = load_engine(data, engine='openvino');"
        "second = load_engine(data, engine='openvino');"
        "del first; del second;"
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif("openvino" not in installed_engines(), reason="OpenVINO is not installed here")
def test_the_first_calls_of_openvino_wait_for_no_other(tmp_path, model):
    # Without a call before them one process in six stood still, holding the interpreter's lock.
    (tmp_path / "tiny.onnx").write_bytes(model)
    code = (
        "import sys, threading; sys.setswitchinterval(1e-6)\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from i2pa.models.engine import load_engine\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "engine = load_engine(data, engine='openvino', threads=2)\n"
        f"pixels = np.zeros((2, {small_models.SIZE}, {small_models.SIZE}, 3), np.uint8)\n"
        "gate = threading.Barrier(4)\n"
        "work = lambda: (gate.wait(), engine.run(pixels, ('score', 'embedding')))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    for _ in range(8):
        subprocess.run([sys.executable, "-c", code, tmp_path / "tiny.onnx"], check=True, timeout=60)


def test_torch_refuses_operations_it_does_not_know(model):
    import onnx

    pytest.importorskip("torch")
    proto = onnx.load_from_string(model)
    proto.graph.node[1].op_type = "CastLike"
    with pytest.raises(ModelError, match="does not know the operation CastLike"):
        load_engine(proto.SerializeToString(), engine="torch")
