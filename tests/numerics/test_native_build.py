"""The library is compiled once, whoever compiles it, and its absence costs speed and nothing else."""

from __future__ import annotations

import ctypes
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mase.runtime import native
from mase.runtime.native import build, library

needs_compiler = pytest.mark.skipif(native.status() != "native", reason=native.status())

PROGRAM = """
import logging, sys
logging.basicConfig(format="LOG %(message)s", stream=sys.stdout)
import torch
from mase.runtime import native
from mase.runtime.kernels import fake_quantize
for _ in range(2):
    x = torch.tensor([0.1, 9.0], requires_grad=True)
    y = fake_quantize(x, "fixed<8,4>")
    y.sum().backward()
print("STATUS", native.status())
print("VALUES", y.tolist(), x.grad.tolist())
"""
# Without torch, which takes longer to import than the library to compile.
BUILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("build", sys.argv[1])
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
print(build.build(build.FLAGS[0]))
"""


def start(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=os.environ | environment, text=True, **streams)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def compiler(folder: Path, script: str) -> str:
    """A compiler that is a shell script."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MASE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MASE_NATIVE", "1")
    return tmp_path / "cache" / "native"


def load() -> ctypes.CDLL | str:
    """What a new process would find."""
    return library._loaded.__wrapped__()


def test_without_a_compiler_values_are_the_same(tmp_path: Path) -> None:
    values = "VALUES [0.125, 7.9375] [1.0, 0.0]"
    none = start(PROGRAM, PATH="", CC="", MASE_NATIVE="1", MASE_CACHE_DIR=str(tmp_path))
    off = start(PROGRAM, MASE_NATIVE="0", MASE_CACHE_DIR=str(tmp_path))
    said = finish(none)
    assert said.count("LOG ") == 1
    assert (
        "LOG quantization runs without native kernels (MASE_NATIVE=0 hides this): no C compiler in PATH"
        in said
    )
    assert values in said
    assert finish(off).splitlines() == ["STATUS switched off by MASE_NATIVE=0", values]
    assert not list(tmp_path.iterdir())


@needs_compiler
def test_processes_build_at_once(cache: Path) -> None:
    running = [start(BUILD, build.__file__) for _ in range(4)]
    paths = {finish(process).strip() for process in running}
    assert paths == {str(path) for path in cache.iterdir()}  # one, and nothing unfinished is left
    assert len(paths) == 1
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert str(build.build(build.FLAGS[0])) in paths


def test_a_broken_compiler_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = 'case "$1" in --version) echo 1;; *) echo "x.c:1: error: no luck" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    with caplog.at_level(logging.WARNING):
        reason = load()
    assert isinstance(reason, str)
    assert reason.endswith("compiler failed: x.c:1: error: no luck")
    assert [r.message.count(reason) for r in caplog.records] == [1]
    assert not list(cache.iterdir())


def test_a_compiler_that_does_not_exist(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "nothing -O9")
    assert load() == "no C compiler named nothing"


@needs_compiler
def test_next_best_flags_where_the_best_fail(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = build.find_compiler()[0]
    script = f'case "$*" in *"-fopenmp "*) echo "error: no OpenMP" >&2; exit 1;; esac; exec {real} "$@"'
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    assert isinstance(load(), ctypes.CDLL)
    assert not caplog.records
    assert len(list(cache.iterdir())) == 1


@needs_compiler
def test_a_library_that_does_not_load_is_passed_over(cache: Path) -> None:
    build.build(build.FLAGS[0]).write_bytes(b"not a library")
    assert isinstance(load(), ctypes.CDLL)
    assert len(list(cache.iterdir())) == 2


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MASE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "mase"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.cache_folder() == Path.home() / ".cache" / "mase"


@needs_compiler
def test_what_others_may_write_is_not_executed(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(build.BuildError, match="others may write"):
        build.build(build.FLAGS[-1])
    cache.rmdir()
    cache.write_text("a file")
    with pytest.raises(build.BuildError, match="native"):
        build.build(build.FLAGS[-1])
