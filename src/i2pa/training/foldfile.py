"""What cross-validation keeps of each fold, by the plan that it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.files import whole_file
from i2pa.models.backbones import BackboneWeights
from i2pa.training.absolute import PostFacts
from i2pa.training.recipes import NetworkRecipe, Recipe


@dataclass(frozen=True)
class FoldResult:
    """What one fold's model says of the pairs left out [n], and how it did within."""

    delta: Sequence[float]
    nats: Sequence[float]
    inner: float
    chosen: str


def kept_fold(place: Path, plan: str) -> FoldResult | None:
    """What a fold of the same plan left at `place`; raises DataError where that is damaged."""
    try:
        return FoldResult(**json.loads((place / _file(plan)).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            "damaged results of a fold", where=str(place / _file(plan)), remedy="delete the file"
        ) from error


def keep_fold(result: FoldResult, place: Path, plan: str) -> None:
    """Write it to `place`, whole."""
    place.mkdir(parents=True, exist_ok=True)
    with whole_file(place / _file(plan)) as aside:
        aside.write_text(json.dumps(asdict(result)))


def _file(plan: str) -> str:
    return f"fold-{plan[:16]}.json"


def fold_plan(
    recipe: Recipe | NetworkRecipe,
    weights: BackboneWeights,
    tables: Sequence[pa.Table | None],
    facts: PostFacts | None,
    own: bool,
    folds: int,
) -> str:
    """SHA-256 of all that decides what the folds say."""
    asked = [asdict(recipe), weights.key, own, folds]
    hashed = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for table in tables:
        hashed.update(b"none" if table is None else _bytes(table))
    if facts is not None:
        hashed.update(np.ascontiguousarray(facts.features).data)
    return hashed.hexdigest()


def _bytes(table: pa.Table) -> memoryview:
    """The same for the same rows, however they came in parts."""
    plain = table.replace_schema_metadata().unify_dictionaries().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return memoryview(sink.getvalue())
