"""Lowered float models are the models themselves, bit for bit: results, noise, gradients, state."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

import mase
from mase.frontends.capture import trace
from mase.runtime import modules as M
from mase.runtime.lower import lower, write_back

S = nn.Sequential
IMAGE, LINE, TABLE = (2, 4, 8, 8), (2, 4, 8), (6, 4)


class Functional(nn.Module):
    """Calls whose behaviour depends on training, on parameters that are no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(4))
        self.var = nn.Buffer(torch.ones(4))
        self.gain = nn.Parameter(torch.rand(4))
        self.projection = nn.Parameter(torch.randn(5, 4))
        self.inner = nn.Module()
        self.inner.table = nn.Parameter(torch.randn(3, 5))
        self.idle = nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.scratch = nn.Buffer(torch.ones(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(x, self.mean, self.var, self.gain, None, self.training)
        x = F.dropout(x, 0.5, self.training)
        x = F.linear(F.linear(x, self.projection), self.inner.table)
        return F.dropout(x, 0.2, self.training) * self.frozen + self.scratch


class Shared(nn.Module):
    """One layer called twice, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed((x[:, 0].abs() * 3).long() % 10)
        return self.head(self.layer(self.layer(h).relu()))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.3 if self.training else 0.0)
        mask = torch.ones(x.shape[1], x.shape[1]).tril().log()
        return y + F.scaled_dot_product_attention(q, k, v, mask)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: S(nn.Linear(4, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 3), nn.LogSoftmax(-1)), TABLE),
    "cnn": (
        lambda: S(
            nn.Conv2d(4, 8, 3, 2, padding=1, bias=False),
            *(nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(), nn.Flatten(), nn.Linear(32, 2)),
        ),
        IMAGE,
    ),
    "conv-same": (lambda: S(nn.Conv2d(4, 4, 4, padding="same"), nn.Conv2d(4, 4, 3, padding="same")), IMAGE),
    "conv-reflect": (lambda: nn.Conv1d(4, 4, 4, padding="same", padding_mode="reflect"), LINE),
    "conv-circular": (lambda: nn.Conv2d(4, 4, 3, padding=2, padding_mode="circular", groups=2), IMAGE),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), IMAGE),
    "norms": (
        lambda: S(nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.RMSNorm(8), nn.LayerNorm(8, bias=False)),
        LINE,
    ),
    "batch-norm": (lambda: S(nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4, affine=False)), LINE),
    "batch-norm-untracked": (lambda: nn.BatchNorm1d(4, track_running_stats=False), LINE),
    "pools": (
        lambda: S(
            nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AdaptiveAvgPool2d((None, 3)), nn.MaxPool2d(2)
        ),
        IMAGE,
    ),
    "pools-1d": (lambda: S(nn.AvgPool1d(2), nn.AdaptiveMaxPool1d(3), nn.AdaptiveAvgPool1d(2)), LINE),
    "activations": (
        lambda: S(
            *(nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(), nn.Hardtanh(-2, 2), nn.Hardsigmoid(), nn.Hardswish()),
            *(
                nn.GELU("tanh"),
                nn.SiLU(),
                nn.Tanh(),
                nn.Sigmoid(),
                nn.Softplus(2),
                nn.Softsign(),
                nn.Softmax(1),
            ),
        ),
        TABLE,
    ),
    "functional": (Functional, TABLE),
    "shared": (Shared, TABLE),
    "attention": (Attention, LINE),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), LINE),
    "lstm": (lambda: S(nn.LSTM(8, 4, batch_first=True)), LINE),
}


def prepared(name: str) -> tuple[nn.Module, Any, Tensor]:
    """A model, its graph and an input of another batch size than that of the capture."""
    make, shape = MODELS[name]
    torch.manual_seed(0)
    model = make()
    graph = trace(model, (torch.randn(shape),))
    return model, graph, torch.randn(3, *shape[1:])


def equal(a: Any, b: Any) -> bool:
    (xs, left), (ys, right) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return left == right and all(torch.equal(x, y) for x, y in zip(xs, ys, strict=True))


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of an LSTM
@pytest.mark.filterwarnings("ignore::mase.frontends.capture.CaptureWarning", "ignore:Using padding='same'")
@pytest.mark.parametrize("name", MODELS)
def test_is_the_model(name: str) -> None:
    model, graph, x = prepared(name)
    lowered = lower(graph, source_model=model)
    assert isinstance(lowered, fx.GraphModule)
    assert list(lowered.state_dict()) == list(model.state_dict())
    assert [k for k, _ in lowered.named_parameters()] == [k for k, _ in model.named_parameters()]
    for parameter, twin in zip(lowered.parameters(), model.parameters(), strict=True):
        assert parameter.requires_grad == twin.requires_grad
        assert parameter.data_ptr() != twin.data_ptr()
    for training in (True, False):
        results = []
        for module in (model, lowered):
            module.train(training)
            torch.manual_seed(1)
            results.append(module(x))
            first = pytree.tree_leaves(results[-1])[0]
            if first.requires_grad:
                first.square().sum().backward()
        assert equal(*results)
    for parameter, twin in zip(lowered.parameters(), model.parameters(), strict=True):
        assert (parameter.grad is None) == (twin.grad is None)
        if twin.grad is not None:
            assert torch.allclose(parameter.grad, twin.grad, rtol=1e-5, atol=1e-6)
    assert equal(lowered.state_dict(), model.state_dict())  # running statistics


@pytest.mark.filterwarnings("ignore::mase.frontends.capture.CaptureWarning")
@pytest.mark.parametrize("name", ["cnn", "functional", "shared", "encoder"])
def test_copies_move_and_trace_back(name: str) -> None:
    model, graph, x = prepared(name)
    lowered = lower(graph, source_model=model).eval()
    expected = lowered(x)
    assert equal(copy.deepcopy(lowered)(x), expected)
    assert equal(fx.Interpreter(lowered).run(x), expected)
    assert [n.name for n in lowered.graph.nodes if n.meta.get("mase")] == [n.name for n in graph.nodes]
    double = lowered.double()
    assert torch.allclose(double(x.double()).float(), expected, atol=1e-4)
    on_meta = copy.deepcopy(lowered).to("meta")(x.to("meta").double())
    assert on_meta.shape == expected.shape


def test_shared_things_stay_shared() -> None:
    _, graph, x = prepared("shared")
    lowered: Any = lower(graph)
    assert lowered.head.weight is lowered.embed.weight
    targets = [n.target for n in lowered.graph.nodes if n.op == "call_module"]
    assert targets.count("layer") == 2
    graph.state["layer.bias"] = torch.ones(4)
    assert not torch.equal(lowered.layer.bias, torch.ones(4))
    optimizer = torch.optim.SGD(lowered.parameters(), lr=0.1)
    lowered(x).sum().backward()
    optimizer.step()
    write_back(lowered, graph)
    for key, value in lowered.state_dict().items():
        assert torch.equal(graph.state[key], value)
        assert graph.state[key].data_ptr() != value.data_ptr()


# -------------------------------------------------------------------------------- arguments and results


@dataclasses.dataclass
class Pair:
    left: Tensor
    right: Any = None


class Point(NamedTuple):
    x: Tensor
    y: Tensor


class Structured(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, input: Tensor, more: list[dict[str, Tensor]], scale: Tensor | None = None) -> Any:
        a, b = input + 1, more[0]["b"] * 2
        if scale is not None:
            a = a * scale
        results = {
            "tensor": a,
            "tuple": (a, (b, [a])),
            "one": (a,),
            "dict": {"a": a, "b": [b, None]},
            "dataclass": Pair(a, Pair(b)),
            "namedtuple": Point(a, b),
            "input": (input, a, a),
        }
        return results[self.kind]


@pytest.mark.parametrize("kind", ["tensor", "tuple", "one", "dict", "dataclass", "namedtuple", "input"])
def test_arguments_and_results_keep_their_structure(kind: str) -> None:
    model = Structured(kind)
    x, more, scale = torch.randn(2, 3), [{"b": torch.randn(2, 3)}], torch.randn(2, 3)
    graph = mase.loads(mase.dumps(trace(model, (x, more), {"scale": scale})))
    lowered = lower(graph)
    expected = model(x, more, scale)
    for result in (
        lowered(x, more, scale),
        lowered(x, more, scale=scale),
        lowered(scale=scale, more=more, input=x),
    ):
        assert type(result) is type(expected)
        flat = pytree.tree_leaves(dataclasses.asdict(result) if kind == "dataclass" else result)
        other = pytree.tree_leaves(dataclasses.asdict(expected) if kind == "dataclass" else expected)
        assert all(a is b or torch.equal(a, b) for a, b in zip(flat, other, strict=True))


# ---------------------------------------------------------------------------------------- transformers


def _language_models() -> dict[str, Callable[[], nn.Module]]:
    import transformers as t

    tiny = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
    bert = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return {
        "bert": lambda: t.BertForSequenceClassification(t.BertConfig(**tiny, **bert)),
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(**tiny, n_positions=32, n_embd=32, n_layer=2, n_head=4)
        ),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**tiny, **bert, num_key_value_heads=2)),
    }


@pytest.mark.filterwarnings("ignore::mase.frontends.capture.CaptureWarning")
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_language_models(name: str) -> None:
    torch.manual_seed(0)
    model = _language_models()[name]()

    def inputs(batch: int, length: int) -> dict[str, Tensor]:
        ids = torch.randint(0, 50, (batch, length))
        mask = torch.ones_like(ids)
        mask[0, -2:] = name != "bert"  # padding for the one that sees all
        return {"input_ids": ids, "attention_mask": mask}

    example = inputs(2, 7)
    graph = trace(model, kwargs=example, dynamic={k: {0: "N", 1: "L"} for k in example})
    lowered = lower(graph, source_model=model)
    assert list(lowered.state_dict()) == list(model.state_dict())
    batch = inputs(3, 11)
    for training in (True, False):
        results: list[Any] = []
        for module in (model, lowered):
            module.train(training).zero_grad()
            torch.manual_seed(1)
            results.append(module(**batch))
            results[-1].logits.square().sum().backward()
        theirs, ours = results
        assert type(ours) is type(theirs)
        assert list(ours) == list(theirs)
        assert torch.equal(ours.logits, theirs.logits)
        if "past_key_values" in theirs:
            layers = zip(ours.past_key_values.layers, theirs.past_key_values.layers, strict=True)
            assert all(torch.equal(a.keys, b.keys) and torch.equal(a.values, b.values) for a, b in layers)
        for (key, mine), (_, other) in zip(lowered.named_parameters(), model.named_parameters(), strict=True):
            assert torch.allclose(mine.grad, other.grad, rtol=1e-4, atol=1e-5), key


class Quantized(nn.Module):
    """A model that its user wrote with integer modules."""

    def __init__(self) -> None:
        super().__init__()
        layer = {"data_in": "fixed<8,4>", "weight": "fixed<8,6>", "bias": "fixed<8,6>"}
        pair = {"data_in": "fixed<8,4>", "other": "fixed<8,4>"}
        self.conv = M.Conv2dInteger(4, 4, 3, padding="same", config=layer)
        self.norm = M.BatchNormInteger(4, config=layer)
        self.relu = M.ReluInteger(config={"data_in": "fixed<8,4>"})
        self.pool = M.AdaptiveAvgPool2dInteger(2, config={"data_in": "fixed<8,4>"})
        self.head = M.LinearInteger(16, 3, config=layer)
        self.table = M.EmbeddingInteger(5, 3, config={"weight": "fixed<8,6>"})
        self.add, self.product = M.AddInteger(config=pair), M.MatmulInteger(config=pair)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        y = self.head(self.pool(self.relu(self.norm(self.conv(x)))).flatten(1))
        return self.product(self.add(y, self.table(index)), y.transpose(0, 1))


def test_a_model_of_integer_modules_is_captured_as_what_it_is() -> None:
    torch.manual_seed(0)
    model = Quantized()
    graph = trace(model, (torch.randn(2, 4, 8, 8), torch.tensor([1, 4])))
    ops = {n.scope: n.op for n in graph.nodes if n.op.level == "quantized"}
    assert ops == {name: module.mase_op for name, module in model.named_children()}
    lowered = lower(graph)
    assert list(lowered.state_dict()) == list(model.state_dict())
    x, index = torch.randn(3, 4, 8, 8), torch.tensor([0, 1, 4])
    for training in (True, False):
        assert torch.equal(lowered.train(training)(x, index), model.train(training)(x, index))
