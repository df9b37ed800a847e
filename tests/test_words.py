from __future__ import annotations

import numpy as np
import pytest

from i2pa.words import many


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 days"),
        (1, "1 day"),
        (1.0, "1 day"),
        (0.5, "0.5 days"),
        (1234567, "1,234,567 days"),
        (np.int64(2000), "2,000 days"),
        (np.int64(1), "1 day"),
    ],
)
def test_one_is_not_many(number: float, said: str) -> None:
    assert many(number, "day") == said
