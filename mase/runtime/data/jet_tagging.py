"""``jet-tagging``: which particle did a jet come from? 16 features, five classes (hls4ml's LHC jets)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mase.ir.diagnostics import MaseError
from mase.runtime.data import register_data
from mase.runtime.data.options import flag
from mase.runtime.data.tables.column import Column, column_of
from mase.runtime.data.tables.files import read_table
from mase.runtime.data.tables.module import TableModule

__all__ = ["JetTagging"]

_OPENML = "hls4ml_lhc_jets_hlf"


@register_data("jet-tagging")
class JetTagging(TableModule):
    """830,000 simulated jets of gluons, light quarks, W, Z and top, by 16 features of their substructure.

    Args:
        path: a file with the table (csv, tsv, ARFF or Parquet; the class in the last column, or name the
            ``target``); without it, the set is read from OpenML.
        root: the folder where a download is kept, and looked for.
        download: whether to get it from OpenML if it is not there.
        options: those of every table.
    """

    def __init__(
        self, *, path: str | None = None, root: str = "data", download: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self._path, self._root = path, root
        self.download = flag("download", download)

    def located(self) -> Mapping[str, str]:
        return {} if self._path is None else {"path": str(self.place(self._path))}

    def columns(self) -> list[Column]:
        if self._path is not None:
            return read_table(self.place(self._path))
        root = self.place(str(Path(self._root).expanduser()))
        kept = root / "openml"  # where scikit-learn keeps what it got from there
        if not self.download and not kept.is_dir():
            raise MaseError.of(
                f"data set {self.name!r} is not in {root}",
                help=f"set [data] download = true, or get {_OPENML} from https://www.openml.org "
                'and name its file: path = "jets.arff"',
            )
        library: Any = import_module("sklearn.datasets")
        try:
            raw = library.fetch_openml(
                _OPENML, version=1, as_frame=False, parser="liac-arff", data_home=str(root)
            )
        except (OSError, ValueError) as error:
            raise MaseError.of(
                f"cannot get {_OPENML} from OpenML: {error}",
                help='get it by other means, and name its file: path = "jets.arff"',
            ) from None
        features = [
            Column(str(name), np.asarray(raw.data[:, i], np.float64))
            for i, name in enumerate(raw.feature_names)
        ]
        return [*features, column_of("class", [str(label) for label in raw.target])]
