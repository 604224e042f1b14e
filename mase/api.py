"""The public functions of ``import mase``: a graph in, a graph out, a module to train, a file to ship."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mase.ir import files, text
from mase.ir.diagnostics import MaseError
from mase.ir.format import Format, parse_format
from mase.ir.formats import Dtype
from mase.ir.graph import Graph

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

    from mase.runtime.kernels import Encoded
    from mase.runtime.kernels.base import GivenScale

__all__ = ["decode", "dumps", "encode", "interpret", "load", "loads", "lower", "quantize", "save", "trace"]


def trace(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    tracer: Literal["export", "fx"] = "export",
    opaque: Sequence[str] = (),
) -> Graph:
    """Capture a model as a graph, and check at once that the graph computes what the model does.

    Args:
        model: the model; it stays as it is, and its weights are shared until they are trained.
        args: example inputs, tensors with a batch of at least 2.
        kwargs: example inputs by keyword.
        dynamic: names of the dimensions that may vary, by input and position
            (``{"x": {0: "N"}}``); by default dimension 0 of every input is ``N``.
        tracer: ``export`` keeps layers as they are and follows Python control flow; ``fx`` uses the
            model's own `torch.fx` rules.
        opaque: scopes of modules to keep as one node each.

    Raises:
        MaseError: if the model cannot be traced, naming the module, or the graph differs from it,
            naming the first node that does.

    Example:
        >>> import torch, mase
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> graph = mase.trace(net, (torch.randn(2, 4),))
        >>> [f"{n.op.name}: {n.type}" for n in graph.nodes][1:]
        ['nn.linear: f32[N,8]', 'nn.relu: f32[N,8]', 'nn.linear: f32[N,2]']
    """
    from mase.passes.capture import checked_trace

    return checked_trace(model, args, kwargs, dynamic=dynamic, tracer=tracer, opaque=opaque)


def lower(graph: Graph, *, source_model: nn.Module | None = None) -> fx.GraphModule:
    """Make a `torch.fx.GraphModule` of a graph; its ``state_dict`` has the model's own keys.

    Args:
        graph: the graph.
        source_model: the user's model, needed only where the graph holds opaque modules.

    Raises:
        MaseError: if something in the graph cannot be lowered, or weights are missing.

    Example:
        >>> import torch, mase
        >>> net = torch.nn.Linear(4, 2)
        >>> x = torch.randn(3, 4)
        >>> module = mase.lower(mase.trace(net, (x,)))
        >>> torch.equal(module(x), net(x)), list(module.state_dict())
        (True, ['weight', 'bias'])
    """
    from mase.runtime.lower import lower

    return lower(graph, source_model=source_model)


def interpret(
    graph: Graph, *args: Any, keep: Collection[str] | None = None, **kwargs: Any
) -> Mapping[str, Tensor]:
    """Execute a graph at level ``integer`` in exact integers, and show the value of every node.

    Args:
        graph: what the pass ``legalize-casts`` made of a quantized graph.
        args: the model's arguments.
        keep: names of the nodes to keep; None keeps all.
        kwargs: arguments by keyword.

    Returns:
        Values by node name: int64 codes, floats at the boundaries.

    Raises:
        MaseError: if the graph has another level, or a value is not what its analysis proved.

    Example:
        >>> import torch, mase
        >>> graph = mase.trace(torch.nn.Linear(2, 1, bias=False), (torch.zeros(2, 2),))
        >>> graph.state["weight"] = torch.tensor([[0.5, 0.26]])
        >>> formats = 'quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}'
        >>> values = mase.interpret(mase.Pipeline([formats, "legalize-casts"]).run(graph), torch.ones(1, 2))
        >>> {name: value.tolist() for name, value in values.items()}
        {'input': [[1.0, 1.0]], 'input_codes': [[16, 16]], 'linear': [[784]], 'linear_real': [[0.765625]]}
    """
    from mase.runtime.integer import interpret

    return interpret(graph, *args, keep=keep, **kwargs)


def save(graph: Graph, path: str | Path) -> None:
    """Write ``graph.toml`` and, beside it, ``graph.safetensors``; each is written whole or not at all.

    Args:
        graph: the graph.
        path: the ``.toml`` file.

    Raises:
        MaseError: if the files cannot be written.

    Example:
        >>> import tempfile, torch, mase
        >>> graph = mase.trace(torch.nn.Linear(4, 2), (torch.randn(3, 4),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mase.save(graph, f"{folder}/graph.toml")
        ...     mase.load(f"{folder}/graph.toml") == graph
        True
    """
    files.save(graph, path)


def load(path: str | Path) -> Graph:
    r"""Read a graph from its file, or capture the model of a recipe. Weights are read when first used.

    Args:
        path: a ``.toml`` file with ``[nodes]``, or one with ``[model]`` alone.

    Raises:
        MaseError: if the file is missing or malformed, with the line.

    Example:
        >>> import tempfile, mase
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recipe = Path(folder) / "toy.toml"
        ...     _ = recipe.write_text('mase = 1\n[model]\nsource = "zoo:toy"\n')
        ...     mase.load(recipe)
        <Graph 'toy': 7 nodes, level float>
    """
    from mase.passes.inputs import graph_of

    return graph_of(files.read_document(path))


def loads(toml: str) -> Graph:
    r"""Read a graph's text.

    Args:
        toml: TOML with a ``[nodes]`` table.

    Raises:
        MaseError: if the text is malformed or holds no graph; every fault has its line.

    Example:
        >>> import mase
        >>> graph = mase.loads('mase = 1\n[nodes]\nx = { op = "core.input", type = "f32[N,4]" }\n')
        >>> graph["x"]
        %x: f32[N,4] = core.input()
    """
    return text.loads(toml)


def dumps(graph: Graph) -> str:
    r"""The canonical text of a graph, without its weights' values.

    Args:
        graph: the graph.

    Example:
        >>> import mase
        >>> toml = 'mase = 1\n\n[graph]\nname = "g"\nlevel = "float"\noutputs = []\n\n[nodes]\n'
        >>> mase.dumps(mase.loads(toml)) == toml
        True
    """
    return text.dumps(graph)


def quantize(x: Tensor, format: Format | str, scale: GivenScale | None = None) -> Tensor:
    """The representable values nearest to ``x``; NaN stays NaN, infinities saturate.

    Args:
        x: float tensor of any shape.
        format: a number format or its text.
        scale: for a format with scales, those to use in place of the ones that ``x`` itself would
            get: a number or float32 tensor, or `mase.runtime.kernels.Scale`.

    Returns:
        A tensor of the shape and type of ``x``.

    Raises:
        MaseError: if the format is unknown or incomplete, or the scale does not fit.

    Example:
        >>> import torch, mase
        >>> x = torch.tensor([0.1, 100.0])
        >>> mase.quantize(x, "fixed<8,4>")
        tensor([0.1250, 7.9375])
        >>> mase.quantize(x, "fp8_e4m3fn")
        tensor([ 0.1016, 96.0000])
        >>> mase.quantize(x, "int<8>", scale=0.5)
        tensor([ 0.0000, 63.5000])
    """
    from mase.runtime import kernels

    _check_floats(x, format)
    return kernels.quantize(x, format, scale)


def encode(x: Tensor, format: Format | str, scale: GivenScale | None = None) -> Tensor | Encoded:
    """The integer codes of the representable values nearest to ``x``.

    Args:
        x: float tensor of any shape.
        format: a number format or its text.
        scale: for a format with scales, those to use, as for `quantize`.

    Returns:
        Codes of the shape of ``x``, in the smallest integer type that holds them. Where the format
        has scales they come along: ``.codes`` and ``.scale`` of an `mase.runtime.kernels.Encoded`.

    Raises:
        MaseError: if the format is unknown, ``x`` holds NaN and the format has none, or the scale
            does not fit.

    Example:
        >>> import torch, mase
        >>> x = torch.tensor([0.1, 100.0])
        >>> mase.encode(x, "fixed<8,4>")
        tensor([  2, 127], dtype=torch.int8)
        >>> found = mase.encode(x, "mxfp4<32>")
        >>> found.codes.tolist(), found.scale.value.tolist()
        ([0, 7], [131])
    """
    from mase.runtime import kernels

    _check_floats(x, format)
    return kernels.encode(x, format, scale)


def decode(codes: Tensor | Encoded, format: Format | str) -> Tensor:
    """The values of integer codes: ``decode(encode(x, f), f)`` is ``quantize(x, f)``.

    Args:
        codes: what `encode` gives: an integer tensor, or codes with their scales.
        format: the number format of the codes, or its text.

    Returns:
        float32 if it holds every value of the format (every code of one with scales), else float64.

    Raises:
        MaseError: if the format is unknown, or has scales and ``codes`` none.

    Example:
        >>> import torch, mase
        >>> mase.decode(torch.tensor([2, 127]), "fixed<8,4>")
        tensor([0.1250, 7.9375])
    """
    from mase.runtime import kernels

    if not _is_machines(format) and _is_floating(codes):
        raise MaseError.of("codes are integers, and these are floats", help="encode gives codes of numbers")
    return kernels.decode(codes, format)


def _check_floats(x: object, format: Format | str) -> None:
    from torch import Tensor

    if not isinstance(x, Tensor):
        raise MaseError.of(
            f"expected a tensor, found a {type(x).__name__}", help="torch.tensor(...) makes one"
        )
    if not _is_machines(format) and not _is_floating(x):
        raise MaseError.of(f"expected floats, found {x.dtype}", help="x.float() gives them")


def _is_machines(format: Format | str) -> bool:
    """Whether it is a type of the machine, which holds integers too."""
    return isinstance(parse_format(format) if isinstance(format, str) else format, Dtype)


def _is_floating(x: object) -> bool:
    from torch import Tensor

    return isinstance(x, Tensor) and x.is_floating_point()
