"""What a rule sees of the node that it prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mase.ir import Dim, Dtype, Format, MaseError, Node, Op, TensorType
from mase.runtime.onnx.builder import Builder
from mase.runtime.onnx.types import element_type

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Quantizers", "Sign", "Site", "Value", "array_of"]

Value = Any
"""The name of a value; a tuple of them where a call gives several; a dimension where it gives a number."""


Sign = Literal["any", "positive", "floor"]
"""What is known of a value: nothing, that it is not negative, or that it is to lose what is negative."""


class Quantizers(Protocol):
    """How a kind of file writes that a value is quantized."""

    kind: str
    floors: bool
    """Whether a quantizer makes negative numbers 0 when asked, so that no relu needs to."""

    def activation(self, site: Site, role: str, value: str, format: Format, sign: Sign = "any") -> str:
        """A value on the grid of a format, and 0 where it is negative if ``sign`` says so."""
        ...

    def weight(self, site: Site, role: str, format: Format | None, order: Sequence[int] | None) -> str | None:
        """A parameter on the grid of a format, its dimensions reordered.

        A bias without a format may be on that of the products; None leaves it as it is.
        """
        ...


@dataclass(frozen=True)
class Site:
    """A node that is printed, and the file that it is printed to.

    Args:
        node: the node.
        op: its op, or the float op of a quantized one.
        builder: the file.
        inputs: the values of its operands, quantized where the op says so.
        formats: the formats of its parameter roles.
        quantizers: how they are written; None where nothing is quantized.
        signs: what is known of the signs of its operands.
    """

    node: Node
    op: Op
    builder: Builder
    inputs: tuple[Value, ...]
    formats: Mapping[str, Format | None] = field(default_factory=dict[str, "Format | None"])
    quantizers: Quantizers | None = None
    signs: tuple[Sign, ...] = ()

    # -- operands ---------------------------------------------------------------------------

    def input(self, position: int) -> str:
        """The name of an operand's value."""
        return self.inputs[position]

    def type(self, position: int) -> TensorType:
        """The type of an operand."""
        return self.node.inputs[position].tensor_type

    def rank(self, position: int = 0) -> int:
        """The number of dimensions of an operand."""
        return self.type(position).rank

    def fixed(self, sizes: Sequence[Dim], what: str) -> tuple[int, ...]:
        """Dimensions that must be numbers.

        Raises:
            MaseError: if one is symbolic.
        """
        known = tuple(d for d in sizes if isinstance(d, int))
        if len(known) < len(sizes):
            shown = ",".join(map(str, sizes))
            raise self.error(
                f"{what}: expected known sizes, found [{shown}]", help="capture it with them fixed"
            )
        return known

    @property
    def result(self) -> TensorType:
        """The type of the node's value."""
        return self.node.tensor_type

    # -- parameters -------------------------------------------------------------------------

    def has(self, role: str) -> bool:
        """Whether the node has a parameter in this role."""
        return role in self.node.params

    def key(self, role: str) -> str:
        """The state key of the parameter in a role; shared tensors have one."""
        return self.node.graph.state.resolve(self.node.params[role])

    def tensor(self, role: str) -> Tensor:
        """The parameter in a role, as it is in the state."""
        return self.node.graph.state[self.node.params[role]]

    def array(self, role: str) -> NDArray[Any]:
        """The parameter in a role as an array."""
        return array_of(self.tensor(role))

    def param(self, role: str, order: Sequence[int] | None = None) -> str | None:
        """The name of a parameter's value, quantized if it has a format; None if the node has none.

        Args:
            role: its role.
            order: the order of its dimensions; as they are if absent.
        """
        if not self.has(role):
            return None
        format = self.formats.get(role)
        if self.quantizers is not None and (format is not None or role == "bias"):
            value = self.quantizers.weight(self, role, format, order)
            if value is not None:
                return value
        key = self.key(role)

        def make() -> str:
            array = self.array(role)
            if order is None:
                return self.builder.constant(array, key)
            return self.builder.constant(array.transpose(order), f"{key}_T")

        return self.builder.once(("weight", key, None if order is None else tuple(order)), make)

    def bias(self, *shape: int) -> tuple[str | None, str | None]:
        """The bias for the layer itself, or the one to add to its result, in a shape that broadcasts.

        A runtime rounds a float bias of a quantized layer to the scale of the products, which need not be
        fine enough; what is added afterwards stays as it is.
        """
        quantized = self.formats.get("data_in") and self.formats.get("weight")
        if self.quantizers is None or not self.has("bias") or not quantized:
            return self.param("bias"), None
        value = self.quantizers.weight(self, "bias", self.formats.get("bias"), None)
        if value is not None:
            return value, None
        return None, self.constant(self.array("bias").reshape(-1, *shape), "bias")

    # -- writing ----------------------------------------------------------------------------

    def emit(
        self, op: str, *inputs: str | None, called: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Append a node whose result is called after the mase node; see `Builder.add`."""
        node = self.node
        scope = node.scope or node.name
        doc = f"{node!r}" + (f" ({node.loc})" if node.loc else "")
        return self.builder.add(
            op,
            inputs,
            name=f"{scope}/{op}" if called is None else f"{scope}/{called}",
            output=f"{node.name}_{called or op.lower()}",
            doc=doc,
            domain=domain,
            **attributes,
        )

    def number(self, value: float, like: Dtype | None = None) -> str:
        """A number of the element type of a format, by default of the node's value."""
        format = like or self.result.format
        assert isinstance(format, Dtype)
        dtype = np.dtype(_numpy(format))
        return self.builder.constant(dtype.type(value), f"number_{value:g}".replace("-", "m"))

    def constant(self, value: Any, wish: str) -> str:
        """An initializer called after the node."""
        return self.builder.constant(value, f"{self.node.name}_{wish}")

    def ints(self, *values: int) -> str:
        """A vector of integers."""
        return self.builder.ints(*values)

    def cast(self, value: str, format: Format) -> str:
        """A value in another element type."""
        return self.emit("Cast", value, to=element_type(format))

    def reshape(self, value: str, source: Sequence[Dim], target: Sequence[Dim]) -> str:
        """A value of shape ``source`` in the shape ``target``."""
        codes: list[int] = []
        for i, d in enumerate(target):
            if isinstance(d, int) and d != 0:
                codes.append(d)
            else:
                codes.append(0 if i < len(source) and source[i] == d else -1)
        dims = self.ints(*codes) if codes.count(-1) <= 1 else self.builder.shape(target)
        return self.emit("Reshape", value, dims)

    def of(self, **changes: Any) -> Site:
        """The same place with other operands or another op."""
        return replace(self, **changes)

    def error(self, message: str, help: str | None = None) -> MaseError:
        """An error that names the node and the user's line."""
        return MaseError.of(message, node=self.node.name, source=self.node.loc, help=help)


def _numpy(format: Dtype) -> str:
    return {"bf16": "float32"}.get(format.name, format.torch_name)


def array_of(tensor: Tensor) -> NDArray[Any]:
    """A tensor as an array; bfloat16, which numpy has not, as float32."""
    detached = tensor.detach().cpu()
    return (detached.float() if "bfloat16" in str(detached.dtype) else detached).contiguous().numpy()
