"""pack: files hold codes at their width and give back the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mase
from mase.ir import parse_format
from mase.passes import Context, Pipeline
from mase.runtime.storage import PackedStorage, is_packable, pack_bits, unpack_bits


@given(st.integers(1, 32), st.data())
def test_bits_come_back(width: int, data: st.DataObject) -> None:
    signed = data.draw(st.booleans())
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    codes = torch.tensor(data.draw(st.lists(st.integers(low, high), max_size=20)), dtype=torch.int64)
    packed = pack_bits(codes, width)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-len(codes) * width // 8)
    assert torch.equal(unpack_bits(packed, width, len(codes), signed), codes)


FORMATS = ["fixed<4,3>", "ufixed<3,2>", "fixed<13,9>", "float<4,3>", "fp8_e4m3fn", "fp4_e2m1", "int<4>"]
FORMATS += [
    "int<4,channel=0>",
    "int<4,group=32>",
    "mxint<8,32>",
    "mxfp4<32>",
    "bfp<8,8,16>",
    "binary",
    "ternary",
]


@pytest.mark.parametrize("text", FORMATS)
def test_every_family_packs(text: str) -> None:
    torch.manual_seed(0)
    format = parse_format(text)
    x = mase.quantize(torch.randn(6, 64), text)
    parts = PackedStorage().pack(x, format)
    assert is_packable(x, format)
    stored = sum(p.numel() * p.element_size() for p in parts.values()) * 8
    assert stored <= format.storage_bits((6, 64)) + 7


def graph_of(model: nn.Module, x: torch.Tensor, formats: str) -> mase.Graph:
    """The quantized graph of a model."""
    return Pipeline(f"quantize{{default={{{formats}}}}}").run(mase.trace(model, (x,)))


def test_more_than_a_chunk_packs() -> None:
    codes = torch.randint(-4, 4, ((1 << 20) + 5,))
    assert torch.equal(unpack_bits(pack_bits(codes, 3), 3, len(codes), True), codes)


def test_four_bit_weights_take_an_eighth(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512)), torch.randn(4, 512)
    graph = graph_of(model, x, 'data_in="fixed<8,4>", weight="fixed<4,6>"')
    before = mase.lower(graph).eval()(x)
    mase.save(graph, tmp_path / "float.toml")
    Pipeline("pack").run(graph)
    mase.save(graph, tmp_path / "packed.toml")
    sizes = {n: (tmp_path / f"{n}.safetensors").stat().st_size for n in ("float", "packed")}
    assert sizes["packed"] <= 0.13 * sizes["float"]

    again = mase.load(tmp_path / "packed.toml")
    assert again == graph
    assert str(again.state.entry("0.weight")) == "f32[512,512] as fixed<4,6>"
    assert mase.loads(mase.dumps(again)) == again
    assert torch.equal(again.state["0.weight"], graph.state["0.weight"])
    assert torch.equal(mase.lower(again).eval()(x), before)
    mase.save(again, tmp_path / "packed.toml")  # over the file that it came from
    assert torch.equal(mase.lower(mase.load(tmp_path / "packed.toml")).eval()(x), before)


def test_a_new_tensor_is_stored_as_it_is(tmp_path: Path) -> None:
    x = torch.randn(4, 8)
    graph = graph_of(nn.Sequential(nn.Linear(8, 8)), x, 'data_in="fixed<8,4>", weight="fixed<4,3>"')
    Pipeline("pack").run(graph)
    new = torch.randn(8, 8)
    graph.state["0.weight"] = new
    mase.save(graph, tmp_path / "g.toml")
    assert torch.equal(mase.load(tmp_path / "g.toml").state["0.weight"], new)


def test_tied_weights_of_other_formats_stay(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    x = torch.randn(4, 8)
    graph = mase.trace(Tied(), (x,))
    rules = 'rules=[{scope="b", weight="fixed<6,5>"}]'
    Pipeline(f'quantize{{default={{data_in="fixed<8,4>", weight="fixed<4,3>"}} {rules}}}').run(graph)
    before = mase.lower(graph).eval()(x)
    ctx = Context(graph)
    Pipeline("pack").run_in(ctx)
    assert "also used in another format" in "".join(map(str, ctx.rejected.values()))
    assert torch.equal(mase.lower(graph).eval()(x), before)


@pytest.mark.parametrize(
    "text", ["fixed<2,3>", "int<4,channel=0>", "int<4,group=32>", "mxint<8,32>", "nvfp4<16>"]
)
def test_convolutions_pack(text: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 6)
    graph = graph_of(nn.Sequential(nn.Conv2d(8, 16, 3)), x, f'data_in="fixed<8,4>", weight="{text}"')
    before = mase.lower(graph).eval()(x)
    Pipeline("pack").run(graph)
    assert str(graph.state.entry("0.weight").stored) == text
    mase.save(graph, tmp_path / "g.toml")
    assert torch.equal(mase.lower(mase.load(tmp_path / "g.toml")).eval()(x), before)
