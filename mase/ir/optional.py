"""Libraries that are installed but do not load, which others would stumble over."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from typing import Any, cast

__all__ = ["load_optional", "shield_imports"]

_SUSPECT = "torchvision"
_IMPORTERS = ("torchmetrics", "transformers")
_WHY: dict[str, str] = {}


def shield_imports() -> None:
    """Keep a torchvision that does not load from breaking what never asks for it.

    One that was built for another torch raises a RuntimeError, and torchmetrics and transformers import it
    wherever it is installed. Just before the first of them is imported, it is tried; if it fails, it looks
    from then on as if it were not installed.
    """
    if not any(name in sys.modules for name in _IMPORTERS):
        sys.meta_path.insert(0, _Precaution())


def load_optional(name: str) -> Any:
    """A library, or a part of one, that not every user has.

    Raises:
        ImportError: if it does not load, whatever it raised itself, with that as the message.

    Example:
        >>> load_optional("json").__name__
        'json'
    """
    root = name.partition(".")[0]
    if root in _WHY:
        raise ImportError(_WHY[root])
    try:
        return import_module(name)
    except Exception as error:
        raise ImportError(_reason(error)) from error


class _Precaution(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in _IMPORTERS:
            with suppress(ValueError):  # another thread was first
                sys.meta_path.remove(self)
                _hide_if_broken(_SUSPECT)


def _hide_if_broken(name: str) -> None:
    if name in sys.modules or find_spec(name) is None:
        return
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001  # whatever it raises, it does not load
        for part in [part for part in sys.modules if part.partition(".")[0] == name]:
            del sys.modules[part]
        cast(Any, sys.modules)[name] = None  # nobody finds it any more
        _WHY[name] = _reason(error)
        _hide_version(name)


def _hide_version(name: str) -> None:
    """For torchmetrics: its way to ask takes an installed version for a library that loads."""
    with suppress(ImportError, AttributeError):
        asking: Any = import_module("lightning_utilities.core.imports")
        known = asking._version

        def version(package: str) -> str:
            if package == name:
                raise PackageNotFoundError(package)
            return known(package)

        asking._version = version


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
