"""Tables: their files, columns, splits, scales, and what is said when they cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.data.tables.column import Column, column_of, encode
from mase.runtime.data.tables.files import read_table

FLOWERS = "length,colour,width,kind\n" + "".join(
    f"{i / 10},{('red', 'blue', 'white')[i % 3]},{i % 7},{('rose', 'tulip')[i % 2]}\n" for i in range(60)
)
KEEL = """@relation jets
@attribute mass real [0.0, 9.0]
@attribute charge integer [-1, 1]
@attribute Class {gluon, top}
@inputs mass, charge
@outputs Class
@data
1.5, 0, top
2.5, -1, gluon
3.5, <null>, top
"""


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return f"table:{folder / name}"


def sizes(data: Any) -> list[int]:
    return [len(getattr(data.splits, split)) for split in ("train", "val", "test")]


def tensors(data: Any, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    return getattr(data.splits, split).tensors


def everything(data: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([tensors(data, split)[0].numpy() for split in ("train", "val", "test")])


# --------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_every_format_gives_the_same_columns(name: str, tmp_path: Path) -> None:
    rows = [("0.5", "red", "3"), ("1.5", "blue", "?"), ("-2e3", "red", "4")]
    if name.endswith("parquet"):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {"x": [0.5, 1.5, -2e3], "y": ["red", "blue", "red"], "z": [3, None, 4]}
        parquet.write_table(arrow.table(columns), tmp_path / name)
    else:
        delimiter = "," if name.endswith("csv") else "\t"
        lines = [("x", "y", "z"), *rows]
        write(tmp_path, name, "\ufeff" + "\n".join(delimiter.join(line) for line in lines) + "\n\n")
    x, y, z = read_table(tmp_path / name)
    assert (x.name, x.values.tolist(), x.words) == ("x", [0.5, 1.5, -2000.0], ())
    assert (y.values.tolist(), y.words) == ([1, 0, 1], ("blue", "red"))
    np.testing.assert_array_equal(z.values, [3, np.nan, 4])


def test_keel_and_arff(tmp_path: Path) -> None:
    write(tmp_path, "a.dat", KEEL)
    write(
        tmp_path,
        "a.arff",
        KEEL.replace("@inputs mass, charge\n@outputs Class\n", "").replace("1.5, 0", "?, 0"),
    )
    mass, charge, kind = read_table(tmp_path / "a.dat")
    assert [c.name for c in (mass, charge, kind)] == ["mass", "charge", "Class"]
    assert mass.values.tolist() == [1.5, 2.5, 3.5]
    np.testing.assert_array_equal(charge.values, [0, -1, np.nan])
    assert (kind.values.tolist(), kind.words) == ([1, 0, 1], ("gluon", "top"))
    np.testing.assert_array_equal(read_table(tmp_path / "a.arff")[0].values, [np.nan, 2.5, 3.5])


def test_a_file_without_names(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "1,red\n2,blue\n")
    assert [c.name for c in read_table(tmp_path / "a.csv")] == ["x1", "x2"]
    write(tmp_path, "b.csv", "warm,red\ncold,blue\n")
    assert [c.name for c in read_table(tmp_path / "b.csv")] == ["warm", "red"]
    assert [c.name for c in read_table(tmp_path / "b.csv", header=False)] == ["x1", "x2"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a.csv:3: error: 3 values, but the first row has 2"),
        ("a.csv", "", "holds no rows"),
        ("a.csv", "a,b\n", "holds no rows"),
        ("a.cvs", "a,b\n1,2\n", "did you mean '.csv'"),
        ("a.arff", "hello\n", "cannot be read as ARFF"),
        ("a.arff", "@relation a\n@attribute b string\n@data\nx\n", "cannot be read as ARFF"),
        ("a.arff", "@relation a\n@attribute b {x,y}\n@data\nz\n", "cannot be read as ARFF"),
        ("a.parquet", "hello", "cannot be read as Parquet"),
    ],
)
def test_files_that_cannot_be_read(name: str, text: str, message: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    write(tmp_path, name, text)
    with pytest.raises(MaseError) as caught:
        read_table(tmp_path / name)
    assert message in str(caught.value)


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    write(tmp_path, "a.parquet", "")
    with pytest.raises(MaseError, match="Parquet needs pyarrow"):
        read_table(tmp_path / "a.parquet")


# ------------------------------------------------------------------------------------------------- columns


def test_words_become_zeros_and_ones_as_in_sklearn() -> None:
    words = ["b", "a", "c", "a"]
    expected = OneHotEncoder(sparse_output=False).fit_transform(np.array(words)[:, None])
    np.testing.assert_array_equal(encode([column_of("x", words)]), expected)


def test_other_files_are_read_in_the_words_of_the_training_file() -> None:
    assert column_of("x", ["2", "1"]).with_words(("0", "1", "2")).values.tolist() == [2, 1]
    numbers = column_of("x", ["2", "1"])
    assert numbers.with_words(()) is numbers
    with pytest.raises(MaseError, match="holds 'd', which the training file does not"):
        column_of("x", ["a", "d"]).with_words(("a", "b"))


def test_a_text_is_no_feature() -> None:
    column = Column("id", np.arange(300.0), tuple(map(str, range(300))))
    with pytest.raises(MaseError, match="300 different words, too many for a feature"):
        encode([column])


# -------------------------------------------------------------------------------------------------- tables


def test_a_table_to_classify(tmp_path: Path) -> None:
    data: Any = make_data(write(tmp_path, "a.csv", FLOWERS))
    assert data.task == "tabular-classification"
    assert data.classes == ("rose", "tulip")
    assert data.num_classes == 2
    assert data.feature_names == ["length", "colour=blue", "colour=red", "colour=white", "width"]
    assert data.input_type == "f32[N,5]"
    assert sizes(data) == [42, 6, 12]
    assert torch.bincount(tensors(data, "test")[1]).tolist() == [6, 6]
    assert tensors(data, "train")[0].dtype == torch.float32
    assert tensors(data, "train")[1].dtype == torch.int64


def test_the_scale_is_that_of_the_training_split(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", FLOWERS)
    raw, scaled = (make_data(source, standardize=standardize) for standardize in (False, True))
    oracle = StandardScaler().fit(tensors(raw, "train")[0].double())
    for split in ("train", "val", "test"):
        expected = oracle.transform(tensors(raw, split)[0].double())
        np.testing.assert_allclose(tensors(scaled, split)[0], expected, atol=1e-5)


def test_a_constant_feature_is_only_moved(tmp_path: Path) -> None:
    rows = "".join(f"7,{i},{i % 2}\n" for i in range(20))
    data = make_data(write(tmp_path, "a.csv", rows))
    assert everything(data)[:, 0].tolist() == [0] * 20


def test_a_regression(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i * 0.5}\n" for i in range(40))
    source = write(tmp_path, "a.csv", rows)
    data: Any = make_data(source)
    assert (data.task, data.num_classes) == ("regression", 0)
    assert tensors(data, "train")[1].dtype == torch.float32
    scaled = make_data(source, standardize_target=True)
    target = tensors(scaled, "train")[1]
    assert target.mean().item() == pytest.approx(0, abs=1e-6)
    assert target.std(correction=0).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("cells", "kind", "task"),
    [
        (["1", "2", "7"], None, "tabular-classification"),
        (["1", "2", "7.5"], None, "regression"),
        (list(map(str, range(60))), None, "regression"),
        (list(map(str, range(60))), "classification", "tabular-classification"),
        (["1", "2", "7"], "regression", "regression"),
    ],
)
def test_the_target_says_what_it_is_for(
    cells: list[str], kind: str | None, task: str, tmp_path: Path
) -> None:
    rows = "".join(f"{i},{cell}\n" for i, cell in enumerate(cells * 4))
    data: Any = make_data(write(tmp_path, "a.csv", rows), kind=kind)
    assert data.task == task
    if cells == ["1", "2", "7"] and kind is None:
        assert data.classes == ("1", "2", "7")
        assert {
            label for split in ("train", "val", "test") for label in tensors(data, split)[1].tolist()
        } == {*range(3)}


def test_target_and_features_by_name_or_place(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", FLOWERS)
    data: Any = make_data(source, target="colour", features=["width", "kind"])
    assert data.classes == ("blue", "red", "white")
    assert data.feature_names == ["width", "kind=rose", "kind=tulip"]
    by_place: Any = make_data(source, target=1)
    assert by_place.classes == data.classes
    assert by_place.feature_names == ["length", "width", "kind=rose", "kind=tulip"]


def test_separate_files(tmp_path: Path) -> None:
    write(tmp_path, "test.csv", "kind,width,length,colour\ntulip,1,0.5,white\nrose,2,0.25,red\n")
    source = write(tmp_path, "a.csv", FLOWERS)
    data = make_data(source, test=str(tmp_path / "test.csv"), validation=0.25, standardize=False)
    assert sizes(data) == [45, 15, 2]
    inputs, labels = tensors(data, "test")
    assert inputs.tolist() == [[0.5, 0, 0, 1, 1], [0.25, 0, 1, 0, 2]]
    assert labels.tolist() == [1, 0]
    both = make_data(source, test=str(tmp_path / "test.csv"), validation=str(tmp_path / "test.csv"))
    assert sizes(both) == [60, 2, 2]


def test_names_start_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", FLOWERS)
    assert sizes(make_data("table:a.csv", base_dir=tmp_path)) == [42, 6, 12]


def test_splits_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", FLOWERS)
    one, other = (make_data(source, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(everything(one), everything(other))
    assert len(np.unique(everything(one), axis=0)) == 60


def test_missing_values(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", FLOWERS.replace("0.5,", "?,", 1))
    with pytest.raises(MaseError, match="1 rows lack a value, in length"):
        make_data(source).setup()
    assert sum(sizes(make_data(source, missing="drop"))) == 59


def test_limit(tmp_path: Path) -> None:
    assert sizes(make_data(write(tmp_path, "a.csv", FLOWERS), limit=5)) == [5, 5, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "kinds"}, "did you mean 'kind'"),
        ({"target": 9}, "target is 9, but there are 4 columns"),
        ({"features": ["widht"]}, "did you mean 'width'"),
        ({"features": []}, "features names no column"),
        ({"features": ["width", "kind"]}, "the target 'kind' is one of the features"),
        ({"kind": "clasification"}, "did you mean 'classification'"),
        ({"kind": "regression"}, "the target 'kind' holds words, such as 'rose'"),
        ({"missing": "zero"}, "unknown missing 'zero'"),
        ({"test": 2}, "a fraction: at least 0, below 1"),
        ({"test": "nowhere.csv"}, "there is no file nowhere.csv"),
        ({"header": "yes"}, "set [data] header to true or false"),
        ({"separator": ";"}, "has no option 'separator'"),
        ({"standardize": 1}, "set [data] standardize to true or false"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", FLOWERS)
    with pytest.raises(MaseError) as caught:
        make_data(source, **options).setup()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("table", 'write source = "table:FILE"'),
        ("table:nowhere.csv", "there is no file nowhere.csv"),
    ],
)
def test_bad_sources(source: str, message: str) -> None:
    with pytest.raises(MaseError) as caught:
        make_data(source).setup()
    assert message in str(caught.value)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="two columns are called 'a'"):
        make_data(write(tmp_path, "a.csv", "a,a\n1,2\n3,4\n")).setup()


def test_a_test_file_that_lacks_a_column(tmp_path: Path) -> None:
    write(tmp_path, "test.csv", "width,length,color,kind\n1,0.5,white,rose\n")
    with pytest.raises(MaseError, match="has no column 'colour'"):
        make_data(write(tmp_path, "a.csv", FLOWERS), test=str(tmp_path / "test.csv")).setup()


# ------------------------------------------------------------------------------------------ known data sets


@pytest.mark.parametrize(
    ("name", "features", "classes", "rows"),
    [("iris", 4, 3, 150), ("wine", 13, 3, 178), ("breast-cancer", 30, 2, 569), ("diabetes", 10, 0, 442)],
)
def test_tables_of_sklearn(name: str, features: int, classes: int, rows: int) -> None:
    data = make_data(name)
    assert data.input_type == f"f32[N,{features}]"
    assert data.num_classes == classes
    assert sum(sizes(data)) == rows
    assert data.task == ("tabular-classification" if classes else "regression")


def test_jets_from_a_file(tmp_path: Path) -> None:
    write(tmp_path, "jets.dat", KEEL.replace("<null>", "1") + "2, 1, gluon\n3, 0, top\n" * 10)
    data: Any = make_data("jet-tagging", path=str(tmp_path / "jets.dat"), standardize=False)
    assert data.classes == ("gluon", "top")
    assert data.input_type == "f32[N,2]"


def test_jets_from_openml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fetch(name: str, **options: Any) -> Any:
        asked.update(name=name, **options)
        labels = np.array(["g", "q", "w", "z", "t"] * 10, dtype=object)
        return SimpleNamespace(
            data=np.arange(800.0).reshape(50, 16), target=labels, feature_names=[f"f{i}" for i in range(16)]
        )

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data: Any = make_data("jet-tagging", root=str(tmp_path), download=True)
    assert data.classes == ("g", "q", "t", "w", "z")
    assert data.input_type == "f32[N,16]"
    assert sizes(data) == [35, 5, 10]
    assert asked["name"] == "hls4ml_lhc_jets_hlf"
    assert asked["data_home"] == str(tmp_path)


def test_jets_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MaseError, match=r"set .data. download = true, or get hls4ml_lhc_jets_hlf"):
        make_data("jet-tagging", root=str(tmp_path)).setup()

    def fails(name: str, **_: Any) -> Any:
        raise OSError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fails)
    with pytest.raises(MaseError, match="cannot get hls4ml_lhc_jets_hlf from OpenML: no route to host"):
        make_data("jet-tagging", root=str(tmp_path), download=True).setup()
