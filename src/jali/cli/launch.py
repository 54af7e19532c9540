# SPDX-License-Identifier: Apache-2.0
"""One operating-system process a party: started together, heard together, ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

__all__ = ["Process", "launch", "tether"]

GRACE_S = 20.0
TERMINATE_S = 3.0
POLL_S = 0.05
SIGNAL_STATUS = 128
TETHERED = "JALI_TETHERED"

Listener = "Callable[[str, str, bool], None]"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What to start for a party: a command, in a directory, with additions to the environment."""

    party: str
    command: tuple[str, ...]
    directory: Path | None = None
    environment: Mapping[str, str] = {}


def launch(
    processes: Sequence[Process],
    *,
    hear: Callable[[str, str, bool], None] | None = None,
    started: Callable[[Mapping[str, int]], None] | None = None,
) -> int:
    """Run the processes until all have ended; give the first failing exit status, or 0.

    `hear(party, line, error)` gets each line they print (`error` for standard error); by default the lines go to this
    process's own outputs with the party in front. `started` gets the process ids. When one fails, the others have 20
    seconds to notice and end by themselves. Interrupts are passed on; no process is left behind, even if this one is
    killed (see `tether`).
    """
    listener = hear or _prefixed(max((len(process.party) for process in processes), default=0))
    children: dict[str, subprocess.Popen[str]] = {}
    ears: list[threading.Thread] = []
    with _forwarding(children):
        try:
            for process in processes:
                child = _start(process)
                children[process.party] = child
                ears += _listen(process.party, child, listener)
            if started is not None:
                started({party: child.pid for party, child in children.items()})
            return _wait(children)
        finally:
            _end(children)
            for ear in ears:
                ear.join(TERMINATE_S)


def tether() -> None:
    """In a process that `launch` started: end when the launcher is gone, however it went.

    The launcher holds the other end of standard input, and the system closes it with the launcher. For the program
    standard input is empty.
    """
    if not os.environ.pop(TETHERED, ""):
        return
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with_launcher, args=(line,), name="tether", daemon=True).start()


def _end_with_launcher(line: int) -> None:
    while os.read(line, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _start(process: Process) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", TETHERED: "1", **process.environment}
    return subprocess.Popen(  # noqa: S603 - the command is ours
        process.command,
        cwd=process.directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _listen(party: str, child: subprocess.Popen[str], hear: Callable[[str, str, bool], None]) -> list[threading.Thread]:
    def read(stream: IO[str], *, error: bool) -> None:
        with stream:
            for line in stream:
                hear(party, line.rstrip("\n"), error)

    ears = []
    for stream, error in ((child.stdout, False), (child.stderr, True)):
        if stream is not None:
            ear = threading.Thread(
                target=read, args=(stream,), kwargs={"error": error}, name=f"hear {party}", daemon=True
            )
            ear.start()
            ears.append(ear)
    return ears


def _wait(children: Mapping[str, subprocess.Popen[str]]) -> int:
    """Until all have ended, or until the grace after the first failure is over."""
    first = 0
    deadline = float("inf")
    while True:
        statuses = [child.poll() for child in children.values()]
        failed = next((status for status in statuses if status), 0)
        if failed and not first:
            first, deadline = failed, time.monotonic() + GRACE_S
        if all(status is not None for status in statuses) or time.monotonic() > deadline:
            return first if first >= 0 else SIGNAL_STATUS - first
        _wait_a_little(children)


def _wait_a_little(children: Mapping[str, subprocess.Popen[str]]) -> None:
    running = next((child for child in children.values() if child.poll() is None), None)
    if running is not None:
        with suppress(subprocess.TimeoutExpired):
            running.wait(POLL_S)


def _end(children: Mapping[str, subprocess.Popen[str]]) -> None:
    """Terminate what still runs, then kill it."""
    for action in (signal.SIGTERM, signal.SIGKILL):
        _signal(children, action)
        deadline = time.monotonic() + TERMINATE_S
        for child in children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                break
    for child in children.values():
        if child.stdin is not None:
            child.stdin.close()


def _signal(children: Mapping[str, subprocess.Popen[str]], number: int) -> None:
    for child in tuple(children.values()):
        if child.poll() is None:
            child.send_signal(number)


@contextmanager
def _forwarding(children: Mapping[str, subprocess.Popen[str]]) -> Iterator[None]:
    """Pass interrupts on; a second one, or a request to terminate, ends this process (and its children on the way)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of handlers
        nonlocal count
        count += 1
        if number == signal.SIGTERM or count > 1:
            raise SystemExit(SIGNAL_STATUS + number)
        _signal(children, number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prefixed(width: int) -> Callable[[str, str, bool], None]:
    lock = threading.Lock()

    def hear(party: str, line: str, error: bool) -> None:  # noqa: FBT001 - the listener's signature
        stream = sys.stderr if error else sys.stdout
        with lock:
            stream.write(f"{party.ljust(width)} | {line}\n")
            stream.flush()

    return hear
