"""Compiling the C sources, once for each machine and user, with whatever compiler the system has."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["FLAGS", "BuildError", "build", "cache_folder", "find_compiler"]

SOURCES = Path(__file__).parent / "csrc"
_COMMON = ("-std=gnu11", "-O3", "-fPIC")
# Results must be those of the reference, bit for bit: no fused multiply-adds, no -ffast-math. What is
# waived is errno and floating-point traps, which no one reads and which keep loops from being vectorized.
_EXACT = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")

FLAGS: tuple[tuple[str, ...], ...] = (
    (*_COMMON, *_EXACT, "-march=native", "-fopenmp"),
    (*_COMMON, *_EXACT, "-march=native", "-fopenmp-simd"),
    (*_COMMON, *_EXACT),
)
"""The ways to compile, best first."""


class BuildError(Exception):
    """Why there is no native library."""


def find_compiler() -> list[str]:
    """The command of the C compiler: that of ``CC``, else cc, gcc or clang.

    Raises:
        BuildError: if there is none.
    """
    command = shlex.split(os.environ.get("CC", ""))
    for candidate in [command] if command else [["cc"], ["gcc"], ["clang"]]:
        if path := shutil.which(candidate[0]):
            return [path, *candidate[1:]]
    raise BuildError(f"no C compiler {'named ' + command[0] if command else 'in PATH'}")


def cache_folder() -> Path:
    """Where libraries are kept: ``MASE_CACHE_DIR``, else ``mase`` under the user's cache folder."""
    if own := os.environ.get("MASE_CACHE_DIR"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mase"


def build(flags: tuple[str, ...]) -> Path:
    """The library compiled with ``flags``, from the cache if it is there.

    Processes may build at the same time: each compiles in a folder of its own and moves the finished file
    to its place, so that no one ever sees half of one.

    Raises:
        BuildError: if there is no compiler, it fails, or the cache folder cannot be used.
    """
    if sys.platform == "win32":
        raise BuildError("the C sources are for Unix")
    compiler = find_compiler()
    try:
        folder = _private(cache_folder() / "native")
        library = folder / f"native-{_fingerprint(compiler, flags)}.so"
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                _compile(compiler, flags, Path(work)).replace(library)
    except OSError as error:
        raise BuildError(str(error)) from error
    return library


def _private(folder: Path) -> Path:
    """``folder``, made if need be; what lies in it is executed, so no one else may write there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BuildError(f"others may write to {folder}; choose another with MASE_CACHE_DIR")
    return folder


def _fingerprint(compiler: list[str], flags: tuple[str, ...]) -> str:
    """What the library depends on: sources, flags, compiler and, by ``-march=native``, the processor."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    for fact in (*compiler, *flags, _run([*compiler, "--version"]), _processor()):
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()[:24]


def _processor() -> str:
    try:
        # The first processor's block, less what changes from one moment to the next.
        block = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        return re.sub(r"(?m)^(cpu MHz|bogomips|BogoMIPS).*$", "", block)
    except OSError:
        return f"{platform.machine()} {platform.processor()}"


def _compile(compiler: list[str], flags: tuple[str, ...], work: Path) -> Path:
    sources = [str(s) for s in sorted(SOURCES.glob("*.c"))]
    _run([*compiler, *flags, "-c", *sources], work)
    # Linked without OpenMP: the loader finds the one that torch brought along, so that there are not two
    # pools of threads. Where it finds none, the next flags do without.
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    objects = [o.name for o in sorted(work.glob("*.o"))]
    _run([*compiler, "-shared", *undefined, *objects, "-lm", "-o", "native.so"], work)
    return work / "native.so"


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else "")
        raise BuildError(f"{command[0]} failed: {first or done.returncode}")
    return done.stdout
