"""Arrays of numpy as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mase.ir import MaseError
from mase.runtime.data import make_data

X = np.random.default_rng(0).random((50, 3, 4))


def saved(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "data.npz", **arrays)
    return f"arrays:{folder / 'data.npz'}"


def test_whole_numbers_are_classes(tmp_path: Path) -> None:
    data = make_data(saved(tmp_path, x=X, y=np.arange(50) % 5), batch_size=8)
    assert (data.input_type, data.task, data.num_classes) == ("f32[N,3,4]", "classification", 5)
    splits = data.splits
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [35, 5, 10]  # type: ignore[arg-type]
    seen = torch.cat([part.tensors[0] for part in (splits.train, splits.val, splits.test)])  # type: ignore[attr-defined]
    assert torch.equal(seen.flatten().sort().values, torch.from_numpy(X).float().flatten().sort().values)
    assert data.example_batch()[1].dtype == torch.int64


def test_others_are_estimated(tmp_path: Path) -> None:
    data = make_data(saved(tmp_path, x=X, y=X.sum((1, 2))))
    assert data.task == "regression"
    assert data.example_batch()[1].dtype == torch.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"holds no arrays x and y(.|\n)*numpy\.savez"),
        ({"x": X, "y": np.zeros(3)}, r"x is \[50, 3, 4\] and y is \[3\]"),
        ({"x": X, "y": np.array([None] * 50)}, "holds no arrays"),
    ],
)
def test_mistakes(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        _ = make_data(saved(tmp_path, **arrays)).splits


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="there is no file"):
        _ = make_data(f"arrays:{tmp_path / 'none.npz'}").splits
    (tmp_path / "junk.npz").write_text("junk")
    with pytest.raises(MaseError, match="holds no arrays"):
        _ = make_data(f"arrays:{tmp_path / 'junk.npz'}").splits
