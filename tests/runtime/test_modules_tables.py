"""``nonlinear = "table"``: the integers of `mase.runtime.exact` in eval mode, floats in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir import Fixed, MaseError
from mase.ir.ops import nn as nn_ops
from mase.ir.ops.exact import Norm, Softmax
from mase.ir.ops.quantized import with_formats
from mase.runtime import modules as M
from mase.runtime.exact import execute
from mase.runtime.exact.tables import look_up, table_of
from mase.runtime.kernels import quantize
from tests.runtime.exactness import codes, fill, run, ties

F8, F16, OUT = Fixed(8, 4), Fixed(16, 10), Fixed(8, 6)
TABLE: dict[str, Any] = {"nonlinear": "table"}

ACTIVATIONS: list[tuple[Any, tuple[Any, ...], Any]] = [
    (M.GeluInteger, (), nn_ops.Gelu()),
    (M.GeluInteger, ("tanh",), nn_ops.Gelu(approximate="tanh")),
    (M.SiluInteger, (), nn_ops.Silu()),
    (M.TanhInteger, (), nn_ops.Tanh()),
    (M.SigmoidInteger, (), nn_ops.Sigmoid()),
    (M.HardswishInteger, (), nn_ops.Hardswish()),
    (M.SoftplusInteger, (2.0,), nn_ops.Softplus(beta=2.0)),
    (M.LeakyReluInteger, (0.1,), nn_ops.LeakyRelu(negative_slope=0.1)),
]


def ints(x: Tensor, format: Fixed) -> Tensor:
    return torch.from_numpy(codes(x, format))


@pytest.mark.parametrize(("cls", "args", "op"), ACTIVATIONS, ids=lambda v: getattr(v, "__name__", None))
def test_activation(cls: Any, args: tuple[Any, ...], op: Any) -> None:
    module = cls(*args, config={"data_in": F8, "data_out": OUT, **TABLE})
    x = ties(50, 40, format=F8)
    expected = look_up(ints(x, F8), table_of(op, F8, OUT), F8.code_min).double() * OUT.step
    assert torch.equal(run(module, x).double(), expected)
    assert module.mase_op.float_op == op
    assert module.mase_op.nonlinear == "table"


def test_softmax() -> None:
    out = Fixed(8, 8, signed=False)
    module = M.SoftmaxInteger(1, config={"data_in": F8, "data_out": out, **TABLE})
    x = ties(5, 6, 7, format=F8)
    expected = execute(Softmax.of(F8.step, out, dim=1), ints(x, F8)).double() * out.step
    assert torch.equal(run(module, x).double(), expected)


@pytest.mark.parametrize("affine", ["both", "weight", "none"])
@pytest.mark.parametrize("shape", [(24,), (4, 6)])
def test_layer_norm(affine: str, shape: tuple[int, ...]) -> None:
    formats = {"data_in": F16, "weight": F8, "bias": Fixed(16, 12), "data_out": OUT}
    module: Any = M.LayerNormInteger(
        shape, elementwise_affine=affine != "none", bias=affine == "both", config={**formats, **TABLE}
    )
    fill(module, formats)
    x = ties(9, *shape, format=F16)
    given = {role: formats[role] for role in ("weight", "bias") if getattr(module, role, None) is not None}
    p = Norm.of(F16, OUT, count=24, eps=1e-5, centered=True, dims=len(shape), **given)
    roles = {r: ints(getattr(module, r).detach(), formats[r]) for r in given}
    expected = execute(p, ints(x, F16), **roles).double() * OUT.step
    assert torch.equal(run(module, x).double(), expected)


@pytest.mark.parametrize("eps", [None, 1e-3])
def test_rms_norm(eps: float | None) -> None:
    formats = {"data_in": F16, "weight": F8, "data_out": OUT}
    module: Any = M.RmsNormInteger(24, eps=eps, config={**formats, **TABLE})
    fill(module, formats)
    x = ties(9, 24, format=F16) / 64
    expected = F.rms_norm(quantize(x, F16), (24,), quantize(module.weight.detach(), F8), eps)
    found = run(module, x)
    assert float((found - expected.clamp(OUT.min, OUT.max)).abs().max()) <= OUT.step / 2 + 1e-5
    assert torch.equal(found, quantize(found, OUT))


def attention_by_hand(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None, scale: float) -> Tensor:
    out = Fixed(8, 8, signed=False)
    scores = ints(q, F8) @ ints(k, OUT).transpose(-2, -1)
    op = Softmax.of(F8.step * OUT.step * scale, out)
    probs = execute(op, scores) if keep is None else execute(op, scores, keep)
    return (probs @ ints(v, F8)).double() * out.step * F8.step


ATTENTION: dict[str, Any] = {"query": F8, "key": OUT, "value": F8, "probs": "ufixed<8,8>", **TABLE}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("arguments", [{}, {"causal": True}, {"scale": 0.3}, {"grouped": True}], ids=str)
def test_attention(arguments: dict[str, Any], masked: bool) -> None:
    module = M.AttentionInteger(**arguments, config=ATTENTION)
    q = ties(2, 4, 5, 8, format=F8) / 8
    heads = 2 if "grouped" in arguments else 4
    k, v = (ties(2, heads, 6, 8, format=f, seed=s) / 8 for f, s in ((OUT, 1), (F8, 2)))
    keep = torch.rand(2, 1, 5, 6, generator=torch.manual_seed(3)) > 0.4 if masked else None
    if keep is not None:
        keep[0, 0, 1] = False  # who attends to nothing
    earlier = torch.ones(5, 6, dtype=torch.bool).tril() if "causal" in arguments else None
    both = keep if earlier is None else earlier if keep is None else keep & earlier
    shared = (t.repeat_interleave(4 // heads, -3) for t in (k, v))
    expected = attention_by_hand(q, *shared, both, arguments.get("scale", 8**-0.5))
    found = run(module, q, k, v) if keep is None else run(module, q, k, v, keep)
    assert torch.equal(found.double(), expected)
    if keep is not None:
        assert not found[0, :, 1].any()
    reference = F.scaled_dot_product_attention(
        quantize(q, F8),
        *(quantize(t, f).repeat_interleave(4 // heads, -3) for t, f in ((k, OUT), (v, F8))),
        attn_mask=torch.ones(5, 6, dtype=torch.bool) if both is None else both,
        scale=arguments.get("scale"),
    ).nan_to_num(0.0)
    assert float((found - reference).abs().max()) < 0.03


def test_a_mask_of_floats_without_a_format_is_refused() -> None:
    module = M.AttentionInteger(config=ATTENTION).eval()
    x = torch.zeros(1, 2, 3, 4)
    with pytest.raises(MaseError, match="mask of floats only in fixed"):
        module(x, x, x, torch.zeros(3, 3))


def test_attention_adds_a_mask() -> None:
    """As torch's function, but for rounding; -128 and what is below leaves out, and in training too."""
    module = M.AttentionInteger(config={**ATTENTION, "probs": "ufixed<16,16>", "mask": "fixed<16,8>"})
    q, k, v = (ties(2, 4, 5, 8, format=F8, seed=s) / 8 for s in range(3))
    mask = torch.randn(2, 1, 5, 5, generator=torch.manual_seed(3)) * 3
    mask[0, 0, 1:, 2], mask[1, 0, 3, :3] = -torch.inf, torch.finfo(torch.float32).min
    mask[0, 0, 0] = -200.0  # who attends to nothing
    found = run(module, q, k, v, mask)
    quantized = quantize(q, F8), quantize(k, OUT), quantize(v, F8)
    expected = F.scaled_dot_product_attention(*quantized, attn_mask=quantize(mask, Fixed(16, 8)))
    expected[0, :, 0] = 0.0
    assert float((found - expected).abs().max()) < 2e-3
    trained = module.train()(q, k, v, mask)
    assert float((trained - expected).abs().max()) < 2e-3
    mask[1, 0, 4, 4] = torch.nan
    assert run(module, q, k, v, mask)[1, :, 4].isnan().all()


MODULES: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (M.GeluInteger, (), {"data_in": F8, "data_out": OUT}),
    (M.SoftmaxInteger, (-1,), {"data_in": F8, "data_out": OUT}),
    (M.LayerNormInteger, (8,), {"data_in": F8, "weight": F8, "bias": F8, "data_out": OUT}),
    (M.RmsNormInteger, (8,), {"data_in": F8, "weight": F8, "data_out": OUT}),
]


@pytest.mark.parametrize(("cls", "args", "formats"), MODULES, ids=lambda v: getattr(v, "__name__", None))
class TestEvery:
    def test_trains_as_in_floats(self, cls: Any, args: Any, formats: Any) -> None:
        tabled, plain = cls(*args, config={**formats, **TABLE}), cls(*args, config=formats)
        x = torch.randn(6, 8, generator=torch.manual_seed(0)).requires_grad_()
        results = [module.train()(x) for module in (tabled, plain)]
        assert torch.equal(*results)
        gradients = [torch.autograd.grad(r.square().sum(), x)[0] for r in results]
        assert torch.equal(*gradients)
        assert bool(gradients[0].any())

    def test_eval_is_within_a_step_of_training(self, cls: Any, args: Any, formats: Any) -> None:
        module = cls(*args, config={**formats, **TABLE})
        x = torch.randn(50, 8, generator=torch.manual_seed(0))
        difference = (run(module, x) - module.train()(x).detach()).abs()
        assert float(difference.max()) <= OUT.step
        assert float((difference > 0).float().mean()) < 0.05

    def test_nan_stays_nan(self, cls: Any, args: Any, formats: Any) -> None:
        x = torch.zeros(3, 8)
        x[1, 2] = torch.nan
        found = run(cls(*args, config={**formats, **TABLE}), x)
        assert bool(found[1, 2].isnan())
        assert not found[[0, 2]].isnan().any()

    def test_types(self, cls: Any, args: Any, formats: Any) -> None:
        module = cls(*args, config={**formats, **TABLE}).bfloat16()
        assert run(module, torch.zeros(2, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
        assert run(module.float().to("meta"), torch.zeros(2, 8, device="meta")).device.type == "meta"

    def test_missing_formats_are_refused(self, cls: Any, args: Any, formats: Any) -> None:
        for role in formats:
            with pytest.raises(MaseError, match=rf"needs fixed<W,F> for {role}"):
                cls(*args, config={**formats, role: None, **TABLE})


def test_only_some_ops_have_tables() -> None:
    with pytest.raises(MaseError, match="no integer form"):
        M.LinearInteger(2, 2, config={"data_in": F8, "weight": F8, "bias": F8, **TABLE})
    with pytest.raises(MaseError, match="float or table"):
        M.GeluInteger(config={"data_in": F8, "data_out": OUT, "nonlinear": "tables"})
    op = with_formats(nn_ops.Gelu(), {"data_in": F8, "data_out": OUT}, "table")
    assert op.attributes()["nonlinear"] == "table"
    assert "nonlinear" not in with_formats(nn_ops.Linear(), {"data_in": F8}, "table").attributes()
    assert repr(nn.Sequential(M.GeluInteger(config={"data_in": F8, "data_out": OUT, **TABLE}))).count("table")
