"""Two modules of one: what a decoder needs once for a source, and what it computes again at each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import fx

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["Halves", "split_at"]


@dataclass(frozen=True)
class Halves:
    """A module in two parts, which share its submodules and weights.

    Args:
        once: takes the other arguments by keyword; returns the tuple of values that ``each`` needs.
        each: takes the varying argument and that tuple; returns what the module returns.
    """

    once: fx.GraphModule
    each: fx.GraphModule


def split_at(module: fx.GraphModule, name: str) -> Halves:
    """Separate what depends on one argument from what does not.

    For an encoder-decoder that is split at ``decoder_input_ids``, the first part holds the encoder, and
    beside it the keys and values of cross-attention and the masks made of the source.

    Args:
        module: a lowered graph.
        name: the argument that varies.

    Raises:
        MaseError: if the module has no such argument.

    Example:
        >>> import torch
        >>> class Net(torch.nn.Module):
        ...     def forward(self, x, y):
        ...         return x.exp() + y
        >>> halves = split_at(fx.symbolic_trace(Net()), "y")
        >>> known = halves.once(x=torch.zeros(1))
        >>> known
        (tensor([1.]),)
        >>> halves.each(torch.ones(1), known)
        tensor([2.])
    """
    nodes = list(module.graph.nodes)
    arguments = {str(node.target): node for node in nodes if node.op == "placeholder"}
    if name not in arguments:
        raise MaseError.of(
            f"the model takes no argument {name!r}",
            help=did_you_mean(name, arguments),
        )
    varying = _dependent(nodes, arguments[name])
    border = [node for node in nodes if node not in varying and any(user in varying for user in node.users)]
    return Halves(_once(module, varying, border), _each(module, varying, border, name))


def _dependent(nodes: list[fx.Node], argument: fx.Node) -> set[fx.Node]:
    """The argument, what is computed from it, and the output."""
    found = {argument}
    for node in nodes:
        if node.op == "output" or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _once(module: fx.GraphModule, varying: set[fx.Node], border: list[fx.Node]) -> fx.GraphModule:
    graph, copies = fx.Graph(), cast("dict[fx.Node, fx.Node]", {})
    for node in module.graph.nodes:
        if node not in varying:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(tuple(copies[node] for node in border))
    return fx.GraphModule(module, graph)


def _each(module: fx.GraphModule, varying: set[fx.Node], border: list[fx.Node], name: str) -> fx.GraphModule:
    graph = fx.Graph()
    argument, known = graph.placeholder(name), graph.placeholder("known")
    copies = {node: graph.call_function(_item, (known, i)) for i, node in enumerate(border)}
    for node in module.graph.nodes:
        if node.op == "placeholder" and node in varying:
            copies[node] = argument
        elif node in varying:
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    return fx.GraphModule(module, graph)


def _item(values: tuple[Any, ...], index: int) -> Any:
    return values[index]
