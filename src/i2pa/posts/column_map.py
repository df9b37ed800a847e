"""A column map in a YAML file: our column names to those of an export.

    likes: like_count
    post_id: shortcode

Which names there are is checked by `columns`, once the export is open.
"""

from __future__ import annotations

import os
from pathlib import Path

from i2pa.errors import UserInputError, needs_extra

_REMEDY = "write one line a column, as likes: like_count"


def load_column_map(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a map {ours: theirs}; raises UserInputError where the file is missing or no such map."""
    with needs_extra("a column map in YAML", "data"):
        import yaml
    file = Path(path)
    try:
        text = file.read_bytes()
        found = yaml.safe_load(text)
        top = yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        what = f"the column map cannot be read ({error.strerror})"
        raise UserInputError(what, where=str(file)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1}: {getattr(error, 'problem', '')})" if mark else ""
        raise UserInputError(f"is not YAML{line}", where=str(file), remedy=_REMEDY) from error
    if not isinstance(found, dict) or not found:
        raise UserInputError("holds no column map", where=str(file), remedy=_REMEDY)
    keys = [key.value for key, _ in top.value]
    for ours in keys:
        if keys.count(ours) > 1:
            what = f"{ours} is there twice"
            raise UserInputError(what, where=str(file), remedy="keep one of the lines")
    for ours, theirs in found.items():
        # `date: 2019-01-01` or `id: 5` would be other types: quotes keep them text.
        if not isinstance(ours, str) or not isinstance(theirs, str):
            raise UserInputError(
                f"{ours!r}: {theirs!r} is not a column to a column",
                where=str(file),
                remedy=f"{_REMEDY}; quote names that look like numbers or dates",
            )
    return dict(found)
