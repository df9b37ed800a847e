"""JSON Lines, compressed or not: one object a line, any of its keys a column.

Lines are read a batch at a time, so that memory holds the columns asked for and one batch. Row
numbers are line numbers. What the columns mean stays out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError
from i2pa.posts.database import database
from i2pa.posts.readers.source import BOOLEAN, BROKEN, NESTED, Raw, Source, as_text
from i2pa.posts.readers.streams import line_batches

# Files up to this size (bytes of lines) are parsed once and not a second time for their values.
_KEPT_BYTES = 1 << 26
_KINDS = {"OBJECT": NESTED, "ARRAY": NESTED, "BOOLEAN": BOOLEAN}


def open_json_lines(path: Path) -> Source:
    """One JSON object a line; nested values and booleans come as JSON text, and marked as odd."""
    first_row: dict[str, int] = {}
    kept: list[SoundLines] = []
    size = 0
    for part in sound_lines(path):
        with database() as connection:
            connection.register("good", part.good)
            found = connection.execute(
                "SELECT name, min(row) FROM (SELECT unnest(json_keys(line)) AS name, row FROM good)"
                " GROUP BY name"
            ).fetchall()
        for name, row in found:
            first_row[name] = min(row, first_row.get(name, row))
        size += part.good.nbytes
        kept = [*kept, part] if size <= _KEPT_BYTES else []
    if not first_row:
        raise DataError(
            "none of its lines is a JSON object",
            where=str(path),
            remedy="write one object a line, or name another --format",
        )
    names = sorted(first_row, key=lambda name: (first_row[name], name))

    def read(wanted: Sequence[str]) -> Raw:
        paths = ['$."' + name.replace('"', '\\"') + '"' for name in wanted]
        tables, rejects, damage = [], [], ""
        marked: list[dict[str, pa.Array]] = []
        for part in kept if size <= _KEPT_BYTES else sound_lines(path):
            tables.append(_values(part.good, paths, wanted))
            marked.append(_odd(part.good, tables[-1], paths))
            rejects.append(part.broken)
            damage = part.damage
        table = pa.concat_tables(tables).combine_chunks()
        rows = table.column(len(wanted)).combine_chunks()
        broken = pa.concat_tables(rejects)
        columns = table.select(range(len(wanted)))
        odd = _joined(marked, [part.num_rows for part in tables])
        return Raw(columns, rows, broken, damage=damage, odd=odd)

    return Source(names, read)


def _values(good: pa.Table, paths: Sequence[str], names: Sequence[str]) -> pa.Table:
    with database() as connection:
        connection.register("good", good)
        query = "SELECT row, json_extract_string(line, $paths) AS found FROM good"
        values = connection.sql(query, params={"paths": list(paths)}).to_arrow_table()
    found = values["found"].combine_chunks()
    columns = [
        pc.list_element(found, i) if len(found) else pa.array([], pa.string())
        for i in range(len(names))
    ]
    # Its own name last: an export may well have a column called `row`.
    return pa.table([*columns, values["row"]], names=[*names, "row"])


def _odd(good: pa.Table, values: pa.Table, paths: Sequence[str]) -> dict[str, pa.Array]:
    """NESTED or BOOLEAN for each value that is that, by the columns that have such values."""
    found = {}
    for place, path in enumerate(paths):
        texts = values.column(place)
        # A caption may begin with a bracket and be text all the same: JSON knows.
        opens = pc.or_(pc.starts_with(texts, "{"), pc.starts_with(texts, "["))
        doubtful = pc.or_(opens, pc.is_in(texts, pa.array(["true", "false"]))).fill_null(False)
        rows = np.flatnonzero(doubtful.to_numpy())
        if not rows.size:
            continue
        with database() as connection:
            connection.register("good", good.take(pa.array(rows)))
            query = "SELECT json_type(line, $path) AS kind FROM good"
            types = connection.sql(query, params={"path": path}).to_arrow_table()["kind"]
        kinds = [_KINDS.get(kind) for kind in types.to_pylist()]
        if any(kinds):
            marks = np.full(values.num_rows, None, dtype=object)
            marks[rows] = kinds
            found[values.column_names[place]] = pa.array(marks, pa.string())
    return found


def _joined(
    marked: Sequence[Mapping[str, pa.Array]], lengths: Sequence[int]
) -> dict[str, pa.ChunkedArray]:
    """The marks of several batches end to end; a batch without marks in a column has nulls."""
    nulls = [pa.nulls(length, pa.string()) for length in lengths]
    return {
        name: pa.chunked_array(
            [marks.get(name, null) for marks, null in zip(marked, nulls, strict=True)]
        )
        for name in {name for marks in marked for name in marks}
    }


@dataclass(frozen=True)
class SoundLines:
    """Lines that hold one JSON object each (line, row), the broken rows beside them, and damage."""

    good: pa.Table
    broken: pa.Table
    damage: str


def sound_lines(path: Path) -> Iterator[SoundLines]:
    """The lines of a file, a batch at a time; `damage` comes with the last."""
    for batch in line_batches(path):
        text = as_text(pa.table({"line": batch.lines}), batch.rows, batch.broken)
        table = text.columns.append_column("row", text.rows)
        with database() as connection:
            connection.register("lines", table)
            # What is JSON and opens with a brace is an object: one parse, not two.
            sound = (
                connection.sql(
                    "SELECT json_valid(line) AND starts_with(ltrim(line, ' \t\r'), '{') AS sound "
                    "FROM lines"
                )
                .to_arrow_table()["sound"]
                .combine_chunks()
            )
        good, bad = table.filter(sound), table.filter(pc.invert(sound))
        if len(bad):
            good, bad = _with_halves_replaced(good, bad)
        shown = pc.utf8_slice_codeunits(bad["line"], 0, 200)
        not_json = pa.table(
            [bad["row"], pa.repeat("is not a JSON object", len(bad)), shown], schema=BROKEN
        )
        yield SoundLines(good, pa.concat_tables([text.broken, not_json]), batch.damage)


def _with_halves_replaced(good: pa.Table, bad: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Objects whose one fault is half of a pair of UTF-16 (a cut emoji), that half replaced."""
    lines = bad["line"].to_pylist()
    mended = [_mended(line) for line in lines]
    is_mended = pa.array([line is not None for line in mended])
    if not pc.any(is_mended, min_count=0).as_py():
        return good, bad
    rescued = bad.set_column(0, "line", pa.array(mended, pa.string())).filter(is_mended)
    found = pa.concat_tables([good, rescued]).sort_by("row")
    return found, bad.filter(pc.invert(is_mended))


def _mended(line: str) -> str | None:
    if "\\ud" not in line.lower():
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    text = json.dumps(found, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
