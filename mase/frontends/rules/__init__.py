"""What modules and calls of torch mean in mase's ops; one file a kind of op.

Two registries are the extension points: `from_module` by the module's class and `from_call` by the
text of the called function. Each rule is one decorated function that gives None where the op would
not compute exactly what torch does.
"""

from mase.frontends.rules import (
    activations,
    attention,
    blocks,
    convs,
    layers,
    norms,
    pools,
    recurrent,
    tensors,
)
from mase.frontends.rules.base import CallSite, Unit, from_call, from_module

__all__ = [
    "CallSite",
    "Unit",
    "activations",
    "attention",
    "blocks",
    "convs",
    "from_call",
    "from_module",
    "layers",
    "norms",
    "pools",
    "recurrent",
    "tensors",
]
