"""The proof that two factors round alike, against looking at every integer."""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor

import pytest

from mase.ir.format import ROUNDINGS
from mase.ir.ops.exact.ties import fractions_between, round_alike


def test_fractions_between() -> None:
    rng = random.Random(0)
    for _ in range(150):
        largest, low = rng.randint(1, 40), Fraction(rng.randint(0, 200), rng.randint(1, 100))
        high = low + Fraction(rng.randint(0, 20), rng.randint(50, 400))
        found = list(fractions_between(low, high, largest))
        every = {Fraction(p, q) for q in range(1, largest + 1) for p in range(floor(high * q) + 1)}
        assert sorted(found) == sorted(f for f in every if low <= f <= high)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_proof_is_one(rounding: str) -> None:
    rng = random.Random(1)
    how = {"half_even": round, "half_up": lambda x: floor(x + Fraction(1, 2)), "floor": floor}[rounding]
    proved = alike = 0
    for _ in range(500):
        largest, ratio = rng.randint(1, 150), Fraction(rng.randint(1, 2000), rng.randint(1, 2000))
        other = ratio * (1 + Fraction(rng.randint(-50, 50), 10 ** rng.randint(2, 7)))
        claim = round_alike(ratio, other, largest, Fraction(0), rounding)  # type: ignore[arg-type]
        true = all(how(a * ratio) == how(a * other) for a in range(-largest, largest + 1))
        assert true or not claim
        proved, alike = proved + claim, alike + true
    assert proved > 0.9 * alike > 100  # what is not proved though true meets a tie itself
