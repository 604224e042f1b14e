"""Models that PyTorch's exporter wrote: read back, they compute what their modules do, at other sizes too."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph


def exported(net: nn.Module, inputs: dict[str, Tensor], dynamic: dict[int, str], folder: Path) -> Graph:
    shapes = {name: dict(dynamic) for name in inputs}
    with contextlib.redirect_stdout(io.StringIO()):
        program: Any = torch.onnx.export(
            net.eval(), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    (folder / "model.onnx").write_bytes(program.model_proto.SerializeToString())
    return read_onnx(folder / "model.onnx")


def assert_same(net: nn.Module, graph: Graph, inputs: dict[str, Tensor]) -> None:
    with torch.no_grad():
        expected = net(**inputs)
        found: Any = mase.lower(graph).eval()(*inputs.values())
    expected = expected if isinstance(expected, Tensor) else expected[0]
    found = next(iter(found.values())) if isinstance(found, dict) else found
    found = found if isinstance(found, Tensor) else found[0]
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


class Generator(nn.Module):
    """Norms of parts, transposed convolutions and resizing."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.InstanceNorm2d(8, affine=True), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), nn.PReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReflectionPad2d(1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_generator(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Generator()
    graph = exported(net, {"x": torch.randn(2, 3, 8, 8)}, {0: "batch"}, tmp_path)
    for batch in (1, 5):
        assert_same(net, graph, {"x": torch.randn(batch, 3, 8, 8)})


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 50,
}
T: Any = transformers
TEXT: dict[str, Callable[[], nn.Module]] = {
    "bert": lambda: T.BertForSequenceClassification(T.BertConfig(**SMALL)),
    "roberta": lambda: T.RobertaModel(T.RobertaConfig(**SMALL)),
    "gpt2": lambda: T.GPT2LMHeadModel(
        T.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, use_cache=False)
    ),
    "llama": lambda: T.LlamaForCausalLM(T.LlamaConfig(**SMALL, num_key_value_heads=1, use_cache=False)),
    "qwen2": lambda: T.Qwen2ForCausalLM(T.Qwen2Config(**SMALL, num_key_value_heads=1, use_cache=False)),
}
VIT = {k: v for k, v in SMALL.items() if k != "vocab_size"} | {"image_size": 32, "patch_size": 8}
IMAGES: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: T.ViTForImageClassification(T.ViTConfig(**VIT)),
    "clip": lambda: T.CLIPVisionModel(T.CLIPVisionConfig(**VIT)),
    "resnet": lambda: T.ResNetForImageClassification(
        T.ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8)
    ),
    "mobilenet-v2": lambda: T.MobileNetV2ForImageClassification(
        T.MobileNetV2Config(depth_multiplier=0.25, image_size=32)
    ),
    "convnext": lambda: T.ConvNextForImageClassification(
        T.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    ),
    "segformer": lambda: T.SegformerForSemanticSegmentation(
        T.SegformerConfig(
            hidden_sizes=[8, 16, 16, 16],
            depths=[1] * 4,
            num_attention_heads=[1] * 4,
            decoder_hidden_size=16,
        )
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXT)
def test_text_models(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = TEXT[name]()

    def inputs(batch: int, length: int) -> dict[str, Tensor]:
        ids = torch.randint(3, 50, (batch, length))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    graph = exported(net, inputs(2, 7), {0: "batch", 1: "length"}, tmp_path)
    for batch, length in ((2, 7), (3, 11)):
        assert_same(net, graph, inputs(batch, length))


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_image_models(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = IMAGES[name]()
    graph = exported(net, {"pixel_values": torch.randn(2, 3, 32, 32)}, {0: "batch"}, tmp_path)
    for batch in (2, 3):
        assert_same(net, graph, {"pixel_values": torch.randn(batch, 3, 32, 32)})


class Hidden(nn.Module):
    """The last hidden states of a BERT, from tensors by position, as the older exporter wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.bert = T.BertModel(T.BertConfig(**SMALL), add_pooling_layer=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.bert(input_ids=input_ids, attention_mask=attention_mask)[0]


@pytest.mark.slow
def test_the_older_exporter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, names = Hidden().eval(), ["input_ids", "attention_mask"]
    axes = {name: {0: "batch", 1: "length"} for name in names}
    ones, path = torch.ones(2, 7, dtype=torch.int64), str(tmp_path / "model.onnx")
    torch.onnx.export(net, (ones, ones), path, dynamo=False, input_names=names, dynamic_axes=axes)
    ids = torch.randint(3, 50, (3, 11))
    assert_same(net, read_onnx(Path(path)), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
