import subprocess
import sys

import pytest

import i2pa

HEAVY = (
    "torch",
    "duckdb",
    "pyarrow",
    "onnx",
    "scipy",
    "onnxruntime",
    "PIL",
    "matplotlib",
    "openvino",
    "filelock",
)


def test_every_public_name_is_there():
    assert i2pa.__all__ == sorted(i2pa.__all__)
    for name in i2pa.__all__:
        assert getattr(i2pa, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = i2pa.nonsense


def loaded_after(code):
    script = f"import sys; {code}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_is_light():
    assert loaded_after("import i2pa") == set()


def test_ranking_loads_nothing_that_the_base_install_lacks():
    loaded = loaded_after("from i2pa.cli import app; from i2pa import load_model; load_model()")
    assert loaded <= {"onnxruntime", "PIL"}
