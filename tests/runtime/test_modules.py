"""The integer modules as users meet them: constructors, config, gradients, training, copies."""

from __future__ import annotations

import copy
import io
import pickle  # only what this test itself has written is read
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mase.ir import MaseError
from mase.ir.family import families
from mase.ir.ops.quantized import quantizable_ops, quantized_op
from mase.ir.protocol import OpModule
from mase.runtime import modules as M
from mase.runtime.kernels import quantize
from mase.runtime.modules import quantized_module

KEYED = {
    "data_in_width": 8,
    "data_in_frac_width": 4,
    "weight_width": 8,
    "weight_frac_width": 6,
    "bias_width": 8,
    "bias_frac_width": 6,
}
TEXT = {"data_in": "fixed<8,4>", "weight": "fixed<8,6>", "bias": "fixed<8,6>"}

LAYER = ("data_in", "weight", "bias")
#: for each class its float twin, their arguments, the roles, the operands
CASES: dict[str, tuple[Any, tuple[Any, ...], tuple[str, ...], tuple[Any, ...]]] = {
    "LinearInteger": (nn.Linear, (6, 5), LAYER, ((4, 6),)),
    "Conv1dInteger": (nn.Conv1d, (3, 4, 3, 2, 1), LAYER, ((2, 3, 9),)),
    "Conv2dInteger": (nn.Conv2d, (4, 6, 3, 1, 2, 2, 2), LAYER, ((2, 4, 9, 9),)),
    "ConvTranspose1dInteger": (nn.ConvTranspose1d, (3, 4, 3), LAYER, ((2, 3, 9),)),
    "ConvTranspose2dInteger": (nn.ConvTranspose2d, (4, 6, 3, 2, 1, 1, 2), LAYER, ((2, 4, 5, 5),)),
    "BatchNormInteger": (nn.BatchNorm2d, (4,), LAYER, ((3, 4, 5, 5),)),
    "MatmulInteger": (lambda: torch.matmul, (), ("data_in", "other"), ((2, 3, 4), (2, 4, 5))),
    "AddInteger": (lambda: torch.add, (), ("data_in", "other"), ((2, 3), (3,))),
    "SubInteger": (lambda: torch.sub, (), ("data_in", "other"), ((2, 3), (3,))),
    "MulInteger": (lambda: torch.mul, (), ("data_in", "other"), ((2, 3), (3,))),
    "ReluInteger": (nn.ReLU, (), ("data_in",), ((3, 4),)),
    "MaxPool1dInteger": (nn.MaxPool1d, (2,), ("data_in",), ((2, 3, 8),)),
    "MaxPool2dInteger": (nn.MaxPool2d, (3, 2, 1), ("data_in",), ((2, 3, 8, 8),)),
    "AvgPool1dInteger": (nn.AvgPool1d, (3, 2, 1), ("data_in",), ((2, 3, 8),)),
    "AvgPool2dInteger": (nn.AvgPool2d, (3, 2, 1), ("data_in",), ((2, 3, 8, 8),)),
    "AdaptiveAvgPool1dInteger": (nn.AdaptiveAvgPool1d, (3,), ("data_in",), ((2, 3, 8),)),
    "AdaptiveAvgPool2dInteger": (nn.AdaptiveAvgPool2d, ((3, 2),), ("data_in",), ((2, 3, 8, 8),)),
    "AdaptiveMaxPool1dInteger": (nn.AdaptiveMaxPool1d, (3,), ("data_in",), ((2, 3, 8),)),
    "AdaptiveMaxPool2dInteger": (nn.AdaptiveMaxPool2d, ((3, 2),), ("data_in",), ((2, 3, 8, 8),)),
}
EVERY = pytest.mark.parametrize("name", CASES)


def twins(name: str, format: str = "fixed<16,12>") -> tuple[Any, Any, tuple[Tensor, ...]]:
    """The integer module, its float twin with the same state, and operands."""
    make, arguments, roles, shapes = CASES[name]
    torch.manual_seed(0)
    plain = make(*arguments)
    module = getattr(M, name)(*arguments, config=dict.fromkeys(roles, format))
    if isinstance(plain, nn.Module):
        module.load_state_dict(plain.state_dict())
    return module, plain, tuple(torch.randn(*shape) for shape in shapes)


def test_every_op_has_a_module_in_every_family() -> None:
    for base in quantizable_ops():
        for family in families():
            op = quantized_op(base, family)
            assert op is not None
            made = quantized_module(op)
            assert made.op_class is op
            assert getattr(M, made.__name__) is made
            assert made.__name__ in dir(M)


@EVERY
@pytest.mark.parametrize("training", [True, False])
def test_sixteen_bits_are_close_to_float(name: str, training: bool) -> None:
    module, plain, operands = twins(name)
    for each in (module, plain):
        if isinstance(each, nn.Module):
            each.train(training)
    assert torch.allclose(module(*operands), plain(*operands), atol=30 * 2**-12, rtol=0)


@EVERY
@pytest.mark.parametrize("training", [True, False])
def test_bypass_is_the_float_op(name: str, training: bool) -> None:
    module, plain, operands = twins(name)
    made: Any = type(module)(*CASES[name][1], config={"bypass": True, "data_in": "fixed<2,0>"})
    made.load_state_dict(module.state_dict())
    for each in (made, plain):
        if isinstance(each, nn.Module):
            each.train(training)
    assert torch.equal(made(*operands), plain(*operands))


@EVERY
def test_is_its_torch_class_and_says_its_op(name: str) -> None:
    module, plain, _ = twins(name)
    if isinstance(plain, nn.Module) and name != "BatchNormInteger":
        assert isinstance(module, type(plain))
    assert list(module.state_dict()) == (list(plain.state_dict()) if isinstance(plain, nn.Module) else [])
    assert isinstance(module, OpModule)
    op: Any = module.mase_op
    assert type(op) is type(module).op_class
    assert {str(f) for f in op.formats.values()} == {"fixed<16,12>"}
    assert "data_in=fixed<16,12>" in repr(module)


@EVERY
def test_copies(name: str) -> None:
    module, _, operands = twins(name)
    module.eval()
    expected = module(*operands)
    file = io.BytesIO()
    pickle.dump(module, file)
    for other in (copy.deepcopy(module), pickle.loads(file.getvalue())):
        assert torch.equal(other(*operands), expected)
        assert other.formats == module.formats
        assert other.mase_op == module.mase_op


@EVERY
def test_gradients_reach_operands_and_parameters(name: str) -> None:
    module, plain, operands = twins(name)
    ready = [x.clone().requires_grad_() for x in operands]
    reference = [x.clone().requires_grad_() for x in operands]
    module(*ready).square().sum().backward()
    plain(*reference).square().sum().backward()
    for a, b in zip(ready, reference, strict=True):
        assert torch.allclose(a.grad, b.grad, atol=0.05, rtol=0.02)
    for key, parameter in module.named_parameters():
        twin = plain.get_parameter(key).grad
        assert torch.allclose(parameter.grad, twin, atol=0.05, rtol=0.02)


def test_gradients_are_the_straight_through_ones() -> None:
    layer: Any = M.LinearInteger(3, 2, config=TEXT)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.13, -5.0, 1.0], [0.5, 1.99, -0.7]]))
        layer.bias.copy_(torch.tensor([0.1, 3.0]))
    x = torch.tensor([[0.33, 9.0, -1.0]], requires_grad=True)
    upstream = torch.tensor([[1.0, 2.0]])
    layer(x).backward(upstream)
    q_x, q_w = quantize(x.detach(), "fixed<8,4>"), quantize(layer.weight.detach(), "fixed<8,6>")
    assert torch.equal(x.grad, upstream @ q_w * torch.tensor([[1.0, 0.0, 1.0]]))  # 9 saturates
    assert torch.equal(layer.weight.grad, upstream.T @ q_x * torch.tensor([[1.0, 0, 1], [1, 0, 1]]))
    assert torch.equal(layer.bias.grad, torch.tensor([1.0, 0.0]))  # so do -5, 1.99 and 3


@pytest.mark.parametrize(
    "name", ["LinearInteger", "Conv2dInteger", "ConvTranspose1dInteger", "BatchNormInteger"]
)
def test_training_moves_weights(name: str) -> None:
    module, _, (x,) = twins(name, "fixed<8,5>")
    target = torch.ones_like(module(x))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    losses: list[float] = []
    before = copy.deepcopy(module.state_dict())
    for _ in range(60):
        optimizer.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(not torch.equal(before[key], p) for key, p in module.named_parameters())


def test_embedding_trains_the_rows_it_reads() -> None:
    module: Any = M.EmbeddingInteger(5, 3, padding_idx=0, config={"weight": "fixed<8,4>"})
    module.weight.data[1] = 100.0
    module(torch.tensor([0, 1, 2, 2])).sum().backward()
    assert module.weight.grad.tolist() == [[0] * 3, [0] * 3, [2] * 3, [0] * 3, [0] * 3]
    assert list(module.state_dict()) == ["weight"]


@pytest.mark.parametrize("momentum", [0.1, None, 0.0])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (3, 4, 5, 2), (2, 4, 3, 2, 2)])
def test_running_statistics_are_those_of_torch(momentum: float | None, shape: tuple[int, ...]) -> None:
    module: Any = M.BatchNormInteger(4, momentum=momentum, config=dict.fromkeys(LAYER, "fixed<16,11>"))
    plain = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(shape) - 2](
        4, momentum=momentum
    )
    for _ in range(3):
        x = quantize(torch.randn(shape), "fixed<16,11>")
        module(x), plain(x)
    for key, value in plain.state_dict().items():
        assert torch.allclose(module.state_dict()[key], value, rtol=1e-5), key
    before = copy.deepcopy(module.state_dict())
    module.eval()(torch.randn(shape))
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_batch_norm_without_statistics_uses_those_of_the_batch() -> None:
    module = M.BatchNormInteger(4, track_running_stats=False, config=dict.fromkeys(LAYER, "fixed<16,11>"))
    x = torch.randn(8, 4)
    assert torch.allclose(module.eval()(x), nn.BatchNorm1d(4)(x), atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@EVERY
def test_autocast_and_low_precision(name: str, dtype: torch.dtype) -> None:
    module, _, operands = twins(name, "fixed<8,5>")
    with torch.autocast("cpu", dtype=dtype):
        module(*operands).float().sum().backward() if list(module.parameters()) else module(*operands)
    low = module.to(dtype)
    for training in (True, False):
        assert low.train(training)(*(x.to(dtype) for x in operands)).dtype == dtype


# -------------------------------------------------------------------------------------------- config


def test_keyed_and_short_configs_are_the_same() -> None:
    assert M.LinearInteger(2, 2, config=KEYED).formats == M.LinearInteger(2, 2, config=TEXT).formats


def test_what_has_no_format_stays_in_float() -> None:
    layer: Any = M.LinearInteger(3, 2, config={"weight": "fixed<4,2>", "bias": None})
    x = torch.randn(5, 3)
    expected = x @ quantize(layer.weight, "fixed<4,2>").T + layer.bias
    for training in (True, False):
        assert torch.allclose(layer.train(training)(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"data_inn": "fixed<8,4>"}, "did you mean 'data_in'"),
        ({"weight_widht": 8}, "did you mean 'weight_width'"),
        ({"weight": "fixd<8,4>"}, "did you mean 'fixed'"),
        ({"weight": "fixed<8>"}, "not complete"),
        ({"weight_width": 8}, "not complete"),
        ({"weight": "fixed<40,4>"}, "1 to 32 bits"),
        ({"weight": "fixed<8,4>", "weight_width": 8}, "twice"),
        ({"weight": 8}, "expected a format"),
    ],
)
def test_bad_configs_say_what_is_wrong(config: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        M.LinearInteger(2, 2, config=config)
