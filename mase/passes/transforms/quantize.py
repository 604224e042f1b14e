"""``quantize``: turn ops into their quantized ops, by op type, scope and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from mase.ir.diagnostics import MaseError, UsageError
from mase.ir.format import Format
from mase.ir.formats import Fixed, Integer
from mase.ir.graph import Graph, Node
from mase.ir.keyed import formats_by_role
from mase.ir.ops import core, nn
from mase.ir.ops.moves import is_view
from mase.ir.ops.quantized import Nonlinear, QuantizedOp, Requant, quantized_op, role_formats, with_formats
from mase.passes.analyses.calibration import Split
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.choose_formats import Calibrate, Chooser
from mase.passes.transforms.choose_scales import (
    Scales,
    WeightScales,
    drop_scales,
    give_scale,
    give_weight_scale,
    scaled_roles,
    scaled_weights,
)
from mase.passes.transforms.left_in_float import obstacle, reservation, tables
from mase.passes.transforms.nonlinear import MASK, check_tables, mask_sums, with_results
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
    scales of activations in ``int<8>``. Nodes left in float say why in ``report``: among them, unless a
    rule names them, tables computed from constants (angles, masks), means of squares, and divisions.

    Args:
        default: the formats by role for every op that can be quantized; 8 bits if absent. ``f32``
            leaves a role in float. Roles are ``data_in``; ``other`` (a second operand), ``query``, ``key``,
            ``value``, ``past``, ``cos`` and ``sin``, which are as ``data_in`` unless given; ``probs`` (the
            weights inside of attention; as wide as ``query``); ``mask`` (of floats, added in attention:
            float, or by tables ``fixed<16,8>``); ``weight``; ``bias`` (in fixed point 32 bits at the scale
            of the products, else float, unless given); ``data_out`` (whoever takes a result quantizes it
            anyway; in ``int<W>`` its scale is always taken from each batch anew).
        rules: tables that select nodes by ``op`` (``nn.conv2d``), ``scope`` (a glob), ``regex`` (over
            scopes and names) or ``node`` (a glob over names), and give formats by role, ``nonlinear`` or
            ``skip = true``.
        calibrate: ``range`` for the largest range without overflow, ``mse`` for the least squared error.
        batches: how many batches to take statistics from where they are absent.
        split: the part of the data to take them from.
        scales: where activations in ``int<W>`` get their scales from: ``static`` once from statistics,
            kept in the state; ``dynamic`` anew from each tensor; ``learned`` as static, then trained;
            ``moving`` as static, then following the range of what training sees.
            Formats with a ``channel``, ``group`` or ``token`` are always dynamic.
        weight_scales: where weights in ``int<W>`` get theirs from, also those of a ``channel`` or ``group``:
            ``dynamic`` from the weights at each step, ``static`` once by ``calibrate``, ``learned`` as
            static, then trained (LSQ). By default ``static`` for ``calibrate=mse``, else ``dynamic``, as
            always where a ``group`` is no part of the last dimension (in convolutions).
        rounding: how every quantizer of the graph rounds; by default each as its format says.
        nonlinear: how softmax, activations, layer and RMS norm, and attention compute where
            operands are ``fixed<W,F>`` or have one static scale: ``float``, or ``table`` in integers alone,
            for ``legalize-casts``. Their results then have a
            format (``data_out``), by default as wide as the operand: up to 1 for weights, over the
            function's range for activations, by statistics for norms.
        requant: how ops rescale ``int<W>``: ``float`` in float32, as ONNX's QuantizeLinear; ``dyadic`` as
            `legalize-casts` does, with biases in units of the accumulator, for static scales.

    Raises:
        MaseError: for a bad rule or format, a weight that is not finite, or absent statistics.
    """

    default: dict[str, Any] | None = None
    rules: list[dict[str, Any]] | None = None
    calibrate: Calibrate = "range"
    batches: int = 8
    split: Split = "train"
    scales: Scales = "static"
    weight_scales: WeightScales | None = None
    rounding: Rounding | None = None
    nonlinear: Nonlinear = "float"
    requant: Requant = "float"

    def __post_init__(self) -> None:
        # Before anything runs, so that a slip in a rule costs no time.
        self._base()
        self._rules()
        if self.batches < 1:
            raise UsageError.of(f"batches is {self.batches}", help="look at one batch at least")
        if self.requant == "dyadic" and self.scales == "dynamic":
            raise UsageError.of(
                "requant=dyadic needs scales that are known, and scales=dynamic are not",
                help="take scales=static, scales=learned or scales=moving",
            )

    def run(self, graph: Graph, ctx: Context) -> None:
        """Quantize ``graph`` in place."""
        self.apply(graph, ctx, Chooser(graph, ctx, self.calibrate, self.batches, self.split))

    def apply(self, graph: Graph, ctx: Context, chooser: Chooser) -> None:
        """Quantize ``graph`` in place by what was seen of it, or of what it is a copy of, before.

        Args:
            graph: the graph.
            ctx: told of what becomes of it.
            chooser: made for the graph as it was before any node was quantized.
        """
        base, rules = self._base(), self._rules()
        _warn_of_idle_rules(rules, graph, ctx)
        if self.default is not None:
            _note_kept(rules, graph, ctx)
        constant = tables(graph)
        for node in graph.nodes:
            if float_op(node.op).quantized_roles and node.name not in constant:
                _check_finite(node)
        masks = mask_sums(graph, constant) if self.nonlinear == "table" else set[str]()
        planner = _Planner(base, rules, self.rounding, self.nonlinear, chooser, constant, masks)
        plans: list[tuple[Node, QuantizedOp]] = []
        for node in graph.nodes:
            plan = planner.plan(node)
            if isinstance(plan, QuantizedOp):
                plans.append((node, self._rescaling(plan)))
            elif plan is not None:
                node.meta.set(NotQuantized(reason=plan))
                ctx.stat("left in float")
        scales = [self._scales_of(node, op, chooser) for node, op in plans]
        weights = [self._weight_scales_of(node, op, chooser) for node, op in plans]
        for (node, op), own in zip(plans, scales, strict=True):
            _check_zeros(node, op, own, ctx)
        # Only now, so that statistics were those of the graph as it came.
        shared: dict[object, dict[str, str]] = {}
        for (node, op), own, of_weights in zip(plans, scales, weights, strict=True):
            drop_scales(node)
            node.op = op
            node.meta.drop(NotQuantized)
            for role, scale in own.items():
                give_scale(node, role, scale, self.scales)
            for role, scale in of_weights.items():
                give_weight_scale(node, role, scale, self._of_weights, shared)
            _note_rounded_bias(node, op, ctx)
            if isinstance(op.data_out, Integer) and self.scales != "dynamic":
                ctx.warn(
                    f"data_out = {op.data_out} takes its scale from each batch anew, whatever scales says",
                    node,
                    help="leave data_out out: whoever takes the result quantizes it; or say fixed<W,F>",
                )
            ctx.stat("quantized")
        graph.level = "quantized"

    def _rescaling(self, op: QuantizedOp) -> QuantizedOp:
        if op.family != "scale_integer":
            return op
        return cast(QuantizedOp, replace(cast(Any, op), requant=self.requant))

    def _scales_of(self, node: Node, op: QuantizedOp, chooser: Chooser) -> dict[str, Scale]:
        if self.scales == "dynamic":
            if op.nonlinear == "table" and (found := scaled_roles(op)):
                raise MaseError.of(
                    f"a table needs a scale of {found[0][0]} = {found[0][1]} that is known",
                    node=node.name,
                    source=node.loc,
                    help="take scales=static or scales=learned, or fixed<W,F> for this node",
                )
            return {}
        return {role: chooser.scale(node, role, format) for role, format in scaled_roles(op)}

    @property
    def _of_weights(self) -> WeightScales:
        return self.weight_scales or ("static" if self.calibrate == "mse" else "dynamic")

    def _weight_scales_of(self, node: Node, op: QuantizedOp, chooser: Chooser) -> dict[str, Scale]:
        if self._of_weights == "dynamic":
            return {}
        found = [(role, format) for role, format in scaled_weights(op) if role in node.params]
        return {role: chooser.weight_scale(node, role, format) for role, format in found}

    def _base(self) -> Formats:
        default = _EIGHT_BITS if self.default is None else self.default
        return formats_by_role(default, known_roles())

    def _rules(self) -> list[Rule]:
        return [parse_rule(rule) for rule in self.rules or []]


def _check_zeros(node: Node, op: QuantizedOp, scales: Mapping[str, Scale], ctx: Context) -> None:
    """What was 0 wherever it was seen has the least scale that there is; a table over that has no use."""
    from mase.runtime.kernels.integer import LEAST_SCALE

    for role, scale in scales.items():
        if scale.value is None or float(scale.value.max()) > LEAST_SCALE:
            continue
        message = f"{role} was 0 in all that was seen, so its scale says nothing of other data"
        remedy = "take statistics from other data, or more of it; or say fixed<W,F> for the node"
        if op.nonlinear == "table":
            raise MaseError.of(message, node=node.name, source=node.loc, help=remedy)
        ctx.warn(message, node, help=remedy)


def _note_rounded_bias(node: Node, op: QuantizedOp, ctx: Context) -> None:
    """A bias finer than the products is rounded to their grid, where integer hardware adds it."""
    x, w, b = (op.formats.get(role) for role in ("data_in", "weight", "bias"))
    if isinstance(x, Fixed) and isinstance(w, Fixed) and isinstance(b, Fixed) and b.frac > x.frac + w.frac:
        ctx.note(f"bias {b} is finer than the products, so it is rounded to {x.frac + w.frac} bits", node)


def _warn_of_idle_rules(rules: list[Rule], graph: Graph, ctx: Context) -> None:
    for rule in rules:
        if not any(rule.matches(node) for node in graph.nodes):
            ctx.warn(f"rule {{{rule.text}}} matches no node", help=rule.remedy(graph))


def _note_kept(rules: list[Rule], graph: Graph, ctx: Context) -> None:
    """The default is for what has no formats yet."""
    kept = [n for n in graph.find(QuantizedOp) if not any(rule.matches(n) for rule in rules)]
    if kept:
        ctx.note(
            f"{len(kept)} quantized nodes keep their formats: the default is for float ones",
            help='rules=[{op="*", ...}] changes them',
        )


@dataclass(frozen=True)
class _Planner:
    """Decides what each node becomes."""

    base: Formats
    rules: list[Rule]
    rounding: Rounding | None
    nonlinear: Nonlinear
    chooser: Chooser
    tables: set[str]
    masks: set[str]

    def plan(self, node: Node) -> QuantizedOp | str | None:
        """The op that the node becomes, or why it stays as it is; None if there is nothing to say."""
        if isinstance(node.op, core.Input | core.Parameter | nn.Dropout) or is_view(node.op):
            return None
        matching = [rule for rule in self.rules if rule.matches(node)]
        if isinstance(node.op, QuantizedOp) and not matching:
            return None  # by hand or by an earlier run; only a rule that names it changes it
        if reason := obstacle(node):
            return reason
        skipped: Rule | None = None
        for rule in matching:
            skipped = rule if rule.skip else (None if rule.formats else skipped)
        if skipped is not None:
            return f"rule {{{skipped.text}}} skips it"
        if not matching and node.name not in self.masks and (reason := reservation(node, self.tables)):
            return reason
        return self._quantized(node, matching)

    def _quantized(self, node: Node, matching: list[Rule]) -> QuantizedOp | str:
        asked: Formats = {"data_in": MASK} if node.name in self.masks else dict(self.base)
        nonlinear = self.nonlinear
        if isinstance(node.op, QuantizedOp):
            asked, nonlinear = dict(role_formats(node.op)), node.op.nonlinear
        for rule in matching:
            asked |= rule.formats
            nonlinear = rule.nonlinear or nonlinear
        made = quantized_op(type(float_op(node.op)))
        assert made is not None
        by_table = nonlinear == "table" and made.has_tables()
        full = with_results(node, spread(asked), asked) if by_table else spread(asked)
        asked = {r: _rounded(f, self.rounding) for r, f in full.items() if r in (*made.roles, "data_out")}
        if not any(asked.get(role) for role in made.roles if role != "bias"):
            return "its formats are all float"
        op = with_formats(node.op, self.chooser.complete(node, made, asked, by_table=by_table), nonlinear)
        if by_table:
            check_tables(node, op)
        return op


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
