"""An hls4ml project from a quantized graph."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mase.ir import Graph, MaseError
from mase.runtime.hls.emulation import NAME, RECORD, build
from mase.runtime.hls.network import Layer, Value
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.printer import Network, print_network

__all__ = ["Written", "write_project"]

_SETTINGS = "hls4ml_config.yml"


@dataclass(frozen=True)
class Written:
    """What a project holds.

    Args:
        layers: with the types of their numbers.
        reuse: the factor of each layer with weights: the nearest that its shape allows.
        strategies: of layers that cannot have the one that was asked for.
    """

    layers: list[Layer]
    reuse: dict[str, int]
    strategies: dict[str, str]


def write_project(graph: Graph, path: Path, options: HlsOptions) -> Written:
    """Write a project, and build its emulation with g++.

    Args:
        graph: a graph of level ``quantized`` or ``integer``.
        path: the project's folder, which is replaced whole.
        options: the hardware.

    Raises:
        MaseError: if hls4ml is missing, or the graph holds what it computes wrongly.
    """
    if find_spec("hls4ml") is None:
        raise MaseError.of("hls4ml is not installed", help="pip install 'mase[hls]'")
    network = print_network(graph, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")).absolute()
    try:
        with _quiet():
            project = _project(network, folder, options)
            project.write()
        (folder / RECORD).write_text(json.dumps(_record(graph, network), indent=2) + "\n")
        settings = folder / _SETTINGS
        settings.write_text(settings.read_text().replace(str(folder), str(path.absolute())))
        folder.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        folder.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.emulate:
        build(path)
    unasked = [n for n in network.layers if _knows_latency_only(n, options) and options.strategy != "latency"]
    return Written(network.layers, _reuse(project), {layer.name: "latency" for layer in unasked})


def _record(graph: Graph, network: Network) -> dict[str, Any]:
    return {
        "format": "hls",
        "input": graph.inputs[0].name,
        "input_axes": network.input_axes,
        "input_format": None if network.port.format is None else str(network.port.format),
        "input_scale": network.port.scale,
        "output": graph.outputs[0].name,
        "outputs": math.prod(network.output.shape),
        "output_shape": network.output_shape,
        "output_places": network.output.places.reshape(-1).tolist(),
        "output_scales": network.scales,
        "values": {name: _place(value) for name, value in network.values.items() if value.axes()},
        "types": {layer.name: layer.types for layer in network.layers},
    }


def _place(value: Value) -> dict[str, Any]:
    return {"layer": value.layer, "shape": value.shape, "axes": value.axes()}


def _project(network: Network, folder: Path, options: HlsOptions) -> Any:
    backend: Any = import_module("hls4ml.backends").get_backend(options.backend)
    config: dict[str, Any] = backend.create_initial_config(
        part=options.part, clock_period=options.clock, io_type=options.io_type
    )
    config |= {"OutputDir": str(folder), "ProjectName": NAME, "Backend": options.backend}
    config["TraceOutput"] = True
    config["HLSConfig"] = {
        "Model": {
            "Precision": {"default": "fixed<32,16>"},
            "ReuseFactor": options.reuse_factor,
            "Strategy": options.strategy.capitalize(),
        },
        "LayerName": {layer.name: _settings(layer, network, options) for layer in network.layers},
    }
    layers = [layer.settings() for layer in network.layers]
    model = import_module("hls4ml.model.graph").ModelGraph
    project = model.from_layer_list(config, layers, [network.layers[0].name], [network.output.layer])
    _check_types(project, network)
    return project


def _settings(layer: Layer, network: Network, options: HlsOptions) -> dict[str, Any]:
    traced = any(value.layer == layer.name and value.axes() for value in network.values.values())
    found: dict[str, Any] = {"Precision": dict(layer.types), "Trace": traced}
    return found | ({"Strategy": "Latency"} if _knows_latency_only(layer, options) else {})


def _knows_latency_only(layer: Layer, options: HlsOptions) -> bool:
    """hls4ml has no depthwise convolutions of whole images with weights from memories."""
    return layer.kind.startswith("Depthwise") and options.io_type == "io_parallel"


def _check_types(project: Any, network: Network) -> None:
    """Every result has the type that was computed for it: hls4ml's own would wrap around."""
    convert = project.config.backend.convert_precision_string
    made = {layer.name: layer for layer in project.get_layers()}
    for layer in network.layers:
        if layer.name in made and "result" in layer.types:
            found = made[layer.name].get_output_variable().type.precision
            if str(found) != str(convert(layer.types["result"])):
                raise MaseError.of(f"hls4ml gives {layer.name} the type {found}, not {layer.types['result']}")


def _reuse(project: Any) -> dict[str, int]:
    weighted = (layer for layer in project.get_layers() if "weight" in layer.weights)
    return {layer.name: int(layer.get_attr("reuse_factor", 1)) for layer in weighted}


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep what hls4ml tells, which is much: only its failures matter here."""
    logging.getLogger("hls4ml").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
