"""Fake quantization as an op of torch: compiled, exported, transformed, distributed, checkpointed."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mase.runtime import native
from mase.runtime.kernels import fake_quantize, quantize
from mase.runtime.modules import LinearInteger

OPS = torch.ops.mase
needs_native = pytest.mark.skipif(native.status() != "native", reason=native.status())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Dynamo's structured trace fills the report of a failure."""
    logging.getLogger("torch.__trace").setLevel(logging.WARNING)
    yield
    torch._dynamo.reset()


def layer() -> LinearInteger:
    torch.manual_seed(0)
    return LinearInteger(8, 4, config={"data_in": "fixed<8,4>", "weight": "fixed<4,3>"})


def results(module: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    y = module(x)
    return (y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()]))


@pytest.mark.parametrize("x", [torch.randn(3, 8), torch.randn(8, 6)[:, ::2].t(), torch.empty(0, 8)])
@pytest.mark.parametrize("format", ["fixed<8,4>", "int<8,token>", "f32"])
def test_ops_are_sound(x: Tensor, format: str) -> None:
    x = x.clone().requires_grad_()
    torch.library.opcheck(OPS.fake_quantize.default, (x, format, True))
    torch.library.opcheck(OPS.fake_quantize.default, (x, format, False))
    torch.library.opcheck(OPS.pass_gradient.default, (torch.randn_like(x), x.detach(), format))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_without_a_break(backend: str) -> None:
    if backend == "inductor" and native.status() != "native":
        pytest.skip("no compiler")
    module, x = layer(), torch.randn(3, 8, requires_grad=True)
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    for a, b in zip(results(compiled, x), results(module, x), strict=True):
        assert torch.equal(a, b)


def test_compiled_transforms() -> None:
    x = torch.randn(3, 4, 8)
    function = torch.func.vmap(lambda t: fake_quantize(t, "int<8,channel=0>"), in_dims=1)
    compiled = torch.compile(function, backend="eager")
    assert torch.equal(compiled(x), torch.stack([quantize(t, "int<8,channel=0>") for t in x.unbind(1)]))


def test_exported_and_reloaded() -> None:
    module, x = layer().eval(), torch.randn(3, 8)
    program = torch.export.export(module, (x,), strict=False)
    called = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    assert called.count("mase.fake_quantize.default") == 2
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    assert torch.equal(torch.export.load(file).module()(x), module(x))


def test_autocast_and_checkpointing() -> None:
    module, x = layer(), torch.randn(3, 8, requires_grad=True)
    expected = results(module, x)
    y = checkpoint(module, x, use_reentrant=False)
    assert y is not None
    found = (y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()]))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16


@needs_native
def test_create_graph_sees_the_gradient() -> None:
    x = torch.tensor([0.5, 9.0], requires_grad=True)
    y = fake_quantize(x, "fixed<8,4>")
    (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.tolist() == [3.0, 0.0]


def test_distributed(tmp_path: object) -> None:
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("no gloo")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        module, x = layer(), torch.randn(3, 8, requires_grad=True)
        expected = results(module, x)
        parallel = nn.parallel.DistributedDataParallel(module)
        parallel(x).square().sum().backward()
        grads = (x.grad, *(p.grad for p in module.parameters()))
        assert all(g is not None and torch.equal(g, e) for g, e in zip(grads, expected[1:], strict=True))
    finally:
        distributed.destroy_process_group()
