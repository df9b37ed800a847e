"""What tests of `score` work on; a file with an album of its own has it in place of this one."""

import pytest
from command_runner import run

from tiny_models import noise, tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Three pictures, and the folder worked in is theirs."""
    for number, path in enumerate(noise(tmp_path, 3)):
        path.rename(tmp_path / f"{'abc'[number]}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def score(capsys, tiny):
    def run_score(*arguments):
        return run(capsys, "score", *arguments, "--model", tiny)

    return run_score
