"""Arrow's reader of CSV, out of the way of Ctrl-C and SIGTERM."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv


def read_csv(*given: Any) -> pa.Table:
    """`pyarrow.csv.read_csv`; Ctrl-C is KeyboardInterrupt at once, whatever is left to read.

    In the main thread Arrow handles the signals itself and asks another thread what came; where
    that one is late, on a busy machine, the signal is lost.
    """
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(pa_csv.read_csv, *given).result()
    finally:
        pool.shutdown(wait=False)
