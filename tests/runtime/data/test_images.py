"""MNIST, Fashion-MNIST and CIFAR: files, options, augmentation, and what is said when they are absent."""

from __future__ import annotations

import gzip
import hashlib
import struct
import sys
import tarfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mase.ir.diagnostics import MaseError
from mase.runtime.data import cifar, make_data, mnist
from mase.runtime.data.images.augment import AUGMENTATIONS, Augmentation
from mase.runtime.data.images.draws import Draws
from mase.runtime.data.images.idx import read_idx
from mase.runtime.data.images.module import ImageModule

RANDOM = np.random.RandomState(0)


def idx(values: np.ndarray[Any, Any]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_mnist(raw: Path, *, compressed: bool = False) -> dict[str, np.ndarray[Any, Any]]:
    """40 images for training and 20 for the test."""
    raw.mkdir(parents=True)
    made: dict[str, np.ndarray[Any, Any]] = {}
    for prefix, count in (("train", 40), ("t10k", 20)):
        made[f"{prefix}-images-idx3-ubyte"] = RANDOM.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        made[f"{prefix}-labels-idx1-ubyte"] = np.arange(count).astype(np.uint8) % 10
    for name, values in made.items():
        content = gzip.compress(idx(values)) if compressed else idx(values)
        (raw / (f"{name}.gz" if compressed else name)).write_bytes(content)
    return made


def write_cifar(folder: Path, names: dict[str, int], labels: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    folder.mkdir(parents=True)
    made = {
        name: RANDOM.randint(0, 10, (count, labels + 3072)).astype(np.uint8) for name, count in names.items()
    }
    for name, records in made.items():
        records[:, labels - 1] = np.arange(len(records)) % 10
        (folder / name).write_bytes(records.tobytes())
    return made


def sizes(data: Any) -> list[int]:
    return [len(getattr(data.splits, split)) for split in ("train", "val", "test")]


CIFAR10 = {**{f"data_batch_{i}.bin": 20 for i in range(1, 6)}, "test_batch.bin": 30}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("name", "cls", "folder"),
    [("mnist", mnist.Mnist, "MNIST"), ("fashion-mnist", mnist.FashionMnist, "FashionMNIST")],
)
def test_the_mnist_family(
    name: str, cls: type[ImageModule], folder: str, compressed: bool, tmp_path: Path
) -> None:
    made = write_mnist(tmp_path / folder / "raw", compressed=compressed)
    data = make_data(name, root=str(tmp_path), batch_size=20)
    assert sizes(data) == [36, 4, 20]
    [(images, labels)] = data.test_dataloader()
    expected = (made["t10k-images-idx3-ubyte"] / 255 - cls.mean[0]) / cls.std[0]
    np.testing.assert_allclose(images[:, 0], expected, rtol=1e-5, atol=1e-6)
    assert labels.tolist() == [i % 10 for i in range(20)]
    assert images.dtype == torch.float32
    assert data.input_type == "f32[N,1,28,28]"


def test_cifar10(tmp_path: Path) -> None:
    made = write_cifar(tmp_path / "cifar-10-batches-bin", CIFAR10)
    data = make_data("cifar10", root=str(tmp_path), normalize=False, batch_size=30)
    assert sizes(data) == [90, 10, 30]
    [(images, labels)] = data.test_dataloader()
    records = made["test_batch.bin"]
    np.testing.assert_allclose(images, records[:, 1:].reshape(-1, 3, 32, 32) / 255, rtol=1e-6)
    assert labels.tolist() == records[:, 0].tolist()


def test_cifar100_takes_the_fine_labels(tmp_path: Path) -> None:
    made = write_cifar(tmp_path / "cifar-100-binary", {"train.bin": 50, "test.bin": 30}, labels=2)
    data = make_data("cifar100", root=str(tmp_path), batch_size=30)
    [(_, labels)] = data.test_dataloader()
    assert labels.tolist() == made["test.bin"][:, 1].tolist()
    assert data.num_classes == 100


def test_the_pickled_cifar_is_read_by_torchvision_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    images = RANDOM.randint(0, 256, (40, 32, 32, 3)).astype(np.uint8)

    class CIFAR10:
        def __init__(self, root: str, *, train: bool) -> None:
            assert root == str(tmp_path)
            self.data, self.targets = images, [i % 10 for i in range(40)]

    library = types.ModuleType("torchvision.datasets")
    library.CIFAR10 = CIFAR10  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", library)
    data = make_data("cifar10", root=str(tmp_path), normalize=False, batch_size=40)
    [(found, _)] = data.test_dataloader()
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), images / 255, rtol=1e-6)


@pytest.mark.parametrize("error", [ImportError("no torchvision"), RuntimeError("operator does not exist")])
def test_a_torchvision_that_does_not_load(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()

    def fails(name: str) -> Any:
        raise error

    monkeypatch.setattr("mase.ir.optional.import_module", fails)
    with pytest.raises(MaseError, match="is pickled, and torchvision, which could read it, does not load"):
        make_data("cifar10", root=str(tmp_path)).setup()


def test_options_select(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    limited = make_data("mnist", root=str(tmp_path), limit=7, validation=0.5)
    assert sizes(limited) == [7, 7, 7]
    everything = make_data("mnist", root=str(tmp_path), validation=0)
    with pytest.raises(MaseError, match=r"the val split .* is empty"):
        everything.setup()


def test_splits_are_stratified_and_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    splits = [make_data("mnist", root=str(tmp_path), validation=0.25, seed=seed).splits for seed in (0, 1)]
    labels: list[Any] = [each.val.labels for each in splits]  # type: ignore[attr-defined]
    assert torch.bincount(labels[0]).tolist() == [1] * 10
    assert torch.equal(splits[0].val.images, splits[1].val.images)  # type: ignore[attr-defined]


def test_names_start_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    write_mnist(tmp_path / "sets" / "MNIST" / "raw")
    data = make_data("mnist", base_dir=tmp_path, root="sets")
    assert len(data.splits.test) == 20  # type: ignore[arg-type]


def whole(data: Any, epoch: int) -> torch.Tensor:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return torch.cat([images for images, _ in loader])


def test_augmentation_depends_on_seed_epoch_and_sample_alone(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-bin", CIFAR10)

    def images(epoch: int, **options: Any) -> torch.Tensor:
        data = make_data("cifar10", root=str(tmp_path), augment="crop-flip", **options)
        torch.rand(3)  # whatever else was drawn
        return whole(data, epoch)

    assert torch.equal(images(1), images(1, num_workers=2, batch_size=7))
    assert not torch.equal(images(1).sort(0).values, images(2).sort(0).values)
    assert not torch.equal(images(1).sort(0).values, images(1, seed=1).sort(0).values)
    resumed = make_data("cifar10", root=str(tmp_path), augment="crop-flip", num_workers=1)
    resumed.load_state_dict({"next_epoch": 4})
    assert torch.equal(torch.cat([x for x, _ in resumed.train_dataloader()]), images(4))


def test_only_training_images_are_augmented(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-bin", CIFAR10)
    plain, augmented = (
        make_data("cifar10", root=str(tmp_path), augment=augment) for augment in ("none", "crop-flip")
    )
    for loader in ("val_dataloader", "test_dataloader"):
        [(a, _), *_], [(b, _), *_] = getattr(plain, loader)(), getattr(augmented, loader)()
        assert torch.equal(a, b)
    assert not torch.equal(whole(plain, 0), whole(augmented, 0))


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    images = torch.as_tensor(RANDOM.randint(1, 256, (300, 3, 8, 8)))
    drawn = Draws(0, samples=300, numbers=3).at(list(range(300)))
    made = Augmentation(padding=2, mirror=True)(images, drawn)
    padded = torch.nn.functional.pad(images, [2] * 4)
    seen: set[tuple[int, int, bool]] = set()
    for image, window, (y, x, mirrored) in zip(padded, made, drawn, strict=True):
        top, left, flipped = int(y * 5), int(x * 5), mirrored >= 0.5
        expected = image[:, top : top + 8, left : left + 8]
        assert torch.equal(window, expected.flip(-1) if flipped else expected)
        seen.add((top, left, bool(flipped)))
    assert len(seen) == 5 * 5 * 2


def test_augmentations_by_name() -> None:
    image = torch.arange(4).reshape(1, 1, 1, 4)
    drawn = np.array([[0.99, 0.99, 0.99]])
    crop, flip = AUGMENTATIONS["crop"], AUGMENTATIONS["flip"]
    assert crop is not None
    assert flip is not None
    assert flip(image, drawn).flatten().tolist() == [3, 2, 1, 0]
    assert crop(image, drawn).flatten().tolist() == [0, 0, 0, 0]  # moved out of sight
    assert AUGMENTATIONS["none"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8bnot gzip", "is damaged"),
        (gzip.compress(idx(np.zeros(9, np.uint8)), mtime=0)[:-9], "is damaged"),
        (b"<html>not found</html>", "does not start as an IDX file"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "does not start as an IDX file"),
        (bytes([0, 0, 8, 3, 0, 0]), "ends within its head"),
        (idx(np.zeros((2, 2), np.uint8))[:-1], r"its head says \(2, 2\), but 3 bytes follow"),
    ],
)
def test_damaged_idx_files(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(MaseError, match=message):
        read_idx(file)


def test_images_without_their_labels(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(39, np.uint8)))
    with pytest.raises(MaseError, match="do not belong together"):
        make_data("mnist", root=str(tmp_path)).setup()


def test_a_damaged_cifar_file(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar-10-batches-bin", CIFAR10)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"x" * 3000)
    with pytest.raises(MaseError, match="3000 bytes are no whole number of images of 3073"):
        make_data("cifar10", root=str(tmp_path)).setup()


@pytest.mark.parametrize(
    ("name", "where", "what"),
    [
        ("mnist", "MNIST/raw", "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"),
        ("cifar10", "cifar-10-batches-bin", "data_batch_1.bin is not in"),
        ("cifar100", "cifar-100-binary", "train.bin is not in"),
    ],
)
def test_absent_files_say_what_to_put_where(name: str, where: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(MaseError) as caught:
        make_data(name, root=str(tmp_path)).setup()
    told = str(caught.value)
    assert what in told
    assert str(tmp_path / where) in told
    assert "download = true" in told
    assert "http" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalise": False}, "did you mean 'normalize'"),
        ({"normalize": "yes"}, "set [data] normalize to true or false"),
        ({"download": 1}, "set [data] download to true or false"),
        ({"validation": 1.0}, "a fraction: at least 0, below 1"),
        ({"validation": True}, "a fraction: at least 0, below 1"),
        ({"limit": 0}, "an integer of at least 1"),
        ({"augment": "crops"}, "did you mean 'crop'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError) as caught:
        make_data("cifar10", **options)
    assert message in str(caught.value)


# ------------------------------------------------------------------------------------------------ downloads


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_idx_files_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, root = tmp_path / "server", tmp_path / "root"
    made = write_mnist(server, compressed=True)
    monkeypatch.setattr(mnist.Mnist, "url", f"{server.as_uri()}/")
    monkeypatch.setattr(mnist.Mnist, "md5", {name: md5(server / f"{name}.gz") for name in made})
    make_data("mnist", root=str(root), download=True).setup()
    assert {file.name for file in (root / "MNIST/raw").iterdir()} == {f"{name}.gz" for name in made}
    for file in server.iterdir():
        file.unlink()
    make_data("mnist", root=str(root), download=True).setup()


def test_the_cifar_archive_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, root = tmp_path / "server", tmp_path / "root"
    write_cifar(server / "cifar-10-batches-bin", CIFAR10)
    with tarfile.open(server / "cifar.tar.gz", "w:gz") as archive:
        archive.add(server / "cifar-10-batches-bin", "cifar-10-batches-bin")
    monkeypatch.setattr(cifar.Cifar10, "url", (server / "cifar.tar.gz").as_uri())
    monkeypatch.setattr(cifar.Cifar10, "md5", md5(server / "cifar.tar.gz"))
    make_data("cifar10", root=str(root), download=True).setup()
    assert [file.name for file in root.iterdir()] == ["cifar-10-batches-bin"]


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar.Cifar10, "url", (tmp_path / "nowhere.tar.gz").as_uri())
    with pytest.raises(MaseError) as caught:
        make_data("cifar10", root=str(tmp_path / "root"), download=True).setup()
    told = str(caught.value)
    assert "cannot download file:" in told
    assert f"put the content of nowhere.tar.gz into {tmp_path / 'root'}" in told
    assert not any((tmp_path / "root").iterdir())


def test_a_damaged_download_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "server", compressed=True)
    monkeypatch.setattr(mnist.Mnist, "url", f"{(tmp_path / 'server').as_uri()}/")
    with pytest.raises(MaseError, match="its MD5 is"):
        make_data("mnist", root=str(tmp_path), download=True).setup()
    assert not any((tmp_path / "MNIST/raw").iterdir())
