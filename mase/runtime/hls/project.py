"""An hls4ml project from a quantized graph, by way of QONNX."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import tempfile
from collections.abc import Generator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Expr, Graph, MaseError
from mase.ir.ops import conv as conv_ops
from mase.ir.ops.quantized import QuantizedOp, float_op
from mase.runtime.hls.forms import check_forms
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.precision import input_precision, precision_of

__all__ = ["RECORD", "predict", "write_project"]

RECORD = "mase.json"
"""What mase knows of a project, in its folder."""

_NAME, _MODEL = "mase", "mase.onnx"


def write_project(graph: Graph, path: Path, options: HlsOptions) -> str:
    """Write a project, build its emulation with g++, and return the precision that it computes in.

    Args:
        graph: a graph of level ``quantized``.
        path: the project's folder, which is replaced whole.
        options: the hardware.

    Raises:
        MaseError: if hls4ml or qonnx is missing, or the graph holds what hls4ml computes wrongly.
    """
    for package in ("hls4ml", "qonnx"):
        if find_spec(package) is None:
            raise MaseError.of(f"{package} is not installed", help="pip install 'mase[hls]'")
    check_forms(graph)
    if options.io_type == "io_stream" and _is_convolutional(graph):
        raise MaseError.of(
            "io_stream takes channels last, and images come channels first",
            help='io_type="io_parallel" is exact',
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")).absolute()
    precision = precision_of(graph)
    try:
        with _quiet():
            _project(graph, folder, options, precision).compile()
        record = {
            "format": "hls",
            "precision": precision,
            "input": graph.inputs[0].name,
            "output": graph.outputs[0].name,
            "shape": [str(d) for d in graph.outputs[0].tensor_type.shape],
        }
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        settings = folder / "hls4ml_config.yml"
        settings.write_text(settings.read_text().replace(str(folder), str(path.absolute())))
        folder.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        folder.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return precision


def predict(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    """What a project's C++ computes, compiled with g++.

    Args:
        path: the project's folder.
        x: a batch of inputs as the model takes them.
    """
    with _quiet():
        model = import_module("hls4ml.converters").link_existing_project(str(path))
        model.compile()
        result: NDArray[Any] = model.predict(np.ascontiguousarray(x, np.float32))
    return result.reshape(len(x), -1)


def _is_convolutional(graph: Graph) -> bool:
    return any(isinstance(float_op(n.op), conv_ops.Conv) for n in graph.find(QuantizedOp))


def _project(graph: Graph, folder: Path, options: HlsOptions, precision: str) -> Any:
    converters, utils = import_module("hls4ml.converters"), import_module("hls4ml.utils")
    model = _simplified(graph)
    config = utils.config_from_onnx_model(
        model,
        granularity="name",
        backend=options.backend,
        default_precision=precision,
        default_reuse_factor=options.reuse_factor,
    )
    _widen_input(config, input_precision(graph))
    given = {} if options.part is None else {"part": options.part}
    project = converters.convert_from_onnx_model(
        model,
        output_dir=str(folder.absolute()),
        project_name=_NAME,
        backend=options.backend,
        clock_period=options.clock,
        io_type=options.io_type,
        hls_config=config,
        **given,
    )
    # The project remembers the model itself, as a Python object that no safe reader takes.
    model.save(str(folder / _MODEL))
    project.config.config["OnnxModel"] = _MODEL
    return project


def _widen_input(config: dict[str, Any], precision: str) -> None:
    for name, layer in config["LayerName"].items():
        if name.startswith("global_in"):
            layer["Precision"] = {"result": precision}


def _simplified(graph: Graph) -> Any:
    """The graph as QONNX in the form that hls4ml reads: sizes fixed, channels last, no Gemm."""
    from mase.runtime.onnx import QonnxQuantizers, print_graph
    from mase.runtime.onnx.saving import infer_shapes
    from mase.runtime.verification.models import fixed_sizes

    model = print_graph(graph, QonnxQuantizers(), "qonnx")
    infer_shapes(model)
    (source,) = graph.inputs
    shape = [1 if isinstance(d, Expr) else d for d in source.tensor_type.shape]
    cleanup = import_module("qonnx.util.cleanup").cleanup_model
    wrapper = import_module("qonnx.core.modelwrapper").ModelWrapper
    made = cleanup(wrapper(fixed_sizes(model, {source.name: np.zeros(shape, np.float32)})))
    transformations = (
        import_module("qonnx.transformation.channels_last"),
        import_module("qonnx.transformation.gemm_to_matmul"),
    )
    if _is_convolutional(graph):
        made = made.transform(transformations[0].ConvertToChannelsLastAndClean())
    return cleanup(made.transform(transformations[1].GemmToMatMul()))


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """hls4ml tells much, also from C++; only its failures matter here."""
    logging.getLogger("hls4ml").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
