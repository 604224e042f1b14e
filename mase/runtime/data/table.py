"""``table:FILE``: a table in a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.runtime.data import register_data
from mase.runtime.data.tables.column import Column
from mase.runtime.data.tables.files import read_table
from mase.runtime.data.tables.module import TableModule

__all__ = ["TableFile"]


@register_data("table")
class TableFile(TableModule):
    """A csv, tsv, ARFF (also KEEL's ``.dat``) or Parquet file.

    Args:
        file: the training file.
        validation: a fraction of that file, or another file.
        test: a fraction of that file, or another file.
        header: whether the first row of a csv or tsv file holds names; by default, whether none of it is a
            number.
        options: those of every table.
    """

    def __init__(
        self,
        file: str,
        /,
        *,
        validation: float | str = 0.1,
        test: float | str = 0.2,
        header: bool | None = None,
        **options: Any,
    ) -> None:
        fractions = {
            name: value
            for name, value in {"validation": validation, "test": test}.items()
            if not isinstance(value, str)
        }
        super().__init__(**fractions, **options)
        self._file = file
        self._others = {
            split: value
            for split, value in {"val": validation, "test": test}.items()
            if isinstance(value, str)
        }
        if header is not None and not isinstance(header, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MaseError.of(f"header is {header!r}", help="set [data] header to true or false")
        self._header = header

    def located(self) -> Mapping[str, str]:
        names = {"val": "validation", "test": "test"}
        others = {names[split]: str(self.place(file)) for split, file in self._others.items()}
        return {"source": f"table:{self.place(self._file)}", **others}

    def columns(self) -> list[Column]:
        return self._read(self._file)

    def others(self) -> dict[str, list[Column]]:
        return {split: self._read(file) for split, file in self._others.items()}

    def _read(self, file: str) -> list[Column]:
        return read_table(self.place(file), header=self._header)
