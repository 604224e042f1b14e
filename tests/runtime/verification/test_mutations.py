"""Whatever is broken in an exported file is found, if it changes a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import mase
from benchmarks.integers.cases import Case
from mase.ir import Graph
from mase.runtime.verification import ENGINES, Arrays, check_file, expected_values, vectors_for
from mase.runtime.verification.models import value_names
from tests.runtime.verification.mutations import mutations

ENGINE_OF = {
    "integer": "onnxruntime, not optimised",
    "qdq": "onnxruntime, not optimised",
    "qonnx": "qonnx",
}


def exported(case: Case, form: str, folder: Path) -> tuple[Graph, Path]:
    graph = case.graph()
    legal = "legalize-casts," if form == "integer" else ""
    mase.Pipeline(f"{legal}export{{format='{form}'}}").run(graph, output_dir=folder)
    return graph, folder / f"graph.{form}.onnx"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits-cnn", "digits-residual", "jet-tagging"])
@pytest.mark.parametrize("form", list(ENGINE_OF))
def test_every_fault_is_found(tmp_path: Path, form: str, model: str) -> None:
    cls = ENGINES[ENGINE_OF[form]]
    if reason := cls.missing():
        pytest.skip(reason)
    graph, path = exported(Case(model, 4, "tensor", "powers of two"), form, tmp_path)
    inputs = vectors_for(graph, 100)
    feeds, expected = {k: v.numpy() for k, v in inputs.items()}, expected_values(graph, inputs)
    sound = onnx.load(path)
    values = value_names(sound)
    before = cls(path).run(feeds, values)
    assert check_file(cls(path), form, feeds, expected, values).ok
    found = 0
    for name, broken in mutations(sound):
        onnx.save(broken, path)
        check = check_file(cls(path), form, feeds, expected, values)
        if check.ok:
            assert not changed(before, cls(path).run(feeds, values)), name
            continue
        assert check.failed or check.first, name
        found += 1
    assert found >= 20


def changed(before: Arrays, after: Arrays) -> list[str]:
    """The values that are not what they were: none, where a number was never used."""
    return [name for name in before if not np.array_equal(before[name], after[name])]
