"""The older, keyed style of [passes.quantize] says the same as the new one."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import mase
from mase.ir.diagnostics import Location, MaseError
from mase.passes.transforms.quantize_legacy import is_legacy, translate
from tests.runtime.nets import toy

INTEGER: dict[str, Any] = {
    "name": "integer",
    "data_in_width": 8,
    "data_in_frac_width": 4,
    "weight_width": 8,
    "weight_frac_width": 6,
    "bias_width": 8,
    "bias_frac_width": 4,
}
FORMATS = {"data_in": "fixed<8,4>", "weight": "fixed<8,6>", "bias": "fixed<8,4>"}
NARROW = {**INTEGER, "weight_width": 4, "weight_frac_width": 2}
NA = {"config": {"name": "NA"}}


def quantized(options: dict[str, Any]) -> dict[str, str]:
    """Give the weight's format of each quantized layer of the toy."""
    graph = mase.trace(toy(), args=(torch.zeros(2, 1, 2, 2),))
    graph.header.passes["quantize"] = translate(options)
    mase.Pipeline("quantize").run(graph)
    return {node.name: str(node.op.weight) for node in graph.nodes if hasattr(node.op, "weight")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"by": "type", "default": NA, "linear": {"config": INTEGER}}, [{"op": "linear", **FORMATS}]),
        ({"by": "name", "default": NA, "fc1": {"config": INTEGER}}, [{"node": "fc1", **FORMATS}]),
        ({"by": "name", "default": NA, "a.b": {"config": INTEGER}}, [{"scope": "a.b", **FORMATS}]),
        ({"by": "type", "default": NA, "bmm": NA}, [{"op": "matmul", "skip": True}]),
        (
            {"by": "regex_name", "default": NA, "fc1": {"config": NARROW}, r"fc\d": {"config": INTEGER}},
            [{"regex": r"fc\d", **FORMATS}, {"regex": "fc1", **FORMATS, "weight": "fixed<4,2>"}],
        ),
    ],
)
def test_translation(options: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert is_legacy(options)
    assert translate(options) == {"default": {}, "rules": expected}


def test_a_default_is_for_what_no_table_selects() -> None:
    options = {"by": "type", "default": {"config": INTEGER}, "relu": NA}
    assert translate(options) == {"default": FORMATS, "rules": [{"op": "relu", "skip": True}]}


def test_the_first_expression_that_matches_decides() -> None:
    options = {"by": "regex_name", "default": NA, "_1": {"config": NARROW}, r"_\d": {"config": INTEGER}}
    assert quantized(options) == {"_1": "fixed<4,2>", "_3": "fixed<8,6>", "_5": "fixed<8,6>"}


def test_everything_wrong_is_told_with_its_place() -> None:
    options = {
        "by": "typ",
        "lineer": {"config": {"name": "integer", "data_in_widht": 8}},
        "default": {"name": "integer"},
    }
    with pytest.raises(MaseError) as error:
        translate(options, lambda *path: Location(".".join(path), 1))
    assert [(d.at.file if d.at else "", d.help) for d in error.value.diagnostics] == [
        ("by", "did you mean 'type'?"),
        ("lineer.config", "did you mean 'data_in_width'?"),
        ("lineer", "did you mean 'linear'?"),
        ("default", None),
    ]


def test_the_translation_is_the_same_in_every_process() -> None:
    """Else a run that was cut off would not be known again."""
    program = (
        "from mase.passes.transforms.quantize_legacy import translate\n"
        f"print(translate({{'linear': {{'config': {INTEGER!r}}}}}))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
