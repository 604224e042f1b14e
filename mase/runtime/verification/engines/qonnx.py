"""The executor of qonnx, which knows Quant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from mase.runtime.verification.engine import ENGINES, Arrays, Engine
from mase.runtime.verification.models import fixed_sizes, load

__all__ = ["Qonnx"]


@ENGINES.register("qonnx")
class Qonnx(Engine):
    """``qonnx.core.onnx_exec``: standard operators in onnxruntime, QONNX's own in numpy."""

    kinds = frozenset({"qonnx"})
    packages = ("qonnx",)
    extra = "hls"

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        wrapper: Any = import_module("qonnx.core.modelwrapper").ModelWrapper
        execute: Any = import_module("qonnx.core.onnx_exec").execute_onnx
        model = fixed_sizes(load(self.path), feeds)
        found = execute(wrapper(model), dict(feeds), return_full_exec_context=bool(names))
        wanted = [*(o.name for o in model.graph.output), *names]
        return {name: found[name] for name in wanted if name in found}
