"""The command line of ``ch``, read off the settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Literal

from mase.cli.arguments import Color
from mase.cli.ch.settings import ACTIONS, SETTINGS, Action, Setting
from mase.cli.parser import Parser, ShowVersion
from mase.ir.diagnostics import UsageError

__all__ = ["Arguments", "Info", "parse_arguments"]

_USAGE = """\
ch [--config PATH] [--task TASK] [--load PATH] [--load-type] [--batch-size NUM] [--debug]
          [--log-level] [--seed NUM] [--training-optimizer TYPE] [--trainer-precision TYPE]
          [--learning-rate NUM] [--weight-decay NUM] [--max-epochs NUM] [--max-steps NUM]
          [--accumulate-grad-batches NUM] [--log-every-n-steps NUM] [--report-to LOG] [--cpu NUM]
          [--gpu NUM] [--devices NUM] [--nodes NUM] [--accelerator TYPE] [--strategy TYPE]
          [--auto-requeue] [--github-ci] [--target STR] [--num-targets NUM] [--pretrained]
          [--max-token-len NUM] [--project-dir DIR] [--project NAME] [--load-plugin FILE] [-h] [-V]
          [--info [TYPE]]
          action [model] [dataset]"""

_ABOUT = """\
Train, test, transform or search a model. The result is a project folder with checkpoints, logs and a
graph.toml, from which ch and mase-opt go on. Its path is printed on standard output, all else on
standard error."""

_ACTIONS = """\
actions:
  train       train the model, measure it before and after
  test, eval  measure it on the test split
  transform   run the passes whose tables [passes.*] the configuration has, in their order
  search      look for the best formats, as [search] says

examples:
  ch train toy toy-tiny --config configs/train.toml
  ch test --config configs/train.toml --load PROJECT/software/training_ckpts/best.ckpt
  ch transform toy toy-tiny --config configs/quantize.toml
  ch search toy toy-tiny --config configs/search.toml

A key of the configuration is named like its option: learning_rate = 1e-2. Strongest first: an option, the
configuration, the default. mase-opt --describe PASS explains what a table [passes.PASS] may hold.

exit status:
  0 success   1 the configuration, model or data have a problem   2 wrong command line   3 a bug"""

Info = Literal["all", "model", "dataset"]


class Arguments(argparse.Namespace):
    """What the command line says; a setting that it does not mention is absent from ``given``."""

    action: Action | None
    config: str | None
    color: Color
    info: Info | None
    given: dict[str, Any]


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read a command line.

    Args:
        argv: the words after the program's name.

    Raises:
        UsageError: if it cannot be meant.
        SystemExit: after ``--help`` and ``--version``.

    Example:
        >>> args = parse_arguments(["train", "--seed", "0", "toy", "toy-tiny"])
        >>> args.action, args.given
        ('train', {'model': 'toy', 'dataset': 'toy-tiny', 'seed': 0})
    """
    # Intermixed: an option may stand between the action and the model.
    args = _parser().parse_intermixed_args(argv, namespace=Arguments())
    found: dict[str, Any] = vars(args)
    args.given = {name: found.pop(name) for name in SETTINGS if found.get(name) is not None}
    if args.action is None and args.info is None:
        raise UsageError.of("there is no action", help=f"say one of {', '.join(ACTIONS)}")
    return args


def _parser() -> Parser:
    parser = Parser(
        prog="ch",
        usage=_USAGE,
        description=_ABOUT,
        epilog=_ACTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add = parser.add_argument
    add("action", nargs="?", metavar="action", choices=ACTIONS, help=", ".join(ACTIONS))
    for name in ("model", "dataset"):
        add(name, nargs="?", help=SETTINGS[name].doc)
    add("--config", metavar="PATH", help="read settings and tables of passes from a TOML file")
    groups: dict[str, Any] = {}
    for setting in SETTINGS.values():
        if setting.group:
            group = groups.get(setting.group) or parser.add_argument_group(setting.group)
            groups[setting.group] = group
            _add_flag(group, setting)
    _add_questions(parser)
    return parser


def _add_flag(group: Any, setting: Setting) -> None:
    flag = setting.flag
    if setting.type is bool:  # with --no-..., so that the command line can also say no
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=setting.doc)
    elif setting.type == list[str]:
        group.add_argument(flag, action="append", metavar=setting.metavar, help=setting.doc)
    else:
        group.add_argument(
            flag,
            type=setting.type,
            metavar="|".join(setting.choices) if setting.choices else setting.metavar,
            choices=setting.choices,
            help=setting.doc,
        )


def _add_questions(parser: Parser) -> None:
    add = parser.add_argument_group("information").add_argument
    add("-h", "--help", action="help", help="show this help and exit")
    add("-V", "--version", action=ShowVersion, nargs=0, help="show the version and exit")
    add(
        "--info",
        nargs="?",
        const="all",
        choices=("all", "model", "dataset"),
        metavar="TYPE",
        help="list the models, data sets or both that can be named, and exit",
    )
    add("--color", choices=("auto", "always", "never"), default="auto", help="colour messages (default auto)")
