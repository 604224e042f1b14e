"""``quantize``: turn ops into their quantized ops, by op type, scope and name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.formats import Dtype, Fixed
from mase.ir.graph import Graph, Node
from mase.ir.keyed import formats_by_role
from mase.ir.ops import core, nn, norm
from mase.ir.ops.moves import is_view
from mase.ir.ops.quantized import QuantizedOp, quantized_op, role_formats, with_formats
from mase.ir.types import TensorType
from mase.passes.analyses.calibration import Split
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.choose_formats import Calibrate, Chooser
from mase.passes.transforms.choose_scales import Scales, drop_scales, give_scale, scaled_roles
from mase.passes.transforms.quantize_rules import Rule, float_op, known_roles, parse_rule, spread

if TYPE_CHECKING:
    from mase.runtime.kernels import Scale

__all__ = ["Quantize"]

Rounding = Literal["half_even", "half_up", "floor"]
Formats = dict[str, Format | None]
_EIGHT_BITS = {"data_in": "fixed<8>", "weight": "fixed<8>"}


@register_pass("quantize", requires=("float", "quantized"), ensures="quantized", changes_numbers=True)
class Quantize:
    """Give the operands, weights and results of ops number formats: fixed point, floats, blocks, ...

    Every op becomes the quantized op of its formats' family (``mase.linear_integer``,
    ``mase.conv2d_mxint``), which quantizes its operands and computes its result from them; in fixed point
    exactly. Later rules refine earlier ones, role by role. A format without a fraction (``fixed<8>``)
    takes it from `profile`'s statistics, or from batches of the data set if there are none, and so do the
    scales of activations in ``int<8>``. Nodes left in float say why in ``report``.

    Args:
        default: the formats by role for every op that can be quantized; 8 bits if absent. ``f32``
            leaves a role in float. Roles are ``data_in``; ``other`` (a second operand), ``query``, ``key``,
            ``value``, ``past``, ``cos`` and ``sin``, which are as ``data_in`` unless given; ``probs`` (the
            weights inside of attention; as wide as ``query``); ``weight``; ``bias`` (in fixed point 32
            bits at the scale of the products, else float, unless given); ``data_out``.
        rules: tables that select nodes by ``op`` (``nn.conv2d``), ``scope`` (a glob), ``regex`` (over
            scopes and names) or ``node`` (a glob over names), and give formats by role or ``skip = true``.
        calibrate: ``range`` for the largest range without overflow, ``mse`` for the least squared error.
        batches: how many batches to take statistics from where they are absent.
        split: the part of the data to take them from.
        scales: where activations in ``int<W>`` get their scales from: ``static`` once from statistics,
            kept in the state; ``dynamic`` anew from each tensor; ``learned`` as static, then trained.
            Formats with a ``channel``, ``group`` or ``token`` are always dynamic.
        rounding: how every quantizer of the graph rounds; by default each as its format says.

    Raises:
        MaseError: for a bad rule or format, a weight that is not finite, or absent statistics.
    """

    default: dict[str, Any] | None = None
    rules: list[dict[str, Any]] | None = None
    calibrate: Calibrate = "range"
    batches: int = 8
    split: Split = "train"
    scales: Scales = "static"
    rounding: Rounding | None = None

    def __post_init__(self) -> None:
        # Before anything runs, so that a slip in a rule costs no time.
        self._base()
        self._rules()

    def run(self, graph: Graph, ctx: Context) -> None:
        """Quantize ``graph`` in place."""
        base, rules = self._base(), self._rules()
        _warn_of_idle_rules(rules, graph, ctx)
        for node in graph.nodes:
            if float_op(node.op).quantized_roles:
                _check_finite(node)
        chooser = Chooser(graph, ctx, self.calibrate, self.batches, self.split)
        plans: list[tuple[Node, QuantizedOp]] = []
        for node in graph.nodes:
            plan = _plan(node, base, rules, chooser, self.rounding)
            if isinstance(plan, QuantizedOp):
                plans.append((node, plan))
            elif plan is not None:
                node.meta.set(NotQuantized(reason=plan))
                ctx.stat("left in float")
        scales = [self._scales_of(node, op, chooser) for node, op in plans]
        for (node, op), own in zip(
            plans, scales, strict=True
        ):  # now, for statistics were of the graph as it came
            drop_scales(node)
            node.op = op
            node.meta.drop(NotQuantized)
            for role, scale in own.items():
                give_scale(node, role, scale, learn=self.scales == "learned")
            _note_rounded_bias(node, op, ctx)
            ctx.stat("quantized")
        graph.level = "quantized"

    def _scales_of(self, node: Node, op: QuantizedOp, chooser: Chooser) -> dict[str, Scale]:
        if self.scales == "dynamic":
            return {}
        return {role: chooser.scale(node, role, format) for role, format in scaled_roles(op)}

    def _base(self) -> Formats:
        default = _EIGHT_BITS if self.default is None else self.default
        return formats_by_role(default, known_roles())

    def _rules(self) -> list[Rule]:
        return [parse_rule(rule) for rule in self.rules or []]


def _note_rounded_bias(node: Node, op: QuantizedOp, ctx: Context) -> None:
    """A bias finer than the products is rounded to their grid, where integer hardware adds it."""
    x, w, b = (op.formats.get(role) for role in ("data_in", "weight", "bias"))
    if isinstance(x, Fixed) and isinstance(w, Fixed) and isinstance(b, Fixed) and b.frac > x.frac + w.frac:
        ctx.note(f"bias {b} is finer than the products, so it is rounded to {x.frac + w.frac} bits", node)


def _warn_of_idle_rules(rules: list[Rule], graph: Graph, ctx: Context) -> None:
    for rule in rules:
        if not any(rule.matches(node) for node in graph.nodes):
            ctx.warn(f"rule {{{rule.text}}} matches no node", help=rule.remedy(graph))


def _plan(
    node: Node, base: Formats, rules: list[Rule], chooser: Chooser, rounding: Rounding | None
) -> QuantizedOp | str | None:
    """The op that the node becomes, or why it stays as it is; None if there is nothing to say."""
    if isinstance(node.op, core.Input | core.Parameter | nn.Dropout) or is_view(node.op):
        return None
    matching = [rule for rule in rules if rule.matches(node)]
    if isinstance(node.op, QuantizedOp) and not matching:
        return None  # by hand or by an earlier run; only a rule that names it changes it
    source = float_op(node.op)
    made = quantized_op(type(source))
    if made is None:
        return f"{source.name} has no quantized form"
    if obstacle := _obstacle(node, made):
        return obstacle
    asked = dict(role_formats(node.op)) if isinstance(node.op, QuantizedOp) else dict(base)
    skipped: Rule | None = None
    for rule in matching:
        asked |= rule.formats
        skipped = rule if rule.skip else (None if rule.formats else skipped)
    if skipped is not None:
        return f"rule {{{skipped.text}}} skips it"
    asked = {role: f for role, f in spread(asked).items() if role in (*made.roles, "data_out")}
    if not any(asked.get(role) for role in made.roles if role != "bias"):
        return "its formats are all float"
    formats = chooser.complete(node, made, {r: _rounded(f, rounding) for r, f in asked.items()})
    return with_formats(source, formats)


def _obstacle(node: Node, made: type[QuantizedOp]) -> str | None:
    for i, operand in enumerate(node.inputs):
        type = operand.type
        if made.schema().operand(i) not in made.roles:
            continue
        if not isinstance(type, TensorType):
            return f"its operand {operand.name!r} is {type}, no tensor"
        if not isinstance(type.format, Dtype) or not type.format.is_float:
            return f"its operand {operand.name!r} holds {type.format}, no floats"
    if isinstance(float_op(node.op), norm.BatchNorm) and "running_mean" not in node.params:
        return "it has no running statistics, so it normalises by each batch"
    return None


def _check_finite(node: Node) -> None:
    for key in node.params.values():
        tensor = node.graph.state[key]
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise MaseError.of(
                f"weight {key!r} holds NaN or infinity",
                node=node.name,
                source=node.loc,
                help="the weights are damaged or their training diverged: load or train them anew",
            )


def _rounded(format: Format | None, rounding: Rounding | None) -> Format | None:
    return format if rounding is None or format is None else format.with_rounding(rounding)
