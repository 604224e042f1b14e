"""The space of a search: which formats each operand and weight of each layer may have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, cast, get_args

from mase.ir.diagnostics import UsageError, did_you_mean
from mase.ir.format import Format
from mase.ir.graph import Graph, Node
from mase.ir.keyed import formats_by_role
from mase.passes.transforms.quantize_rules import Rule, float_op, known_roles, parse_rule

__all__ = [
    "DEFAULT",
    "Dimension",
    "Per",
    "Space",
    "SpaceRule",
    "bits_of",
    "make_space",
    "parse_space_rule",
    "parsed",
]

Per = Literal["layer", "op", "rule"]
"""What decides together: each layer by itself, all layers of one op type, or all that the rule selects."""

DEFAULT: Sequence[Mapping[str, Any]] = (
    {
        "op": "*",
        "weight": ["fixed<2>", "fixed<4>", "fixed<8>"],
        "data_in": ["fixed<2>", "fixed<4>", "fixed<8>"],
    },
)
"""The space when the user gives none."""

_SELECTORS = ("op", "scope", "regex", "node", "skip")


@dataclass(frozen=True)
class SpaceRule:
    """A rule of the space.

    Args:
        rule: which nodes it is about, and whether the search leaves them alone.
        per: what decides together.
        choices: the formats by role.
    """

    rule: Rule
    per: Per
    choices: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Dimension:
    """One decision of the search.

    Args:
        name: what tables and files call it, such as ``fc1.weight``.
        role: the operand or parameter that gets a format.
        nodes: the names of the nodes that it is about.
        choices: the texts of the formats; with one choice there is nothing to decide.
    """

    name: str
    role: str
    nodes: tuple[str, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """Every decision of a search.

    Args:
        dimensions: those with two choices at least.
        fixed: those with one.
    """

    dimensions: tuple[Dimension, ...]
    fixed: tuple[Dimension, ...] = ()

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return prod(len(each.choices) for each in self.dimensions)

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The choices by name of the dimension."""
        return {each.name: each.choices for each in self.dimensions}

    def uniform(self) -> list[dict[str, str]]:
        """The configurations of one width everywhere, or of the nearest that there is, widest first."""
        widths = sorted({bits_of(text) for each in self.dimensions for text in each.choices}, reverse=True)
        found: list[dict[str, str]] = []
        for width in widths:
            made = {each.name: _nearest(each.choices, width) for each in self.dimensions}
            if made not in found:
                found.append(made)
        return found

    def formats(self, chosen: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """The format of each node by role.

        Args:
            chosen: a choice for each dimension.
        """
        found: dict[str, dict[str, str]] = {}
        for each in (*self.dimensions, *self.fixed):
            text = chosen.get(each.name, each.choices[0])
            for node in each.nodes:
                found.setdefault(node, {})[each.role] = text
        return found


def parse_space_rule(table: Mapping[str, Any]) -> SpaceRule:
    """Read a rule of the space.

    Args:
        table: selectors as in a rule of ``quantize``, ``per``, ``skip``, and by role a format or a list of
            formats; the keyed style takes lists too (``weight_width = [2, 4, 8]``).

    Raises:
        MaseError: for an unknown key or role or a bad format, with a remedy.

    Example:
        >>> rule = parse_space_rule({"op": "nn.linear", "weight": ["fixed<4>", "fixed<8>"]})
        >>> rule.choices
        {'weight': ('fixed<4>', 'fixed<8>')}
    """
    selectors = {key: table[key] for key in _SELECTORS if key in table}
    rule = parse_rule(selectors) if selectors else parse_rule({"op": "*"})
    per = table.get("per", "layer")
    if per not in get_args(Per):
        raise UsageError.of(f"space: unknown per = {per!r}", help=did_you_mean(str(per), get_args(Per)))
    rest = {key: value for key, value in table.items() if key not in (*_SELECTORS, "per")}
    choices = {role: _choices(role, rest) for role in _roles_in(rest)}
    if not choices and not rule.skip:
        raise UsageError.of(f"space rule {{{rule.text}}} gives no formats", help='add weight = ["fixed<4>"]')
    return SpaceRule(rule, per, choices)


def _roles_in(table: Mapping[str, Any]) -> list[str]:
    """The roles that a rule mentions; unknown keys are reported by who reads formats."""
    first = {key: next(iter(_listed(value)), "f32") for key, value in table.items()}
    return list(formats_by_role(first, known_roles()))


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _choices(role: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    if table.get("bypass"):
        return ("f32",)
    mine = {k: v for k, v in table.items() if k == role or k.startswith(f"{role}_") or k == "name"}
    found: dict[str, None] = {}
    for values in itertools.product(*map(_listed, mine.values())):
        format = formats_by_role(dict(zip(mine, values, strict=True)), known_roles())[role]
        found["f32" if format is None else str(format)] = None
    if not found:
        raise UsageError.of(f"space: no format for {role!r}", help=f'write {role} = ["fixed<4>", "fixed<8>"]')
    return tuple(found)


def make_space(
    graph: Graph,
    rules: Sequence[SpaceRule],
    roles: Mapping[str, Sequence[str]],
    warn: Callable[[str, str | None], None],
) -> Space:
    """Match rules with nodes: later rules refine earlier ones, role by role.

    Args:
        graph: the graph.
        rules: the rules.
        roles: the roles of each node that can be quantized, by node name.
        warn: takes a message and a remedy, for rules that do nothing.
    """
    made: dict[tuple[str, ...], Dimension] = {}
    used: set[int] = set()
    for node in (graph[name] for name in roles):
        for role, index in _rules_by_role(node, rules).items():
            used.add(index)
            if role in roles[node.name]:
                _add(made, node, role, rules[index], index)
    _warn_of_idle(graph, rules, roles, warn)
    several = tuple(each for each in made.values() if len(each.choices) > 1)
    return Space(several, tuple(each for each in made.values() if len(each.choices) == 1))


def _rules_by_role(node: Node, rules: Sequence[SpaceRule]) -> dict[str, int]:
    """The rule that has the last word on each role."""
    found: dict[str, int] = {}
    for index, each in enumerate(rules):
        if each.rule.matches(node):
            found = {} if each.rule.skip else found | dict.fromkeys(each.choices, index)
    return found


def _add(made: dict[tuple[str, ...], Dimension], node: Node, role: str, rule: SpaceRule, index: int) -> None:
    layer = node.scope if node.params and node.scope else node.name
    key, label = {
        "layer": ((layer, *map(str, node.params.values())), layer),
        "op": ((str(index), float_op(node.op).name), float_op(node.op).name),
        "rule": ((str(index),), rule.rule.text.replace("'", "")),
    }[rule.per]
    key = (*key, role)
    known = made.get(key)
    if known is not None:
        made[key] = Dimension(known.name, role, (*known.nodes, node.name), known.choices)
        return
    taken = {each.name for each in made.values()}
    name = f"{label}.{role}"
    name = name if name not in taken else f"{label} at {node.name}.{role}"
    made[key] = Dimension(name, role, (node.name,), rule.choices[role])


def _warn_of_idle(
    graph: Graph,
    rules: Sequence[SpaceRule],
    roles: Mapping[str, Sequence[str]],
    warn: Callable[[str, str | None], None],
) -> None:
    for each in rules:
        matched = [node for node in graph.nodes if each.rule.matches(node)]
        if not matched:
            warn(f"space rule {{{each.rule.text}}} matches no node", each.rule.remedy(graph))
        elif not each.rule.skip and not any(
            role in roles.get(node.name, ()) for node in matched for role in each.choices
        ):
            names = ", ".join(each.choices)
            warn(f"space rule {{{each.rule.text}}} matches no node that has {names} to quantize", None)


def bits_of(text: str) -> int:
    """The width of a choice."""
    format = parsed(text)
    return 32 if format is None else format.bits


def _nearest(choices: Sequence[str], width: int) -> str:
    return min(choices, key=lambda text: abs(bits_of(text) - width))


def parsed(text: str) -> Format | None:
    """The format of a choice; None for float."""
    return formats_by_role({"weight": text}, ("weight",))["weight"]
