"""The networks, formats and data that tests of ONNX share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Convolutions, relus, a residual sum, a pool and a linear layer; a batch norm if ``norm``."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8) if norm else nn.Identity()
        self.side, self.depthwise = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(64, 10)
        if isinstance(self.norm, nn.BatchNorm2d):
            nn.init.normal_(self.norm.running_mean)
            nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.depthwise(x + torch.relu(self.side(x))))
        return self.head(torch.flatten(self.pool(x), 1))


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def Rows(data: Tensor) -> object:  # noqa: N802 (it stands for a class)
    """A data module whose every split is one tensor."""
    from pytorch_lightning import LightningDataModule
    from torch.utils.data import DataLoader, TensorDataset

    class Module(LightningDataModule):
        def train_dataloader(self) -> object:
            return DataLoader(TensorDataset(data, torch.zeros(len(data), dtype=torch.int64)), 32)

        val_dataloader = test_dataloader = train_dataloader

    return Module()


def seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def trained(norm: nn.Module) -> nn.Module:
    """A batch norm with statistics that are not those of a new one."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in (*norm.named_parameters(), *norm.named_buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5 * ("var" in name)
    return norm


FORMATS = {
    "8 bits": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"}',
    "4 bits": 'default={data_in="fixed<4,2>",weight="fixed<4,3>"}',
    "unsigned after relus": (
        'default={data_in="ufixed<8,5>",weight="fixed<8,6>"},rules=[{op="nn.relu",skip=true},'
        '{op="nn.max_pool2d",skip=true},{scope="first",data_in="fixed<8,4>"}]'
    ),
    "signed after relus": (
        'default={data_in="fixed<8,5>",weight="fixed<8,6>"},rules=[{op="nn.relu",skip=true}]'
    ),
    "12 and 6 bits": 'default={data_in="fixed<12,8>",weight="fixed<6,4>"}',
    "narrow": 'default={data_in="fixed<8,4,narrow>",weight="fixed<5,3,narrow>"}',
    "half up weights": 'default={data_in="fixed<8,4>",weight="fixed<8,6,half_up>"}',
    "ternary weights": 'default={data_in="fixed<8,4>",weight="ternary"}',
    "results quantized": 'default={data_in="fixed<8,4>",weight="fixed<8,6>",data_out="fixed<8,3>"}',
}


POOLS = {
    "average": nn.AvgPool2d(2),
    "average with padding": nn.AvgPool2d(3, 2, 1),
    "average of what is there": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "global": nn.AdaptiveAvgPool2d(1),
    "unequal windows": nn.AdaptiveAvgPool2d((3, 2)),
    "max": nn.MaxPool2d(3, 2, 1),
}


LAYERS = {
    "linear of rows": (nn.Linear(6, 5), (4, 6)),
    "linear of sequences": (nn.Linear(6, 5), (4, 3, 6)),
    "linear without bias": (nn.Linear(6, 5, bias=False), (4, 3, 6)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 9)),
    "conv2d": (nn.Conv2d(3, 5, (3, 2), dilation=2, padding=(1, 2)), (3, 3, 9, 8)),
    "conv2d same": (nn.Conv2d(3, 5, 4, padding="same"), (3, 3, 9, 8)),
    "conv2d reflect": (nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect"), (3, 3, 9, 8)),
    "conv2d circular": (nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (3, 3, 9, 8)),
    "conv2d replicate": (nn.Conv2d(3, 5, 3, padding=(1, 0), padding_mode="replicate"), (3, 3, 9, 8)),
    "conv3d": (nn.Conv3d(2, 3, 2), (3, 2, 4, 5, 4)),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1), (3, 4, 5)),
    "transposed 2d": (nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2), (3, 4, 5, 6)),
    "max pool": (nn.MaxPool2d(3, 2, 1), (3, 2, 9, 8)),
    "max pool dilated": (nn.MaxPool1d(2, 1, dilation=2), (3, 2, 9)),
    "max pool ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), (3, 2, 8, 8)),
    "max pool ceil in the padding": (nn.MaxPool2d(2, 2, 1, ceil_mode=True), (3, 2, 7, 7)),
    "average pool ceil in the padding": (nn.AvgPool2d(2, 2, 1, ceil_mode=True), (3, 2, 7, 7)),
    "average pool": (nn.AvgPool2d(3, 2, 1), (3, 2, 9, 8)),
    "average pool of what is there": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (3, 2, 9, 8)),
    "average pool with a divisor": (nn.AvgPool2d(2, divisor_override=3), (3, 2, 8, 8)),
    "average pool 1d": (nn.AvgPool1d(2), (3, 2, 8)),
    "global average": (nn.AdaptiveAvgPool2d(1), (3, 2, 7, 5)),
    "adaptive average": (nn.AdaptiveAvgPool2d((2, None)), (3, 2, 6, 5)),
    "adaptive average of unequal windows": (nn.AdaptiveAvgPool2d((3, 2)), (3, 2, 7, 5)),
    "adaptive max": (nn.AdaptiveMaxPool2d((3, 2)), (3, 2, 7, 5)),
    "adaptive average 1d": (nn.AdaptiveAvgPool1d(3), (3, 2, 7)),
    "batch norm of rows": (trained(nn.BatchNorm1d(5)), (4, 5)),
    "batch norm": (trained(nn.BatchNorm2d(5)), (4, 5, 3, 2)),
    "batch norm not affine": (trained(nn.BatchNorm2d(5, affine=False)), (4, 5, 3, 2)),
    "layer norm": (trained(nn.LayerNorm((3, 5))), (4, 3, 5)),
    "layer norm without bias": (nn.LayerNorm(5, bias=False), (4, 3, 5)),
    "layer norm not affine": (nn.LayerNorm(5, elementwise_affine=False), (4, 3, 5)),
    "rms norm": (trained(nn.RMSNorm(5)), (4, 3, 5)),
    "rms norm not affine": (nn.RMSNorm(5, elementwise_affine=False), (4, 3, 5)),
    "group norm": (trained(nn.GroupNorm(2, 6)), (4, 6, 3, 2)),
    "instance norm": (nn.InstanceNorm2d(4, affine=True), (3, 4, 5, 6)),
    "flatten": (nn.Flatten(), (3, 4, 5, 6)),
    "flatten inside": (nn.Flatten(1, 2), (3, 4, 5, 6)),
}  # fmt: skip

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x + 2 * x.transpose(1, 2),
    "sub": lambda x: x - 1.5 + (3 - x),
    "div": lambda x: x / (x.abs() + 1),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    "mean": lambda x: x.mean((1, 2), keepdim=True) + x.mean(-1, keepdim=True),
    "concat": lambda x: torch.cat((x, x * x), 1),
    "stack": lambda x: torch.stack((x, -x), 1),
    "permute": lambda x: x.permute(2, 0, 1) * 2,
    "slices": lambda x: x[:, 1:, ::2] + x[:, :-1, :2],
    "select": lambda x: x[:, 0] + x[:, -1],
    "view": lambda x: x.view(x.shape[0], -1).sin(),
    "reshape back": lambda x: x.reshape(-1, 3).cos().reshape(x.shape),
    "squeeze": lambda x: x.unsqueeze(1).exp().squeeze(1),
    "expand": lambda x: x[:, :1].expand(-1, 4, -1) + 0,
    "repeat": lambda x: x.repeat(1, 2, 1).abs(),
    "roll": lambda x: x.roll((1, -1), (1, 2)),
    "split": lambda x: torch.cat(x.split((1, 2), 1)[::-1], 1),
    "chunk": lambda x: x.chunk(3, -1)[1].tanh(),
    "unbind": lambda x: x.unbind(1)[2].sigmoid(),
    "where": lambda x: torch.where(x > 0, x, -2.0),
    "masked fill": lambda x: x.masked_fill((x < 0) | (x > 1), 0.5),
    "clamp": lambda x: x.clamp(-0.5, 0.7) + x.clamp(min=0),
    "pow": lambda x: x.pow(2) + x.abs().sqrt() + (x * x + 1).rsqrt(),
    "reductions": lambda x: x.sum(1) + x.amax(1) - x.amin(1),
    "argument of integers": lambda x: x + torch.arange(x.shape[2]),
    "new tensors": lambda x: x + torch.ones(3, 1) + x.new_zeros(3) + torch.full((1,), 0.5),
    "comparisons": lambda x: ((x >= 0) & (x != 1)).float() + (x <= 0.5).to(torch.float32),
    "logical": lambda x: torch.logical_not(torch.logical_or(x > 1, x < -1)).float(),
    "cumsum": lambda x: x.cumsum(1),
    "index": lambda x: x[:, torch.tensor([2, 0, 1])] * 1.5,
    "index select": lambda x: x.index_select(2, torch.tensor([2, 0])).neg(),
    "gather": lambda x: x.gather(2, torch.zeros(4, 3, 2, dtype=torch.int64)),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x * 2, x + 1),
    "causal attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "masked attention": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=(x @ x.mT) > 0),
    "erf, by PyTorch's exporter": lambda x: torch.special.erfc(x) + torch.logaddexp(x, -x),
    "einsum": lambda x: torch.einsum("nij,nkj->nik", x, x),
}  # fmt: skip

INTEGER_FORMATS = {
    "8 bits": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"}',
    "unsigned": (
        'default={data_in="ufixed<8,5>",weight="fixed<8,7>"},rules=[{scope="first",data_in="fixed<8,4>"}]'
    ),
    "4 bits": 'default={data_in="fixed<4,2>",weight="fixed<4,3>"}',
    "2 bits": 'default={data_in="fixed<4,2>",weight="fixed<2,1>"}',
    "2 bits unsigned": (
        'default={data_in="ufixed<4,2>",weight="fixed<2,1>"},rules=[{scope="first",data_in="fixed<4,2>"}]'
    ),
    "half up": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"},rounding="half_up"',
    "floor": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"},rounding="floor"',
    "scales per tensor": 'default={data_in="int<8>",weight="int<8>"}',
    "scales per channel": 'default={data_in="int<8>",weight="int<8,channel=0>"}',
    "zero points": 'default={data_in="uint<8,asym>",weight="int<8,channel=0>"}',
}
