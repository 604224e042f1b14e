"""onnxruntime on the CPU, with its optimiser and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mase.runtime.verification.engine import ENGINES, Arrays, Engine
from mase.runtime.verification.models import exposed, load

__all__ = ["EXACT", "OnnxRuntime", "Unoptimised"]

EXACT = {
    # CPUs without VNNI otherwise sum pairs of 8-bit products in 16 bits, which saturates.
    "session.x64quantprecision": "1",
    # Weights of 4 bits otherwise meet activations that are rounded to 8.
    "session.qdq_matmulnbits_accuracy_level": "1",
}
"""What a session must be told, so that integers stay integers."""

_FOLDER = "session.model_external_initializers_file_folder_path"


@ENGINES.register("onnxruntime")
class OnnxRuntime(Engine):
    """With all optimisations, so that layers run in integers."""

    kinds = frozenset({"float", "qdq", "integer"})
    packages = ("onnxruntime",)
    together = False
    optimised = True

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Sequence[str] = ()) -> Arrays:
        import onnxruntime as runtime

        ort: Any = runtime
        options = ort.SessionOptions()
        options.log_severity_level = 4
        for key, value in EXACT.items():
            options.add_session_config_entry(key, value)
        if not self.optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        model: Any = str(self.path)
        if names:
            options.add_session_config_entry(_FOLDER, str(self.path.parent))
            model = exposed(load(self.path, weights=False), names).SerializeToString()
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        wanted = [o.name for o in session.get_outputs()]
        return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))


@ENGINES.register("onnxruntime, not optimised")
class Unoptimised(OnnxRuntime):
    """Node by node, as the file says."""

    together = True
    optimised = False
