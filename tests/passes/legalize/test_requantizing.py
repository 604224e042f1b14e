"""Multipliers for scales that are no powers of two: no accumulator is rounded otherwise than by floats."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import MaseError
from mase.ir.format import ROUNDINGS
from mase.ir.formats import Integer
from mase.ir.graph import Node
from mase.ir.ops.exact import Dyadic, Interval, Requantization, RoundsAlike
from mase.passes.legalize.requantizing import requantization
from mase.passes.legalize.value import Scaling, Target, Value
from mase.runtime.exact.requantize import requantize
from mase.runtime.integer import Interpreter
from tests.runtime.integer_graphs import Batches
from tests.runtime.onnx.cases import Rows

NEAR_A_TIE = float.fromhex("0x1.4fc534fc1d9c0p-12"), float.fromhex("0x1.5539eep-1")
LARGEST = 2**18
ACCUMULATORS = torch.arange(-LARGEST, LARGEST + 1)


def target_of(scale: float, rounding: Any = "half_even") -> Target:
    format = Integer(8, rounding=rounding)
    return Target(format, Fraction(scale), 0, format.code_min, format.code_max)


def value_of(*units: float) -> Value:
    scaling = Scaling(tuple(map(Fraction, units)), 0 if len(units) > 1 else None)
    return Value(cast(Node, None), scaling, 0, Interval(-LARGEST, LARGEST))


def in_floats(unit: float, scale: float, rounding: str) -> Tensor:
    """As modules do: the sum times its scale, by the scale of what comes next."""
    real = ACCUMULATORS.double() * unit / scale
    whole = {"half_even": real.round, "half_up": (real + 0.5).floor, "floor": real.floor}[rounding]()
    return whole.long().clamp(-128, 127)


def scales(count: int) -> list[tuple[float, float]]:
    """Products of two float32, and a float32 some thousand times as large."""
    generator = torch.manual_seed(0)
    x, w, y = torch.rand(3, count, generator=generator).add(0.5).float().unbind()
    return list(zip((x.double() * w.double() / 2**12).tolist(), y.tolist(), strict=True))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_accumulator_is_rounded_as_in_floats(rounding: str) -> None:
    for unit, scale in scales(40):
        found = requantization(value_of(unit), target_of(scale, rounding))
        assert found.op is not None
        assert found.proof == RoundsAlike(channels=1)
        assert torch.equal(requantize(ACCUMULATORS, found.op.to), in_floats(unit, scale, rounding))


def test_the_nearest_multiplier_is_not_always_enough() -> None:
    """A case of about one in a thousand, found by search: another multiplier is taken there."""
    unit, scale = NEAR_A_TIE
    nearest = Dyadic.nearest(Fraction(unit) / Fraction(scale))
    plain = Requantization(width=8, min=-128, max=127, multiplier=nearest.multiplier, shift=nearest.shift)
    expected = in_floats(unit, scale, "half_even")
    assert not torch.equal(requantize(ACCUMULATORS, plain), expected)
    found = requantization(value_of(unit), target_of(scale))
    assert found.op is not None
    assert found.op.to.multiplier != nearest.multiplier
    assert torch.equal(requantize(ACCUMULATORS, found.op.to), expected)


def test_results_of_sixteen_bits_take_long_multipliers() -> None:
    """Of 2**19 accumulators some come closer to a tie than 31 bits tell."""
    format, lengths = Integer(16), set[bool]()
    for unit, scale in scales(40):
        target = Target(format, Fraction(scale / 256), 0, format.code_min, format.code_max)
        found = requantization(value_of(unit), target)
        assert found.op is not None
        assert found.proof == RoundsAlike(channels=1)
        real = (ACCUMULATORS.double() * unit / (scale / 256)).round().long().clamp(-(2**15), 2**15 - 1)
        assert torch.equal(requantize(ACCUMULATORS, found.op.to), real)
        lengths.add(found.op.to.wide)
    assert lengths == {False, True}


def test_ties_that_no_multiplier_meets_are_named() -> None:
    """A sixth: of 3 it is half of a step, which neither floats nor shifts need hit. A third never is."""
    found = requantization(value_of(1.0, 0.3, 2.0), target_of(6.0))
    assert found.proof == RoundsAlike(channels=3, doubtful=(0, 1))


def test_a_ratio_that_is_a_power_of_two() -> None:
    """Exact where floats hold the sum times its scale, as the scales of others than 24 bits may not."""
    short = requantization(value_of(3 * 2.0**-20), target_of(3 * 2.0**-10))
    assert short.proof == RoundsAlike(channels=1)
    long = requantization(value_of((2**40 + 1) * 2.0**-60), target_of((2**40 + 1) * 2.0**-50))
    assert long.proof == RoundsAlike(channels=1, doubtful=(0,))
    powers = requantization(value_of(2.0**-20), target_of(2.0**-10))
    assert powers.proof is None


def test_what_is_proved_is_kept_and_counted() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 16)
    graph = mase.trace(nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 5)), (x[:2],))
    formats = 'default={data_in="int<8>", weight="int<8,channel=0>"}, requant=dyadic, batches=1'
    mase.Pipeline(f"quantize{{{formats}}},legalize-casts").run(graph, Batches(x))
    proofs = [n.meta[RoundsAlike] for n in graph.nodes if RoundsAlike in n.meta]
    assert all(proof.doubtful == () for proof in proofs)
    assert RoundsAlike(channels=24) in proofs
    assert mase.loads(mase.dumps(graph)) == graph


class Seen(nn.Module):
    """The result of a layer goes on, and to the caller too, who sees float32."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.first(x)
        return y, self.last(y)


def test_what_the_caller_sees_is_not_proved() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 16)
    graph = mase.trace(Seen(), (x[:2],))
    formats = 'default={data_in="int<8>", weight="int<8,channel=0>"}, requant=dyadic, batches=1'
    mase.Pipeline(f"quantize{{{formats}}},legalize-casts").run(graph, Batches(x))
    (proof,) = (n.meta[RoundsAlike] for n in graph.nodes if RoundsAlike in n.meta)
    assert str(proof) == "proved but for 24 of 24"


def test_a_scale_that_training_took_below_zero_is_its_magnitude() -> None:
    """As the module takes it; in the interpreter, too, where it quantizes what enters."""
    x = torch.randn(40, 6, generator=torch.manual_seed(0))
    graph = mase.trace(nn.Linear(6, 3), (x[:2],))
    options = 'default={data_in="int<8>",weight="int<8>"},requant=dyadic,scales=learned,batches=1'
    mase.Pipeline(f"quantize{{{options}}}").run(graph, Batches(x))
    graph.state["linear.data_in_scale"] = -graph.state["linear.data_in_scale"]
    module = mase.lower(graph).eval()
    mase.Pipeline("legalize-casts").run(graph)
    with torch.no_grad():
        assert torch.equal(mase.interpret(graph, x)["linear_real"], module(x))


def test_a_scale_of_nothing_but_zeros_saturates() -> None:
    """Calibrated on zeros alone: the ratio of scales is beyond all shifts, and what is not 0 saturates."""
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    x = torch.ones(8, 4)
    nn.init.constant_(net[0].weight, -1)
    graph = mase.trace(net, (x[:2],))
    options = 'default={data_in="int<8>",weight="int<8>"},requant=dyadic,batches=1'
    mase.Pipeline(f"quantize{{{options}}}").run(graph, Batches(x))
    module = mase.lower(graph).eval()
    mase.Pipeline("legalize-casts").run(graph)
    other = torch.randn(50, 4, generator=torch.manual_seed(0))
    with torch.no_grad():
        expected = module(other)
        assert torch.equal(mase.interpret(graph, other)["_2_real"], expected)
    assert expected.unique().numel() > 1


def test_a_bias_that_no_integer_holds_is_refused() -> None:
    net, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), torch.ones(8, 4)
    nn.init.constant_(net[0].weight, -9)
    graph = mase.trace(net, (x[:2],))
    options = 'default={data_in="int<8>",weight="int<8>"},requant=dyadic,batches=1'
    mase.Pipeline(f"quantize{{{options}}}").run(graph, Batches(x))
    with pytest.raises(MaseError, match="bias in units of the accumulator leaves int64") as caught:
        mase.Pipeline("legalize-casts").run(graph)
    assert caught.value.diagnostics[0].node == "_2"


def test_floats_that_join_wide_values_are_divided_as_floats() -> None:
    """A graph's input beside codes: a quotient of float64 may lie on the other side of a tie."""

    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(40, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.stack([x, x.relu()], 1))

    x = torch.randn(64, 40, generator=torch.Generator().manual_seed(0))
    graph = mase.trace(Stacked(), (x,))
    options = 'default={data_in="int<4>" weight="int<4>"} requant=dyadic rounding=half_up'
    mase.Pipeline(f"quantize{{{options}}}").run(graph, data=Rows(x))
    integer = mase.Pipeline("legalize-casts").run(graph.copy())
    scale = float(graph.state["relu.data_in_scale"])
    ties = (torch.arange(-20, 20) / 2 * scale).expand(2, 40)
    expected = mase.lower(graph).eval()(ties)
    assert torch.equal(torch.as_tensor(Interpreter(integer)(ties).numpy()), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_clamp_ends_where_the_format_rounds_its_ends(rounding: str) -> None:
    x = torch.randn(200, 4, generator=torch.manual_seed(0)) * 2
    graph = mase.trace(nn.Sequential(nn.Hardtanh(-0.7, 1.3)), (x[:2],))
    formats = f'default={{data_in="uint<3,asym>"}},requant=dyadic,batches=1,rounding={rounding}'
    mase.Pipeline(f"quantize{{{formats}}}").run(graph, Batches(x))
    module = mase.lower(graph).eval()
    mase.Pipeline("legalize-casts").run(graph)
    with torch.no_grad():
        assert torch.equal(mase.interpret(graph, x)["_0_real"], module(x))
