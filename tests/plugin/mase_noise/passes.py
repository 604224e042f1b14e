"""The passes of the plugin: one of each style."""

from mase.ir import Graph, Node
from mase.ir.ops import nn
from mase.passes import Context, Rewriter, register_pass, rewrite
from mase_noise.ops import Loudness, Noise

__all__ = ["AddNoise", "count_noise"]


@register_pass("add-noise", changes_numbers=True)
class AddNoise:
    """Put noise after every activation.

    Args:
        scale: its largest magnitude.
    """

    scale: float = 0.1

    @rewrite(nn.Relu)
    def add(self, node: Node, rewriter: Rewriter) -> None:
        if any(isinstance(user.op, Noise) for user in node.users):
            return
        noise = rewriter.insert_after(node, Noise(scale=self.scale), node, name="noise")
        node.replace_all_uses_with(noise)
        noise.inputs = [node]
        noise.meta.set(Loudness(level=self.scale))
        rewriter.ctx.stat("added")


@register_pass("count-noise")
def count_noise(graph: Graph, ctx: Context) -> None:
    """Count the noise ops."""
    ctx.record("noise ops", graph.level, len(graph.find(Noise)))
