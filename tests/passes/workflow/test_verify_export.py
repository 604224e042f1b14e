"""``verify-export``: what agrees passes, what was broken fails and is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import mase
from mase.ir import Graph, MaseError
from mase.runtime.verification import in_float
from tests.runtime.onnx.cases import Rows

FORMATS = 'quantize{default={data_in="fixed<8,4>",weight="fixed<8,6>"}}'


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10))
    made = mase.trace(net, (torch.randn(4, 16),))
    mase.Pipeline(FORMATS).run(made)
    return made


def test_every_engine_agrees(graph: Graph, tmp_path: Path) -> None:
    passes = "export{format='qdq'},export{format='qonnx'},export{format='float'},verify-export{samples=100}"
    mase.Pipeline(passes).run(graph.copy(), output_dir=tmp_path)
    found = json.loads((tmp_path / "verify-export.json").read_text())
    assert set(found) == {"the graph itself", "graph.float.onnx", "graph.qdq.onnx", "graph.qonnx.onnx"}
    ran = [c for checks in found.values() for c in checks if "skipped" not in c]
    assert len(ran) >= 7
    assert all((c["compared"], c["wrong"]) == (1000, 0) for c in ran)


def test_files_of_another_level_are_compared_by_their_outputs(graph: Graph, tmp_path: Path) -> None:
    """Those of quantizers with the graph of integers, and the other way round."""
    passes = "export,export{format='qonnx'},legalize-casts,export{format='integer'},verify-export"
    mase.Pipeline(passes).run(graph.copy(), output_dir=tmp_path)
    mase.Pipeline("verify-export{file='quantized.json'}").run(graph.copy(), output_dir=tmp_path)
    for file in ("verify-export.json", "quantized.json"):
        found = json.loads((tmp_path / file).read_text())
        assert set(found) == {"the graph itself", "graph.integer.onnx", "graph.qdq.onnx", "graph.qonnx.onnx"}
        ran = [c for checks in found.values() for c in checks if "skipped" not in c]
        assert len(ran) >= 7
        assert all((c["compared"], c["wrong"]) == (640, 0) for c in ran)
    file = broken(graph, tmp_path, "4.weight_quantized")
    with pytest.raises(MaseError, match=r"graph\.qdq\.onnx does not compute what the graph computes: "):
        mase.Pipeline("legalize-casts,verify-export").run(graph.copy(), output_dir=tmp_path)
    assert json.loads((tmp_path / "verify-export.json").read_text())[file][0]["first"]["node"] == "_4_real"


def test_scales_that_are_no_powers_of_two_have_a_bound(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 16)
    made = mase.trace(nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 10)), (x,))
    scaled = 'quantize{default={data_in="int<8>",weight="int<8,channel=0>"}}'
    mase.Pipeline(f"{scaled},export,verify-export{{samples=200}}").run(made, Rows(x), output_dir=tmp_path)
    found = json.loads((tmp_path / "verify-export.json").read_text())["graph.qdq.onnx"]
    assert [(c["wrong"], c["tolerance"]) for c in found if c["vectors"] == "vectors"] == [(0, 2.0**-20)] * 3


def smooth() -> Graph:
    """A tanh that stays in float between quantizers, and a softmax behind the last of them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 10), nn.Softmax(-1))
    made = mase.trace(net, (torch.randn(4, 16),))
    mase.Pipeline(FORMATS).run(made)
    return made


def test_last_bits_of_functions_in_float_may_differ(tmp_path: Path) -> None:
    mase.Pipeline("export,export{format='qonnx'},verify-export").run(smooth(), output_dir=tmp_path)
    found = json.loads((tmp_path / "verify-export.json").read_text())
    ran = [c for checks in found.values() for c in checks if "skipped" not in c]
    assert len(ran) >= 3
    assert all((c["wrong"], c["tolerance"]) == (0, 2.0**-20) for c in ran)
    assert not any("first" in c for c in ran)


def test_what_is_between_functions_in_float_may_not(tmp_path: Path) -> None:
    net = smooth()
    file = broken(net, tmp_path, "0.weight_quantized")
    with pytest.raises(MaseError, match=r"the first node that differs is _0\[") as caught:
        verified(net, tmp_path, file)
    assert "_1 is computed in float" in str(caught.value)


def test_which_values_are_in_float() -> None:
    assert in_float(smooth()) == {"_1", "_3"}
    torch.manual_seed(0)
    other = mase.trace(nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(-1)), (torch.randn(2, 4),))
    mase.Pipeline(FORMATS).run(other)
    assert in_float(other) == {"_1"}  # it has no integer form, and neither have ops of plugins
    skipped = mase.trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), (torch.randn(2, 4),))
    mase.Pipeline(FORMATS.replace("}}", "},rules=[{scope='0',skip=true},{op='nn.relu',skip=true}]}")).run(
        skipped
    )
    assert in_float(skipped) == {"_0", "_1"}


def test_sums_of_float_operands_may_differ_in_last_bits(tmp_path: Path) -> None:
    made = mase.trace(nn.Sequential(nn.Linear(16, 24), nn.Linear(24, 10)), (torch.randn(4, 16),))
    mase.Pipeline("quantize{default={weight='fixed<4,3>'}},export,verify-export").run(
        made, output_dir=tmp_path
    )
    assert in_float(made) == {"_0", "_1"}
    checks = json.loads((tmp_path / "verify-export.json").read_text())["graph.qdq.onnx"]
    assert all((c["wrong"], c["tolerance"]) == (0, 2.0**-20) for c in checks)
    file = broken(made, tmp_path, "0.weight_quantized")
    with pytest.raises(MaseError, match=r"the first node that differs is _0\["):
        verified(made, tmp_path, file)


def verified(graph: Graph, folder: Path, file: str, engines: str = "") -> None:
    mase.Pipeline(f"verify-export{{path='{file}'{engines}}}").run(graph.copy(), output_dir=folder)


def broken(graph: Graph, folder: Path, tensor: str, format: str = "qdq") -> str:
    """An exported file in which one code of a weight is one more."""
    mase.Pipeline(f"export{{format='{format}'}}").run(graph.copy(), output_dir=folder)
    file = folder / f"graph.{format}.onnx"
    model = onnx.load(file)
    weight = next(t for t in model.graph.initializer if t.name == tensor)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[3, 5] += 1 if values.dtype.kind == "i" else 2.0**-6
    weight.CopyFrom(onnx.numpy_helper.from_array(values, tensor))
    onnx.save(model, file)
    return file.name


@pytest.mark.parametrize("engine", ["onnxruntime", "onnxruntime, not optimised", "onnx reference"])
def test_a_broken_weight_is_found(graph: Graph, tmp_path: Path, engine: str) -> None:
    file = broken(graph, tmp_path, "2.weight_quantized")
    with pytest.raises(MaseError, match=r"the first node that differs is _2\[\d+,3\]"):
        verified(graph, tmp_path, file, f",engines=['{engine}']")


def test_a_broken_weight_is_found_by_qonnx(graph: Graph, tmp_path: Path) -> None:
    pytest.importorskip("qonnx")
    file = broken(graph, tmp_path, "2.weight", "qonnx")
    with pytest.raises(MaseError, match=r"_2\[\d+,3\]"):
        verified(graph, tmp_path, file)


def test_a_broken_rounding_is_found(graph: Graph, tmp_path: Path) -> None:
    """Ties of one quantizer go up: the numbers before it are moved by a little more than nothing."""
    mase.Pipeline("export").run(graph.copy(), output_dir=tmp_path)
    file = tmp_path / "graph.qdq.onnx"
    model = onnx.load(file)
    at = next(
        i for i, n in enumerate(model.graph.node) if n.name == "_1/QuantizeLinear" or "_0" in n.input[0]
    )
    node = model.graph.node[at]
    assert node.op_type == "QuantizeLinear"
    nudge = onnx.numpy_helper.from_array(np.float32(2**-12), "nudge")
    model.graph.initializer.append(nudge)
    model.graph.node.insert(at, onnx.helper.make_node("Add", [node.input[0], "nudge"], ["nudged"]))
    model.graph.node[at + 1].input[0] = "nudged"
    onnx.save(model, file)
    with pytest.raises(MaseError, match=r"the first node that differs is _1\["):
        verified(graph, tmp_path, file.name)


def test_an_engine_that_cannot_run_the_file_fails_the_run(graph: Graph, tmp_path: Path) -> None:
    mase.Pipeline("export").run(graph.copy(), output_dir=tmp_path)
    file = tmp_path / "graph.qdq.onnx"
    model = onnx.load(file)
    model.graph.node[0].op_type = "Quantise"
    onnx.save(model, file)
    with pytest.raises(MaseError, match=r"onnx reference cannot run graph\.qdq\.onnx: .*Quantise"):
        verified(graph, tmp_path, file.name)
    checks = json.loads((tmp_path / "verify-export.json").read_text())[file.name]
    assert [c["engine"] for c in checks if "failed" in c] == [c["engine"] for c in checks]


def test_results_are_kept_although_it_fails(graph: Graph, tmp_path: Path) -> None:
    file = broken(graph, tmp_path, "4.weight_quantized")
    with pytest.raises(MaseError):
        verified(graph, tmp_path, file)
    first = json.loads((tmp_path / "verify-export.json").read_text())[file][0]["first"]
    assert first["node"] == "_4"
    assert first["expected"] != first["found"]


def test_mistakes_are_named(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(MaseError, match=r"no graph\.\*\.onnx"):
        mase.Pipeline("verify-export").run(graph.copy(), output_dir=tmp_path)
    with pytest.raises(MaseError, match=r"no file missing\.onnx"):
        verified(graph, tmp_path, "missing.onnx")
    mase.Pipeline("export").run(graph.copy(), output_dir=tmp_path)
    with pytest.raises(MaseError, match="unknown engine 'onnxruntme'"):
        verified(graph, tmp_path, "graph.qdq.onnx", ",engines=['onnxruntme']")
    for bad, message in {
        "tolerance=-1": "tolerance is -1",
        "tolerance=nan": "tolerance is nan",
        "path=''": "path is empty",
        "file=''": "file is empty",
    }.items():
        with pytest.raises(MaseError, match=message):
            mase.Pipeline(f"verify-export{{{bad}}}").run(graph.copy(), output_dir=tmp_path)


class Nested(nn.Module):
    """Arguments in tuples and dictionaries, as caches are."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, past: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> torch.Tensor:
        return self.linear(x) + past[0] * past[1]["value"]


def test_inputs_within_arguments_are_fed(tmp_path: Path) -> None:
    x = torch.randn(2, 3)
    graph = mase.trace(Nested(), (x, (x + 1, {"value": x - 1})))
    formats = 'quantize{default={data_in="fixed<8,4>",weight="fixed<8,6>"}}'
    mase.Pipeline(f"{formats},export,verify-export").run(graph, output_dir=tmp_path)
    made = json.loads((tmp_path / "verify-export.json").read_text())
    assert {check["wrong"] for checks in made.values() for check in checks} == {0}
    assert all("skipped" not in check for check in made["the graph itself"])
