"""`profile` against numpy on the activations of hooks, and what it must refuse."""

import math
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mase.ir import Graph, Location, MaseError, Template, UsageError, parse_format, parse_type
from mase.ir.ops import core, integer, nn, norm
from mase.ir.ops.torch import Call
from mase.ir.text import dumps, loads
from mase.passes import Context
from mase.passes.analyses.calibration import collect_statistics, model_inputs
from mase.passes.analyses.profile import profile
from mase.passes.analyses.sketch import MANTISSA_BITS
from mase.passes.analyses.statistics import ParamStatistics, Statistics
from mase.runtime.lower import lower
from tests.passes.graphs import batch_norm, graph_input, layer, mlp


class Data(pl.LightningDataModule):
    def __init__(self, x: Tensor, batch_size: int = 16) -> None:
        super().__init__()
        self.x, self.batch_size = x, batch_size

    def train_dataloader(self) -> Any:
        labels = torch.zeros(len(self.x), dtype=torch.int64)
        return DataLoader(TensorDataset(self.x, labels), batch_size=self.batch_size)


def profiled(graph: Graph, x: Tensor, **options: Any) -> Context:
    ctx = Context(graph, data=Data(x))
    profile(graph, ctx, **options)
    return ctx


def assert_summarises(found: Statistics, values: np.ndarray) -> None:
    assert (found.count, found.min, found.max) == (values.size, values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), rel=1e-6, abs=1e-9)
    assert found.variance == pytest.approx(values.var(), rel=1e-6)
    for level, estimate in found.quantiles.items():
        exact = np.quantile(values, float(level), method="inverted_cdf")
        assert abs(estimate - exact) <= 2.0**-MANTISSA_BITS * abs(exact)


def test_every_value_and_weight_as_numpy_sees_them() -> None:
    torch.manual_seed(0)
    graph = mlp()
    x = torch.randn(80, 4)
    profiled(graph, x, batches=5)
    state = {key: graph.state[key].double().numpy() for key in graph.state}
    hidden = x.double().numpy() @ state["fc1.weight"].T + state["fc1.bias"]
    active = np.maximum(hidden, 0)
    logits = active @ state["fc2.weight"].T + state["fc2.bias"]
    truth = {"x": x.double().numpy(), "fc1": hidden, "relu": active, "drop": active, "fc2": logits}
    for name, values in truth.items():
        found = graph[name].meta[Statistics]
        assert found.count == values.size
        assert found.min == pytest.approx(values.min(), abs=1e-5)
        assert found.max == pytest.approx(values.max(), abs=1e-5)
        assert found.mean == pytest.approx(values.mean(), abs=1e-5)
        assert found.variance == pytest.approx(values.var(), rel=1e-4)
    assert_summarises(graph["x"].meta[Statistics], truth["x"])
    weights = graph["fc1"].meta[ParamStatistics].roles
    assert_summarises(weights["weight"], state["fc1.weight"])
    assert_summarises(weights["bias"], state["fc1.bias"])


def test_only_so_many_batches_are_seen() -> None:
    graph = mlp()
    profiled(graph, torch.randn(80, 4), batches=2)
    assert graph["x"].meta[Statistics].count == 2 * 16 * 4


def test_quantiles_are_those_asked_for() -> None:
    graph = mlp()
    profiled(graph, torch.randn(80, 4), quantiles=(0.1, 0.9))
    assert list(graph["fc1"].meta[Statistics].quantiles) == ["0.1", "0.9"]
    assert graph["fc1"].meta[Statistics].quantile(0.9) > 0


def test_the_annotations_survive_the_text() -> None:
    graph = mlp()
    profiled(graph, torch.randn(80, 4))
    again = loads(dumps(graph))
    assert again["fc1"].meta == graph["fc1"].meta


def test_nothing_else_changes() -> None:
    """Running statistics stay, dropout is off, and tensors are the very same."""
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    y = layer(graph, nn.Linear(), x, scope="fc", weight=torch.ones(3, 4))
    y = batch_norm(graph, y, 3, "bn", like=torch.empty(0))
    graph.outputs = [graph.add(nn.Dropout(p=1.0), y, name="drop")]
    before = {key: graph.state[key].clone() for key in graph.state}
    profiled(graph, torch.randn(80, 4))
    assert all(torch.equal(graph.state[key], value) for key, value in before.items())
    assert graph["drop"].meta[Statistics].variance > 0
    assert isinstance(graph["bn"].op, norm.BatchNorm)


def test_calibration_uses_the_lowered_module() -> None:
    graph = mlp()
    x = torch.randn(16, 4)
    with torch.no_grad():
        logits = lower(graph).eval()(x)
    found = collect_statistics(graph, Data(x), batches=1)["fc2"]
    assert (found.min, found.max) == (float(logits.min()), float(logits.max()))


def test_quantized_graphs_are_profiled_as_they_compute() -> None:
    graph = mlp()
    fixed = parse_format("fixed<4,2>")
    graph["fc1"].op = integer.LinearInteger(data_in=fixed, weight=fixed, bias=fixed)
    graph.level = "quantized"
    profiled(graph, torch.randn(80, 4))
    found = graph["fc1"].meta[Statistics]
    assert (found.min * 16).is_integer()
    assert (found.max * 16).is_integer()


def failing_at(graph: Graph, target: str) -> None:
    """Insert ``target(fc1)`` before the ReLU."""
    call = Call(target=target, args=Template.parse("(%0,)"), returns=parse_type("f32[N,8]"))
    with graph.inserting_before(graph["relu"]):
        node = graph.add(call, graph["fc1"], name="bad")
    node.loc = Location("net.py", 12)
    graph["relu"].inputs = [node]


def test_nan_names_the_node_that_made_it() -> None:
    graph = mlp()
    failing_at(graph, "aten.log.default")
    with pytest.raises(MaseError, match=r"aten|torch\.call gives NaN \(calibration batch 0\)") as error:
        profiled(graph, torch.randn(80, 4))
    (found,) = error.value.diagnostics
    assert (found.node, str(found.source)) == ("bad", "net.py:12")
    assert "operands are finite" in (found.help or "")


def test_nan_in_the_data_names_the_input() -> None:
    x = torch.randn(80, 4)
    x[20, 1] = math.nan
    with pytest.raises(MaseError, match="calibration batch 1") as error:
        profiled(mlp(), x)
    assert error.value.diagnostics[0].node == "x"


def test_infinities_are_warned_of_and_left_out() -> None:
    """An additive attention mask is -inf on purpose, and every quantizer saturates it."""
    graph = mlp()
    x = torch.zeros(16, 4)
    x[3, 2] = -math.inf
    x[0, 0] = 2.0
    graph.outputs = [graph["x"]]
    for name in ("fc2", "drop", "relu", "fc1"):
        graph.erase(graph[name])
    ctx = profiled(graph, x)
    assert (graph["x"].meta[Statistics].min, graph["x"].meta[Statistics].infinite) == (0.0, 1)
    assert "1 infinities" in ctx.diagnostics[0].message


@pytest.mark.parametrize(("value", "what"), [(math.nan, "NaN"), (math.inf, "infinities")])
def test_weights_must_be_finite(value: float, what: str) -> None:
    graph = mlp()
    graph.state["fc2.weight"] = torch.full((3, 8), value)
    with pytest.raises(MaseError, match=rf"weight 'fc2\.weight' holds {what}") as error:
        profiled(graph, torch.randn(80, 4))
    assert error.value.diagnostics[0].node == "fc2"


def test_a_batch_that_does_not_fit_names_the_node() -> None:
    with pytest.raises(MaseError, match=r"nn\.linear fails: .*shape") as error:
        profiled(mlp(), torch.randn(80, 5))
    assert error.value.diagnostics[0].node == "fc1"


def test_no_batch_is_an_error() -> None:
    with pytest.raises(MaseError, match="no batch to calibrate with"):
        profiled(mlp(), torch.randn(0, 4))


@pytest.mark.parametrize("options", [{"batches": 0}, {"quantiles": (0.5, 1.5)}], ids=str)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        profiled(mlp(), torch.randn(80, 4), **options)


def test_an_unquantized_pass_over_integers_is_not_summarised() -> None:
    graph = Graph()
    i = graph_input(graph, "i64[N,6]", "i")
    graph.outputs = [layer(graph, nn.Embedding(), i, scope="table", weight=torch.randn(10, 3))]
    profiled(graph, torch.randint(0, 10, (80, 6)))
    assert Statistics not in i.meta
    assert graph["table"].meta[Statistics].count == 80 * 6 * 3


def test_batches_find_their_inputs() -> None:
    graph = Graph()
    graph_input(graph, "i64[N]", "ids")
    graph_input(graph, "i64[N]", "mask")
    assert model_inputs({"mask": 2, "labels": 3, "ids": 1}, graph) == [1, 2]
    assert model_inputs((1, 2, 3), graph) == [1, 2]
    assert model_inputs([{"ids": 1, "mask": 2}, 3], graph) == [1, 2]
    assert model_inputs(((1, 2), 3), graph) == [1, 2]
    with pytest.raises(MaseError, match="'mask'"):
        model_inputs({"ids": 1}, graph)
    with pytest.raises(MaseError, match="takes 2: ids, mask"):
        model_inputs(torch.zeros(3), graph)


def test_inputs_inside_an_argument_come_from_that_argument() -> None:
    graph = Graph()
    for path in ("past[0].keys", "past[0].values", ""):
        graph.add(core.Input(path=path), type=parse_type("f32[N]"), name="x")
    assert model_inputs({"past": 1, "x_2": 2}, graph) == [1, 2]
    assert model_inputs((1, 2, 3), graph) == [1, 2]
