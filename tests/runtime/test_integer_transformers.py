"""Transformer blocks of integers only: the module and the interpreter agree in every integer."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops import exact
from mase.ir.ops.exact import ExactOp, RoundsAlike
from mase.ir.verify import verify
from mase.runtime.integer import Interpreter
from tests.runtime.integer_graphs import assert_equal_everywhere

transformers = pytest.importorskip("transformers")

WIDE = """[
    {op = "tensor.add", data_in = "fixed<16>"},
    {op = "nn.*_norm", data_in = "fixed<16>", weight = "fixed<16>", data_out = "fixed<16>"},
    {op = "nn.embedding", weight = "fixed<16>"}]"""
QUANTIZE = f'quantize{{nonlinear = "table", batches = 1, rules = {WIDE}}}'
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 128}


class Sentences(pl.LightningDataModule):
    """One batch of token ids, most of them padded."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.manual_seed(0)
        lengths = torch.randint(3, 13, (16, 1), generator=generator)
        lengths[0] = 0  # who attends to nothing
        self.ids = torch.randint(0, 100, (16, 12), generator=generator)
        self.mask = (torch.arange(12) < lengths).long()

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"input_ids": self.ids, "attention_mask": self.mask}

    def train_dataloader(self) -> list[Any]:
        return [(self.inputs, torch.zeros(16))]


def bert(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=100, **{**SIZES, **options})
    return shaken(transformers.BertModel(config, add_pooling_layer=False))


def llama(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=100, use_cache=False, **{**SIZES, **options})
    return shaken(transformers.LlamaModel(config))


def shaken(model: nn.Module) -> nn.Module:
    """Norms that do something, and weights large enough for attention to choose."""
    for name, parameter in model.named_parameters():
        if "norm" in name.lower():
            nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.2)
        elif parameter.dim() == 2 and "embed" not in name:
            nn.init.normal_(parameter, 0.0, 0.15)
    return model.eval()


DYNAMIC = {name: {0: "N", 1: "L"} for name in ("input_ids", "attention_mask")}


def quantized(model: nn.Module, passes: str = "", **options: Any) -> tuple[Graph, Sentences]:
    data = Sentences()
    graph = mase.trace(model, kwargs=data.inputs, **options)
    mase.Pipeline([*passes.split(), QUANTIZE]).run(graph, data)
    return graph, data


def check(model: nn.Module, graph: Graph, data: Sentences) -> Graph:
    integer = graph.copy()
    mase.Pipeline("legalize-casts").run(integer)
    assert not verify(integer)
    assert mase.loads(mase.dumps(integer)) == integer
    ops = {node.op.name for node in integer.nodes if isinstance(node.op, ExactOp)}
    assert {"int.linear", "int.matmul", "int.softmax", "int.norm", "int.table", "int.add"} <= ops
    assert assert_equal_everywhere(graph, integer, data.ids, data.mask) > 100_000
    with torch.no_grad():
        found, expected = mase.lower(integer)(data.ids, data.mask), model(**data.inputs)
    found = found if isinstance(found, Tensor) else next(iter(found.values()))
    likeness = torch.cosine_similarity(found.flatten(1), expected.last_hidden_state.flatten(1))
    assert float(likeness[1:].min()) > 0.99
    return integer


@pytest.mark.parametrize("dynamic", [None, DYNAMIC], ids=["fixed length", "any length"])
def test_bert(dynamic: Any) -> None:
    model = bert()
    graph, data = quantized(model, dynamic=dynamic)
    integer = check(model, graph, data)
    if dynamic:  # another length than that of the capture
        ids = data.ids[:, :7].repeat(1, 3)
        assert_equal_everywhere(graph, integer, ids, torch.ones_like(ids))


SCALED = """quantize{{nonlinear="table", requant=dyadic, batches=1,
    default={{data_in="{0}", weight="int<8,channel=0>", probs="ufixed<8,8>"}}, rules=[
        {{op="tensor.add", data_in="int<16>"}},
        {{op="nn.*_norm", data_in="int<16>", weight="fixed<16>", data_out="fixed<16>"}},
        {{op="nn.rotary_embedding", cos="{1}", sin="{1}"}},
        {{op="nn.embedding", weight="int<16>"}}]}}"""
SCALES = pytest.mark.parametrize("data_in", ["int<8>", "uint<8,asym>"])


@SCALES
@pytest.mark.parametrize("make", [bert, llama])
def test_scales_of_any_size(make: Any, data_in: str) -> None:
    """Every operand in int<W>, those of softmax, functions and norms too, by the same integers."""
    model, data = make(), Sentences()
    graph = mase.trace(model, kwargs=data.inputs, dynamic=DYNAMIC)
    passes = "fuse-norms,fuse-attention,tabulate{positions=40}," * (make is llama)
    angles = "int<8>" if data_in == "int<8>" else "fixed<8,6>"
    mase.Pipeline(passes + SCALED.format(data_in, angles)).run(graph, data)
    integer = check(model, graph, data)
    proofs = [n.meta[RoundsAlike] for n in integer.nodes if RoundsAlike in n.meta]
    assert len(proofs) > 10
    assert all(proof.doubtful == () for proof in proofs)


def test_bert_that_writes_attention_out() -> None:
    """Its mask is one of floats, added to the scores: the smallest float32 where nothing is to be seen."""
    model = bert(attn_implementation="eager")
    graph, data = quantized(model, "fuse-sdpa tabulate", dynamic=DYNAMIC)
    integer = check(model, graph, data)
    (softmax,) = integer.find(exact.Softmax)
    assert softmax.op.mask_factor > 0
    for length in (1, 5):
        assert_equal_everywhere(graph, integer, data.ids[:, :length], data.mask[:, :length])


@pytest.mark.parametrize("heads", [1, 2])
def test_llama(heads: int) -> None:
    model = llama(num_key_value_heads=heads)
    graph, data = quantized(model, "fuse-norms fuse-attention fold-constants")
    integer = check(model, graph, data)
    assert len(integer.find(mase.ir.ops.exact.RotaryEmbedding)) == 2


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_llama_of_any_length(attention: str) -> None:
    """Rotary embeddings look their angles up by position, in tables of a stated length."""
    model = llama(num_key_value_heads=1, attn_implementation=attention)
    passes = "fuse-norms fuse-attention fuse-sdpa tabulate{positions=40}"
    graph, data = quantized(model, passes, dynamic=DYNAMIC)
    integer = check(model, graph, data)
    for length in (1, 7, 40):
        ids = data.ids.repeat(1, 4)[:5, :length]
        assert_equal_everywhere(graph, integer, ids, (ids != 3).long())
    for run in (mase.lower(graph), mase.lower(integer), Interpreter(integer)):
        with pytest.raises(IndexError):
            run(torch.zeros(1, 41).long(), torch.ones(1, 41).long())


class AddedMask(nn.Module):
    """Attention with biases of its own for each distance, of which padding and the future are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.embed = nn.Embedding(100, 16)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.embed(input_ids)
        q, k, v = (f(x).unflatten(-1, (2, 8)).transpose(1, 2) for f in (self.query, self.key, self.value))
        positions = torch.arange(x.shape[1])
        distances = (positions[:, None] - positions).abs()
        padding = (1.0 - attention_mask[:, None, None].float()) * torch.finfo(torch.float32).min
        future = torch.where(positions <= positions[:, None], 0.0, -torch.inf)
        mask = padding + -0.3 * distances.float() + future
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@pytest.mark.parametrize("dynamic", [None, DYNAMIC], ids=["fixed length", "any length"])
def test_added_masks(dynamic: Any) -> None:
    torch.manual_seed(0)
    model, data = AddedMask().eval(), Sentences()
    graph = mase.trace(model, kwargs=data.inputs, dynamic=dynamic)
    mase.Pipeline('fold-constants,tabulate,quantize{nonlinear="table", batches=1}').run(graph, data)
    integer = graph.copy()
    mase.Pipeline("legalize-casts").run(integer)
    assert not verify(integer)
    lengths = (12, 5, 1) if dynamic else (12,)
    for length in lengths:
        assert_equal_everywhere(graph, integer, data.ids[:, :length], data.mask[:, :length])
    with torch.no_grad():
        found, expected = mase.lower(integer)(data.ids, data.mask), model(data.ids, data.mask)
    assert float((found - expected)[1:].abs().max()) < 0.05
    assert not found[0].any()  # who attends to nothing


@pytest.mark.slow
def test_several_layers() -> None:
    model = bert(num_hidden_layers=3, hidden_act="silu")
    check(model, *quantized(model))


class Parts(nn.Module):
    """What lies on no grid, each after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm((6, 16))
        self.acts = nn.ModuleList([nn.Tanh(), nn.Sigmoid(), nn.Hardswish(), nn.Softplus()])

    def forward(self, x: Tensor) -> Tensor:
        q = self.norm(x).view(-1, 2, 6, 8)
        y = nn.functional.scaled_dot_product_attention(
            q.repeat(1, 2, 1, 1), q, q, is_causal=True, enable_gqa=True
        )
        for act in self.acts:
            y = act(y)
        return y.softmax(1) + y.mean((-2, -1), keepdim=True)


class Numbers(pl.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        self.x = torch.randn(64, 6, 16, generator=torch.manual_seed(1))

    def train_dataloader(self) -> list[Any]:
        return [(self.x, torch.zeros(64))]


@pytest.mark.parametrize("formats", ['data_in="fixed<8>"', 'data_in="fixed<13>", data_out="fixed<9,5>"'])
@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
def test_parts(formats: str, rounding: str) -> None:
    data = Numbers()
    graph = mase.trace(Parts(), (data.x[:2],))
    options = f'nonlinear="table", rounding="{rounding}", default={{{formats}, weight="fixed<8>"}}, batches=1'
    mase.Pipeline(f"quantize{{{options}}}").run(graph, data)
    integer = graph.copy()
    mase.Pipeline("legalize-casts").run(integer)
    assert assert_equal_everywhere(graph, integer, data.x) > 30_000


def test_floats_are_refused_with_the_remedy() -> None:
    graph = mase.trace(nn.GELU(), (torch.randn(2, 4),))
    mase.Pipeline('quantize{default={data_in="fixed<8,4>"}}').run(graph)
    with pytest.raises(MaseError, match="computes in float") as caught:
        mase.Pipeline("legalize-casts").run(graph)
    assert 'quantize{nonlinear="table"}' in str(caught.value)
