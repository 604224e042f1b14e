"""The scan of state spaces and the products of experts, against transformers' own."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mase.ir import OpError, parse_type
from mase.ir.ops.experts import GroupedMatMul
from mase.ir.ops.scan import SelectiveScan
from mase.runtime.modules.experts import grouped_matmul
from mase.runtime.modules.scan import selective_scan
from tests.frontends.checks import check, ops_of

mamba: Any = pytest.importorskip("transformers.models.mamba.modeling_mamba")


def _operands(batch: int = 2, channels: int = 3, states: int = 4, length: int = 5) -> list[torch.Tensor]:
    x, step = torch.randn(batch, channels, length), torch.rand(batch, channels, length)
    b, c = torch.randn(batch, states, length), torch.randn(batch, states, length)
    return [t.requires_grad_() for t in (x, step, -torch.rand(channels, states), b, c)]


def test_the_scan_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    operands = _operands()
    expected = mamba.mamba_selective_scan(*operands, return_last_state=True)
    found = selective_scan(*operands)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)
    theirs = torch.autograd.grad(expected[0].sum(), operands)
    ours = torch.autograd.grad(found[0].sum(), operands)
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(a, b)


class Scan(nn.Module):
    """Every option of the function, called as the models call it."""

    def __init__(self, *, state: bool, gate: bool, softplus: bool) -> None:
        super().__init__()
        self.a_log, self.d = nn.Parameter(torch.rand(3, 4)), nn.Parameter(torch.rand(3))
        self.bias = nn.Parameter(torch.randn(3))
        self.state, self.gate, self.softplus = state, gate, softplus

    def forward(self, x: torch.Tensor, step: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> Any:
        more = {"D": self.d, "z": x, "delta_bias": self.bias} if self.gate else {}
        settings = {"delta_softplus": self.softplus, "return_last_state": self.state}
        return mamba.mamba_selective_scan(x, step, -torch.exp(self.a_log), b, c, **more, **settings)


@pytest.mark.parametrize("flags", [(True, True, True), (False, True, True), (True, False, False)], ids=str)
def test_a_scan_is_one_op_at_any_length(flags: tuple[bool, bool, bool]) -> None:
    net = Scan(**dict(zip(("state", "gate", "softplus"), flags, strict=True)))
    function = mamba.mamba_selective_scan

    def given(batch: int, length: int) -> tuple[torch.Tensor, ...]:
        x, step, _, b, c = (t.detach() for t in _operands(batch, length=length))
        return x, step, b, c

    dynamic = {name: {0: "N", 2: "L"} for name in ("x", "step", "b", "c")}
    made = check(net, given(2, 5), dynamic=dynamic, others=[(given(3, 9), {}), (given(3, 1), {})])
    assert ops_of(made.graph).count("nn.selective_scan") == 1
    assert mamba.mamba_selective_scan is function


def test_experts_multiply_their_own_rows() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(7, 4, dtype=torch.double), torch.randn(4, 4, 3, dtype=torch.double)
    ends = torch.tensor([2, 2, 5, 6], dtype=torch.int32)
    chosen = F.one_hot(torch.tensor([0, 0, 2, 2, 2, 3]), 4).double()
    expected = torch.einsum("re,ri,eio->ro", chosen, x[:6], w)
    expected = torch.cat([expected, torch.zeros(1, 3)])
    torch.testing.assert_close(grouped_matmul(x, w, ends), expected)
    assert torch.autograd.gradcheck(
        lambda x, w: grouped_matmul(x, w, ends), (x.requires_grad_(), w.requires_grad_())
    )


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (GroupedMatMul(), ("f32[7,4]", "f32[3,5,2]", "i64[3]"), "features of data_in"),
        (GroupedMatMul(), ("f32[7,4]", "f32[3,4,2]", "i64[4]"), "number of ends"),
        (
            SelectiveScan(),
            ("f32[N,3,L]", "f32[N,3,L]", "f32[2,4]", "f32[N,4,L]", "f32[N,4,L]"),
            "channels of a",
        ),
        (
            SelectiveScan(),
            ("f32[N,3,L]", "f32[N,3,L]", "f32[3,4]", "f32[N,5,L]", "f32[N,4,L]"),
            "states of b",
        ),
    ],
)
def test_operands_that_do_not_fit(op: Any, types: tuple[str, ...], message: str) -> None:
    with pytest.raises(OpError, match=message):
        op.infer(*map(parse_type, types))
