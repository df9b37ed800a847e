"""JSON Lines, compressed or not: one object a line, any of its keys a column.

Lines are read a batch at a time, so that memory holds the columns asked for and one batch. Row
numbers are line numbers. What the columns mean stays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError
from i2pa.posts.database import database
from i2pa.posts.readers.source import BROKEN, Raw, Source, as_text
from i2pa.posts.readers.streams import line_batches

# Files up to this size (bytes of lines) are parsed once and not a second time for their values.
_KEPT_BYTES = 1 << 26


def open_json_lines(path: Path) -> Source:
    """One JSON object a line; nested values come as their JSON text."""
    first_row: dict[str, int] = {}
    kept: list[tuple[pa.Table, pa.Table]] = []
    size = 0
    for good, broken in sound_lines(path):
        with database() as connection:
            connection.register("good", good)
            found = connection.execute(
                "SELECT name, min(row) FROM (SELECT unnest(json_keys(line)) AS name, row FROM good)"
                " GROUP BY name"
            ).fetchall()
        for name, row in found:
            first_row[name] = min(row, first_row.get(name, row))
        size += good.nbytes
        kept = [*kept, (good, broken)] if size <= _KEPT_BYTES else []
    if not first_row:
        raise DataError(
            "none of its lines is a JSON object",
            where=str(path),
            remedy="write one object a line, or name another --format",
        )
    names = sorted(first_row, key=lambda name: (first_row[name], name))

    def read(wanted: Sequence[str]) -> Raw:
        paths = ['$."' + name.replace('"', '\\"') + '"' for name in wanted]
        tables, rejects = [], []
        for good, broken in kept if size <= _KEPT_BYTES else sound_lines(path):
            tables.append(_values(good, paths, wanted))
            rejects.append(broken)
        table = pa.concat_tables(tables).combine_chunks()
        rows = table["row"].combine_chunks()
        return Raw(table.drop_columns(["row"]), rows, pa.concat_tables(rejects))

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


def sound_lines(path: Path) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Batches of (line, row) that hold one JSON object each, and the broken rows beside them."""
    for lines, rows, broken in line_batches(path):
        text = as_text(pa.table({"line": lines}), rows, broken)
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
        bad = table.filter(pc.invert(sound))
        shown = pc.utf8_slice_codeunits(bad["line"], 0, 200)
        not_json = pa.table(
            [bad["row"], pa.repeat("is not a JSON object", len(bad)), shown], schema=BROKEN
        )
        yield table.filter(sound), pa.concat_tables([text.broken, not_json])
