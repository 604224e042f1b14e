"""Regions of a trace (``torch.no_grad``, ``torch.autocast``) arrive as sub-graphs; here they are inlined."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from mase.frontends.internals import is_higher_order
from mase.ir.diagnostics import MaseError

__all__ = ["inline_regions"]

_REGIONS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def inline_regions(module: fx.GraphModule) -> None:
    """Replace each region by its nodes; what leaves a region without gradients is detached.

    Raises:
        MaseError: if a region computes in another precision, or is of a kind that has no inline form.
    """
    for node in list(module.graph.nodes):
        if not is_higher_order(node.target):
            continue
        if node.target.__name__ not in _REGIONS:
            raise MaseError.of(
                f"the model uses {node.target.__name__}, which a graph cannot express",
                help="keep the module that uses it whole: opaque=(...)",
            )
        _inline(module, node)


def _inline(module: fx.GraphModule, region: fx.Node) -> None:
    where = next(i for i, a in enumerate(region.args) if isinstance(a, fx.Node) and a.op == "get_attr")
    sub = getattr(module, str(region.args[where].target))  # type: ignore[union-attr]
    _refuse_autocast(region)
    inline_regions(sub)
    placeholders = [n for n in sub.graph.nodes if n.op == "placeholder"]
    env: dict[fx.Node, Any] = dict(zip(placeholders, region.args[where + 1 :], strict=True))
    with module.graph.inserting_before(region):
        results = module.graph.graph_copy(sub.graph, env)
    detached = region.target.__name__.endswith("grad_enabled") and region.args[0] is False  # type: ignore[union-attr]
    for user in list(region.users):
        index: Any = user.args[1]
        value: Any = results[index] if isinstance(results, tuple | list) else results
        user.replace_all_uses_with(_detached(module, region, value) if detached else value)
        module.graph.erase_node(user)
    module.graph.erase_node(region)


def _refuse_autocast(region: fx.Node) -> None:
    if region.target.__name__ == "wrap_with_autocast" and region.args[2]:  # type: ignore[union-attr]
        raise MaseError.of(
            "the model computes under torch.autocast, which a graph cannot express",
            help="convert the model to the lower precision instead, or keep the module whole: opaque=(...)",
        )


def _detached(module: fx.GraphModule, region: fx.Node, value: fx.Node) -> fx.Node:
    if not value.meta["val"].is_floating_point():
        return value
    with module.graph.inserting_before(region):
        made = module.graph.call_function(torch.ops.aten.detach.default, (value,))
    made.meta = dict(value.meta)
    return made
