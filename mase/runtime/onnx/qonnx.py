"""Quantizers as the ``Quant`` and ``BipolarQuant`` of QONNX: any width, with rounding and sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mase.ir import Fixed, Format
from mase.ir.formats import Integer
from mase.ir.formats.binary import Binary
from mase.runtime.onnx.builder import QONNX_DOMAIN
from mase.runtime.onnx.codes import Codes, activation_scale, bias_codes, codes_of
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
        key = ("quant", value, kind)
        if key not in site.builder.cache:
            result = _rounded(site, value, scale, np.array(zero, np.float32), format)
            site.builder.cache[key] = result
            site.builder.grids[result] = kind
        return site.builder.cache[key]

    def weight(self, site: Site, role: str, format: Format | None, order: Sequence[int] | None) -> str | None:
        """The numbers that the codes mean, and Quant."""
        codes = bias_codes(site) if role == "bias" else None
        bits, signed, narrow = 32, True, False
        if codes is None:
            if format is None:
                return None
            codes = codes_of(site, role, format)
            bits, signed = format.bits, bool(getattr(format, "signed", True))
            narrow = bool(getattr(format, "narrow", False))
        codes = codes.ordered(None if order is None else tuple(order))
        if codes.block is not None:
            raise site.error(f"{role} is {format}, but Quant has no blocks", help='format="qdq" has')
        key = site.key(role)
        known = ("weight", key, codes.codes.shape, codes.values.tobytes())
        if known in site.builder.cache:
            return site.builder.cache[known]
        name = site.builder.constant(codes.values, key)
        if isinstance(format, Binary) and not format.scaled:
            result = _bipolar(site, name)
        else:
            if isinstance(format, Binary):
                bits, signed = 2, True
            scale, zero = _spread(codes, codes.scale), _spread(codes, codes.zero_point.astype(np.float32))
            if role == "bias" and codes.axis is None:  # as qonnx moves it out of a convolution
                scale, zero = scale.reshape(1), zero.reshape(1)
            result = _quant(site, name, scale, zero, bits, signed, narrow, "ROUND")
        site.builder.cache[known] = result
        return result


def _spread(codes: Codes, array: NDArray[Any]) -> NDArray[Any]:
    """Scales in a shape that broadcasts over the codes."""
    if codes.axis is None:
        return array
    shape = [1] * codes.codes.ndim
    shape[codes.axis] = -1
    return array.reshape(shape)


def _rounded(site: Site, value: str, scale: NDArray[Any], zero: NDArray[Any], format: Fixed | Integer) -> str:
    bits, signed, narrow = format.width, format.signed, format.narrow
    if format.rounding != "half_up":
        mode = "FLOOR" if format.rounding == "floor" else "ROUND"
        return _quant(site, value, scale, zero, bits, signed, narrow, mode)
    if not signed and not zero.any():
        return _quant(site, value, scale, zero, bits, signed, narrow, "HALF_UP")
    # Of 32 bits, so that FINN, which makes thresholds of narrow quantizers that all round half up, keeps it.
    half = (scale / 2).astype(np.float32)
    halves = _quant(site, value, half, np.float32(2) * zero, 32, True, False, "FLOOR")
    return _quant(site, halves, scale, zero, bits, signed, narrow, "CEIL")


def _quant(
    site: Site,
    value: str,
    scale: NDArray[Any],
    zero: NDArray[Any],
    bits: int,
    signed: bool,
    narrow: bool,
    rounding: str,
) -> str:
    builder = site.builder
    names = (
        builder.constant(scale.astype(np.float32), f"{value}_scale"),
        builder.constant(zero.astype(np.float32), f"{value}_zero_point"),
        builder.constant(np.float32(bits), f"bits_{bits}"),
    )
    return builder.add(
        "Quant",
        [value, *names],
        name=f"{value}/Quant",
        output=f"{value}_quant",
        domain=QONNX_DOMAIN,
        signed=int(signed),
        narrow=int(narrow),
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
