"""Recurrent nets are one op each: any length and batch, states in and out, trained as torch does."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

import mase
from mase.frontends.capture import trace
from mase.ir import MaseError
from mase.ir.ops import recurrent
from mase.runtime.lower import lower
from tests.frontends.checks import check, ops_of

KINDS = {"nn.rnn": nn.RNN, "nn.gru": nn.GRU, "nn.lstm": nn.LSTM}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"batch_first": True},
    {"bidirectional": True, "num_layers": 2, "dropout": 0.3},
    {"bias": False},
]
CASES = [(op, s) for op, s in product(KINDS, SETTINGS)]
CASES += [("nn.lstm", {"proj_size": 3, "bidirectional": True}), ("nn.rnn", {"nonlinearity": "relu"})]


class Net(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        super().__init__()
        self.rnn = kind(4, 5, **settings)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None, c: torch.Tensor | None = None) -> Any:
        return self.rnn(x, (h, c) if c is not None else h)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("op", "settings"), CASES, ids=str)
def test_is_one_op(op: str, settings: dict[str, Any]) -> None:
    net = Net(KINDS[op], **settings)
    other = [((torch.randn(6, 5, 4),), {})]
    made = check(net, (torch.randn(3, 2, 4),), dynamic={"x": {0: "A", 1: "B"}}, others=other)
    found = [name for name in ops_of(made.graph) if name != "core.getitem"]
    assert found == [op]
    [node] = made.graph.find(recurrent.Recurrent)
    assert set(node.params.values()) == set(net.state_dict())
    assert not made.notes


@pytest.mark.parametrize("op", KINDS)
def test_states_go_in(op: str) -> None:
    net = Net(KINDS[op])
    states = [torch.randn(1, 2, 5) for _ in range(2 if op == "nn.lstm" else 1)]
    made = check(net, (torch.randn(3, 2, 4), *states), dynamic={"x": {0: "L"}})
    assert op in ops_of(made.graph)


@pytest.mark.parametrize("op", KINDS)
def test_one_sequence_without_a_batch(op: str) -> None:
    made = check(Net(KINDS[op]), (torch.randn(3, 4),), others=[((torch.randn(7, 4),), {})])
    assert op in ops_of(made.graph)


def test_the_same_net_twice_and_another_tracer() -> None:
    class Twice(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            first, _ = self.rnn(x)
            return first + self.rnn(x * 2)[0]

    net = Twice(nn.GRU)
    for tracer in ("export", "fx"):
        made = check(net, (torch.randn(3, 2, 4),), tracer=tracer)
        assert ops_of(made.graph).count("nn.gru") == 2


def test_trains_and_reads_back_without_its_source(tmp_path: Any) -> None:
    torch.manual_seed(0)
    graph = trace(nn.Sequential(nn.LSTM(4, 8, batch_first=True)), (torch.randn(2, 3, 4),))
    mase.save(graph, tmp_path / "graph.toml")
    lowered = lower(mase.load(tmp_path / "graph.toml"))
    x, losses = torch.randn(16, 5, 4), []
    optimizer = torch.optim.Adam(lowered.parameters(), lr=0.05)
    for _ in range(30):
        loss = (lowered(x)[0][:, -1, :1] - x.sum((1, 2)).tanh()[:, None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4


def test_stays_in_float_and_says_so() -> None:
    graph = trace(Net(nn.LSTM), (torch.randn(3, 2, 4),))
    mase.Pipeline('quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}').run(graph)
    assert [n.op.name for n in graph.find(recurrent.Recurrent)] == ["nn.lstm"]


@pytest.mark.parametrize(
    ("state", "message"), [("f32[1,2,6]", "state, dimension 2"), ("f32[2,5]", "expected 3 dimensions")]
)
def test_a_state_that_does_not_fit(state: str, message: str) -> None:
    types = {k: mase.ir.parse_type(t) for k, t in {"x": "f32[3,2,4]", "s": state}.items()}
    weights = {f"weight_{k}_l0": mase.ir.parse_type(f"f32[15,{n}]") for k, n in (("ih", 4), ("hh", 5))}
    with pytest.raises(mase.ir.OpError, match=message):
        recurrent.Gru().infer(types["x"], types["s"], **weights)


def test_a_packed_sequence_is_no_operand() -> None:
    class Packed(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 2]))
            return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])[0]

    with pytest.raises(MaseError, match="opaque"):
        trace(Packed(nn.GRU), (torch.randn(3, 2, 4),), dynamic={})
