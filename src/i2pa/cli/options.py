"""The options of commands that score pictures, each with one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from i2pa.cores import MOST_THREADS

# As text, since a path would not come out as it was given.
Places = Annotated[
    list[str],
    typer.Argument(
        help="Folders (searched in depth), picture files, globs, lists of paths (.txt), tables of "
        "paths (.csv, .tsv, .jsonl, .parquet), or - for a list on stdin."
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option("--column", help="Column of paths in a table; default: image, path, file…"),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Name of a model, a .onnx file or a run folder.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="auto, onnxruntime, openvino, torch or cuda.")
]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="float32, or bfloat16: faster, scores a little different."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
JsonlFlag = Annotated[
    bool, typer.Option("--jsonl", help="Print JSON Lines, each as soon as it is known.")
]
OutFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to a .json, .csv or .parquet file instead."),
]
RowsFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to a .csv, .jsonl, .parquet or .json file instead."),
]
CarryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--carry",
        metavar="COLUMN",
        help="Take a column of the table along, such as an id; may be given again.",
    ),
]
QuietFlag = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Neither progress nor summary; what fails is still named.",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep scores of earlier runs.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read and hash files again even if they seem unchanged.")
]

ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, max=MOST_THREADS, help="How many cores to use (default: all)."
    ),
]
DecodeMemory = Annotated[
    int | None,
    typer.Option(
        "--decode-memory",
        metavar="MB",
        min=1,
        max=4000,
        help="Memory that decoding one picture may take (default: 400).",
    ),
]
