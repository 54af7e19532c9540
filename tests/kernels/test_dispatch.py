# SPDX-License-Identifier: Apache-2.0
"""JALI_KERNELS chooses the level, wrong choices are named errors, and the native kernels are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jali import kernels
from jali.kernels import _native, reference
from tests.kernels.samples import LEVELS

SOURCE = str(Path(kernels.__file__).parents[2])


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter with JALI_KERNELS as given."""
    inherited = {name: value for name, value in os.environ.items() if name != "JALI_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | {"PYTHONPATH": SOURCE} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("level", ["reference", *LEVELS])
def test_a_level_can_be_forced(level: str) -> None:
    program = (
        "import jali.kernels as k; print(k.report()['level'], k.prg_words(bytes(16), 0, 1)[0], k.masked_and.__module__)"
    )
    done = python(program, JALI_KERNELS=level)
    assert done.returncode == 0, done.stderr
    chosen, word, module = done.stdout.split()
    assert (chosen, int(word)) == (level, int(reference.prg_words(bytes(16), 0, 1)[0]))
    assert module.endswith("reference" if level == "reference" else "_native")


def test_the_best_level_is_the_default() -> None:
    done = python("import jali.kernels as k; print(k.report()['level'])")
    assert done.stdout.split() == [LEVELS[-1]]


@pytest.mark.parametrize(
    ("features", "forced", "module"),
    [(["aes"], {}, "reference"), ([], {}, "_native"), (["aes"], {"JALI_KERNELS": "portable"}, "_native")],
)
def test_portable_key_streams_serve_where_aes_instructions_lack(
    features: list[str], forced: dict[str, str], module: str
) -> None:
    program = (
        "import importlib; from jali.kernels import _native, dispatch, reference; "
        f"_native.levels = lambda: ['portable']; _native.features = lambda: {features}; importlib.reload(dispatch); "
        "print(*(dispatch.pick(t).__module__ for t in (reference.prg_words, reference.xor_prg, reference.matmul)))"
    )
    done = python(program, **forced)
    assert done.returncode == 0, done.stderr
    assert [name.rpartition(".")[2] for name in done.stdout.split()] == [module, module, "_native"]


def test_an_unknown_level_is_an_error_that_lists_the_known() -> None:
    done = python("import jali.kernels", JALI_KERNELS="sse9")
    assert done.returncode != 0
    assert "J1311" in done.stderr
    assert ", ".join(["reference", *LEVELS]) in done.stderr


def test_a_native_level_without_the_module_is_an_error() -> None:
    hide = "import sys; sys.modules['jali.kernels._native'] = None; import jali.kernels as k; "
    done = python(hide, JALI_KERNELS="portable")
    assert "J1311" in done.stderr
    assert "were not built" in done.stderr
    done = python(hide + "print(k.report()['level'])")
    assert done.stdout.split() == ["reference"]


def test_the_number_of_threads_can_be_said() -> None:
    program = "import jali.kernels as k; print(k.report()['threads'])"
    assert python(program, JALI_THREADS="5").stdout.split() == ["5"]
    assert int(python(program).stdout) >= 1
    for wrong in ("0", "-1", "many"):
        done = python(program, JALI_THREADS=wrong)
        assert "J1311" in done.stderr
        assert f"JALI_THREADS={wrong}" in done.stderr


def test_the_report_names_levels_and_features() -> None:
    report = kernels.report()
    assert report["native"] is (os.environ.get("JALI_KERNELS") != "reference")
    assert set(report) == {"level", "levels", "native", "threads", "machine", "features"}


def test_every_native_kernel_has_a_twin_and_is_public() -> None:
    control = {"features", "give_memory_back", "level", "levels", "set_level", "set_threads", "threads"}
    native = {name for name in dir(_native) if not name.startswith("_")} - control
    assert native <= set(reference.__all__)
    assert set(reference.__all__) - native == {"gather", "permute"}
    assert set(kernels.__all__) == {*reference.__all__, "give_memory_back", "report"}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_memory_that_is_kept_is_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    size = 64 << 20
    words = kernels.prg_words(bytes(16), 0, size // 8)
    assert words.nbytes == size
    del words
    before = resident()
    kernels.give_memory_back()
    assert before - resident() > size // 2


def test_an_unknown_level_is_refused_at_run_time() -> None:
    before = _native.level()
    with pytest.raises(ValueError, match="no such level"):
        _native.set_level("sse9")
    assert _native.level() == before
