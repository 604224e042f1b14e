"""hls4ml projects: what is written where hls4ml reads it, and the C++ against the model on many ties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mase
from mase.ir import Graph, MaseError
from mase.runtime.hls.emulation import emulate, shown
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.project import write_project
from mase.runtime.verification import expected_values, vectors_for
from tests.runtime import integer_graphs
from tests.runtime.hls.models import MODELS, Convolutional, mlp, quantized


def written(folder: Path, graph: Graph | None = None, **options: Any) -> str:
    """All the text of a project that is not compiled."""
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    graph = graph or quantized(mlp(), torch.randn(2, 16))
    write_project(graph, folder / "p", HlsOptions(emulate=False, **options))
    files = [p for p in (folder / "p").rglob("*") if p.suffix in (".tcl", ".yml", ".h", ".json", ".cpp", "")]
    return "\n".join(p.read_text() for p in files if p.is_file() and "nnet_utils" not in str(p))


# ------------------------------------------------------------------------------------ what is written where


def test_vitis_reads_the_part_the_clock_and_the_reuse_factor(tmp_path: Path) -> None:
    options = {"part": "xc7z020clg400-1", "clock": 8.0, "reuse_factor": 4, "strategy": "resource"}
    text = written(tmp_path, **options)
    assert 'set part "xc7z020clg400-1"' in text
    assert "set clock_period 8.0" in text
    assert "static const unsigned reuse_factor = 4;" in text
    assert "static const unsigned strategy = nnet::resource;" in text


def test_quartus_reads_the_part_and_the_clock(tmp_path: Path) -> None:
    text = written(tmp_path, backend="Quartus", part="Stratix10", clock=4.0)
    assert "Stratix10" in text
    assert "-march=Stratix10" in text or "DEVICE   := Stratix10" in text


def test_streams_are_written(tmp_path: Path) -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    text = written(tmp_path, graph, io_type="io_stream")
    assert "hls::stream<input_t> &x" in text
    assert "nnet::io_stream" in text


def test_the_types_of_each_layer_are_those_of_the_record(tmp_path: Path) -> None:
    written(tmp_path, MODELS["formats of each layer"].graph())
    record = json.loads((tmp_path / "p" / "mase.json").read_text())
    defines = (tmp_path / "p" / "firmware" / "defines.h").read_text()
    assert "typedef ap_fixed<4,3,AP_RND,AP_SAT,0>" in defines
    for types in record["types"].values():
        assert f"ap_{types['result'].rstrip('>')}".replace(",RND", ",AP_RND").split(",")[0] in defines


def test_a_reuse_factor_that_no_layer_has_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    graph = quantized(mlp(), torch.randn(2, 16))
    found = write_project(
        graph, tmp_path / "p", HlsOptions(emulate=False, strategy="resource", reuse_factor=7)
    )
    assert set(found.reuse.values()) != {7}
    hls = "{emulate=false,strategy='resource',reuse_factor=7}"
    mase.Pipeline(f"export{{format='hls',hls={hls}}}").run(graph, output_dir=tmp_path)
    assert "nearest that its shape allows" in caplog.text


def test_a_strategy_that_a_layer_cannot_have_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """hls4ml writes depthwise convolutions that end the program, where weights come from memories."""
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    hls = "{emulate=false,strategy='resource'}"
    mase.Pipeline(f"export{{format='hls',hls={hls}}}").run(graph, output_dir=tmp_path)
    assert "strategy of depthwise is latency" in caplog.text


def test_options_of_other_formats_are_refused() -> None:
    with pytest.raises(MaseError, match='hls is for format="hls"'):
        mase.Pipeline("export{format='qdq',hls={clock=3.0}}").run(quantized(mlp(), torch.randn(2, 16)))


# ------------------------------------------------------------------------------------------- the C++ itself


def mismatches(graph: Graph, folder: Path, samples: int = 200, **options: Any) -> tuple[int, int, int]:
    """How many numbers differ, how many there are, and how many codes they take."""
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    write_project(graph, folder / "p", HlsOptions(emulate=False, **options))
    vectors = vectors_for(graph, samples)
    (expected,) = expected_values(graph, vectors).outputs.values()
    (x,) = vectors.values()
    found = emulate(folder / "p", x.numpy()).output
    assert found.shape == expected.shape
    return int((found != expected).sum()), expected.size, len(np.unique(expected))


@pytest.mark.slow
def test_values_inside_are_shown(tmp_path: Path) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed")
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    write_project(graph, tmp_path / "p", HlsOptions(emulate=False, io_type="io_stream"))
    expected = expected_values(graph, vectors_for(graph, 50))
    names = ["relu", "relu_1", "relu_2", "pool", "head"]
    assert set(names) <= set(shown(tmp_path / "p"))
    found = emulate(tmp_path / "p", vectors_for(graph, 50)["x"].numpy(), names).values
    assert list(found) == names
    for name in names:
        assert np.array_equal(found[name], expected.values[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_forms_are_exact(tmp_path: Path, name: str) -> None:
    wrong, compared, codes = mismatches(MODELS[name].graph(), tmp_path)
    assert (wrong, compared >= 1000, codes > 40) == (0, True, True)


STREAMED = sorted(set(MODELS) - {"padded max-pool"})


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMED)
def test_streams_are_exact(tmp_path: Path, name: str) -> None:
    wrong, compared, codes = mismatches(MODELS[name].graph(), tmp_path, io_type="io_stream")
    assert (wrong, compared >= 1000, codes > 40) == (0, True, True)


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("backend", ["Vitis", "Vivado", "Quartus"])
def test_a_residual_network_is_exact_in_every_backend(tmp_path: Path, backend: str, io_type: str) -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    wrong, compared, _ = mismatches(graph, tmp_path, 300, backend=backend, io_type=io_type)
    assert (wrong, compared) == (0, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
@pytest.mark.parametrize("backend", ["Vitis", "Vivado", "Quartus"])
def test_shared_multipliers_are_exact(tmp_path: Path, backend: str, io_type: str) -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    options = {"backend": backend, "strategy": "resource", "reuse_factor": 4, "io_type": io_type}
    wrong, compared, _ = mismatches(graph, tmp_path, 300, **options)
    assert (wrong, compared) == (0, 3000)


INTEGERS: dict[str, dict[str, str]] = {
    "jets": {"data_in": "int<8>", "weight": "int<6,channel=0>"},
    "digits-cnn": {"data_in": "int<4>", "weight": "int<4>"},
    "residual": {"data_in": "int<8>", "weight": "int<8,channel=0>"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INTEGERS)
def test_any_scale_is_exact_at_level_integer(tmp_path: Path, name: str) -> None:
    """Per tensor and per channel, no scale a power of two; the quantized module gives the same numbers."""
    model, x = integer_graphs.MODELS[name]()
    graph = integer_graphs.quantized(model, x, options="requant = dyadic", **INTEGERS[name])
    wrong, compared, codes = mismatches(integer_graphs.legalized(graph), tmp_path, 1000)
    assert (wrong, compared >= 5000, codes > 100) == (0, True, True)


@pytest.mark.slow
def test_a_broken_weight_is_found_with_its_node(tmp_path: Path) -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    mase.Pipeline("export{format='hls'},verify-export{engines=['hls4ml']}").run(graph, output_dir=tmp_path)
    (check,) = json.loads((tmp_path / "verify-export.json").read_text())["graph.hls"]
    assert check["wrong"] == 0
    weights = next((tmp_path / "graph.hls" / "firmware" / "weights").glob("w4.txt"))  # of the layer `side`
    first, rest = weights.read_text().split(",", 1)
    weights.write_text(f"{float(first) + 0.0625},{rest}")
    with pytest.raises(MaseError, match="relu_1"):  # whose operand's quantizer is the type of `side`
        mase.Pipeline("verify-export{engines=['hls4ml']}").run(graph, output_dir=tmp_path)
