"""Which nodes a rule of `quantize` is about, and what it asks of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, get_args

from mase.ir.diagnostics import UsageError, did_you_mean
from mase.ir.format import Format
from mase.ir.formats import Fixed, FixedWidth
from mase.ir.graph import Graph, Node
from mase.ir.keyed import formats_by_role
from mase.ir.ops.quantized import Nonlinear, float_op, quantizable_ops

__all__ = ["Rule", "float_op", "known_roles", "parse_rule", "spread"]

_SELECTORS = ("op", "scope", "regex", "node")


@dataclass(frozen=True)
class Rule:
    """One rule: where it applies and the formats that it sets there.

    Args:
        text: the rule as the user wrote it, for messages.
        op: a glob over op names, with or without the dialect (``nn.conv2d``, ``conv*``).
        scope: a glob over scopes (``head.*``).
        regex: a regular expression that a whole scope or node name must match.
        node: a glob over node names.
        skip: leave the nodes in float.
        formats: by role; None leaves that operand in float.
        nonlinear: as the option of `quantize`; None leaves it as it is.
    """

    text: str
    op: str | None = None
    scope: str | None = None
    regex: str | None = None
    node: str | None = None
    skip: bool = False
    formats: Mapping[str, Format | None] = field(default_factory=dict[str, "Format | None"])
    nonlinear: Nonlinear | None = None

    def matches(self, node: Node) -> bool:
        """Whether every selector of the rule fits the node."""
        name = float_op(node.op).name
        short = name.partition(".")[2]
        return (
            (self.op is None or fnmatchcase(name, self.op) or fnmatchcase(short, self.op))
            and (self.scope is None or fnmatchcase(node.scope, self.scope))
            and (self.regex is None or any(re.fullmatch(self.regex, n) for n in (node.scope, node.name)))
            and (self.node is None or fnmatchcase(node.name, self.node))
        )

    def remedy(self, graph: Graph) -> str | None:
        """What the user may have meant, where the rule matches nothing."""
        choices: list[tuple[str | None, Iterable[str]]] = [
            (self.op, {float_op(n.op).name for n in graph.nodes}),
            (self.scope, {n.scope for n in graph.nodes if n.scope}),
            (self.node, {n.name for n in graph.nodes}),
        ]
        return next((did_you_mean(said, known) for said, known in choices if said is not None), None)


def known_roles() -> tuple[str, ...]:
    """Every role that some quantized op gives a format to, and ``data_out``.

    Example:
        >>> {"data_in", "weight", "query", "data_out"} <= set(known_roles())
        True
    """
    found = {role: None for op in quantizable_ops() for role in op.quantized_roles}
    return (*found, "data_out")


_AS_DATA_IN = ("other", "query", "key", "value", "past", "cos", "sin")


def spread(formats: Mapping[str, Format | None]) -> dict[str, Format | None]:
    """What is asked of an op: further operands take the format of ``data_in`` unless they have their own.

    The weights of attention (``probs``) are as wide as its queries; in fixed point, with the fraction that
    numbers up to 1 need.

    Example:
        >>> from mase.ir import parse_format
        >>> found = spread({"data_in": parse_format("fixed<8,3>")})
        >>> str(found["other"]), str(found["probs"])
        ('fixed<8,3>', 'fixed<8,6>')
    """
    found = dict(formats)
    for role in _AS_DATA_IN:
        found.setdefault(role, formats.get("data_in"))
    found.setdefault("probs", _up_to_one(found["query"]))
    return found


def _up_to_one(format: Format | None) -> Format | None:
    if not isinstance(format, Fixed | FixedWidth):
        return format
    return FixedWidth(format.width, format.signed, format.narrow, format.rounding).fit(0.0, 1.0)


def parse_rule(table: Mapping[str, Any]) -> Rule:
    """Read a rule.

    Args:
        table: selectors (``op``, ``scope``, ``regex``, ``node``), ``skip``, ``nonlinear``, and formats by
            role as short texts or in the keyed style, the latter also under ``config``.

    Raises:
        MaseError: for an unknown key, a bad format or a bad regular expression.

    Example:
        >>> rule = parse_rule({"scope": "head.*", "weight": "fixed<4,3>"})
        >>> str(rule.formats["weight"])
        'fixed<4,3>'
    """
    text = ", ".join(f"{k} = {v!r}" for k, v in table.items())
    selectors = {k: table[k] for k in _SELECTORS if k in table}
    skip = table.get("skip", False)
    if not selectors:
        raise UsageError.of(
            f"rule {{{text}}} selects nothing", help=f"say one of {', '.join(_SELECTORS)}, or use default"
        )
    for key, value in selectors.items():
        if not isinstance(value, str):
            raise UsageError.of(f"rule {{{text}}}: expected a string for {key}, found {value!r}")
    if not isinstance(skip, bool):
        raise UsageError.of(f"rule {{{text}}}: expected true or false for skip, found {skip!r}")
    nonlinear = table.get("nonlinear")
    if nonlinear not in (None, *get_args(Nonlinear)):
        raise UsageError.of(f"rule {{{text}}}: expected float or table for nonlinear, found {nonlinear!r}")
    if "regex" in selectors:
        _check_regex(selectors["regex"])
    config = {k: v for k, v in table.items() if k not in (*_SELECTORS, "skip", "nonlinear", "config")}
    config |= table.get("config", {})
    formats = formats_by_role(config, known_roles())
    return Rule(text, **selectors, skip=skip, formats=formats, nonlinear=nonlinear)


def _check_regex(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError.of(f"bad regular expression {text!r}: {error}") from None
