"""Random options of ``quantize``: formats for every role, and rules that give single steps others."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.runtime.families import FORMATS

__all__ = ["KINDS", "random_options"]

Options = dict[str, Any]

_ROUNDINGS = ["half_even", "half_up", "floor"]
_WIDTHS = [2, 3, 4, 4, 5, 6, 8, 8, 8, 10, 12]


def random_options(kind: str, steps: int, seed: int) -> Options:
    """The options of ``quantize``.

    Args:
        kind: one of `KINDS`.
        steps: how many steps the model has that rules may name.
        seed: what the choice depends on.
    """
    rng = Random(seed)
    options = KINDS[kind](rng)
    rules: list[Options] = []
    for i in range(steps):
        draw = Random(rng.random())
        if draw.random() < 0.25:
            rules.append({"scope": f"steps.{i}*"} | KINDS[kind](draw)["default"])
    return options | {"rules": rules}


def _fixed(rng: Random) -> Options:
    """Powers of two alone."""
    default = {"data_in": _point(rng), "weight": _point(rng, signed=True)}
    if rng.random() < 0.3:
        default["bias"] = rng.choice([_point(rng, signed=True), "fixed<16>", "fixed<12,10>"])
    if rng.random() < 0.15:
        default["data_out"] = _point(rng)
    if rng.random() < 0.08:
        default["weight"] = rng.choice(["ternary", "binary"])
    options: Options = {"default": default, "nonlinear": "table" if rng.random() < 0.9 else "float"}
    if rng.random() < 0.4:
        options["rounding"] = rng.choice(_ROUNDINGS)
    return options


def _point(rng: Random, signed: bool | None = None) -> str:
    """A text such as ``ufixed<4>`` or ``fixed<8,6,narrow,half_up>``."""
    width = rng.choice(_WIDTHS)
    is_signed = rng.random() < 0.8 if signed is None else signed
    words = [str(width)]
    words += [str(width - rng.randint(-1, 5))] if rng.random() < 0.3 else []
    words += ["narrow"] if is_signed and rng.random() < 0.15 else []
    words += [rng.choice(_ROUNDINGS)] if rng.random() < 0.1 else []
    return f"{'fixed' if is_signed else 'ufixed'}<{','.join(words)}>"


def _scaled(rng: Random) -> Options:
    """Scales of any size."""
    default = {"data_in": _integer(rng), "weight": _integer(rng, weight=True)}
    if rng.random() < 0.15:
        default["data_out"] = _integer(rng)
    if rng.random() < 0.2:
        default[rng.choice(["data_in", "weight"])] = _point(rng, signed=True)
    options: Options = {"default": default, "requant": "dyadic" if rng.random() < 0.8 else "float"}
    options["nonlinear"] = "table" if rng.random() < 0.9 else "float"
    options["scales"] = rng.choice(["static", "static", "static", "learned", "moving"])
    if rng.random() < 0.3:
        options["rounding"] = rng.choice(_ROUNDINGS)
    if rng.random() < 0.5:
        options["weight_scales"] = rng.choice(["static", "learned"])
        options["calibrate"] = rng.choice(["range", "mse"])
    return options


def _integer(rng: Random, weight: bool = False) -> str:
    """A text such as ``uint<8,asym>``, of weights also ``int<4,channel=0>``."""
    words, name = [str(rng.choice(_WIDTHS))], "int"
    if weight and rng.random() < 0.6:
        name = rng.choice(["int", "int", "int", "uint"])
        words += ["asym", "channel=0"] if name == "uint" else ["channel=0"]
    elif not weight and rng.random() < 0.4:
        name = "uint"
        words += ["asym"] if rng.random() < 0.7 else []
    words += ["narrow"] if name == "int" and rng.random() < 0.1 else []
    return f"{name}<{','.join(words)}>"


def _others(rng: Random) -> Options:
    """Floats, blocks, logarithms, signs: what has no integers."""
    texts = [text for name, text in FORMATS.items() if name not in ("integer", "scale_integer")]
    texts += [
        "binary",
        "ternary",
        "fp4_e2m1",
        "fp6_e3m2",
        "fp8_e5m2",
        "mxfp4<4>",
        "mxfp6_e2m3<4>",
        "int<4,group=2>",
    ]
    texts += ["nvfp4<16>", "mxint<4,2>", "int<8,token>", "float<3,2,bias=5>", "log<4,bias=3>", "bfp<4,4,3>"]
    weight = rng.choice(texts)
    default = {"data_in": rng.choice([weight, weight, rng.choice(texts)]), "weight": weight}
    if rng.random() < 0.3:
        default["bias"] = weight
    if rng.random() < 0.2:
        default["data_out"] = rng.choice(texts)
    return {"default": default}


KINDS: dict[str, Callable[[Random], Options]] = {"fixed": _fixed, "scaled": _scaled, "others": _others}
