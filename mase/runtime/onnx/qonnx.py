"""Quantizers as the ``Quant`` and ``BipolarQuant`` of QONNX: any width, with rounding and sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Fixed, Format
from mase.ir.formats import Integer
from mase.ir.formats.binary import Binary
from mase.runtime.onnx.builder import QONNX_DOMAIN
from mase.runtime.onnx.codes import activation_scale, bias_codes, codes_of
from mase.runtime.onnx.site import Sign, Site

__all__ = ["QonnxQuantizers"]


class QonnxQuantizers:
    """Quantizers of the domain ``qonnx.custom_op.general``.

    Weights stay float numbers, already on their grids, behind a ``Quant``. QONNX's HALF_UP rounds ties away
    from zero, which is half up for numbers that are not negative; for signed ones a floor to half a code and
    a ceiling after it are.
    """

    kind = "qonnx"
    floors = False

    def activation(self, site: Site, role: str, value: str, format: Format, sign: Sign = "any") -> str:
        """A value through Quant."""
        if isinstance(format, Binary) and not format.scaled:
            return _bipolar(site, value)
        if not isinstance(format, Fixed | Integer):
            raise site.error(
                f"{role} is {format}, which Quant does not have",
                help="quantize activations to fixed<W,F>, int<W> or binary",
            )
        scale, zero = activation_scale(site, role, format)
        kind = (str(format), scale.tobytes(), zero)
        if site.builder.grids.get(value) == kind:
            return value
        result = site.builder.once(
            ("quant", value, kind),
            lambda: _rounded(site, value, scale, np.array(zero, np.float32), format),
        )
        site.builder.grids[result] = kind
        return result

    def weight(self, site: Site, role: str, format: Format | None, order: Sequence[int] | None) -> str | None:
        """The numbers that the codes mean, and Quant."""
        codes = bias_codes(site) if role == "bias" else None
        width = _Width(32)
        if codes is None:
            if format is None:
                return None
            codes, width = codes_of(site, role, format), _width_of(format)
        codes = codes.ordered(None if order is None else tuple(order))
        if codes.block is not None:
            raise site.error(f"{role} is {format}, but Quant has no blocks", help='format="qdq" has')
        key = site.key(role)
        values = codes.values

        def make() -> str:
            name = site.builder.constant(values, key)
            if isinstance(format, Binary) and not format.scaled:
                return _bipolar(site, name)
            scale, zero = codes.spread(codes.scale), codes.spread(codes.zero_point.astype(np.float32))
            if role == "bias" and codes.axis is None:  # as qonnx moves it out of a convolution
                scale, zero = scale.reshape(1), zero.reshape(1)
            return _quant(site, name, scale, zero, width, "ROUND")

        return site.builder.once(("weight", key, codes.codes.shape, values.tobytes()), make)


@dataclass(frozen=True)
class _Width:
    """Which codes a Quant has."""

    bits: int
    signed: bool = True
    narrow: bool = False


def _width_of(format: Format) -> _Width:
    if isinstance(format, Binary):
        return _Width(2)  # -1 and 1
    signed, narrow = getattr(format, "signed", True), getattr(format, "narrow", False)
    return _Width(format.bits, bool(signed), bool(narrow))


def _rounded(site: Site, value: str, scale: NDArray[Any], zero: NDArray[Any], format: Fixed | Integer) -> str:
    width = _width_of(format)
    if format.rounding == "half_even" and int(zero) % 2:
        return _around_zero(site, value, scale, int(zero), format)
    if format.rounding != "half_up":
        return _quant(site, value, scale, zero, width, "FLOOR" if format.rounding == "floor" else "ROUND")
    if not format.signed and not zero.any():
        return _quant(site, value, scale, zero, width, "HALF_UP")
    # Of 32 bits, so that FINN, which makes thresholds of narrow quantizers that all round half up, keeps it.
    half = (scale / 2).astype(np.float32)
    halves = _quant(site, value, half, np.float32(2) * zero, _Width(32), "FLOOR")
    return _quant(site, halves, scale, zero, width, "CEIL")


def _around_zero(site: Site, value: str, scale: NDArray[Any], zero: int, format: Fixed | Integer) -> str:
    """The same numbers by signed codes around 0, clipped before.

    Quant rounds after it has added the zero point: an odd one makes ties that are even odd.
    """
    ends = [np.float32(code - zero) * scale for code in (format.code_min, format.code_max)]
    names = [site.builder.constant(e, f"{value}_{n}") for e, n in zip(ends, ("min", "max"), strict=True)]
    output = f"{value}_clipped"
    clipped = site.builder.add("Clip", [value, *names], name=f"{value}/Clip", output=output)
    return _quant(site, clipped, scale, np.array(0, np.float32), _Width(format.width + 1), "ROUND")


def _quant(
    site: Site, value: str, scale: NDArray[Any], zero: NDArray[Any], width: _Width, rounding: str
) -> str:
    builder = site.builder
    names = (
        builder.constant(scale.astype(np.float32), f"{value}_scale"),
        builder.constant(zero.astype(np.float32), f"{value}_zero_point"),
        builder.constant(np.float32(width.bits), f"bits_{width.bits}"),
    )
    return builder.add(
        "Quant",
        [value, *names],
        name=f"{value}/Quant",
        output=f"{value}_quant",
        domain=QONNX_DOMAIN,
        signed=int(width.signed),
        narrow=int(width.narrow),
        rounding_mode=rounding,
    )


def _bipolar(site: Site, value: str) -> str:
    scale = site.builder.constant(np.float32(1), f"{value}_scale")
    return site.builder.add(
        "BipolarQuant",
        [value, scale],
        name=f"{value}/BipolarQuant",
        output=f"{value}_quant",
        domain=QONNX_DOMAIN,
    )
