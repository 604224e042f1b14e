"""ONNX's own reference, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mase.runtime.verification.engine import ENGINES, Arrays, Engine
from mase.runtime.verification.models import exposed, load

__all__ = ["OnnxReference"]


@ENGINES.register("onnx reference")
class OnnxReference(Engine):
    """``onnx.reference.ReferenceEvaluator``."""

    kinds = frozenset({"float", "qdq", "integer"})
    packages = ("onnx",)

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        from onnx.reference import ReferenceEvaluator

        model = exposed(load(self.path), names)
        session: Any = ReferenceEvaluator(model)
        wanted = [o.name for o in model.graph.output]
        return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))
