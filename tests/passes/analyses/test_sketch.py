"""The sketch against numpy on all the numbers at once."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.passes.analyses.sketch import MANTISSA_BITS, Sketch, sketch

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
BATCHES = st.lists(st.lists(FLOATS, min_size=1, max_size=40), min_size=1, max_size=6)
LEVELS = (0.0, 0.01, 0.25, 0.5, 0.9, 0.999, 1.0)


def summary(batches: list[torch.Tensor]) -> Sketch:
    made = Sketch()
    for batch in batches:
        made.update(batch)
    return made


def assert_agrees(made: Sketch, values: np.ndarray) -> None:
    spread = float(np.abs(values).max())
    assert made.count == values.size
    assert (made.min, made.max) == (values.min(), values.max())
    assert made.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-12 * spread)
    assert made.variance == pytest.approx(values.var(), rel=1e-9, abs=1e-12 * spread**2)
    exact = np.quantile(values, LEVELS, method="inverted_cdf")
    for estimate, truth in zip(made.quantiles(LEVELS), exact, strict=True):
        assert abs(estimate - truth) <= 2.0**-MANTISSA_BITS * abs(truth) + 2.0**-130


@given(BATCHES)
def test_any_numbers(batches: list[list[float]]) -> None:
    tensors = [torch.tensor(b, dtype=torch.float32) for b in batches]
    assert_agrees(summary(tensors), torch.cat(tensors).double().numpy())


@pytest.mark.parametrize("shape", ["normal", "relu", "heavy", "offset", "digits"])
def test_what_layers_produce(shape: str) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(1000, generator=generator) for _ in range(30)]
    make = {
        "normal": lambda x: x,
        "relu": torch.relu,
        "heavy": lambda x: (4 * x).exp(),
        "offset": lambda x: 1e4 + x,  # where E[x²] - E[x]² in float32 loses every digit
        "digits": lambda x: (x * 4).round().clamp(0, 16) / 16,
    }[shape]
    batches = [make(b) for b in batches]
    assert_agrees(summary(batches), torch.cat(batches).double().numpy())


@given(BATCHES, st.integers(0, 6))
def test_merging_is_seeing_it_all(batches: list[list[float]], cut: int) -> None:
    tensors = [torch.tensor(b, dtype=torch.float64) for b in batches]
    left, right, whole = summary(tensors[:cut]), summary(tensors[cut:]), summary(tensors)
    left.merge(right)
    assert_agrees(left, torch.cat(tensors).numpy())
    assert left.quantiles(LEVELS) == pytest.approx(whole.quantiles(LEVELS), rel=1e-12)


def test_numbers_that_repeat_are_exact() -> None:
    made = sketch(torch.tensor([0.1] * 60 + [0.7] * 40, dtype=torch.float64))
    assert made.quantiles([0.5, 0.9]) == pytest.approx([0.1, 0.7], rel=1e-12)


def test_memory_does_not_grow() -> None:
    made = Sketch()
    size = made._counts.numel()
    for scale in (1e-30, 1.0, 1e30):
        made.update(torch.randn(100_000) * scale)
    assert made._counts.numel() == size
    assert made.count == 300_000


def test_half_precision_and_beyond_float32() -> None:
    assert sketch(torch.tensor([1.5], dtype=torch.bfloat16)).mean == 1.5
    made = sketch(torch.tensor([1e300, -1e300, 1.0], dtype=torch.float64))
    assert (made.min, made.quantile(0.5), made.max) == (-1e300, 1.0, 1e300)


def test_infinities_are_counted_apart() -> None:
    made = sketch(torch.tensor([math.inf, 1.0, -math.inf, 3.0]))
    assert (made.infinite, made.count, made.min, made.max, made.mean) == (2, 2, 1.0, 3.0, 2.0)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        sketch(torch.tensor([1.0, math.nan]))


def test_an_empty_one_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no number"):
        sketch(torch.empty(0)).statistics()


@pytest.mark.parametrize("frac", [2, 4, 6])
def test_squared_error_is_that_of_the_data(frac: int) -> None:
    values = torch.randn(50_000, generator=torch.Generator().manual_seed(1))

    def quantize(x: torch.Tensor) -> torch.Tensor:
        return (x * 2**frac).round().clamp(-128, 127) / 2**frac

    exact = float((quantize(values) - values).double().square().mean())
    assert sketch(values).squared_error(quantize) == pytest.approx(exact, rel=0.05)


def test_squared_error_of_numbers_on_the_grid_is_zero() -> None:
    values = torch.arange(17) / 16
    assert sketch(values).squared_error(lambda x: (x * 16).round() / 16) < 1e-20
