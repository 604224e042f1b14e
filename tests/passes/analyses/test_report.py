import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from mase.ir import Graph, parse_format
from mase.ir.ops import integer
from mase.passes import Context
from mase.passes.analyses.cost import cost
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.analyses.report import report
from mase.passes.analyses.report_rows import COLUMNS
from mase.passes.analyses.statistics import Statistics
from tests.passes.graphs import lenet5, mlp


def printed(graph: Graph, **options: str) -> str:
    text = io.StringIO()
    report(graph, Context(graph, console=Console(file=text)), **options)  # type: ignore[arg-type]
    return text.getvalue()


def quantized() -> Graph:
    graph = mlp()
    fixed = parse_format("fixed<8,4>")
    graph["fc1"].op = integer.LinearInteger(data_in=fixed, weight=fixed, bias=None)
    graph["fc2"].meta.set(NotQuantized(reason="left out by rule 2"))
    graph.level = "quantized"
    return graph


def test_the_table_tells_what_is_known() -> None:
    graph = lenet5()
    cost(graph, Context(graph))
    summary = Statistics(count=4, min=-1.5, max=2.0, mean=0.25, variance=4.0, quantiles={})
    graph["c3"].meta.set(summary)
    text = printed(graph)
    line = next(row for row in text.splitlines() if " c3 " in row)
    for cell in ("nn.conv2d", "f32[N,16,10,10]", "2416", "240k", "-1.5", "0.25"):
        assert cell in line
    total = next(row for row in text.splitlines() if "total" in row)
    assert "61.7k" in total
    assert "417k" in total
    assert "not quantized" not in text


def test_columns_without_a_value_are_left_out() -> None:
    text = printed(mlp())
    assert "macs" not in text
    assert "total" not in text


def test_a_narrow_terminal_says_what_it_leaves_out() -> None:
    graph = lenet5()
    cost(graph, Context(graph))
    text = io.StringIO()
    report(graph, Context(graph, console=Console(file=text, width=72, force_terminal=True)))
    assert "max_pool2d_1" in text.getvalue()
    assert "417k" in text.getvalue()
    assert "no room for bits moved" in text.getvalue()


def test_nodes_left_in_float_are_listed_with_the_reason() -> None:
    text = printed(quantized())
    assert "data_in: fixed<8,4>, weight: fixed<8,4>, bias: float" in text.replace("\u00a0", " ")
    why = text[text.index("nodes not quantized") :]
    assert "left out by rule 2" in why
    assert "relu" in why  # nobody gave a reason, and it is listed all the same
    assert "quantize did not meet it" in why
    assert " x " not in why
    assert "fc1" not in why


def test_csv_holds_every_column_in_full(tmp_path: Path) -> None:
    graph = lenet5()
    cost(graph, Context(graph))
    ctx = Context(graph, output_dir=tmp_path)
    report(graph, ctx, file="sub/report.csv")
    rows = list(csv.DictReader((tmp_path / "sub/report.csv").open()))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["node"] for row in rows] == [node.name for node in graph.nodes]
    assert rows[1]["macs"] == "117600"
    assert list(ctx.artifacts.values()) == ["report"]
    assert printed(graph, format="csv") == (tmp_path / "sub/report.csv").read_text()


def test_html_is_one_page_with_everything_escaped(tmp_path: Path) -> None:
    graph = quantized()
    graph.name = "a<b>"
    report(graph, Context(graph, output_dir=tmp_path), file="report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<h1>a&lt;b&gt; (quantized)</h1>" in page
    assert "fixed&lt;8,4&gt;" in page
    assert "left out by rule 2" in page
    assert "http" not in page


def test_a_table_in_a_file(tmp_path: Path) -> None:
    graph = quantized()
    report(graph, Context(graph, output_dir=tmp_path), file="report.txt")
    assert (tmp_path / "report.txt").read_text() == printed(graph)


@pytest.mark.parametrize("format", ["table", "csv", "html"])
def test_empty_graph(format: str) -> None:
    assert "node" in printed(Graph(), format=format)
