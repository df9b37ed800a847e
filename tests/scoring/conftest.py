import re
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published_scores():
    """The example pictures' scores as the model card prints them."""
    card = (Path(__file__).parents[2] / "docs" / "model-card.md").read_text(encoding="utf-8")
    return {
        name: float(score)
        for name, score in re.findall(r"^\| (\S+\.(?:png|jpg)) \| ([-+]\d+\.\d+) \|", card, re.M)
    }
