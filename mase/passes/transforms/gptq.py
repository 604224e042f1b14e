"""``gptq``: round the weights of a quantized graph to where its layers' results are least off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from mase.ir.diagnostics import MaseError, UsageError
from mase.ir.format import Format
from mase.ir.formats import Integer
from mase.ir.graph import Graph, Node
from mase.ir.ops.conv import Conv
from mase.ir.ops.nn import Linear
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.analyses.calibration import Split
from mase.passes.analyses.output import tracked, unwrapped
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.choose_scales import give_weight_scale

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Gptq"]

_ROWS = 60


@dataclass(frozen=True)
class Rounded:
    """What became of a layer: by how much its results are off, as a share of their power."""

    node: Node
    nearest: float
    found: float


@register_pass("gptq", requires=("quantized",), ensures="quantized", changes_numbers=True)
class Gptq:
    """Round weights together instead of one by one, so that what a layer computes is least off.

    `quantize` takes the nearest number for each weight. This pass looks at the operands of linear layers and
    convolutions on some batches, and rounds the weights of a row one after the other, the rest making up for
    each error (GPTQ, arXiv:2210.17323). Layers come in their order, each on what those before it give by
    then. No row gets worse than by the nearest numbers. Scales are kept as they are; weights that take theirs
    anew from their numbers get them into the state first. Training goes on from the rounded weights.

    Args:
        batches: how many batches to look at; their activations are held in memory together. A layer of 512
            inputs wants some thousands of rows.
        split: the part of the data to take them from.
        damping: what is added to the diagonal of the second moments, as a share of its mean.
        order: which weights of a row are rounded first: ``activation`` for those with the largest operands,
            ``natural`` as they are stored.

    Raises:
        MaseError: if there is no data, or nothing to round.
    """

    batches: int = 16
    split: Split = "train"
    damping: float = 0.01
    order: Literal["activation", "natural"] = "activation"

    def __post_init__(self) -> None:
        if self.batches < 1:
            raise UsageError.of(f"batches is {self.batches}", help="at least 1")
        if not 0 < self.damping < 1:
            raise UsageError.of(f"damping is {self.damping}", help="between 0 and 1, such as 0.01")

    def run(self, graph: Graph, ctx: Context) -> None:
        """Round the weights of ``graph`` in place."""
        nodes = list(_layers(graph, ctx))
        if not nodes:
            raise MaseError.of(
                "no linear layer or convolution has a weight to round", help="quantize weights first"
            )
        if not ctx.has_data:
            raise MaseError.of("gptq needs data that the layers see", help="give [data]")
        scales: dict[object, dict[str, str]] = {}
        for node in nodes:
            _keep_scale(node, scales)
        _show(graph, ctx, list(self._walk(graph, ctx, nodes)))

    def _walk(self, graph: Graph, ctx: Context, nodes: Sequence[Node]) -> Iterator[Rounded]:
        """Round each weight once its operands are known, and go on with what it gives then."""
        import torch

        from mase.passes.analyses.calibration import calibration_inputs
        from mase.passes.analyses.recorder import Lockstep
        from mase.passes.analyses.second_moments import second_moments

        keys = {node.name: graph.state.resolve(node.params["weight"]) for node in nodes}
        last = {key: name for name, key in keys.items()}  # a weight that is used twice has seen all by then
        lowered = ctx.lower(graph).eval()
        inputs = calibration_inputs(graph, ctx.data, batches=self.batches, split=self.split)
        moments: dict[str, Tensor] = {}
        with torch.no_grad():
            run = Lockstep(lowered, graph, inputs)
            for call in tracked(run, "gptq", ctx.console, len(lowered.graph.nodes)):
                if call.name not in keys:
                    continue
                module: Any = lowered.get_submodule(str(call.target))
                key, node = keys[call.name], graph[call.name]
                sums = second_moments(node, (module.quantized("data_in", x) for x in run.operands(call)))
                moments[key] = moments[key] + sums if key in moments else sums
                if last[key] == call.name:
                    yield self._rounded(node, key, moments.pop(key))
                    module.weight.copy_(graph.state[key])
                    ctx.stat("rounded")

    def _rounded(self, node: Node, key: str, moments: Tensor) -> Rounded:
        import torch

        from mase.passes.transforms.second_order import round_rows, squared_errors

        weight = node.graph.state[key]
        groups = len(moments)
        parts = weight.detach().float().reshape(groups, -1, moments.shape[-1])
        quantizers = _quantizers(node, weight, groups)
        try:
            found = [
                round_rows(w, h, q, damping=self.damping, by_activation=self.order == "activation")
                for w, h, q in zip(parts, moments, quantizers, strict=True)
            ]
        except ValueError as error:
            raise MaseError.of(
                str(error), node=node.name, source=node.loc, help="look with `profile`"
            ) from None
        nearest = [q(w, torch.arange(w.shape[1])) for w, q in zip(parts, quantizers, strict=True)]

        def off(made: Sequence[Tensor]) -> float:
            pairs = zip(parts, made, moments, strict=True)
            return sum(float(squared_errors(w, m, h).sum()) for w, m, h in pairs)

        power = off([torch.zeros_like(w) for w in parts]) or 1.0
        node.graph.state[key] = torch.cat(found).reshape(weight.shape).to(weight.dtype)
        return Rounded(node, off(nearest) / power, off(found) / power)


def _layers(graph: Graph, ctx: Context) -> Iterable[Node]:
    """The nodes whose weights can be rounded so."""
    for node in graph.find(QuantizedOp):
        op = cast(QuantizedOp, node.op)
        format = op.formats.get("weight")
        if format is None or "weight" not in node.params:
            continue
        if reason := _obstacle(op, format, [user.op for user in graph.users_of(node.params["weight"])]):
            ctx.reject(node, reason)
        else:
            yield node


def _obstacle(op: QuantizedOp, format: Format, users: Sequence[object]) -> str | None:
    if not issubclass(op.base, Linear | Conv):
        return f"{op.base.name} is neither a linear layer nor a convolution"
    if format.reach != "value" and not op.takes_scales("weight"):
        return f"{format} takes its scales from the numbers that would be rounded"
    if any(
        not isinstance(u, QuantizedOp) or u.base is not op.base or u.formats["weight"] != format
        for u in users
    ):
        return "its weight is used in another way too"
    return None


def _keep_scale(node: Node, known: dict[object, dict[str, str]]) -> None:
    """Let a weight keep the scales that it has now: from rounded numbers others would come."""
    from mase.runtime.kernels import scale_of

    format = cast(QuantizedOp, node.op).formats["weight"]
    if isinstance(format, Integer) and "weight_scale" not in node.params:
        found = scale_of(node.graph.state[node.params["weight"]], format)
        assert found is not None
        give_weight_scale(node, "weight", found, "static", known)


def _quantizers(node: Node, weight: Tensor, groups: int) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """For each group of outputs, what brings numbers of some columns of its rows onto their grid."""
    import torch

    from mase.runtime.given_scales import given_scale
    from mase.runtime.kernels import quantize
    from mase.runtime.kernels.integer import sharing_of

    format, scale = cast(QuantizedOp, node.op).formats["weight"], given_scale(node, "weight")
    assert format is not None
    if scale is None or scale.value is None:
        return [lambda x, columns: quantize(x, format)] * groups
    assert isinstance(format, Integer)
    sharing, like = sharing_of(format), torch.empty_like(weight, dtype=torch.float32)

    def spread(values: Tensor) -> Tensor:
        arranged = sharing.arrange(like)
        every = sharing.spread(values, arranged).expand_as(arranged)
        return sharing.restore(every, like.shape).reshape(groups, len(weight) // groups, -1)

    scales = spread(scale.value)
    zeros = [None] * groups if scale.zero_point is None else spread(scale.zero_point)
    return [_on_columns(format, *pair) for pair in zip(scales, zeros, strict=True)]


def _on_columns(format: Integer, scales: Tensor, zeros: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    from mase.runtime.kernels.integer import on_grid

    def quantize(x: Tensor, columns: Tensor) -> Tensor:
        return on_grid(x, format, scales[:, columns], None if zeros is None else zeros[:, columns])

    return quantize


def _show(graph: Graph, ctx: Context, layers: Sequence[Rounded]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title=f"{graph.name}: weights rounded together", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("layer")
    table.add_column("format")
    table.add_column("error, nearest", justify="right")
    table.add_column("together", justify="right")
    for layer in sorted(layers, key=lambda each: -each.nearest)[:_ROWS]:
        format = str(cast(QuantizedOp, layer.node.op).formats["weight"])
        table.add_row(
            layer.node.scope or layer.node.name, format, f"{layer.nearest:.3%}", f"{layer.found:.3%}"
        )
    console = unwrapped(ctx.console)
    console.print(table)
    if len(layers) > _ROWS:
        console.print(f"and {len(layers) - _ROWS} layers with less")
