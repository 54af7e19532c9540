# SPDX-License-Identifier: Apache-2.0
"""How fast sessions and cores are on this machine: a self-test of a few seconds.

The best of many short tries counts, so that other work on the machine disturbs it little.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import numpy as np

from jali import kernels
from jali.transport.bench import session_speeds
from jali.transport.timeline import MachineSpeed

__all__ = ["measure_machine"]

_AT_ONCE: Final = 4
_TRY_S: Final = 0.01
_TRIES: Final = 40
_SESSION_S: Final = 0.02
_SESSION_TRIES: Final = 15
_SIDE: Final = 256
_WORDS: Final = 1 << 17


def measure_machine() -> MachineSpeed:
    """Time a session between two processes on loopback, and all cores beside one."""
    speeds = session_speeds(_SESSION_TRIES, seconds=_SESSION_S)
    rate = max(max(speed.out_bytes_per_s, speed.in_bytes_per_s) for speed in speeds)
    swap_s, cpu_s = min((speed.swap_s, speed.swap_cpu_s) for speed in speeds)
    return MachineSpeed(message_s=swap_s, message_cpu_s=cpu_s, byte_s=1 / rate, cores=_cores())


def _cores() -> float:
    """The work of several threads (as many as there are cores, at most four) over that of one.

    By the processor's time of each thread: cores that share units work more slowly beside each other.
    """
    count = min(_AT_ONCE, os.cpu_count() or 1)
    alone, together = (max(_pace(threads) for _ in range(_TRIES)) for threads in (1, count))
    return max(1.0, count * together / alone)


def _pace(count: int) -> float:
    """How often a thread, in a second of its own, does a matrix product and a key stream beside others that do so."""
    paces = [0.0] * count
    start = time.perf_counter()

    def work(index: int) -> None:
        matrix, words = np.ones((_SIDE, _SIDE), np.uint64), np.zeros(_WORDS, np.uint64)
        done, begun = 0, time.thread_time()
        while time.perf_counter() - start < _TRY_S:
            kernels.matmul(matrix, matrix)
            kernels.xor_prg(words, bytes(16), 0, out=words)
            done += 1
        paces[index] = done / (time.thread_time() - begun)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(paces) / count
