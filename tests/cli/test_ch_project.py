"""Where the results of ch go, and how a command that was cut off finds its folder again."""

from pathlib import Path

import pytest

from mase.cli.ch.project import Project, command_key, find_project
from mase.cli.ch.settings import Action
from mase.ir.diagnostics import UsageError

KEY = command_key("train", {})


def find(root: Path, *, name: str | None = None, key: str = KEY, reads: Path | None = None) -> Project:
    return find_project("train", root, "toy_cls_toy", name=name, key=key, reads=reads)


def old(root: Path) -> Project:
    return Project(root / "toy_cls_toy_2020-01-01", "train")


def test_a_new_command_gets_todays_folder(tmp_path: Path) -> None:
    assert find(tmp_path).folder.name.startswith("toy_cls_toy_20")
    assert find(tmp_path, name="mine").folder == tmp_path / "mine"


def test_a_command_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    old(tmp_path).begin(KEY)
    assert find(tmp_path) == old(tmp_path)
    assert find(tmp_path, key=command_key("train", {"seed": 1})) != old(tmp_path)


def test_a_command_that_has_ended_does_not(tmp_path: Path) -> None:
    old(tmp_path).begin(KEY)
    old(tmp_path).finish()
    assert find(tmp_path) != old(tmp_path)


def test_a_command_that_is_refused_at_once_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "new"
    with pytest.raises(UsageError), find(root).under_way(KEY):
        raise UsageError.of("the zoo has no model 'toyy'")
    assert not root.exists()


def test_a_command_that_fails_later_keeps_what_it_has(tmp_path: Path) -> None:
    project = find(tmp_path)

    def train_and_fail() -> None:
        (project.software / "best.ckpt").touch()
        raise UsageError.of("the second pass fails")

    with pytest.raises(UsageError), project.under_way(KEY):
        train_and_fail()
    assert project.was_cut_off(KEY)
    with pytest.raises(UsageError), project.under_way(KEY):
        raise UsageError.of("the second pass fails again")
    assert project.was_cut_off(KEY)
    assert (project.software / "best.ckpt").exists()


def test_what_stood_in_a_project_before_stays(tmp_path: Path) -> None:
    project = find(tmp_path)
    project.begin(KEY)
    (project.software / "graph.toml").touch()
    project.finish()
    with pytest.raises(UsageError), Project(project.folder, "transform").under_way(KEY):
        raise UsageError.of("unknown pass")
    assert [path.name for path in project.software.iterdir()] == ["graph.toml"]


def test_a_run_never_replaces_what_it_starts_from(tmp_path: Path) -> None:
    today = find(tmp_path)
    checkpoint = today.software / "training_ckpts" / "best.ckpt"
    second = find(tmp_path, reads=checkpoint)
    assert second.folder.name == f"{today.folder.name}-2"
    second.begin(KEY)
    assert find(tmp_path, reads=checkpoint) == second
    with pytest.raises(UsageError, match="would be replaced"):
        find(tmp_path, name=today.folder.name, reads=checkpoint)


@pytest.mark.parametrize(
    ("action", "output", "workplace"),
    [
        ("train", "graph.toml", "."),
        ("test", "test/graph.toml", "test"),
        ("transform", "transform/graph.toml", "transform"),
        ("search", "search_ckpts/graph.toml", "."),
    ],
)
def test_each_action_has_its_place(action: Action, output: str, workplace: str) -> None:
    project = Project(Path("p"), action)
    assert project.output == Path("p/software") / output
    assert project.workplace == Path("p/software") / workplace
