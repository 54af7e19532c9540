# SPDX-License-Identifier: Apache-2.0
"""A user's program in this process, as python would run it; its federations are closed at its end."""

from __future__ import annotations

import runpy
import sys
import traceback
from typing import TYPE_CHECKING

from jali.core.errors import JaliError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["run_script"]

FAILED_STATUS = 1


def run_script(program: Path, arguments: Sequence[str] = ()) -> int:
    """Run a program as `python PROGRAM ARGUMENTS` does; give its exit status.

    When the program ends well, its federations are closed in order; when it fails, they end at every party. An
    exception of the program's own is shown with its traceback, here and nowhere else.

    Raises: JaliError of any kind; KeyboardInterrupt.
    """
    sys.argv = [str(program), *arguments]
    sys.path.insert(0, str(program.absolute().parent))
    try:
        runpy.run_path(str(program), run_name="__main__")
        _close_all()
    except SystemExit as leave:
        status = _status_of(leave)
        if status:
            _abandon_all(leave)
        else:
            _close_all()
        return status
    except (JaliError, KeyboardInterrupt) as error:
        _abandon_all(error)
        raise
    except Exception as error:  # noqa: BLE001 - the edge of the user's program: anything may come out of it
        _abandon_all(error)
        _show(error, str(program))
        return FAILED_STATUS
    return 0


def _status_of(leave: SystemExit) -> int:
    if leave.code is None or isinstance(leave.code, int):
        return leave.code or 0
    sys.stderr.write(f"{leave.code}\n")
    return FAILED_STATUS


def _show(error: Exception, program: str) -> None:
    """The traceback, from the program's first frame on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != program:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__)


def _close_all() -> None:
    devices = sys.modules.get("jali.devices.connect")
    if devices is not None:
        devices.close_all()


def _abandon_all(error: BaseException) -> None:
    devices = sys.modules.get("jali.devices.connect")
    if devices is not None:
        devices.abandon_all(error)
