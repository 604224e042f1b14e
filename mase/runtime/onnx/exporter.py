"""Calls without a rule of ours, as PyTorch's own exporter writes them."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Generator
from typing import Any, cast

import onnx
import onnx.inliner

from mase.ir import Dtype, Expr, Graph, MaseError, ScalarType, TensorType, TupleType
from mase.ir.dim import size_of
from mase.ir.ops import core
from mase.ir.ops.torch import Call
from mase.runtime.onnx.builder import OPSET
from mase.runtime.onnx.site import Site, Value

__all__ = ["by_exporter"]

_SIZES = (5, 7, 11, 13, 17, 19, 23, 29)  # of symbolic dimensions in examples, all different


def by_exporter(site: Site) -> Value:
    """Print one call with `torch.onnx.export`, and put what it gives into the file.

    Raises:
        MaseError: naming the call, if the exporter has no form for it either.
    """
    sizes: dict[str, int] = dict(zip(sorted(_symbols(site)), _SIZES, strict=False))
    examples = [_example(site, i, sizes) for i in range(len(site.inputs))]
    try:
        model = _exported(site, examples)
    except MaseError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever the exporter throws, the node is what matters)
        raise _refused(site, str(error).strip().partition("\n")[0][:200]) from None
    return _inlined(site, model)


def _refused(site: Site, reason: str) -> MaseError:
    target = site.op.target if isinstance(site.op, Call) else site.op.name
    return site.error(
        f"{target} has no form in ONNX: {reason}",
        help='write a rule: @call_to_onnx.register("name") of mase.runtime.onnx',
    )


def _symbols(site: Site) -> set[str]:
    shapes = [n.type.shape for n in site.node.inputs if isinstance(n.type, TensorType)]
    return {s for shape in shapes for d in shape if isinstance(d, Expr) for s in d.symbols}


def _example(site: Site, position: int, sizes: dict[str, int]) -> Any:
    import torch

    from mase.runtime.kernels.dtype import torch_dtype

    type = site.node.inputs[position].type
    if isinstance(type, TensorType) and isinstance(type.format, Dtype):
        return torch.ones([size_of(d, sizes) for d in type.shape], dtype=torch_dtype(type.format))
    if isinstance(type, ScalarType) and isinstance(type.value, int):
        return type.value
    raise _refused(site, f"{site.node.inputs[position].name} is {type}")


def _exported(site: Site, examples: list[Any]) -> onnx.ModelProto:
    """The call as a model of its own, lowered and exported."""
    import torch

    from mase.runtime.lower import lower

    graph = Graph()
    inputs = [graph.add(core.Input(), type=n.type, name=f"x{i}") for i, n in enumerate(site.node.inputs)]
    graph.outputs = [graph.add(site.op, *inputs, type=site.node.type, name="y")]
    dynamic = [_dynamic(n.type) for n in site.node.inputs]
    with _quiet():
        program: Any = cast(Any, torch.onnx).export(
            lower(graph).eval(),
            tuple(examples),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=tuple(dynamic),
        )
    return program.model_proto


def _dynamic(type: object) -> dict[int, Any] | None:
    import torch

    auto: Any = cast(Any, torch.export).Dim.AUTO
    if not isinstance(type, TensorType):
        return None
    return {axis: auto for axis, d in enumerate(type.shape) if isinstance(d, Expr)}


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """The exporter tells its progress to whoever listens; nobody here does."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _inlined(site: Site, model: onnx.ModelProto) -> Value:
    """The nodes of a model as nodes of the file."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    graph = model.graph
    # The exporter drops inputs that are no tensors, so that those left are the tensors in order.
    tensors = [
        v for v, n in zip(site.inputs, site.node.inputs, strict=True) if isinstance(n.type, TensorType)
    ]
    names = {i.name: v for i, v in zip(graph.input, tensors, strict=True)}
    for tensor in graph.initializer:
        name = site.builder.fresh(f"{site.node.name}_{tensor.name}")
        names[tensor.name] = tensor.name = name
        site.builder.initializers[tensor.name] = tensor
    for node in graph.node:
        _add(site, node, names)
    results = tuple(names[o.name] for o in graph.output)
    return results if isinstance(site.node.type, TupleType) else results[0]


def _add(site: Site, node: onnx.NodeProto, names: dict[str, str]) -> None:
    del node.metadata_props[:]
    node.name = site.builder.fresh(f"{site.node.scope or site.node.name}/{node.op_type}")
    node.doc_string = repr(site.node)
    node.input[:] = [names.get(i, i) for i in node.input]
    for i, output in enumerate(node.output):
        if output:
            names[output] = node.output[i] = site.builder.fresh(f"{site.node.name}_{output}")
    site.builder.nodes.append(node)
