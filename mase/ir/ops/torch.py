"""Whatever has no op of its own: ATen calls and opaque modules. They keep the type capture saw."""

from __future__ import annotations

from mase.ir.op import Op, register_op
from mase.ir.template import Template
from mase.ir.types import Type

__all__ = ["Call", "Module", "target_of"]


@register_op("torch.call")
class Call(Op):
    """A call of an ATen operator or Python function.

    Args:
        target: ``aten.view.default`` or a qualified Python name such as ``operator.mul``.
        args: the positional arguments, with a numbered hole for each operand.
        kwargs: the keyword arguments, a dict with holes.
        returns: the type that capture saw.
    """

    target: str
    args: Template
    kwargs: Template = Template("{}")
    returns: Type

    @property
    def pure(self) -> bool:
        """In-place operators (``add_``) and random ones may not be erased or merged."""
        name = self.target.split(".")[1 if self.target.startswith("aten.") else -1]
        return not name.endswith("_") and name not in _RANDOM

    def infer(self, *operands: Type) -> Type:
        return self.returns


def target_of(op: Op) -> str:
    """What the op calls, ``aten.neg.default``, and nothing if it is no `Call`."""
    return op.target if isinstance(op, Call) else ""


_RANDOM = frozenset({"rand", "randn", "randint", "bernoulli", "rand_like", "randn_like", "dropout", "normal"})


@register_op("torch.module")
class Module(Op):
    """A module that no op class knows: opaque, but runnable at its scope in the source model.

    Args:
        cls: the qualified class name, compared when the source model is rebuilt.
        args: the positional arguments with holes.
        kwargs: the keyword arguments, a dict with holes.
        returns: the type that capture saw.
    """

    cls: str
    args: Template
    kwargs: Template = Template("{}")
    returns: Type

    @property
    def pure(self) -> bool:
        return False

    def infer(self, *operands: Type, **roles: Type) -> Type:
        return self.returns
