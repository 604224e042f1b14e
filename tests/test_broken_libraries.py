"""A torchvision or timm that is installed but does not load disturbs nothing that does not ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
REASON = "operator {name}::nms does not exist"
RECIPE = """\
mase = 1
data = {{ source = "image-folder:{folder}", size = 8, batch_size = 8 }}

[model]
source = "{source}"
{more}

[passes.train]
max_epochs = 1
report_to = "none"
"""
NET = """\
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Give a folder of packages as pip installs them, built for another torch."""
    for name, version in (("torchvision", "0.9.0"), ("timm", "1.0.0")):
        package, record = tmp_path / f"site/{name}", tmp_path / f"site/{name}-{version}.dist-info"
        package.mkdir(parents=True)
        record.mkdir()
        package.joinpath("__init__.py").write_text(f"raise RuntimeError('{REASON.format(name=name)}')\n")
        record.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return tmp_path / "site"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = np.random.RandomState(0)
    for number in range(40):
        path = tmp_path / f"images/{'cat' if number % 2 else 'dog'}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.randint(0, 255, (8, 8, 3), np.uint8)).save(path)
    return tmp_path / "images"


def mase_opt(folder: Path, broken: Path, recipe: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.toml").write_text(recipe)
    env = os.environ | {"PYTHONPATH": f"{broken}{os.pathsep}{ROOT}", "COLUMNS": "200"}
    command = [sys.executable, "-m", "mase.cli.opt", "recipe.toml", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_images_are_learned_beside_it(tmp_path: Path, broken: Path, images: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    recipe = RECIPE.format(folder=images, source="net.py:net", more="")
    done = mase_opt(tmp_path, broken, recipe, "--passes", "train,eval", "-o", "out/graph.toml")
    assert done.returncode == 0, done.stderr
    assert "test/accuracy" in done.stderr
    assert "nms" not in done.stderr


@pytest.mark.slow
def test_a_vision_transformer_is_learned_beside_it(tmp_path: Path, broken: Path, images: Path) -> None:
    small = "hidden_size = 8, num_hidden_layers = 1, num_attention_heads = 2, intermediate_size = 8"
    config = f"config = {{ image_size = 8, patch_size = 4, {small} }}"
    recipe = RECIPE.format(folder=images, source="hf:vit", more=f'task = "image-classification"\n{config}')
    done = mase_opt(tmp_path, broken, recipe, "--passes", "train,eval", "-o", "out/graph.toml")
    assert done.returncode == 0, done.stderr
    assert "nms" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_who_asks_for_it_is_told_why_it_does_not_load(
    tmp_path: Path, broken: Path, images: Path, name: str
) -> None:
    recipe = RECIPE.format(folder=images, source=f"{name}:resnet18", more="")
    done = mase_opt(tmp_path, broken, recipe, "--passes", "train")
    assert done.returncode == 1
    assert f"{name} does not load: RuntimeError: {REASON.format(name=name)}" in done.stderr
