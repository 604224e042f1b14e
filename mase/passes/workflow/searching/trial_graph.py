"""From the choices of a trial to its quantized graph, with everything about formats found out only once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.graph import Graph, Node
from mase.ir.keyed import formats_by_role
from mase.ir.ops.norm import BatchNorm
from mase.ir.ops.quantized import QuantizedOp, quantized_op
from mase.passes.context import Context
from mase.passes.transforms.choose_formats import Chooser
from mase.passes.transforms.quantize import Quantize
from mase.passes.transforms.quantize_rules import Rule, float_op, known_roles, parse_rule, spread
from mase.passes.workflow.searching.space import Dimension, Space, SpaceRule, make_space, parsed

__all__ = ["Formats", "quantizable", "space_of"]

_EIGHT_BITS = {"data_in": "fixed<8>", "weight": "fixed<8>"}  # as in quantize


class Formats:
    """Completes the formats of trials: looks at the data once, fits each format of each node once.

    Args:
        graph: the graph as it was before any node was quantized.
        ctx: the context of the run, for its data.
        base: quantizes what the space leaves open.
        nodes: those that can be quantized, by `quantizable`.
        space: the decisions.
    """

    def __init__(
        self, graph: Graph, ctx: Context, base: Quantize, nodes: Iterable[str], space: Space
    ) -> None:
        self._graph, self._base, self._nodes, self._space = graph.copy(), base, list(nodes), space
        self._default = formats_by_role(base.default or _EIGHT_BITS, known_roles())
        self._rules = [parse_rule(rule) for rule in base.rules or []]
        self._chooser = Chooser(graph, ctx, base.calibrate, base.batches, base.split)
        self._known: dict[tuple[str, str, str], Format | None] = {}

    def apply(self, graph: Graph, ctx: Context, chosen: Mapping[str, str]) -> None:
        """Quantize a graph, which is the one given at first or a copy of it, as a trial says.

        Args:
            graph: changed in place.
            ctx: where ``quantize`` tells what it did.
            chosen: a choice for each dimension of the space.
        """
        tables = [{"node": name, **formats} for name, formats in self._complete(chosen).items()]
        replace(self._base, rules=[*(self._base.rules or []), *tables]).apply(graph, ctx, self._chooser)

    def apply_one(self, graph: Graph, ctx: Context, dimension: Dimension, choice: str) -> None:
        """Quantize nothing but what one dimension decides.

        Args:
            graph: changed in place, as by `apply`.
            ctx: where ``quantize`` tells what it did.
            dimension: of the space.
            choice: one of its choices.
        """
        tables = [{"node": name, **self._one(name, dimension.role, choice)} for name in dimension.nodes]
        replace(self._base, default={}, rules=tables, nonlinear="float").apply(graph, ctx, self._chooser)

    def _one(self, name: str, role: str, choice: str) -> dict[str, Format | None]:
        """Formats by role of a node of which one role has a format, and those that follow it."""
        node, asked = self._graph[name], spread({role: parsed(choice)})
        others = {each.role for each in self._space.dimensions if name in each.nodes} - {role}
        own = {r: None if r in others else asked.get(r) for r in _roles_of(node)}
        return {r: self._fit(node, r, format) for r, format in own.items()}

    def _complete(self, chosen: Mapping[str, str]) -> dict[str, dict[str, Format | None]]:
        """Complete formats by role of every node that the space or the base quantizes."""
        by_space = self._space.formats(chosen)
        found: dict[str, dict[str, Format | None]] = {}
        for name in self._nodes:
            node = self._graph[name]
            mine = {role: parsed(text) for role, text in by_space.get(name, {}).items()}
            if mine or not isinstance(node.op, QuantizedOp):
                found[name] = self._formats_of(node, mine)
        return found

    def _formats_of(self, node: Node, mine: Mapping[str, Format | None]) -> dict[str, Format | None]:
        asked = dict(node.op.formats) if isinstance(node.op, QuantizedOp) else dict(self._default)
        for rule in self._rules:
            asked |= rule.formats if rule.matches(node) else {}
        asked = spread(asked | dict(mine))
        return {role: self._fit(node, role, asked[role]) for role in _roles_of(node) if role in asked}

    def _fit(self, node: Node, role: str, format: Format | None) -> Format | None:
        key = node.name, role, str(format)
        if key not in self._known:
            made = quantized_op(type(float_op(node.op)))
            assert made is not None
            if self._base.rounding is not None and format is not None:
                format = format.with_rounding(self._base.rounding)
            self._known[key] = self._chooser.complete(node, made, {role: format})[role]
        return self._known[key]


def space_of(
    graph: Graph, ctx: Context, base: Quantize, rules: Sequence[SpaceRule], *, by_hand: bool
) -> tuple[Space, list[str]]:
    """What is to be decided of a graph, and the names of the nodes that can be quantized.

    Args:
        graph: the graph; it stays as it is.
        ctx: warned of rules that do nothing.
        base: what its rules skip is left out.
        rules: of the space.
        by_hand: whether nodes that are quantized already keep their formats.

    Raises:
        MaseError: if nothing is to be decided.
    """
    roles = quantizable(graph, base)
    kept = {node.name for node in graph.find(QuantizedOp)} if by_hand else set[str]()
    open_ = {name: each for name, each in roles.items() if name not in kept}
    space = make_space(graph, rules, open_, lambda text, help: ctx.warn(text, help=help))
    if not space.dimensions:
        raise MaseError.of(
            "there is nothing to choose: no node that can be quantized has two formats to choose from",
            help="`report` after `quantize` says of each node why; widen space or drop skip rules",
        )
    return space, list(roles)


def quantizable(graph: Graph, base: Quantize) -> dict[str, tuple[str, ...]]:
    """The roles of each node that ``quantize`` turns, or has turned, into a quantized op.

    Args:
        graph: the graph; it stays as it is.
        base: what its rules skip is left out.
    """
    probe = graph.copy()
    complete = dict.fromkeys(known_roles(), "fixed<8,0>")  # needs no data
    rules = [parse_rule(rule) for rule in base.rules or []]
    tables = [_selector(rule) | ({"skip": True} if rule.skip else complete) for rule in rules]
    Quantize(default=complete, rules=tables).run(probe, Context(probe))
    return {node.name: _roles_of(node) for node in probe.find(QuantizedOp)}


def _selector(rule: Rule) -> dict[str, Any]:
    said = {name: getattr(rule, name) for name in ("op", "scope", "regex", "node")}
    return {name: value for name, value in said.items() if value is not None}


def _roles_of(node: Node) -> tuple[str, ...]:
    """The roles of a node that hold numbers: a layer without a bias has none to quantize."""
    op = float_op(node.op)
    made = quantized_op(type(op))
    if made is None:
        return ()
    operands = {role for role, _ in node.named_inputs}
    always = isinstance(op, BatchNorm)  # its scale and shift follow from its running statistics
    return tuple(role for role in made.roles if role in operands or role in node.params or always)
