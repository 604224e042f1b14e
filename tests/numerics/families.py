"""The families by rational arithmetic, straight from their definitions, sharing nothing with the kernels."""

import bisect
import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from hypothesis import strategies as st

TWO = Fraction(2)
Quantizer = Callable[[Fraction], Fraction]


def floor_log2(x: Fraction) -> int:
    """The exponent of the leading bit."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if TWO**e <= x else e - 1


def minifloat_magnitudes(exponent: int, fraction: int, bias: int) -> list[Fraction]:
    """What the codes of an IEEE-like float mean, in the order of the codes."""
    values = list[Fraction]()
    for code in range(2 ** (exponent + fraction)):
        e, m = divmod(code, 2**fraction)
        values.append(
            Fraction(m, 2**fraction) * TWO ** (1 - bias)
            if e == 0
            else (1 + Fraction(m, 2**fraction)) * TWO ** (e - bias)
        )
    return values


def nearest(x: Fraction, magnitudes: Sequence[Fraction], rounding: str, powers: bool = False) -> Fraction:
    """Of the numbers ``±magnitudes``, sorted and starting with 0, the one that ``x`` rounds to.

    Between powers of two, none of which is even, a tie goes to the larger.
    """
    if rounding == "half_even":
        top = bisect.bisect_left(magnitudes, abs(x))
        if top == len(magnitudes):
            found = magnitudes[-1]
        elif top == 0:
            found = magnitudes[0]
        else:
            below, above = magnitudes[top - 1], magnitudes[top]
            distance = (abs(x) - below) - (above - abs(x))
            even = below > 0 if powers else top % 2 == 0
            found = above if distance > 0 or (distance == 0 and even) else below
        return found if x >= 0 else -found
    line = [-m for m in reversed(magnitudes)] + list(magnitudes[1:])
    top = bisect.bisect_right(line, x)
    if top == 0:
        return line[0]
    if top == len(line):
        return line[-1]
    below, above = line[top - 1], line[top]
    return above if rounding == "half_up" and x - below >= above - x else below


def denorm(x: Fraction, width: int, exponent: int, bias: int) -> Fraction:
    """The row of the table, word by word; half to even."""
    bits = width - exponent - 1
    largest = 2**exponent - 1 - bias
    if x == 0:
        return x
    e = max(-bias, min(floor_log2(abs(x)) + 1, largest))
    m = round(abs(x) * TWO ** (bits - e))
    if m >= 2**bits and e < largest:
        m, e = (2 ** (bits - 1), e + 1) if m == 2**bits else (m, e)
    magnitude = min(m, 2**bits - 1) * TWO ** (e - bits)
    return magnitude if x > 0 else -magnitude


def log(x: Fraction, low: int, high: int, rounding: str = "half_even") -> Fraction:
    """The nearest exponent: ``x`` against the square root of a product of neighbours."""
    if x == 0:
        return TWO**low
    e = floor_log2(abs(x))
    if rounding == "floor":
        e += x < 0 and TWO**e != abs(x)
    else:
        e += x * x > TWO ** (2 * e + 1)
    magnitude = TWO ** max(low, min(e, high))
    return magnitude if x > 0 else -magnitude


def blocks(x: Sequence[float], size: int) -> list[Sequence[float]]:
    return [x[i : i + size] for i in range(0, len(x), size)]


def largest(block: Sequence[float]) -> Fraction:
    """The largest magnitude among finite numbers."""
    return max((abs(Fraction(v)) for v in block if math.isfinite(v)), default=Fraction(0))


def each(block: Sequence[float], quantize: Quantizer, limit: Fraction) -> list[Fraction]:
    """A block's numbers quantized, infinities as the largest."""
    finite = (Fraction(v) if math.isfinite(v) else (limit if v > 0 else -limit) for v in block)
    return [quantize(v) for v in finite]


# ------------------------------------------------------------------------------------------ numbers to try


def f32(word: int) -> float:
    """The float32 of a bit pattern."""
    return struct.unpack("<f", struct.pack("<I", word))[0]


def f32_bits(nan: bool = False) -> st.SearchStrategy[float]:
    """Any float32 by its bits: subnormals and infinities as likely as any."""
    words = st.integers(0, 2**32 - 1).map(f32)
    return words if nan else words.filter(lambda x: not math.isnan(x))


def moderate() -> st.SearchStrategy[float]:
    """Float32 numbers of some binades around 1, with few bits: where ties and carries are."""
    mantissa = st.one_of(st.integers(-(2**24), 2**24), st.integers(-64, 64))
    return st.builds(lambda m, e: math.ldexp(m, e), mantissa, st.integers(-30, 2))


def random_bits(count: int, seed: int = 0) -> torch.Tensor:
    """Float32 of random bit patterns without NaN, and the numbers that are special."""
    words = torch.randint(-(2**31), 2**31, (count,), generator=torch.manual_seed(seed))
    x = words.to(torch.int32).view(torch.float32)
    special = [0.0, -0.0, math.inf, -math.inf, 2.0**-149, -(2.0**-149), 2.0**-126, 1.0, -1.0]
    return torch.cat([torch.where(x.isnan(), 1.5, x), torch.tensor(special)])


def decisive_bits() -> torch.Tensor:
    """Every sign, exponent and first 11 fraction bits, the rest 0, 1, below, at and above half, or all ones.

    Rounding to at most 10 fraction bits sees nothing else of a float32.
    """
    upper = torch.arange(2**20, dtype=torch.int64) << 12
    words = upper[:, None] | torch.tensor([0, 1, 0x7FF, 0x800, 0x801, 0xFFF])
    x = (words - (words >= 2**31) * 2**32).to(torch.int32).flatten().view(torch.float32)
    return x[~x.isnan()]


def around(values: torch.Tensor) -> torch.Tensor:
    """The numbers of a grid, the ties between them, and the float32 neighbours of both."""
    values = values[values.isfinite()].float().sort().values
    exact = torch.cat([values, (values[1:].double() + values[:-1].double()).div(2).float()])
    far = torch.tensor(math.inf)
    return torch.cat([exact, exact.nextafter(far), exact.nextafter(-far)])


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether float32 tensors are equal, signs of zero included, and NaN in the same places."""
    assert a.dtype == b.dtype == torch.float32
    keep = ~b.isnan()
    return torch.equal(a.isnan(), b.isnan()) and torch.equal(
        a[keep].view(torch.int32), b[keep].view(torch.int32)
    )
