"""Fixed point: ``fixed<W,F>`` and ``ufixed<W,F>``, codes ``k`` of ``W`` bits with value ``k * 2**-F``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mase.ir.format import ROUNDINGS, Format, Rounding, Uncalibrated, register_format

__all__ = ["Fixed", "FixedWidth", "Rounding"]

_MAX_WIDTH = 32


def _integer(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected an integer for the {what}, found {text!r}") from None


@dataclass(frozen=True)
class _Flags:
    """What both complete and uncalibrated fixed point say beside their width."""

    width: int
    signed: bool = True
    narrow: bool = False
    rounding: Rounding = "half_even"

    def check(self) -> None:
        low = 2 if self.signed and self.narrow else 1
        if not low <= self.width <= _MAX_WIDTH:
            raise ValueError(f"expected a width of {low} to {_MAX_WIDTH} bits, found {self.width}")
        if self.narrow and not self.signed:
            raise ValueError("narrow is for signed formats")
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"expected a rounding of {', '.join(ROUNDINGS)}")

    @property
    def code_min(self) -> int:
        if not self.signed:
            return 0
        return -(2 ** (self.width - 1)) + (1 if self.narrow else 0)

    @property
    def code_max(self) -> int:
        return 2 ** (self.width - (1 if self.signed else 0)) - 1

    def text(self, *numbers: int) -> str:
        words = [str(n) for n in numbers]
        words += ["narrow"] if self.narrow else []
        words += [self.rounding] if self.rounding != "half_even" else []
        return f"{'fixed' if self.signed else 'ufixed'}<{','.join(words)}>"


@register_format
@dataclass(frozen=True)
class Fixed(Format):
    """``fixed<W,F>``: signed codes ``k`` in ``[-2**(W-1), 2**(W-1)-1]`` with value ``k * 2**-F``.

    ``ufixed<W,F>`` is unsigned, ``narrow`` drops the most negative code, and a rounding other than
    the default ``half_even`` is written last (``fixed<8,4,half_up>``). ``F`` may be negative or
    exceed ``W``; ``W`` is 1 to 32.

    Example:
        >>> f = Fixed(8, 4)
        >>> str(f), f.min, f.max, f.step
        ('fixed<8,4>', -8.0, 7.9375, 0.0625)
        >>> f.contains(0.125), f.contains(0.1)
        (True, False)
        >>> str(Fixed(8, 4, narrow=True, rounding="half_up"))
        'fixed<8,4,narrow,half_up>'
    """

    width: int
    frac: int
    signed: bool = True
    narrow: bool = False
    rounding: Rounding = "half_even"

    family: ClassVar[str] = "integer"
    names: ClassVar[tuple[str, ...]] = ("fixed", "ufixed")
    keyed_names: ClassVar[tuple[str, ...]] = ("integer", "fixed")
    keyed_parameters: ClassVar[tuple[str, ...]] = ("width", "frac_width", "signed", "narrow", "rounding")

    def __post_init__(self) -> None:
        self._flags.check()
        if not -126 <= self.frac <= 126:
            raise ValueError(f"expected a fraction of -126 to 126 bits, found {self.frac}")

    @property
    def _flags(self) -> _Flags:
        return _Flags(self.width, self.signed, self.narrow, self.rounding)

    def __str__(self) -> str:
        return self._flags.text(self.width, self.frac)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        numbers = [a for a in args if a.lstrip("+-").isdigit()]
        flags = [a for a in args if a not in numbers]
        unknown = [f for f in flags if f != "narrow" and f not in ROUNDINGS]
        if unknown or not 1 <= len(numbers) <= 2 or list(args) != numbers + flags:
            what = f"'{unknown[0]}' is unknown; " if unknown else ""
            raise ValueError(f"{what}expected {name}<W,F>, {name}<W> or {name}<W,F,narrow,half_up>")
        rounding: Rounding = "half_even"
        for word in flags:
            if word in ("half_even", "half_up", "floor"):
                rounding = word
        width = _integer(numbers[0], "width")
        base = FixedWidth(width, name == "fixed", "narrow" in flags, rounding)
        return base if len(numbers) == 1 else base.with_frac(_integer(numbers[1], "fraction"))

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Format:
        known = set(cls.keyed_parameters)
        unknown = set(keys) - known
        if unknown or "width" not in keys:
            raise ValueError(f"expected keys {', '.join(sorted(known))} (width is needed)")
        name = "fixed" if keys.get("signed", True) else "ufixed"
        args = [str(keys[k]) for k in ("width", "frac_width") if k in keys]
        args += ["narrow"] if keys.get("narrow", False) else []
        args += [str(keys["rounding"])] if "rounding" in keys else []
        return cls.from_text(name, args)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def step(self) -> float:
        """The distance between neighbours, ``2**-F``."""
        return math.ldexp(1.0, -self.frac)

    @property
    def code_min(self) -> int:
        """The smallest integer code."""
        return self._flags.code_min

    @property
    def code_max(self) -> int:
        """The largest integer code."""
        return self._flags.code_max

    @property
    def min(self) -> float:
        return math.ldexp(self.code_min, -self.frac)

    @property
    def max(self) -> float:
        return math.ldexp(self.code_max, -self.frac)

    def contains(self, value: float) -> bool:
        if not math.isfinite(value) or not self.min <= value <= self.max:
            return False
        return math.ldexp(value, self.frac).is_integer()

    def with_rounding(self, rounding: Rounding) -> Fixed:
        """The same codes under another rounding mode."""
        return replace(self, rounding=rounding)


@dataclass(frozen=True)
class FixedWidth(Uncalibrated):
    """``fixed<W>``: a width whose fraction is taken from statistics.

    Example:
        >>> str(FixedWidth(8).fit(-1.0, 3.2))
        'fixed<8,5>'
        >>> str(FixedWidth(8, signed=False).fit(0.0, 1.0))
        'ufixed<8,7>'
    """

    width: int
    signed: bool = True
    narrow: bool = False
    rounding: Rounding = "half_even"

    family: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        self._flags.check()

    @property
    def _flags(self) -> _Flags:
        return _Flags(self.width, self.signed, self.narrow, self.rounding)

    def __str__(self) -> str:
        return self._flags.text(self.width)

    @classmethod
    def from_text(cls, name: str, args: Sequence[str]) -> Format:
        return Fixed.from_text(name, args)

    @property
    def bits(self) -> int:
        return self.width

    @property
    def min(self) -> float:
        return -math.inf if self.signed else 0.0

    @property
    def max(self) -> float:
        return math.inf

    def contains(self, value: float) -> bool:
        return math.isfinite(value) and (self.signed or value >= 0)

    def with_frac(self, frac: int) -> Fixed:
        """The complete format with fraction ``frac``."""
        return Fixed(self.width, frac, self.signed, self.narrow, self.rounding)

    def with_rounding(self, rounding: Rounding) -> FixedWidth:
        """The same width under another rounding mode."""
        return replace(self, rounding=rounding)

    def fit(self, low: float, high: float) -> Fixed:
        """The largest fraction at which neither end of ``[low, high]`` leaves the code range.

        A range of zeros takes the fraction ``W - 1`` (``W`` if unsigned). An unsigned format
        represents nothing below zero, so only ``high`` counts there.
        """
        ends = ((high, self._flags.code_max), (low, self._flags.code_min))
        fracs = [_largest_frac(b, c) for b, c in ends if b * c > 0 and math.isfinite(b)]
        frac = min(fracs, default=self.width - int(self.signed))
        return self.with_frac(max(-126, min(frac, 126)))

    def candidates(self, low: float, high: float) -> Sequence[Fixed]:
        """The overflow-free fraction and the finer ones that clip ever more of the range."""
        start = self.fit(low, high).frac
        return [self.with_frac(f) for f in range(start, min(start + self.width, 126) + 1)]


def _largest_frac(bound: float, code: int) -> int:
    """The largest F such that ``|bound| * 2**F <= |code|``, exactly."""
    # frexp gives exact exponents; the quotient's exponent is off by at most one, so correct it.
    frac = math.frexp(abs(code))[1] - math.frexp(abs(bound))[1] + 1
    while math.ldexp(abs(bound), frac) > abs(code):
        frac -= 1
    return frac
