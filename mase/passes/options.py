"""Options of passes: declared by a signature or by dataclass fields, checked, and documented from both."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from mase.ir.codec import from_plain, to_plain
from mase.ir.diagnostics import MaseError, did_you_mean
from mase.passes.grammar import print_value

__all__ = ["Option", "OptionError", "options_of", "parse_options"]


class OptionError(ValueError):
    """An option that a pass does not have or a value that it does not take.

    Args:
        option: its name.
        message: what is wrong.
        help: the remedy, if one is known.
    """

    def __init__(self, option: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        self.help = help


@dataclass(frozen=True)
class Option:
    """One option of a pass.

    Args:
        name: what users write.
        hint: the type of its value.
        default: the value when it is not written, or ``dataclasses.MISSING``.
        doc: what it means.
    """

    name: str
    hint: Any
    default: Any
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be written."""
        return self.default is MISSING

    @property
    def default_text(self) -> str:
        """The default as one would write it; empty if there is none."""
        return "" if self.required or self.default is None else print_value(to_plain(self.default))

    @property
    def type_text(self) -> str:
        """Its type as a reader of the documentation wants to see it."""
        text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", inspect.formatannotation(self.hint))
        return re.sub(r"^Optional\[(.*)\]$", r"\1 | None", text)

    def parse(self, plain: object) -> Any:
        """The typed value of what TOML or a pipeline says.

        Raises:
            OptionError: if it is not of the option's type.
        """
        try:
            return from_plain(self.hint, plain)
        except MaseError as error:
            first = error.diagnostics[0]
            raise OptionError(self.name, f"option {self.name!r}: {first.message}", first.help) from None
        except ValueError as error:
            raise OptionError(self.name, f"option {self.name!r}: {error}") from None


def options_of(target: Callable[..., Any]) -> dict[str, Option]:
    """The options that a function's keyword-only parameters or a dataclass's fields declare.

    Args:
        target: the function or dataclass.

    Example:
        >>> def clip(graph: object, ctx: object, *, limit: float = 1.0) -> None:
        ...     '''Clip.
        ...
        ...     Args:
        ...         limit: the largest magnitude.
        ...     '''
        >>> options_of(clip)["limit"]
        Option(name='limit', hint=<class 'float'>, default=1.0, doc='the largest magnitude.')
    """
    if inspect.isclass(target):
        hints = typing.get_type_hints(target)
        found = {name: (hints[name], default) for name, default in _field_defaults(target).items()}
        bases = reversed(target.__mro__)  # a derived class documents its own fields and inherits the others
    else:
        found = _parameter_defaults(target)
        bases = [target]
    docs: dict[str, str] = {}
    for base in bases:
        docs |= _argument_docs(inspect.cleandoc(base.__doc__ or ""))
    return {name: Option(name, hint, value, docs.get(name, "")) for name, (hint, value) in found.items()}


def parse_options(
    options: Mapping[str, Option], written: Mapping[str, object]
) -> tuple[dict[str, Any], list[OptionError]]:
    """Check what was written against what is declared.

    Args:
        options: the declared options by name.
        written: plain values by name.

    Returns:
        The typed values (of those that are right), and everything that is wrong.

    Example:
        >>> values, errors = parse_options({"limit": Option("limit", float, 1.0)}, {"limt": 2})
        >>> print(errors[0], "|", errors[0].help)
        unknown option 'limt' | did you mean 'limit'?
    """
    values: dict[str, Any] = {}
    errors: list[OptionError] = []
    for name, plain in written.items():
        if name not in options:
            known = did_you_mean(name, options) if options else "it has no options"
            errors.append(OptionError(name, f"unknown option {name!r}", known))
            continue
        try:
            values[name] = options[name].parse(plain)
        except OptionError as error:
            errors.append(error)
    missing = [name for name, option in options.items() if option.required and name not in written]
    errors += [
        OptionError(name, f"option {name!r} is missing", options[name].doc or None) for name in missing
    ]
    return values, errors


def _parameter_defaults(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Types and defaults of the options alone: other parameters may have types for type checkers only."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    names = vars(sys.modules[function.__module__])
    carrier = type("Carrier", (), {"__annotations__": {p.name: p.annotation for p in parameters}})
    hints = typing.get_type_hints(carrier, names, names)
    return {p.name: (hints[p.name], MISSING if p.default is p.empty else p.default) for p in parameters}


def _field_defaults(cls: type[Any]) -> dict[str, Any]:
    return {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(cls)}


_ARGUMENT = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: ?(.*)$")


def _argument_docs(doc: str) -> dict[str, str]:
    """The entries of a Google-style ``Args:`` section."""
    _, _, section = doc.partition("\nArgs:\n")
    docs: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if match := _ARGUMENT.match(line):
            name = match[1]
            docs[name] = match[2]
        elif name and line.strip():
            docs[name] = f"{docs[name]} {line.strip()}"
    return docs
