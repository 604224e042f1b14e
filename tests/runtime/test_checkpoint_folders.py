"""Strategies whose checkpoints are folders: kept, replaced, continued and loaded like files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from mase.ir.diagnostics import MaseError
from mase.runtime.trainer import load_checkpoint
from mase.runtime.training import places
from mase.runtime.training.checkpoint import read_checkpoint
from tests.runtime.nets import Noisy, equal, train
from tests.runtime.standing_in import standing_in

STEPS = 4


class InParts(SingleDeviceStrategy):
    """Writes what sharding strategies write: a folder, of which no file holds everything."""

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        folder = Path(filepath) / "checkpoint"
        folder.mkdir(parents=True)  # so nothing may be there
        for part, keys in (("model.pt", {"state_dict"}), ("rest.pt", checkpoint.keys() - {"state_dict"})):
            torch.save({key: checkpoint[key] for key in keys}, folder / part)
        (Path(filepath) / "latest").write_text("checkpoint")

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        folder = Path(checkpoint_path) / (Path(checkpoint_path) / "latest").read_text()
        parts = [torch.load(folder / f"{part}.pt", weights_only=True) for part in ("model", "rest")]
        return {key: value for part in parts for key, value in part.items()}


@pytest.fixture(autouse=True)
def in_parts() -> Generator[None]:
    with standing_in("single_device", InParts):
        yield


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_folders_give_what_files_give(tmp_path: Path) -> None:
    whole, split = Noisy(), Noisy()
    expected = train(tmp_path / "files", whole)
    assert train(tmp_path / "folders", split, strategy="single_device") == expected
    assert equal(whole, split)
    kept = tmp_path / "folders/training_ckpts"
    parts = {"latest", "checkpoint/model.pt", "checkpoint/rest.pt", "weights.ckpt"}
    assert files(kept) == {
        "run.json",
        *(f"{name}.ckpt/{part}" for name in ("best", "last") for part in parts),
    }
    for name in ("best", "last"):
        left, right = (
            read_checkpoint(tmp_path / run / f"training_ckpts/{name}.ckpt") for run in ("files", "folders")
        )
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


class CutOffError(Exception):
    pass


@pytest.mark.parametrize("step", [2, 3 * STEPS + 2])
def test_a_run_that_was_cut_off_ends_with_the_same_bits(tmp_path: Path, step: int) -> None:
    whole, resumed = Noisy(), Noisy()
    expected = train(tmp_path / "whole", whole)
    with pytest.raises(CutOffError):
        train(tmp_path / "cut", _fatal(Noisy(), step), strategy="single_device")
    assert train(tmp_path / "cut", resumed, strategy="single_device") == expected
    assert equal(whole, resumed)
    assert resumed.steps == whole.steps - (step - 1) // STEPS * STEPS


def _fatal(module: Noisy, step: int) -> Noisy:
    def stop(*_: object) -> None:
        if module.steps == step:
            raise CutOffError

    module.register_forward_hook(stop)
    return module


MOVES = ("rename", "rmtree", "unlink", "link", "copytree", "replace")


@pytest.mark.parametrize("kinds", ["folders", "files", "file to folder", "folder to file"])
def test_a_kill_at_any_move_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: str
) -> None:
    """`replace` stops before its n-th change of the disk, for each n; `mend` finds the old or the new."""
    before, after = (kind.endswith(("folders", "folder")) for kind in (kinds.partition(" to ")[0], kinds))
    survivors: list[str] = []
    for last in range(12):
        root = tmp_path / f"{kinds}-{last}"
        root.mkdir()
        best, partial = root / "best.ckpt", root / "partial.ckpt"
        _write(best, "old", folder=before)
        _write(partial, "new", folder=after)
        with monkeypatch.context() as patch:
            _stop_before(patch, last)
            try:
                places.link(partial, best)
            except CutOffError:
                pass
            else:
                survivors.append("done")
        assert places.exists(best)
        places.mend(best)
        survivors.append(_read(best))
        places.remove(partial)
        assert [path.name for path in root.iterdir()] == ["best.ckpt"]
    assert survivors[0] == "old"
    assert survivors[-2:] == ["done", "new"]


def _stop_before(patch: pytest.MonkeyPatch, last: int) -> None:
    done = 0

    def counting(move: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            nonlocal done
            if done == last:
                raise CutOffError
            done += 1
            return move(*args, **options)

        return counted

    for owner, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
        patch.setattr(owner, name, counting(getattr(owner, name)))
    patch.setattr(places.os, "link", counting(places.os.link))


def _write(path: Path, text: str, *, folder: bool) -> None:
    if folder:
        (path / "deep").mkdir(parents=True)
        path = path / "deep/part"
    path.write_text(text)


def _read(path: Path) -> str:
    return (path / "deep/part" if path.is_dir() else path).read_text()


def test_a_run_continues_from_what_a_kill_left_half_way(tmp_path: Path) -> None:
    train(tmp_path, strategy="single_device")
    folder = tmp_path / "training_ckpts"
    record = folder / "run.json"
    record.write_text(json.dumps({"fingerprint": json.loads(record.read_text())["fingerprint"]}))
    (folder / "last.ckpt").rename(folder / "last.old")  # the kill came before the new one took its place
    (folder / "partial.ckpt").mkdir()
    resumed = Noisy()
    train(tmp_path, resumed, strategy="single_device")
    assert resumed.steps == 0
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "run.json"}


def test_a_second_run_keeps_the_folders_of_the_first(tmp_path: Path) -> None:
    for settings in ({"strategy": "single_device"}, {}, {"strategy": "single_device"}):
        train(tmp_path, max_epochs=1, **settings)
    folder = tmp_path / "training_ckpts"
    assert {path.name: path.is_dir() for path in folder.glob("best*")} == {
        "best.ckpt": True,
        "best-1.ckpt": True,
        "best-2.ckpt": False,
    }


def test_a_folder_that_no_run_of_ours_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt/checkpoint").mkdir(parents=True)
    with pytest.raises(MaseError, match=r"a folder without weights\.ckpt(.|\n)*zero_to_fp32"):
        load_checkpoint(Noisy(), tmp_path / "best.ckpt")
