"""What a captured graph keeps of its model: names, scopes, lines, weights, inputs."""

import inspect
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends import CaptureWarning, trace
from mase.frontends.capture import capture
from mase.ir import MaseError
from tests.frontends.checks import check, ops_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("shift", torch.arange(4.0))
        self.register_buffer("scratch", torch.ones(4), persistent=False)
        self.scale = nn.Parameter(torch.full((4,), 2.0), requires_grad=False)
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(x)
        return y * self.scale + self.shift + self.scratch + torch.tensor([1.0, 2.0, 3.0, 4.0])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.body:
            x = block(x)
        return x


def test_names_scopes_and_lines() -> None:
    graph = check(Net(), (torch.randn(2, 4),)).graph
    fc = graph["body_1_fc"]
    assert fc.scope == "body.1.fc"
    assert fc.params == {"weight": "body.1.fc.weight", "bias": "body.1.fc.bias"}
    lines, start = inspect.getsourcelines(Block.forward)
    assert fc.loc is not None
    assert fc.loc.file.endswith("tests/frontends/test_capture.py")
    assert not Path(fc.loc.file).is_absolute()
    assert fc.loc.line == start + next(i for i, line in enumerate(lines) if "self.fc" in line)
    product = next(n for n in graph.nodes if n.op.name == "tensor.mul")
    assert product.scope == "body.0"
    assert product.loc is not None
    assert product.loc.line == fc.loc.line + 1


def test_state_has_every_weight_under_its_name_and_kind() -> None:
    model = Net()
    graph = capture(model, (torch.randn(2, 4),)).graph
    kinds = {key: entry.kind for key, entry in graph.state.entries().items()}
    assert kinds["body.0.fc.weight"] == "parameter"
    assert kinds["body.0.unused"] == "parameter"
    assert kinds["body.0.scale"] == "frozen"
    assert kinds["body.0.shift"] == "buffer"
    assert kinds["body.0.scratch"] == "constant"
    assert [k for k, kind in kinds.items() if kind != "constant"] == list(model.state_dict())
    assert (
        len([k for k in kinds if k not in model.state_dict()]) == 4
    )  # two scratches, two tensors of the code
    assert graph.state["body.0.fc.weight"].data_ptr() == model.body[0].fc.weight.data_ptr()


def test_tied_weights_are_one_key() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(8, 4)
            self.head = nn.Linear(4, 8, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(ids))

    graph = check(Tied(), (torch.randint(0, 8, (2, 3)),)).graph
    assert graph.state.aliases == {"head.weight": "embed.weight"}
    assert {n.params["weight"] for n in graph.nodes if n.params} == {"embed.weight"}


def test_module_called_twice_is_two_nodes_of_one_scope() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.fc(x))

    graph = check(Twice(), (torch.randn(2, 4),)).graph
    first, second = (n for n in graph.nodes if n.op.name == "nn.linear")
    assert first.scope == second.scope == "fc"
    assert first.params == second.params


def test_weights_used_directly_are_roles_where_an_op_has_them() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 4))
            self.k = nn.Parameter(torch.randn(2, 1, 3))
            self.g = nn.Parameter(torch.randn(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.linear(x, self.w)
            y = nn.functional.layer_norm(y, (3,), self.g)
            y = nn.functional.conv1d(y[:, None], self.k, padding=1)
            return y + self.g

    graph = check(Raw(), (torch.randn(2, 4),)).graph
    assert [n for n in ops_of(graph) if n.startswith("nn.")] == ["nn.linear", "nn.layer_norm", "nn.conv1d"]
    assert [n.name for n in graph.nodes if n.op.name == "core.parameter"] == ["g"]


class Signature(nn.Module):
    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        scale: float = 2.0,
        past: Any = None,
        **extra: torch.Tensor,
    ) -> torch.Tensor:
        x = x * scale
        if mask is not None:
            x = x * mask
        if past is not None:
            x = x + past[0] + past[1]["k"]
        for value in extra.values():
            x = x + value
        return x


def test_inputs_follow_the_signature() -> None:
    def t() -> torch.Tensor:
        return torch.randn(2, 3)

    model = Signature()
    kwargs = {"extra": t(), "past": [t(), {"k": t()}], "scale": 3.0, "mask": t()}
    graph = check(model, (t(),), kwargs).graph
    paths = {n.name: getattr(n.op, "path") for n in graph.inputs}  # noqa: B009
    assert paths == {"x": "", "mask": "", "past_0": "past[0]", "past_1_k": "past[1]['k']", "extra": ""}
    assert check(model, (t(),)).graph.inputs[0].name == "x"
    assert len(check(model, (t(),)).graph.inputs) == 1


def test_positional_variadic_inputs() -> None:
    class Sum(nn.Module):
        def forward(self, *xs: torch.Tensor) -> torch.Tensor:
            return xs[0] + xs[1]

    graph = capture(Sum(), (torch.randn(2, 3), torch.randn(2, 3))).graph
    assert [(n.name, n.op.path) for n in graph.inputs] == [("xs_0", "xs[0]"), ("xs_1", "xs[1]")]  # type: ignore[attr-defined]


def test_a_meta_model_has_types_and_no_values() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        x = torch.empty(2, 4)
    graph = trace(model, (x,))
    assert str(graph["_0"].type) == "f32[N,3]"
    assert str(graph.state.entry("1.running_mean")) == "buffer f32[3]"
    assert not graph.state.available("0.weight")


def test_everything_is_put_back() -> None:
    class Touchy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Linear(4, 4)
            self.b.register_forward_hook(lambda module, args, result: result * 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] != 4:
                raise ValueError("four features, please")
            return self.b(self.a(x))

    model = Touchy().train()
    model.b.eval()
    attributes = {name: dict(m.__dict__) for name, m in model.named_modules()}
    random.seed(1)
    states = torch.get_rng_state(), random.getstate()
    assert (
        ops_of(check(model, (torch.randn(2, 4, generator=torch.Generator()),), train=False).graph)[-1]
        == "aten.mul.Tensor"
    )
    with pytest.raises(MaseError, match="four features, please"):
        trace(model, (torch.ones(2, 5),))
    assert (model.training, model.a.training, model.b.training) == (True, True, False)
    assert {name: dict(m.__dict__) for name, m in model.named_modules()} == attributes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]


def test_no_grad_regions_are_inlined_and_stop_gradients() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                y = self.a(x)
                with torch.enable_grad():
                    z = self.a(x)
            return self.b(y) + z

    graph = check(Frozen(), (torch.randn(2, 4),)).graph
    assert ops_of(graph).count("nn.linear") == 3
    assert "aten.detach.default" in ops_of(graph)


def test_autocast_is_refused_with_a_remedy() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.fc(x)

    with pytest.raises(MaseError, match=r"torch\.autocast"):
        trace(Cast(), (torch.randn(2, 4),))


def test_devices_of_the_trace_are_not_kept() -> None:
    class Positions(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
            return (x + places).to(x.device) + torch.zeros_like(x).to("cpu", torch.float32)

    graph = check(Positions(), (torch.randn(2, 4),)).graph
    assert "cpu" not in "".join(
        str(getattr(n.op, "args", "")) + str(getattr(n.op, "kwargs", "")) for n in graph.nodes
    )


def test_half_precision_and_dtypes() -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor, ids: torch.Tensor) -> Any:
            return x.to(torch.bfloat16), ids.to(torch.int32), x > 0, (x + ids).double()

    graph = check(Mixed(), (torch.randn(2, 4), torch.ones(2, 4, dtype=torch.long)), train=False).graph
    assert [str(n.type) for n in graph.outputs] == ["bf16[N,4]", "i32[N,4]", "bool[N,4]", "f64[N,4]"]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument"),
        ((torch.ones(2),), {"maks": torch.ones(2)}, "without an example tensor|did you mean|unexpected"),
        ((3,), {}, "without an example tensor"),
    ],
)
def test_wrong_arguments(args: Any, kwargs: Any, message: str) -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            return x

    with pytest.raises(MaseError, match=message):
        trace(Two(), args, kwargs)


def test_unknown_tracer_and_module() -> None:
    with pytest.raises(MaseError, match="did you mean 'export'"):
        trace(Net(), (torch.ones(2, 4),), tracer="exports")  # type: ignore[arg-type]
    with pytest.raises(MaseError, match=r"did you mean 'body\.1'"):
        trace(Net(), (torch.ones(2, 4),), opaque=("body1",))


def test_opaque_on_request() -> None:
    graph = check(Net(), (torch.randn(2, 4),), opaque=("body.1",)).graph
    assert graph["body_1"].op.name == "torch.module"
    assert set(graph["body_1"].params) == {"fc.weight", "fc.bias", "scale", "unused", "shift", "scratch"}


def test_notes_become_warnings() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(2, 2, -1) if x.shape[0] == 2 else x

    with pytest.warns(CaptureWarning, match="dimension 0 is 2"):
        trace(Fixed(), (torch.randn(2, 4),))
