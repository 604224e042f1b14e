"""Running a user's own file of passes, ops and formats (``--load my_passes.py``)."""

from __future__ import annotations

import sys
import traceback
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, TracebackType

from mase.ir.diagnostics import Location, MaseError, UsageError

__all__ = ["blame", "load_file"]


def load_file(path: str | Path) -> ModuleType:
    """Run a Python file that registers passes; a second call does nothing.

    Args:
        path: the file; modules beside it can be imported by it.

    Raises:
        UsageError: if there is no such file.
        MaseError: if it does not run, naming the line.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError.of(
            f"there is no file {str(path)!r}", help="--load takes a Python file that registers passes"
        )
    # Files of one name in two folders are two modules; one file is one module however often it is named.
    name = f"mase_loaded_{file.stem}_{sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError.of(f"{str(path)!r} is no Python file", help="--load takes a file that ends in .py")
    module = sys.modules[name] = module_from_spec(spec)
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except MaseError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise _failure(file, error) from error
    finally:
        sys.path.remove(folder)
    return module


def blame(error: BaseException, file: str | Path) -> Location | None:
    """The innermost line of ``file`` that an exception passed through."""
    frames = _frames(error.__traceback__)
    lines = [line for name, line in frames if Path(name).resolve() == Path(file).resolve()]
    return Location(str(file), lines[-1]) if lines else None


def _failure(file: Path, error: Exception) -> MaseError:
    if isinstance(error, SyntaxError):
        at = Location(error.filename or str(file), error.lineno or 1)
        text = f": {error.text.strip()}" if error.text else ""
        return MaseError.of(f"syntax error, {error.msg}{text}", at=at)
    at = blame(error, file) or Location(str(file), 1)
    return MaseError.of(f"the file does not run: {type(error).__name__}: {error}", at=at)


def _frames(trace: TracebackType | None) -> list[tuple[str, int]]:
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(trace)]
