"""What cross-validation keeps of each fold, by the plan that it belongs to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.files import left_aside, whole_file
from i2pa.models.backbones import BackboneWeights
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training.absolute import PostFacts
from i2pa.training.journal import METRICS_FILE, remove_events
from i2pa.training.recipes import NetworkRecipe, Recipe, training_facts

_PLACE = re.compile(r"fold-\d+-[0-9a-f]{16}")
_RESULT = re.compile(r"fold-[0-9a-f]{16}\.json")
_ASIDE = re.compile(rf"\.{_RESULT.pattern}\..{{8}}")


@dataclass(frozen=True)
class FoldPlan:
    """SHA-256 of all that decides how folds are trained, and of all that decides what they say."""

    training: str
    results: str


@dataclass(frozen=True)
class FoldResult:
    """What one fold's model says of the pairs left out [n], and how it did within."""

    delta: Sequence[float]
    nats: Sequence[float]
    inner: float
    chosen: str


def fold_place(folder: Path, fold: int, plan: FoldPlan) -> Path:
    """Where `folder` keeps a fold's results; plans alike in training share its checkpoint."""
    return folder / f"fold-{fold}-{plan.training[:16]}"


def holds_results_alone(folder: Path) -> bool:
    """Whether all that `folder` holds are results of folds, whole or half written."""
    return folder.is_dir() and all(
        place.is_dir()
        and _PLACE.fullmatch(place.name)
        and all(_RESULT.fullmatch(f.name) or _ASIDE.fullmatch(f.name) for f in place.iterdir())
        for place in folder.iterdir()
    )


def remove_folds(folder: Path) -> None:
    """Remove what folds left in `folder`, and it where nothing else is there."""
    places = folder.iterdir() if folder.is_dir() else ()
    for place in [place for place in places if _PLACE.fullmatch(place.name) and place.is_dir()]:
        names = (CHECKPOINT_FILE, METRICS_FILE)
        files = [file for name in names for file in (place / name, *left_aside(place / name))]
        files += [
            f for f in place.iterdir() if _RESULT.fullmatch(f.name) or _ASIDE.fullmatch(f.name)
        ]
        for file in files:
            file.unlink(missing_ok=True)
        remove_events(place)
        _remove_empty(place)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def kept_fold(place: Path, plan: FoldPlan) -> FoldResult | None:
    """What a fold of the same plan left at `place`; raises DataError where that is damaged."""
    try:
        return FoldResult(**json.loads((place / _file(plan)).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            "damaged results of a fold", where=str(place / _file(plan)), remedy="delete the file"
        ) from error


def keep_fold(result: FoldResult, place: Path, plan: FoldPlan) -> None:
    """Write it to `place`, whole."""
    place.mkdir(parents=True, exist_ok=True)
    with whole_file(place / _file(plan)) as aside:
        aside.write_text(json.dumps(asdict(result)))


def _file(plan: FoldPlan) -> str:
    return f"fold-{plan.results[:16]}.json"


def fold_plan(
    recipe: Recipe | NetworkRecipe,
    weights: BackboneWeights,
    tables: Sequence[pa.Table | None],
    facts: PostFacts | None,
    own: bool,
    folds: int,
    pictures: Mapping[str, str],
) -> FoldPlan:
    """The plan of folds; `pictures` gives the SHA-256 of each that can be read, by name."""
    asked = [weights.key, own, folds, dict(pictures)]
    hashed = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for table in tables:
        hashed.update(b"none" if table is None else _bytes(table))
    if facts is not None:
        hashed.update(np.ascontiguousarray(facts.features).data)
    plans = []
    for fields in (training_facts(recipe), asdict(recipe)):
        whole = hashed.copy()
        whole.update(json.dumps(fields, sort_keys=True).encode())
        plans.append(whole.hexdigest())
    return FoldPlan(*plans)


def _bytes(table: pa.Table) -> memoryview:
    """The same for the same rows, however they came in parts."""
    plain = table.replace_schema_metadata().unify_dictionaries().combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    return memoryview(sink.getvalue())
