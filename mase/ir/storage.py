"""How tensors lie in a weights file: as they are, or as codes of a number format.

The codes' arithmetic needs torch and belongs to the runtime; who reads and writes files with it says
so once by `provide_storage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Storage", "provide_storage", "storage"]


class Storage(Protocol):
    """Turns tensors into the parts that a file holds, and back."""

    def pack(
        self, tensor: Tensor, format: Format, scales: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """The parts of a tensor whose numbers are on the grid of ``format``; ``""`` names the codes.

        Args:
            tensor: the tensor.
            format: its format.
            scales: the other parts, where they are not those that the tensor has itself.
        """
        ...

    def unpack(self, parts: Mapping[str, Tensor], format: Format, type: TensorType) -> Tensor:
        """The tensor that `pack` took apart, bit for bit."""
        ...


_PROVIDERS: list[Callable[[], Storage]] = []


def provide_storage(provider: Callable[[], Storage]) -> None:
    """Say who packs and unpacks; called when the first packed tensor is met."""
    _PROVIDERS.append(provider)


def storage() -> Storage:
    """Who packs and unpacks.

    Raises:
        MaseError: if nobody does.
    """
    if not _PROVIDERS:
        raise MaseError.of("the weights are stored as codes", help="read the file by mase.load")
    return _PROVIDERS[-1]()
