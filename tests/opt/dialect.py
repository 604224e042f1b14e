"""An op that pass tests make up values and uses with; ``--load tests/opt/dialect.py`` knows it too."""

from mase.ir import Op, Type, register_op

__all__ = ["Probe"]


@register_op("test.op")
class Probe(Op):
    """Takes any operands and weights, and gives what it says."""

    returns: Type
    effect: bool = False

    @property
    def pure(self) -> bool:
        return not self.effect

    def infer(self, *operands: Type, **roles: Type) -> Type:
        return self.returns
