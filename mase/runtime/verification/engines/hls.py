"""The C++ of an hls4ml project, compiled with g++."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mase.runtime.verification.engine import ENGINES, Arrays, Engine

__all__ = ["Hls"]


@ENGINES.register("hls4ml")
class Hls(Engine):
    """The emulation that hls4ml builds: the very code that a vendor's compiler turns into a circuit."""

    kinds = frozenset({"hls"})

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("g++") else "g++ is not installed"

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        from mase.runtime.hls.emulation import RECORD, emulate

        record = json.loads((self.path / RECORD).read_text())
        found = emulate(self.path, feeds[record["input"]], names)
        return {**found.values, record["output"]: found.output}
