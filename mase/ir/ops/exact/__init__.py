"""The dialect ``int``: ops on integers, for graphs of level ``integer``.

The contract, for who adds to it:

**Values.** A tensor has the type ``si<W>[...]`` or ``ui<W>[...]`` (`Code`): its integers, ``W`` bits each, in
int64 tensors while a graph runs. Its meaning is the annotation `Quantity`: ``scale * (code - zero_point)``,
``scale = 2**-frac`` for what came from ``fixed<W,F>``. Ops that only move or choose elements are those of the
float levels, on such types: ``tensor.flatten``, ``tensor.concat``, ``nn.relu``, ``nn.max_pool2d``,
``torch.call`` of ``aten.view``, ... (`mase.ir.ops.moves.keeps_values`). Floats occur before ``int.quantize``
and after ``int.dequantize`` only, where nothing but moves may touch them.

**Ops.** Each is an `ExactOp`, registered as ``int.<name>`` in a file of this package. It defines

- attributes: the whole record that an executor or printer needs; a rescaling is a `Requantization`, which
  prints as a table (``to = { width = 8, min = 0, max = 127, shift = 6 }``) and defines the arithmetic in
  Python's integers (`Requantization.apply`); ``width`` is the accumulator's, signed;
- ``infer``: the operand schema; roles are tensors of integers in the state, in the smallest dtype, their
  packed width being the state entry's ``stored`` format (``"buffer i8[10,64] as si<4>"``);
- ``bounds``: an `Interval` for the result from the operands' intervals and the real weights. The verifier
  proves with it that no value leaves its type (`mase.ir.ranges`), and legalization takes widths from it.

**Execution.** ``@execute.register(MyOp)`` in `mase.runtime.exact` is a function ``(op, *operands, **roles)``
of int64 tensors; interpreter and lowered module both call it.

**Legalization.** ``@legalize.register(nn.MyOp)`` in `mase.passes.legalize` makes the ops of a quantized op.
It gets operands as codes by ``legal.operand(node, 0)`` and adds nodes by ``legal.emit(...)``, which measures
their intervals.

**Printers** read ``node.op``, ``node.type``, ``node.meta[Quantity]`` and the state; nothing else is needed.

Example:
    >>> from mase.ir import Graph, parse_type
    >>> from mase.ir.ops import core
    >>> graph = Graph(level="integer")
    >>> x = graph.add(core.Input(), type=parse_type("si<8>[N,4]"), name="x")
    >>> half = Requantization(width=4, min=-8, max=7, shift=4)
    >>> graph.add(Requantize(to=half), x, name="y")
    %y: si<4>[N,4] = int.requantize(%x)
"""

from mase.ir.formats.code import Code
from mase.ir.ops.exact.base import ExactOp, interval_of, is_integer
from mase.ir.ops.exact.casts import Constant, Dequantize, Quantize, Requantize
from mase.ir.ops.exact.contraction import Contraction, Conv, Conv1d, Conv2d, Conv3d, Linear, MatMul
from mase.ir.ops.exact.elementwise import Add, Mul, Scale
from mase.ir.ops.exact.interval import Interval, hull
from mase.ir.ops.exact.lookup import Embedding
from mase.ir.ops.exact.norm import Norm
from mase.ir.ops.exact.numbers import Numbers
from mase.ir.ops.exact.piecewise import Piecewise
from mase.ir.ops.exact.proof import RoundsAlike
from mase.ir.ops.exact.quantity import Quantity, real_value
from mase.ir.ops.exact.reduction import Sum, WindowSum
from mase.ir.ops.exact.requantization import Dyadic, Requantization
from mase.ir.ops.exact.rotary import RotaryEmbedding
from mase.ir.ops.exact.softmax import Softmax
from mase.ir.ops.exact.table import Table
from mase.ir.ops.exact.transposed import ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

__all__ = [
    "Add",
    "Code",
    "Constant",
    "Contraction",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dequantize",
    "Dyadic",
    "Embedding",
    "ExactOp",
    "Interval",
    "Linear",
    "MatMul",
    "Mul",
    "Norm",
    "Numbers",
    "Piecewise",
    "Quantity",
    "Quantize",
    "Requantization",
    "Requantize",
    "RotaryEmbedding",
    "RoundsAlike",
    "Scale",
    "Softmax",
    "Sum",
    "Table",
    "WindowSum",
    "hull",
    "interval_of",
    "is_integer",
    "real_value",
]
