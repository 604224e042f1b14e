"""``export``: files that are whole and say what they hold; options that are honoured or refused."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import mase
from mase.ir import Graph, MaseError

FORMATS = 'quantize{default={data_in="fixed<8,4>",weight="fixed<4,3>"}}'


def graph() -> Graph:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))
    return mase.trace(net, (torch.randn(4, 64),))


def exported(folder: Path, passes: str, name: str) -> onnx.ModelProto:
    mase.Pipeline(passes).run(graph(), output_dir=folder)
    return onnx.load(folder / name)


def props(model: onnx.ModelProto) -> dict[str, str]:
    return {p.key: p.value for p in model.metadata_props}


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    model = exported(tmp_path, f"{FORMATS},export", "graph.qdq.onnx")
    said = props(model)
    assert said["mase.format"] == "qdq"
    assert said["mase.version"] == mase.__version__
    assert json.loads(said["mase.formats"])["_2"]["weight"] == "fixed<4,3>"
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 64]
    assert all(node.doc_string or node.name for node in model.graph.node)
    known = {v.name for v in (*model.graph.value_info, *model.graph.output)}
    assert {o for node in model.graph.node for o in node.output} <= known
    assert "0.weight_quantized" in {t.name for t in model.graph.initializer}


def test_any_batch_runs(tmp_path: Path) -> None:
    exported(tmp_path, "export{format='float'}", "graph.float.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.float.onnx")
    for batch in (1, 5):
        x = torch.randn(batch, 64)
        with torch.no_grad():
            expected = mase.lower(graph()).eval()(x)
        assert torch.allclose(
            torch.from_numpy(session.run(None, {"input": x.numpy()})[0]), expected, atol=1e-5
        )


def test_weights_beyond_the_limit_lie_apart(tmp_path: Path) -> None:
    mase.Pipeline("export{format='float',external_data=10000}").run(graph(), output_dir=tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["graph.float.onnx", "graph.float.onnx.data"]
    assert (tmp_path / names[0]).stat().st_size < 10000
    x = torch.randn(3, 64)
    found = onnxruntime.InferenceSession(tmp_path / names[0]).run(None, {"input": x.numpy()})[0]
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(found), mase.lower(graph()).eval()(x), atol=1e-5)


def test_packed_weights_take_half_the_bytes(tmp_path: Path) -> None:
    plain = exported(tmp_path, f"{FORMATS},export", "graph.qdq.onnx")
    packed = exported(tmp_path, f"{FORMATS},export{{pack=true}}", "graph.qdq.onnx")
    sizes = [
        {t.name: len(t.raw_data) for t in m.graph.initializer}["0.weight_quantized"] for m in (plain, packed)
    ]
    assert sizes == [64 * 96, 64 * 96 // 2]


def test_a_quantized_graph_has_a_float_model_too(tmp_path: Path) -> None:
    model = exported(tmp_path, f"{FORMATS},export{{format='float',path='f.onnx'}}", "f.onnx")
    assert [n.op_type for n in model.graph.node] == ["Gemm", "Relu", "Gemm"]


def test_wrong_levels_and_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="run quantize first"):
        exported(tmp_path, "export{format='qdq'}", "")
    with pytest.raises(MaseError, match='pack is for format="qdq"'):
        exported(tmp_path, "export{format='float',pack=true}", "")
    with pytest.raises(MaseError, match='unsigned is for format="qdq"'):
        exported(tmp_path, "export{format='float',unsigned=true}", "")
    with pytest.raises(MaseError, match="external_data is -1"):
        exported(tmp_path, "export{external_data=-1}", "")


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    half_up = FORMATS.replace("}}", '},rounding="half_up"}')
    with pytest.raises(MaseError, match="half to even"):
        exported(tmp_path, f"{half_up},export", "")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_call_names_its_node_and_line(tmp_path: Path) -> None:
    class Sorts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(MaseError, match="bessel_j0") as caught:
        mase.Pipeline("export{format='float'}").run(
            mase.trace(Sorts(), (torch.randn(2, 3),)), output_dir=tmp_path
        )
    assert "test_export.py" in str(caught.value)
