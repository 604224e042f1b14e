import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mase.ir import Graph, UsageError, parse_format, parse_type
from mase.ir.ops import core, integer, nn, tensor
from mase.ir.ops.torch import Call
from mase.ir.template import Template
from mase.passes import Context
from mase.passes.analyses.drawing.dot import to_dot
from mase.passes.analyses.drawing.groups import frames, modules
from mase.passes.analyses.drawing.layout import Layout, Rect, arrange
from mase.passes.analyses.drawing.picture import picture
from mase.passes.analyses.drawing.scene import Box, Label
from mase.passes.analyses.drawing.svg import to_svg
from mase.passes.analyses.not_quantized import NotQuantized
from mase.passes.analyses.plot import plot
from tests.passes.graphs import graph_input, lenet5, mlp

SIZE = (60.0, 30.0)


def laid_out(edges: list[tuple[str, str]]) -> Layout:
    names = sorted({name for edge in edges for name in edge})
    return arrange(dict.fromkeys(names, SIZE), edges)


def residual(blocks: int) -> Graph:
    """Blocks of two layers with a path around them, each in a module of its own."""
    graph = Graph("residual")
    x = graph_input(graph, "f32[N,4]")
    for i in range(blocks):
        y = graph.add(nn.Relu(), x, scope=f"blocks.{i}.a")
        y = graph.add(nn.Tanh(), y, scope=f"blocks.{i}.b")
        x = graph.add(tensor.Add(), x, y, scope=f"blocks.{i}")
    graph.outputs = [x]
    return graph


# ---------------------------------------------------------------------------------------------- the layout


def test_edges_lead_downwards_and_boxes_keep_apart() -> None:
    """All pairs of eight boxes: every edge but the shortest has to find its way around."""
    edges = list(combinations("abcdefgh", 2))
    layout = laid_out(edges)
    for source, target in edges:
        assert layout.boxes[source].bottom < layout.boxes[target].y
        heights = [y for _, y in layout.routes[source, target]]
        assert heights == sorted(heights)
    for a, b in combinations(layout.boxes.values(), 2):
        assert not a.overlaps(b)


def test_edges_pass_no_box_that_is_not_theirs() -> None:
    edges = list(combinations("abcdef", 2))
    layout = laid_out(edges)
    for edge, points in layout.routes.items():
        for name, box in layout.boxes.items():
            if name not in edge:
                assert not any(box.x < x < box.right and box.y <= y <= box.bottom for x, y in points)


def test_a_chain_is_straight_and_so_is_the_way_around_it() -> None:
    layout = laid_out([("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    assert layout.boxes["b"].centre == pytest.approx(layout.boxes["c"].centre)
    way = [x for x, _ in layout.routes["a", "d"][1:-1]]
    assert max(way) == pytest.approx(min(way))


def test_branches_do_not_cross() -> None:
    edges = [("a", "l1"), ("a", "r1"), ("l1", "l2"), ("r1", "r2"), ("l2", "z"), ("r2", "z")]
    boxes = laid_out(edges).boxes
    assert (boxes["l1"].x < boxes["r1"].x) == (boxes["l2"].x < boxes["r2"].x)


def test_a_weight_lies_right_above_its_user() -> None:
    boxes = laid_out([("a", "b"), ("b", "c"), ("w", "c")]).boxes
    assert boxes["w"].y == boxes["b"].y


def test_nothing_and_strangers() -> None:
    assert arrange({}, []) == Layout({}, {})
    boxes = arrange({"a": SIZE, "b": SIZE}, []).boxes
    assert not boxes["a"].overlaps(boxes["b"])


# ----------------------------------------------------------------------------------------------- the frames


def test_modules_that_deserve_a_frame() -> None:
    scopes = {
        "a": "net.one.x",
        "b": "net.one.y",
        "c": "net.two",
        "d": "",
        "e": "wrap.only.p",
        "f": "wrap.only.q",
    }
    assert modules(scopes) == {"net.one": {"a", "b"}, "wrap.only": {"e", "f"}, "net": {"a", "b", "c"}}


def test_a_frame_encloses_no_stranger() -> None:
    boxes = {"a": Rect(0, 0, 10, 10), "b": Rect(0, 100, 10, 10), "c": Rect(0, 50, 10, 10)}
    assert frames({"m": {"a", "b"}}, boxes) == []
    (frame,) = frames({"m": {"a", "b"}}, {**boxes, "c": Rect(200, 50, 10, 10)})
    assert frame.rect.overlaps(boxes["a"])
    assert frame.rect.overlaps(boxes["b"])


def test_frames_nest_and_are_named_by_what_is_new() -> None:
    texts = [s.text for s in picture(residual(3)).shapes if isinstance(s, Label)]
    assert texts.count("blocks") == 1
    assert {"0", "1", "2"} <= set(texts)


# --------------------------------------------------------------------------------------------- the drawings


def test_svg_shows_every_node_with_its_details() -> None:
    graph = lenet5()
    root = ElementTree.fromstring(to_svg(picture(graph)))
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    tips = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    for node in graph.nodes:
        assert str(node.type) in texts
        assert any(tip.startswith(f"{node.name}\nop: {node.op.name}") for tip in tips)
    assert "output" in texts
    assert "products" in texts
    assert any("kernel: [2, 2]" in tip for tip in tips)


def test_everything_lies_on_the_paper() -> None:
    for graph in (lenet5(), residual(4), Graph("an empty graph with quite a long name")):
        scene = picture(graph)
        for shape in scene.shapes:
            if isinstance(shape, Box):
                assert 0 <= shape.rect.x <= shape.rect.right <= scene.width
                assert 0 <= shape.rect.y <= shape.rect.bottom <= scene.height


def test_quantized_and_refused_nodes_look_different() -> None:
    graph = mlp()
    graph["fc1"].op = integer.LinearInteger(
        data_in=parse_format("fixed<8,4>"), weight=parse_format("fixed<4,3>")
    )
    graph["fc2"].meta.set(NotQuantized(reason="because"))
    graph.level = "quantized"
    scene = picture(graph)
    boxes = {s.tip.split("\n")[0]: s for s in scene.shapes if isinstance(s, Box) and s.tip}
    texts = [s.text for s in scene.shapes if isinstance(s, Label)]
    assert boxes["fc1"].fill == boxes["fc2"].stroke.replace("#c53030", boxes["fc1"].stroke)
    assert boxes["fc2"].dashed
    assert "not quantized: because" in boxes["fc2"].tip
    assert {"data_in fixed<8,4>", "weight fixed<4,3>", "quantized", "left in float"} <= set(texts)


def test_sizes_are_drawn_if_asked_for() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    call = Call(target="aten.sym_size.int", args=Template.parse("(%0, 0)"), returns=parse_type("int(N)"))
    size = graph.add(call, x)
    view = Call(target="aten.view.default", args=Template.parse("(%0, [%1, 4])"), returns=x.type)
    graph.outputs = [graph.add(view, x, size)]
    assert "sym_size" not in to_svg(picture(graph))
    assert "sym_size" in to_svg(picture(graph, sizes=True))


def test_text_is_escaped() -> None:
    graph = Graph('<&"')
    graph_input(graph, "fixed<8,4>[N]")
    assert "fixed&lt;8,4&gt;[N]" in to_svg(picture(graph))
    ElementTree.fromstring(to_svg(picture(graph)))
    assert 'digraph "<&\\" (float)" {' in to_dot(graph)


def test_dot_has_every_edge_and_a_cluster_for_each_module() -> None:
    text = to_dot(residual(2))
    assert '"x" -> "relu"' in text
    assert '"add_1" -> "->output"' in text
    assert re.findall(r'subgraph "cluster_(.*)"', text) == ["blocks", "blocks.0", "blocks.1"]
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("ending", ["svg", "dot", "png", "pdf"])
@pytest.mark.parametrize("graph", [lenet5(), Graph("empty")], ids=lambda graph: graph.name)
def test_files(ending: str, graph: Graph, tmp_path: Path) -> None:
    if ending in ("png", "pdf"):
        pytest.importorskip("matplotlib")
    ctx = Context(graph, output_dir=tmp_path)
    plot(graph, ctx, file=f"drawn/graph.{ending}")
    path = tmp_path / f"drawn/graph.{ending}"
    magic = {"svg": b"<svg", "dot": b"digraph", "png": b"\x89PNG", "pdf": b"%PDF"}
    first = path.read_bytes()
    assert first.startswith(magic[ending])
    assert ctx.artifacts == {path: "graph drawing"}
    plot(graph, ctx, file=f"drawn/graph.{ending}")
    assert path.read_bytes() == first


def test_an_unknown_kind_of_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write 'jpg' files"):
        plot(Graph(), Context(Graph(), output_dir=tmp_path), file="graph.jpg")
    assert not list(tmp_path.iterdir())


def test_svg_needs_neither_torch_nor_matplotlib() -> None:
    program = (
        "import sys\n"
        "from mase.ir import Graph\n"
        "from mase.ir.ops import core\n"
        "from mase.ir import parse_type\n"
        "from mase.passes.analyses.drawing.picture import picture\n"
        "graph = Graph()\n"
        "graph.outputs = [graph.add(core.Input(), type=parse_type('f32[N]'))]\n"
        "picture(graph)\n"
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_parameters_are_drawn() -> None:
    graph = Graph()
    graph.state.declare("mask", parse_type("f32[4]"))
    mask = graph.add(core.Parameter(), params={"value": "mask"})
    graph.outputs = [mask, mask]
    texts = [s.text for s in picture(graph).shapes if isinstance(s, Label)]
    assert {"parameter", "output 0", "output 1"} <= set(texts)
