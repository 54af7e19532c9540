# SPDX-License-Identifier: Apache-2.0
"""Choose, once at import, between the C++ kernels (and their instruction set) and their numpy twins.

`JALI_KERNELS` = reference | portable | ssse3 | avx2 | avx512 | ifma | amx forces a level; without it the best one
runs. Each level adds to the one before: key streams by SSSE3, then AVX2 and AES-NI, then AVX-512 with VAES and points
by IFMA where there are these, then matrix products by IFMA, then by AMX.
`JALI_THREADS` = how many threads one large call may use; without it, as many as this process has processors.

Where no level above "ssse3" runs but the processor has AES instructions, key streams come from the twins, whose
library uses them. On processors without, the native ones are 2 to 3 times as fast as the library.
"""

from __future__ import annotations

import importlib
import os
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from jali.core.errors import KernelLevelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["give_memory_back", "one_thread", "pick", "report"]

ENVIRONMENT = "JALI_KERNELS"
THREADS = "JALI_THREADS"
REFERENCE = "reference"
WITHOUT_AES = frozenset({"portable", "ssse3"})
KEY_STREAMS = frozenset({"prg_words", "add_prg", "sub_prg", "xor_prg"})

_Kernel = TypeVar("_Kernel", bound="Callable[..., object]")


def _load() -> ModuleType | None:
    """The native module at the wanted level, or None for the twins."""
    wanted = os.environ.get(ENVIRONMENT, "")
    if wanted == REFERENCE:
        return None
    try:
        native = importlib.import_module("jali.kernels._native")
    except ModuleNotFoundError as error:
        if wanted:
            raise KernelLevelError(
                f"{ENVIRONMENT}={wanted} needs the native kernels, which were not built. Run 'pip install -e .', "
                f"or set {ENVIRONMENT}={REFERENCE}."
            ) from error
        return None
    levels = native.levels()
    if wanted and wanted not in levels:
        raise KernelLevelError(
            f"{ENVIRONMENT}={wanted} is no level of this machine. Choose one of {', '.join([REFERENCE, *levels])}."
        )
    native.set_level(wanted or levels[-1])
    native.set_threads(_threads())
    return native


def _threads() -> int:
    wanted = os.environ.get(THREADS, "")
    if not wanted:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not wanted.isdecimal() or int(wanted) < 1:
        raise KernelLevelError(f"{THREADS}={wanted} is no number of threads. Say 1 or more, or unset it.")
    return int(wanted)


_native = _load()


def pick(twin: _Kernel) -> _Kernel:
    """The native kernel with the twin's name, or the twin itself."""
    if _native is None or (twin.__name__ in KEY_STREAMS and _library_is_faster(_native)):
        return twin
    return cast("_Kernel", getattr(_native, twin.__name__, twin))


def _library_is_faster(native: ModuleType) -> bool:
    """Whether twins give key streams sooner: no level was forced, and the best lacks the processor's AES."""
    return not os.environ.get(ENVIRONMENT) and native.level() in WITHOUT_AES and "aes" in native.features()


def give_memory_back() -> None:
    """Let the system have the memory that is kept for results of later calls."""
    if _native is not None:
        _native.give_memory_back()


@contextmanager
def one_thread() -> Iterator[None]:
    """Every call runs in the thread that makes it: for measurements of what the work costs a processor."""
    if _native is None:
        yield
        return
    before = _native.threads()
    _native.set_threads(1)
    try:
        yield
    finally:
        _native.set_threads(before)


def report() -> dict[str, object]:
    """Which kernels run here: the level, the levels that could, and the features of the processor."""
    return {
        "level": REFERENCE if _native is None else _native.level(),
        "levels": [REFERENCE, *([] if _native is None else _native.levels())],
        "native": _native is not None,
        "threads": 1 if _native is None else _native.threads(),
        "machine": platform.machine(),
        "features": [] if _native is None else _native.features(),
    }
