"""What became of a case: how many outputs of each engine differ from the module that was quantized."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from torch import Tensor

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops.exact import Quantize, Requantize
from mase.passes.context import Context
from mase.runtime.integer import Interpreter
from mase.runtime.verification import (
    ENGINES,
    Check,
    Expected,
    check_file,
    compare_outputs,
    expected_values,
    vectors_for,
)
from mase.runtime.verification.models import kind_and_values

from .cases import Case

__all__ = ["ENGINES_BY_FORM", "Verdict", "judge"]

ENGINES_BY_FORM = {
    form: [name for name in ENGINES if form in ENGINES[name].kinds]
    for form in ("integer", "qdq", "qonnx", "hls")
}
"""Which engines run which form."""

_OUTPUTS = 10_000


@dataclass
class Verdict:
    """The result of one case.

    Args:
        case: the case.
        half_up: which share of the outputs would be others if every rounding took ties up.
        checks: what was compared, by form and engine; of the graph itself by ``""``.
    """

    case: Case
    half_up: float = 0.0
    checks: dict[tuple[str, str], Check] = field(default_factory=dict[tuple[str, str], Check])

    @property
    def exact(self) -> bool:
        """Whether nothing differs, and the vectors would have shown it."""
        ran = [c for c in self.checks.values() if not c.skipped]
        return self.half_up > 0.01 and all(c.ok and c.compared >= _OUTPUTS for c in ran)


def judge(case: Case, forms: tuple[str, ...] = ("integer", "qdq", "qonnx")) -> Verdict:
    """Export a case in every form, and run every engine that is installed.

    Args:
        case: the case.
        forms: which; ``hls`` compiles for a minute or two, what has other scales than shifts as integers.
    """
    graph = case.graph()
    integer = graph.copy()
    mase.Pipeline("legalize-casts").run(integer)
    inputs = vectors_for(graph, _samples(graph))
    expected = expected_values(graph, inputs)
    found = _interpreted(integer, graph, inputs)
    verdict = Verdict(case)
    verdict.checks["", "interpreter"] = compare_outputs("interpreter", "vectors", expected, found)
    verdict.half_up = _share(found, _interpreted(_half_up(integer), graph, inputs))
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            source, wanted = graph, expected
            if form == "integer" or (form == "hls" and not case.shifts):
                source, wanted = integer, _in_codes(expected, graph, integer, inputs)
            for check in _checks(source, form, Path(folder), inputs, wanted):
                verdict.checks[form, check.engine] = check
    return verdict


def _samples(graph: Graph) -> int:
    """So many vectors that there are enough outputs."""
    (output,) = graph.outputs
    return -(-_OUTPUTS // int(cast(Any, output.tensor_type.shape[-1])))


def _interpreted(integer: Graph, graph: Graph, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    result = Interpreter(integer)(**inputs)
    return {graph.outputs[0].name: result.numpy()}


def _half_up(integer: Graph) -> Graph:
    """The same integers, but that every rounding takes ties up."""
    made = integer.copy()
    for node in made.nodes:
        if isinstance(node.op, Requantize):
            node.op = replace(node.op, to=replace(node.op.to, rounding="half_up"))
        elif isinstance(node.op, Quantize):
            node.op = replace(node.op, format=replace(cast(Any, node.op.format), rounding="half_up"))
    return made


def _share(found: dict[str, Any], other: dict[str, Any]) -> float:
    return float(sum((found[name] != other[name]).mean() for name in found) / len(found))


def _in_codes(expected: Expected, graph: Graph, integer: Graph, inputs: Mapping[str, Tensor]) -> Expected:
    """The module's outputs by the names that the file of integers has for them, and the codes inside."""
    pairs = zip(graph.outputs, integer.outputs, strict=True)
    outputs = {new.name: expected.outputs[old.name] for old, new in pairs}
    return Expected(outputs, expected_values(integer, inputs).values)


def _checks(
    source: Graph, form: str, folder: Path, inputs: Mapping[str, Tensor], expected: Expected
) -> Iterator[Check]:
    path = folder / ("graph.hls" if form == "hls" else f"graph.{form}.onnx")
    refused = None
    try:
        quiet = Context(source.copy(), output_dir=folder, console=Console(quiet=True))
        mase.Pipeline(f"export{{format='{form}'}}").run_in(quiet)
    except MaseError as error:
        refused = error.diagnostics[0].message
    for name in ENGINES_BY_FORM[form]:
        reason = ENGINES[name].missing() or (refused and f"refused: {refused}")
        if reason:
            yield Check(name, "vectors", skipped=reason)
            continue
        feeds = {node: tensor.numpy() for node, tensor in inputs.items()}
        yield check_file(ENGINES[name](path), name, feeds, expected, kind_and_values(path)[1])
