"""What holds in ch: the command line, the configuration, the defaults, and what is wrong with them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mase.cli.ch.arguments import parse_arguments
from mase.cli.ch.config import Config, parse_config
from mase.cli.ch.effective import Effective
from mase.cli.ch.settings import SETTINGS
from mase.ir.diagnostics import MaseError, UsageError
from tests.cli.conftest import MaseOpt

ROOT = Path(__file__).parents[2]
USAGE = """\
[--config PATH] [--task TASK] [--load PATH] [--load-type] [--batch-size NUM] [--debug] [--log-level]
[--seed NUM] [--training-optimizer TYPE] [--trainer-precision TYPE] [--learning-rate NUM] [--max-epochs NUM]
[--max-steps NUM] [--accumulate-grad-batches NUM] [--cpu NUM] [--gpu NUM] [--nodes NUM] [--accelerator TYPE]
[--strategy TYPE] [--auto-requeue] [--github-ci] [--target STR] [--num-targets NUM] [--pretrained]
[--max-token-len NUM] [--project-dir DIR] [--project NAME] [-h] [-V] [--info [TYPE]]"""


def test_usage_has_every_promised_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_arguments(["--help"])
    assert end.value.code == 0
    usage = " ".join(capsys.readouterr().out.split())
    for part in USAGE.replace("\n", " ").split("] ["):
        assert f"[{part.strip('[]')}]" in usage.replace("[TYPE]]", "[TYPE]"), part
    assert "action [model] [dataset]" in usage
    first = usage.partition("action [model]")[0]
    assert [s.flag for s in SETTINGS.values() if s.group and s.flag not in first] == []


@pytest.mark.parametrize(
    "words",
    [
        "train toy toy-tiny --seed 0 --config c.toml",
        "train --seed 0 toy --config c.toml toy-tiny",
        "--config c.toml train --seed=0 toy toy-tiny",
        "--seed 0 --config c.toml train toy toy-tiny",
    ],
)
def test_options_stand_anywhere(words: str) -> None:
    args = parse_arguments(words.split())
    assert (args.action, args.config) == ("train", "c.toml")
    assert args.given == {"model": "toy", "dataset": "toy-tiny", "seed": 0}


@pytest.mark.parametrize("action", ["train", "test", "eval", "transform", "search"])
def test_every_action_is_known(action: str) -> None:
    assert parse_arguments([action]).action == action


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        ("trian toy", "invalid choice: 'trian'", "did you mean 'train'?"),
        ("zzz toy", "invalid choice: 'zzz'", "ch --help"),
        (
            "train --learning-rat 1",
            "unrecognized arguments: --learning-rat",
            "did you mean '--learning-rate'?",
        ),
        ("train --seed x", "invalid int value: 'x'", None),
        ("train a b c", "unrecognized arguments: c", None),
        ("train --load-type px", "invalid choice: 'px'", None),
        ("", "there is no action", "train"),
    ],
)
def test_a_wrong_command_line_is_an_error(words: str, message: str, remedy: str | None) -> None:
    with pytest.raises(UsageError, match=message) as error:
        parse_arguments(words.split())
    assert remedy is None or remedy in str(error.value.diagnostics[0].help)


# ---------------------------------------------------------------------------------------------- precedence


def test_the_command_line_wins_over_the_configuration_over_the_default() -> None:
    settings = Effective({"max_epochs": 3}, Config({"max_epochs": 5, "batch_size": 8}))
    assert (settings["max_epochs"], settings["batch_size"], settings["max_steps"]) == (3, 8, -1)


@pytest.mark.parametrize("name", [n for n, s in SETTINGS.items() if s.default_value() is not None])
def test_an_option_that_equals_the_default_wins_all_the_same(name: str) -> None:
    """Whether an option was given is known from the command line, not from its value."""
    setting = SETTINGS[name]
    default = setting.default_value()
    if setting.choices:
        other = next(c for c in setting.choices if c != default)
    elif isinstance(default, bool):
        other = not default
    elif setting.type is str:
        other = "other"
    else:
        other = 7
    words = [setting.flag, str(default)]
    if isinstance(default, bool):
        words = [setting.flag if default else f"--no-{setting.flag[2:]}"]
    if name in ("gpu", "devices"):  # the default, "auto", is no number
        return
    args = parse_arguments(["train", *words])
    assert Effective(args.given, Config({name: other}))[name] == default


def test_the_table_shows_where_each_value_comes_from() -> None:
    settings = Effective({"seed": 0}, parse_config('seed = 4\n[passes.train]\nscheduler = "cosine"\n'))
    rows = {row[0]: row[1:] for row in settings.table({"train"}, {"learning_rate": 1e-3})}
    assert rows["seed"] == ["0", "4", "0", "0"]
    assert rows["learning_rate"] == ["0.001", "-", "-", "0.001"]
    assert rows["train.scheduler"] == ["-", "cosine", "-", "cosine"]
    assert "learning_rate" not in {row[0] for row in settings.table({"eval"})}


@pytest.mark.parametrize(
    ("given", "accelerator", "gpu"),
    [
        ({"gpu": 2}, "gpu", 2),
        ({"gpu": 0}, "cpu", "auto"),
        ({"gpu": 1, "accelerator": "gpu"}, "gpu", 1),
        ({"accelerator": "cpu"}, "cpu", "auto"),
    ],
)
def test_a_number_of_gpus_chooses_the_accelerator(
    given: dict[str, int | str], accelerator: str, gpu: int | str
) -> None:
    settings = Effective(given, Config())
    assert (settings["accelerator"], settings["gpu"]) == (accelerator, gpu)


def test_gpus_on_a_cpu_are_a_contradiction() -> None:
    with pytest.raises(UsageError, match="contradict"):
        Effective({"gpu": 2, "accelerator": "cpu"}, Config())


# ------------------------------------------------------------------------------------------- configuration


def test_a_configuration_reports_everything_with_its_line() -> None:
    text = """\
learning_rat = 1
max_epochs = "x"
report_to = "tensorbord"
learning_rate = 0.1
[pases.x]
a = 1
[passes.train]
learning_rate = 0.2
"""
    with pytest.raises(MaseError) as error:
        parse_config(text, "c.toml")
    found = [str(d) for d in error.value.diagnostics]
    assert found == [
        "c.toml:1: error: unknown key 'learning_rat'\n  help: did you mean 'learning_rate'?",
        "c.toml:2: error: max_epochs: expected an integer, found 'x'",
        "c.toml:3: error: report_to: unknown value 'tensorbord'\n  help: did you mean 'tensorboard'?",
        "c.toml:5: error: unknown table 'pases'\n  help: did you mean 'passes'?",
        "c.toml:4: error: 'learning_rate' and 'learning_rate' in [passes.train] say the same\n"
        "  help: keep one",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\nlearning_rate = -1\n", 2),
        ("\n\n[passes.train]\nlearning_rate = -1\n", 4),
        ("max_epochs = 1\nlearning_rate = 'high'\n", 2),
        ("[passes.train]\nlearning_rat = 1\n", 2),
    ],
)
def test_a_value_out_of_range_is_found_before_anything_runs(ch: MaseOpt, text: str, line: int) -> None:
    Path("c.toml").write_text(text, encoding="utf-8")
    result = ch("train", "toy", "toy-tiny", "--config", "c.toml")
    assert result.status == 1
    assert result.err.startswith(f"c.toml:{line}: error:"), result.err
    assert not Path("mase_output").exists()


def test_a_wrong_value_of_the_command_line_is_its_fault(ch: MaseOpt) -> None:
    result = ch("train", "toy", "toy-tiny", "--learning-rate", "-1")
    assert (result.status, result.err) == (
        2,
        "error: [passes.train]: learning_rate is -1.0\n  help: use a number above 0\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train", "there is no model"),
        ("train toy", "there is no data set"),
        ("train toy toy-tin", "did you mean 'toy-tiny'?"),
        ("train toi toy-tiny", "did you mean 'toy'?"),
        ("train toy toy-tiny --training-optimizer addam", "did you mean 'adam'?"),
        ("transform toy toy-tiny", "no passes to run"),
        ("train toy toy-tiny --task cla", "unknown task 'cla'"),
        ("train toy toy-tiny --load none.ckpt", "there is nothing to load at none.ckpt"),
        ("train toy toy-tiny --load-type pl", "--load-type without --load"),
        ("train toy toy-tiny --max-token-len 5", "has no option 'max_token_len'"),
        ("train toy toy-tiny --pretrained", "zoo:toy has no trained weights"),
        ("train toy toy-tiny --auto-requeue --max-epochs 1", "auto_requeue needs a SLURM job"),
        ("train toy toy-tiny --config none.toml", "no file none.toml"),
        ("test toy toy-tiny --load configs", "does not tell what it is"),
    ],
)
def test_what_cannot_be_done_is_an_error(ch: MaseOpt, words: str, message: str) -> None:
    result = ch(*words.split())
    assert result.status in (1, 2)
    assert message in result.err
    assert "internal error" not in result.err
    assert "results" not in result.err  # nothing was measured before it was found
    assert not Path("mase_output").exists()


# --------------------------------------------------------------------------------------------- information


def test_info_lists_what_can_be_named(ch: MaseOpt) -> None:
    everything = ch("--info").out
    assert everything == ch("--info", "all").out
    assert ch("--info", "dataset").out in everything
    assert "toy-tiny" in ch("--info", "model").out
    assert "digits " not in ch("--info", "model").out


def test_help_is_light() -> None:
    program = (
        "import sys, contextlib, mase.cli.ch\n"
        "with contextlib.suppress(SystemExit): mase.cli.ch.main(['--help'])\n"
        "print('LOADED', *sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy", "optuna", "rich"} & set(run.stdout.rpartition("LOADED")[2].split())
