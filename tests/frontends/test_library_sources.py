"""hf:, timm: and torchvision:, on local copies that the tests make."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import mase
from mase.frontends.source import build_model
from mase.ir import MaseError

transformers = pytest.importorskip("transformers")
import torch  # noqa: E402

BERT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 40,
    "max_position_embeddings": 32,
}


def recipe(folder: Path, **model: Any) -> Path:
    """A recipe in a file."""
    from mase.ir.toml_values import toml_pairs

    (folder / "g.toml").write_text("\n".join(["mase = 1", "[model]", *toml_pairs(model), ""]))
    return folder / "g.toml"


def test_an_architecture_with_random_weights(tmp_path: Path) -> None:
    config = {**BERT, "num_labels": 3}
    graph = mase.load(recipe(tmp_path, source="hf:bert", task="sequence-classification", config=config))
    assert [str(n.type) for n in graph.inputs] == ["i64[N,L]", "i64[N,L]"]
    ids = torch.ones(3, 9, dtype=torch.long)
    assert mase.lower(graph)(input_ids=ids, attention_mask=ids).logits.shape == (3, 3)


def test_a_directory_with_its_weights(tmp_path: Path) -> None:
    model = transformers.BertModel(transformers.BertConfig(**BERT)).eval()
    model.save_pretrained(tmp_path / "bert")
    graph = mase.load(recipe(tmp_path, source="hf:bert", pretrained=True))
    ids = torch.randint(0, 40, (2, 7))
    mask = torch.ones_like(ids)
    found = mase.lower(graph).eval()(input_ids=ids, attention_mask=mask)
    assert torch.equal(found.last_hidden_state, model(ids, mask).last_hidden_state)


def test_images_and_sequence_pairs(tmp_path: Path) -> None:
    vit = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    images = {**vit, "image_size": 16, "patch_size": 8, "num_labels": 4}
    graph = mase.load(recipe(tmp_path, source="hf:vit", task="image-classification", config=images))
    assert str(graph.inputs[0].type) == "f32[N,3,16,16]"
    t5 = {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    graph = mase.load(recipe(tmp_path, source="hf:t5", task="seq2seq-lm", config={**t5, "vocab_size": 30}))
    assert [n.name for n in graph.inputs] == ["input_ids", "attention_mask", "decoder_input_ids"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"source": "hf:bert", "task": "sequence-clasification"}, "did you mean 'sequence-classification'?"),
        ({"source": "hf:bert", "config": {"hiden_size": 3}}, "did you mean 'hidden_size'?"),
        ({"source": "hf:bert", "args": {"hidden_size": 3}}, "write them under config"),
        ({"source": "hf:bert", "pretrained": True}, "has no weights"),
        ({"source": "hf:./nowhere"}, "cannot be read"),
        ({"source": "hf:bert", "tsk": "base"}, "did you mean 'task'?"),
    ],
)
def test_mistakes(model: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MaseError) as caught:
        build_model(model)
    assert message in str(caught.value)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_absent_is_named(library: str) -> None:
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    with pytest.raises(MaseError, match=f"{library} does not load"):
        build_model({"source": f"{library}:resnet18"})


def test_timm_and_torchvision_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries need a torchvision that this machine may lack, so stand-ins with their functions."""
    import sys
    import types

    class Net(torch.nn.Conv2d):
        def __init__(self, *_: Any, **options: Any) -> None:
            super().__init__(3, options.get("num_classes", 5), 1)
            self.default_cfg = {"input_size": (3, 32, 32)}

    models = types.SimpleNamespace(
        list_models=lambda: ["tiny"], get_model=lambda name, weights=None, **options: Net(**options)
    )
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    timm = types.SimpleNamespace(
        list_models=lambda: ["tiny"], create_model=lambda name, pretrained=False, **options: Net(**options)
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    for library in ("timm", "torchvision"):
        built = build_model({"source": f"{library}:tiny", "args": {"num_classes": 7}})
        assert isinstance(built, Net)
        assert built.out_channels == 7
        with pytest.raises(MaseError, match="did you mean 'tiny'"):
            build_model({"source": f"{library}:tinny"})
