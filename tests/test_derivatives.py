"""The table of derivatives in the model card is that of the script which prints it."""

import importlib.util
import io
import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
CARD = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts" / "derivatives.py"
    spec = importlib.util.spec_from_file_location("derivatives", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_card_shows_every_derivative(script):
    section = CARD.partition("## Always the same derivative")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| ((?:long side|own size)[^|]*) \|", section, re.M)
    assert shown == list(script.derivatives())


def test_each_is_what_it_is_called(script):
    image = Image.new("RGB", (300, 200), "teal")
    for name, derive in script.derivatives().items():
        data = derive(image)
        if "HEIC" in name:
            assert data[4:8] == b"ftyp"
            continue
        made = Image.open(io.BytesIO(data))
        assert made.format in name
        side = re.match(r"long side (\d+)", name)
        assert max(made.size) == (int(side[1]) if side else 300)
