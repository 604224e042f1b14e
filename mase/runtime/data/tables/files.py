"""Files of tables: csv, tsv, ARFF (also KEEL's dialect of it) and Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from mase.ir.diagnostics import Location, MaseError, did_you_mean
from mase.runtime.data.tables.column import MISSING, Column, column_of

__all__ = ["read_table"]


def read_table(path: Path, *, header: bool | None = None) -> list[Column]:
    """The columns of a file, whose format its extension tells.

    Args:
        path: ``.csv``, ``.tsv``, ``.arff``, ``.dat`` (KEEL) or ``.parquet``.
        header: whether the first row of a csv or tsv file holds names; None to see whether any of it is a
            number. Columns without names are called ``x1``, ``x2``, ...

    Raises:
        MaseError: if there is no such file, or it cannot be read as what it claims to be.
    """
    if not path.is_file():
        raise MaseError.of(f"there is no file {path}", help="name another one after table:")
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise MaseError.of(f"{path}: no table has the extension {kind!r}", help=did_you_mean(kind, _READERS))
    if header is not None and kind not in _DELIMITERS:
        raise MaseError.of(
            f"header is {header!r}, but {path} says itself what its columns are called",
            help="leave [data] header out",
        )
    columns = _READERS[kind](path, header)
    if not columns or not len(columns[0].values):
        raise MaseError.of(f"{path} holds no rows")
    return columns


def _delimited(path: Path, header: bool | None) -> list[Column]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_DELIMITERS[path.suffix.lower()], skipinitialspace=True)
        rows = [(reader.line_num, row) for row in reader if row]
    if not rows:
        return []
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise MaseError.of(
                f"{len(row)} values, but the first row has {width}",
                at=Location(str(path), line),
                help="put values that hold the separator into double quotes",
            )
    cells = [row for _, row in rows]
    named = not any(map(_is_number, cells[0])) if header is None else header
    names = [cell.strip() for cell in cells[0]] if named else [f"x{i + 1}" for i in range(width)]
    body = cells[1:] if named else cells
    return [column_of(name, [row[i] for row in body]) for i, name in enumerate(names)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _arff(path: Path, _: bool | None) -> list[Column]:
    arff: Any = import_module("scipy.io.arff")
    text = _KEELS_OWN.sub("", path.read_text(encoding="utf-8-sig")).replace("<null>", "?")
    try:
        data, meta = arff.loadarff(io.StringIO(text))
    except (arff.ArffError, ValueError, NotImplementedError, StopIteration, IndexError) as error:
        raise MaseError.of(
            f"{path} cannot be read as ARFF: {error or type(error).__name__}",
            help="numeric and nominal attributes are read, in the dense form of the format",
        ) from None
    columns: list[Column] = []
    for name in meta.names():
        kind, words = meta[name]
        if kind == "numeric":
            columns.append(Column(name, np.asarray(data[name], np.float64)))
        else:
            places = {word.encode(): float(place) for place, word in enumerate(words)}
            codes = np.array([places.get(cell, np.nan) for cell in data[name].tolist()])
            columns.append(Column(name, codes, tuple(words)))
    return columns


def _parquet(path: Path, _: bool | None) -> list[Column]:
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise MaseError.of(f"{path}: Parquet needs pyarrow", help="pip install 'mase[hf]'") from None
    try:
        read = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise MaseError.of(f"{path} cannot be read as Parquet: {error}") from None
    found = cast("Mapping[str, list[Any]]", read.to_pydict())
    return [
        column_of(name, ["" if value is None else str(value) for value in values])
        for name, values in found.items()
    ]


_KEELS_OWN = re.compile(r"^\s*@(inputs?|outputs?)\b.*\n", re.MULTILINE | re.IGNORECASE)
"""Lines of a head that say which columns are features; the rest of KEEL's format is ARFF."""
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_READERS: Mapping[str, Callable[[Path, bool | None], list[Column]]] = {
    ".arff": _arff,
    ".csv": _delimited,
    ".dat": _arff,
    ".parquet": _parquet,
    ".tsv": _delimited,
}
