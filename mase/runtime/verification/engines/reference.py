"""ONNX's own reference, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from onnx import NodeProto
from onnx.helper import get_attribute_value

from mase.runtime.verification.engine import ENGINES, Arrays, Engine
from mase.runtime.verification.models import exposed, load

__all__ = ["OnnxReference"]


@ENGINES.register("onnx reference")
class OnnxReference(Engine):
    """``onnx.reference.ReferenceEvaluator``."""

    kinds = frozenset({"float", "qdq", "integer"})
    packages = ("onnx",)

    def unfit(self) -> str | None:
        nodes = load(self.path, weights=False).graph.node
        return next((reason for node in nodes if (reason := _defect(node))), None)

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        from onnx.reference import ReferenceEvaluator

        model = exposed(load(self.path), names)
        session: Any = ReferenceEvaluator(model, new_ops=[_gather_elements()])
        wanted = [o.name for o in model.graph.output]
        return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))


def _defect(node: NodeProto) -> str | None:
    """What the reference of onnx 1.23 computes wrongly in a node."""
    given: dict[str, Any] = {a.name: get_attribute_value(a) for a in node.attribute}
    name = f"onnx's reference computes {node.op_type} wrongly"
    pads = given.get("pads", [])
    if node.op_type == "MaxPool" and (len(set(pads)) > 1 or (len(pads) == 2 and any(pads))):
        return f"{name} with such pads"
    if node.op_type == "ConvTranspose" and given.get("group", 1) > 1:
        return f"{name} in groups"
    return name if node.op_type == "GlobalMaxPool" else None


def _gather_elements() -> Any:
    """``GatherElements`` of any size: the reference's own ends at 64 numbers (onnx 1.23)."""
    import numpy as np
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):
        op_domain = ""

        def _run(self, data: NDArray[Any], indices: NDArray[Any], axis: int = 0) -> tuple[NDArray[Any]]:
            return (np.take_along_axis(data, indices, axis),)

    return GatherElements
