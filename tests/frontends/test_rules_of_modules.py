"""Every module that an op expresses becomes that op and computes the same bits; the others stay runnable."""

import pytest
import torch
from torch import nn

from mase.frontends.rules import from_module
from tests.frontends.checks import check, ops_of

IMAGE, LINE, VOLUME, ROWS = (2, 4, 9, 8), (2, 4, 9), (2, 4, 5, 6, 5), (3, 6)

EXPRESSED = [
    (nn.Linear(6, 3), ROWS, "nn.linear"),
    (nn.Linear(6, 3, bias=False), (2, 5, 6), "nn.linear"),
    (nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), LINE, "nn.conv1d"),
    (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), bias=False), IMAGE, "nn.conv2d"),
    (nn.Conv2d(4, 6, (4, 3), padding="same", dilation=(1, 2)), IMAGE, "nn.conv2d"),
    (nn.Conv2d(4, 6, 3, padding="valid"), IMAGE, "nn.conv2d"),
    (nn.Conv2d(4, 6, 3, padding=2, padding_mode="circular"), IMAGE, "nn.conv2d"),
    (nn.Conv2d(4, 6, 3, padding="same", padding_mode="reflect"), IMAGE, "nn.conv2d"),
    (nn.Conv3d(4, 2, 3, padding=1), VOLUME, "nn.conv3d"),
    (nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), LINE, "nn.conv_transpose1d"),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), IMAGE, "nn.conv_transpose2d"),
    (nn.ConvTranspose3d(4, 2, 2, dilation=2), VOLUME, "nn.conv_transpose3d"),
    (nn.BatchNorm1d(6), ROWS, "nn.batch_norm"),
    (nn.BatchNorm1d(4, momentum=None), LINE, "nn.batch_norm"),
    (nn.BatchNorm2d(4, eps=1e-3, momentum=0.3), IMAGE, "nn.batch_norm"),
    (nn.BatchNorm2d(4, affine=False), IMAGE, "nn.batch_norm"),
    (nn.BatchNorm2d(4, track_running_stats=False), IMAGE, "nn.batch_norm"),
    (nn.BatchNorm3d(4), VOLUME, "nn.batch_norm"),
    (nn.LayerNorm(6), ROWS, "nn.layer_norm"),
    (nn.LayerNorm((9, 8), bias=False), IMAGE, "nn.layer_norm"),
    (nn.LayerNorm(6, elementwise_affine=False), ROWS, "nn.layer_norm"),
    (nn.RMSNorm(6), ROWS, "nn.rms_norm"),
    (nn.RMSNorm(6, eps=1e-6, elementwise_affine=False), ROWS, "nn.rms_norm"),
    (nn.GroupNorm(2, 4), IMAGE, "nn.group_norm"),
    (nn.GroupNorm(2, 4, affine=False), IMAGE, "nn.group_norm"),
    (nn.InstanceNorm1d(4), LINE, "nn.instance_norm"),
    (nn.InstanceNorm2d(4, affine=True, eps=1e-3), IMAGE, "nn.instance_norm"),
    (nn.InstanceNorm3d(4), VOLUME, "nn.instance_norm"),
    (nn.Dropout(0.3), ROWS, "nn.dropout"),
    (nn.Dropout1d(0.3), LINE, "nn.dropout"),
    (nn.Dropout2d(0.3), IMAGE, "nn.dropout"),
    (nn.Dropout3d(0.3), VOLUME, "nn.dropout"),
    (nn.Identity(), ROWS, "nn.identity"),
    (nn.ReLU(), ROWS, "nn.relu"),
    (nn.ReLU6(), ROWS, "nn.relu6"),
    (nn.LeakyReLU(0.2), ROWS, "nn.leaky_relu"),
    (nn.ELU(0.5), ROWS, "nn.elu"),
    (nn.SELU(), ROWS, "nn.selu"),
    (nn.Hardtanh(-2, 0.5), ROWS, "nn.hardtanh"),
    (nn.Hardsigmoid(), ROWS, "nn.hardsigmoid"),
    (nn.Hardswish(), ROWS, "nn.hardswish"),
    (nn.GELU(), ROWS, "nn.gelu"),
    (nn.GELU(approximate="tanh"), ROWS, "nn.gelu"),
    (nn.SiLU(), ROWS, "nn.silu"),
    (nn.Tanh(), ROWS, "nn.tanh"),
    (nn.Sigmoid(), ROWS, "nn.sigmoid"),
    (nn.Softplus(2, 10), ROWS, "nn.softplus"),
    (nn.Softsign(), ROWS, "nn.softsign"),
    (nn.Softmax(1), ROWS, "nn.softmax"),
    (nn.LogSoftmax(-1), ROWS, "nn.log_softmax"),
    (nn.Flatten(), IMAGE, "tensor.flatten"),
    (nn.Flatten(2, -1), IMAGE, "tensor.flatten"),
    (nn.MaxPool1d(3, padding=1), LINE, "nn.max_pool1d"),
    (nn.MaxPool2d((2, 3), dilation=2), IMAGE, "nn.max_pool2d"),
    (nn.MaxPool2d(3, stride=2, ceil_mode=True), IMAGE, "nn.max_pool2d"),
    (nn.AvgPool1d(3, stride=2, count_include_pad=False, padding=1), LINE, "nn.avg_pool1d"),
    (nn.AvgPool2d(2, divisor_override=3), IMAGE, "nn.avg_pool2d"),
    (nn.AdaptiveAvgPool1d(3), LINE, "nn.adaptive_avg_pool1d"),
    (nn.AdaptiveAvgPool2d((None, 2)), IMAGE, "nn.adaptive_avg_pool2d"),
    (nn.AdaptiveMaxPool1d(2), LINE, "nn.adaptive_max_pool1d"),
    (nn.AdaptiveMaxPool2d(2), IMAGE, "nn.adaptive_max_pool2d"),
]


@pytest.mark.parametrize(("module", "shape", "op"), EXPRESSED, ids=lambda v: str(v)[:40])
def test_becomes_its_op(module: nn.Module, shape: tuple[int, ...], op: str) -> None:
    model = nn.Sequential(module)
    made = check(model, (torch.randn(shape),), others=[((torch.randn(4, *shape[1:]),), {})])
    assert ops_of(made.graph) == [op]
    node = list(made.graph.nodes)[-1]
    assert node.scope == "0"
    assert set(node.params.values()) == set(model.state_dict())
    assert str(node.type).startswith("f32[N,")


def test_instance_norm_without_a_batch() -> None:
    made = check(nn.Sequential(nn.InstanceNorm2d(4, affine=True)), (torch.randn(4, 5, 6),))
    assert ops_of(made.graph) == ["nn.instance_norm"]


def test_embedding() -> None:
    model = nn.Sequential(nn.Embedding(9, 4, padding_idx=2))
    made = check(model, (torch.randint(0, 9, (2, 5)),))
    assert ops_of(made.graph) == ["nn.embedding"]


UNEXPRESSED = [
    (nn.PReLU(), ROWS),
    (nn.PixelShuffle(2), IMAGE),
    (nn.Softmax(), ROWS),
    (nn.MaxPool3d(2), VOLUME),
    (nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)), ROWS),
    (nn.Upsample(scale_factor=2), IMAGE),
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize(("module", "shape"), UNEXPRESSED, ids=lambda v: str(v)[:30])
def test_other_modules_come_apart_into_calls(module: nn.Module, shape: tuple[int, ...]) -> None:
    made = check(nn.Sequential(module), (torch.randn(shape),))
    assert "torch.module" not in ops_of(made.graph)


@pytest.mark.parametrize(
    "module", [nn.AlphaDropout(0.2), nn.RReLU(), nn.InstanceNorm1d(4, track_running_stats=True)]
)
def test_what_branches_on_training_stays_whole(module: nn.Module) -> None:
    made = check(nn.Sequential(module), (torch.randn(LINE),))
    assert ops_of(made.graph) == ["torch.module"]


def test_multihead_attention_comes_apart() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    made = check(Net(), (torch.randn(2, 3, 8),))
    found = ops_of(made.graph)
    assert found.count("nn.linear") == 2
    assert found.count("nn.attention") == 1


def test_subclass_with_its_own_forward_is_not_the_op() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * 2

    assert from_module(Scaled(3, 3)) is None
    made = check(nn.Sequential(Scaled(3, 3)), (torch.randn(2, 3),))
    assert ops_of(made.graph) == ["nn.linear", "aten.mul.Tensor"]


def test_a_call_that_says_more_than_the_op_is_traced() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(4, 2, 3, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(x, output_size=(12, 12))

    made = check(Net(), (torch.randn(2, 4, 5, 5),))
    assert ops_of(made.graph) == ["nn.conv_transpose2d"]
    assert str(list(made.graph.nodes)[-1].type) == "f32[N,2,12,12]"


def test_a_module_that_says_its_op() -> None:
    from mase.runtime.modules import LinearInteger

    config = {"data_in": "fixed<8,4>", "weight": "fixed<8,6>"}
    made = check(nn.Sequential(LinearInteger(4, 2, config=config)), (torch.randn(3, 4),))
    assert ops_of(made.graph) == ["mase.linear_integer"]
    assert made.graph.level == "quantized"
