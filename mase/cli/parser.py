"""What the command lines share in reading arguments."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from mase.ir.diagnostics import UsageError, closest

__all__ = ["Parser", "ShowVersion"]


class Parser(argparse.ArgumentParser):
    """Reports errors as diagnostics, with a remedy."""

    def error(self, message: str) -> NoReturn:
        help = self._close(message) or f"{self.prog} --help shows the options and examples"
        raise UsageError.of(message, help=help)

    def _close(self, message: str) -> str | None:
        """What the user may have meant."""
        if match := re.search(r"unrecognized arguments: (-\S+)", message):
            known = [name for action in self._actions for name in action.option_strings]
            return closest(match[1].partition("=")[0], known)
        if match := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            return closest(match[1], re.findall(r"[\w-]+", match[2]))
        return None


class ShowVersion(argparse.Action):
    """Looks the version up only when asked, because that reads the installed packages."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"{parser.prog} {version('mase')}")
        except PackageNotFoundError:
            print(f"{parser.prog} (from source)")
        parser.exit()
