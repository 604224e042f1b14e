"""A format that a user writes: nothing but the class is needed for its ops to be named, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

import mase
from mase.ir import Format, Graph, MaseError, parse_format, parse_type, register_format
from mase.ir import format as formats
from mase.ir import op as ops
from mase.ir.ops import core, nn
from mase.ir.ops.quantized import with_formats


@pytest.fixture
def thirds(monkeypatch: pytest.MonkeyPatch) -> type[Format]:
    monkeypatch.setattr(formats, "_FAMILIES", formats.format_families())
    monkeypatch.setattr(ops, "_OPS", dict(ops._OPS))  # pyright: ignore[reportPrivateUsage]

    @register_format
    @dataclass(frozen=True)
    class Thirds(Format):
        names = ("thirds",)
        bits, min, max = 3, -1.0, 1.0

        def contains(self, value: float) -> bool:
            return abs(value) <= 1

        def __str__(self) -> str:
            return "thirds"

        @classmethod
        def from_text(cls, name: str, args: Sequence[str]) -> Format:
            return cls()

    return Thirds


def quantized() -> str:
    graph = Graph(level="quantized")
    x = graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")
    y = graph.add(with_formats(nn.Relu(), {"data_in": parse_format("thirds")}), x, name="y")
    graph.outputs = [y]
    return mase.dumps(graph)


@pytest.mark.usefixtures("thirds")
def test_its_ops_are_written_and_read() -> None:
    text = quantized()
    assert 'op = "mase.relu_thirds"' in text
    assert mase.dumps(mase.loads(text)) == text


def test_a_reader_without_it_is_told_of_plugins(
    thirds: type[Format], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert thirds.family == "thirds"
    text = quantized()
    monkeypatch.undo()
    with pytest.raises(MaseError, match=r"unknown op 'mase\.relu_thirds'\n.*\n?.*load that: --load FILE"):
        mase.loads(text)


def test_element_types_quantize_nothing() -> None:
    assert [parse_format(name).family for name in ("f32", "i8", "si<8>")] == ["", "", ""]
