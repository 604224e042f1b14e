"""Folders of images: splits, labels, what becomes of a picture, and what is said when it cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.data.images.transform import Transform

RANDOM = np.random.RandomState(0)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def picture(
    path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (20, 16)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def fill(folder: Path, counts: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            picture(folder / name / f"{i}.png", (number * 50, i, 0))
    return folder


def sizes(data: Any) -> list[int]:
    return [len(getattr(data.splits, split)) for split in ("train", "val", "test")]


def names(data: Any, split: str) -> list[str]:
    return [f"{file.parent.name}/{file.name}" for file in getattr(data.splits, split).files]


def test_splits_by_folder(tmp_path: Path) -> None:
    for split, count in {"train": 6, "val": 3, "test": 2}.items():
        fill(tmp_path / split, {"cat": count, "dog": count})
    data: Any = make_data(f"image-folder:{tmp_path}", size=8)
    assert data.classes == ["cat", "dog"]
    assert (data.num_classes, data.input_type) == (2, "f32[N,3,8,8]")
    assert sizes(data) == [12, 6, 4]
    [(images, labels)] = data.test_dataloader()
    assert images.shape == (4, 3, 8, 8)
    assert labels.tolist() == [0, 0, 1, 1]


def test_as_imagenet_has_it(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"n01": 10, "n02": 10})
    fill(tmp_path / "val", {"n01": 2, "n02": 2})
    data = make_data(f"imagenet:{tmp_path}", validation=0.2)
    assert sizes(data) == [16, 4, 4]
    assert names(data, "test") == ["n01/0.png", "n01/1.png", "n02/0.png", "n02/1.png"]


def test_a_folder_without_splits(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 10, "dog": 10, ".hidden": 3})
    data, again = (make_data(f"image-folder:{tmp_path}", seed=seed) for seed in (0, 1))
    assert sizes(data) == [14, 2, 4]
    assert [name.partition("/")[0] for name in names(data, "test")] == ["cat", "cat", "dog", "dog"]
    parts = {split: names(data, split) for split in ("train", "val", "test")}
    assert len({name for part in parts.values() for name in part}) == 20
    assert parts == {split: names(again, split) for split in parts}


def test_classes_by_a_file(tmp_path: Path) -> None:
    fill(tmp_path / "all", {"cat": 5, "dog": 5})
    (tmp_path / "classes.txt").write_text("ant\ndog\nbee\ncat\n")
    data: Any = make_data(f"image-folder:{tmp_path / 'all'}", classes=str(tmp_path / "classes.txt"))
    assert data.num_classes == 4
    assert sorted(set(data.splits.train.labels.tolist())) == [1, 3]
    fill(tmp_path / "all", {"fox": 1})
    with pytest.raises(MaseError, match="fox belongs to no class"):
        make_data(f"image-folder:{tmp_path / 'all'}", classes=str(tmp_path / "classes.txt")).setup()


def test_limit_is_drawn_evenly(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 30, "dog": 30})
    data: Any = make_data(f"image-folder:{tmp_path}", limit=10)
    assert sizes(data) == [10, 6, 10]
    assert set(data.splits.train.labels.tolist()) == {0, 1}


def test_the_middle_is_cut_out_and_normalised() -> None:
    pixels = RANDOM.randint(0, 256, (8, 12, 3)).astype(np.uint8)
    transform = Transform(
        resize=8, size=4, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)
    )
    found = transform(Image.fromarray(pixels)).permute(1, 2, 0)
    expected = (pixels[2:6, 4:8] / 255 - (0.5, 0.4, 0.3)) / (0.1, 0.2, 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_shorter_side_is_resized() -> None:
    grey = Transform(resize=6, size=6, interpolation="bilinear", mean=(0.0,), std=(1.0,))
    wide = Image.fromarray(np.repeat(np.arange(0, 240, 10, np.uint8)[None], 12, 0))  # 24x12
    found = grey(wide)
    assert found.shape == (1, 6, 6)
    assert (found[0, 0, 1:] - found[0, 0, :-1]).mul(255).round().unique().tolist() == [
        20
    ]  # steps twice as large


def test_grey_images(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 5, "b": 5})
    data = make_data(f"image-folder:{tmp_path}", size=8, mean=[0.5], std=[0.5])
    assert data.input_type == "f32[N,1,8,8]"
    assert data.example_batch()[0].shape[1:] == (1, 8, 8)


def test_augmentation_takes_parts_of_the_image() -> None:
    columns = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3))
    transform = Transform(resize=16, size=16, interpolation="nearest", **PLAIN)
    widths: list[float] = []
    mirrored = 0
    for drawn in RANDOM.rand(200, 5):
        row = transform.augmented(Image.fromarray(columns), drawn)[0, 0] * 255
        assert 0 <= row.min() <= row.max() <= 99
        steps = row[1:] - row[:-1]
        assert (steps >= 0).all() or (steps <= 0).all()
        mirrored += int(row[-1] < row[0])
        widths.append(abs(float(row[-1] - row[0])))
    assert 60 < mirrored < 140
    assert min(widths) < 40
    assert max(widths) > 80


def test_augmentation_depends_on_seed_epoch_and_sample_alone(tmp_path: Path) -> None:
    for i in range(8):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(RANDOM.randint(0, 256, (16, 16, 3)).astype(np.uint8)).save(
            tmp_path / "a" / f"{i}.png"
        )
    fill(tmp_path, {"b": 2})

    def images(epoch: int, **options: Any) -> torch.Tensor:
        data = make_data(f"image-folder:{tmp_path}", size=8, augment=True, **options)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        return torch.cat([x for x, _ in loader])

    assert torch.equal(images(1), images(1, num_workers=2, batch_size=3))
    assert not torch.equal(images(1).sort(0).values, images(2).sort(0).values)
    data = make_data(f"image-folder:{tmp_path}", size=8, augment=True)
    plain = make_data(f"image-folder:{tmp_path}", size=8)
    assert torch.equal(next(iter(data.test_dataloader()))[0], next(iter(plain.test_dataloader()))[0])


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 5, "b": 5})
    for file in tmp_path.rglob("*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(MaseError, match="cannot be read as an image"):
        make_data(f"image-folder:{tmp_path}").example_batch()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "an integer of at least 1"),
        ({"size": 32, "resize": 16}, "an integer of at least 32"),
        ({"interpolation": "cubic"}, "did you mean 'bicubic'"),
        ({"mean": [0.5, 0.5]}, "give one value each for grey images or three for colour"),
        ({"std": [0.0, 1, 1]}, "std above 0"),
        ({"augment": "flip"}, "set [data] augment to true or false"),
        ({"classes": "nowhere.txt"}, "there is no file nowhere.txt"),
        ({"sise": 3}, "did you mean 'size'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    fill(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(MaseError) as caught:
        make_data(f"image-folder:{tmp_path}", **options).setup()
    assert message in str(caught.value)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="there is no folder"):
        make_data(f"image-folder:{tmp_path / 'nowhere'}").setup()
    with pytest.raises(MaseError, match="holds no folder of a class"):
        make_data(f"image-folder:{tmp_path}").setup()
    with pytest.raises(MaseError, match='source = "image-folder:FOLDER"'):
        make_data("image-folder")
