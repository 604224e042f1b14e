"""Arithmetic families: what ``integer`` is in ``mase.linear_integer`` and ``LinearInteger``."""

from __future__ import annotations

from collections.abc import Mapping

from mase.ir.format import Format, format_families

__all__ = ["families", "family_of", "family_title"]

_TITLES = {"ieee": "IEEE", "fp": "FP", "mxint": "MXInt", "mxfp": "MXFP", "nvfp4": "NVFP4"}


def families() -> tuple[str, ...]:
    """Every family that a registered format belongs to, sorted.

    Example:
        >>> import mase.ir
        >>> [name for name in families() if name.startswith("block")]
        ['block_fp', 'block_log', 'block_minifloat']
    """
    return tuple(sorted({cls.family for cls in format_families().values()} - {""}))


def family_of(formats: Mapping[str, Format | None]) -> str:
    """The family of an op whose operands have these formats.

    It is that of the weight, or else of the first operand with a format. The ``integer`` family is
    exact and thus takes fixed point alone: beside any other format it does not count.

    Args:
        formats: by role, None for what stays in float.

    Example:
        >>> from mase.ir import parse_format
        >>> a, b, c = parse_format("fixed<8,4>"), parse_format("mxint<8,32>"), parse_format("binary")
        >>> family_of({"data_in": a, "weight": a}), family_of({"data_in": b, "weight": c})
        ('integer', 'binary')
        >>> family_of({"data_in": b, "weight": a})
        'mxint'
    """
    weight_first = sorted(formats, key=lambda role: role != "weight")
    found = [f.family for role in weight_first if (f := formats[role]) is not None]
    return next((family for family in found if family != "integer"), "integer")


def family_title(family: str) -> str:
    """A family as it stands in class names.

    Example:
        >>> family_title("minifloat_ieee"), family_title("block_log"), family_title("mxint")
        ('MinifloatIEEE', 'BlockLog', 'MXInt')
    """
    return "".join(_TITLES.get(word, word.capitalize()) for word in family.split("_"))
