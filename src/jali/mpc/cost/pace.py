# SPDX-License-Identifier: Apache-2.0
"""What is known of this machine's speed: measured when it is first needed, then read from the user's cache folder."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from jali import __version__, kernels
from jali.core.errors import JaliError
from jali.core.files import read_text, write_atomically
from jali.crypto.hashing import digest
from jali.mpc.cost.duration import Duration, duration
from jali.mpc.cost.meter import Work
from jali.mpc.cost.speed import ProtocolSpeed, measure_protocol
from jali.mpc.registry import PROTOCOLS
from jali.transport.network import network_of
from jali.transport.speed import measure_machine
from jali.transport.timeline import MachineSpeed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jali.mpc.cost.estimate import Transcript
    from jali.transport.network import Network

__all__ = ["Pace", "cache_file", "pace_of", "rows"]

_SHOWN = ("mul, shifted", "sign", "is_zero", "select", "truncate", "linear")
_ELEMENTS = 100_000


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Speeds of this machine, of some protocols."""

    machine: MachineSpeed
    protocols: dict[str, ProtocolSpeed] = {}

    def duration(
        self,
        transcript: Transcript,
        *,
        protocol: str,
        network: str | Network,
        prepare_s: float | None = None,
        windows: dict[tuple[object, object], float] | None = None,
    ) -> Duration:
        """Predicted seconds of an operation over a network; see `jali.mpc.cost.duration.duration`."""
        return duration(
            transcript,
            speed=self.protocols[protocol],
            network=network_of(network),
            machine=self.machine,
            prepare_s=prepare_s,
            windows=windows,
        )


_PACES = msgspec.json.Decoder(Pace)


def pace_of(*protocols: str) -> Pace:
    """The speed of this machine and of these protocols; what is not in the cache is measured, which takes seconds."""
    file = cache_file()
    known = _read(file)
    missing = [name for name in protocols if known is None or name not in known.protocols]
    if known is not None and not missing:
        return known
    machine = known.machine if known is not None else measure_machine()
    speeds = {} if known is None else known.protocols
    found = Pace(machine=machine, protocols={**speeds, **{name: measure_protocol(name) for name in missing}})
    _write(file, found)
    return found


def rows() -> Iterator[dict[str, object]]:
    """Measure this machine anew, remember it, and give one row for it and one for each protocol's operation.

    Keys: suite, case; message_s, byte_s, cores; or n, protocol, parties and seconds, of the busiest role.
    """
    machine = measure_machine()
    yield {"suite": "speed", "case": "sessions and cores", **msgspec.structs.asdict(machine)}
    protocols = {}
    for name in (name for name in PROTOCOLS.names() if len(PROTOCOLS.get(name).roles) > 1):
        speed = protocols[name] = measure_protocol(name)
        count = len(PROTOCOLS.get(name).roles)
        for kind in _SHOWN:
            parts = min(int(key.split("/")[1]) for key in speed.work.steps if key.startswith(f"{kind}/"))
            work = Work(kind, _ELEMENTS, ((0.0, 0.0),) * parts)
            seconds = max(sum(wall for wall, _ in speed.seconds(role, work)) for role in range(count))
            yield {
                "suite": "speed",
                "case": kind,
                "n": _ELEMENTS,
                "protocol": name,
                "parties": count,
                "seconds": seconds,
            }
    _write(cache_file(), Pace(machine=machine, protocols=protocols))


def cache_file() -> Path:
    """Where the speeds of this machine, these kernels and this version are kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    facts = (platform.node(), platform.machine(), str(os.cpu_count()), str(kernels.report()["level"]))
    versions = (__version__, platform.python_version(), np.__version__)
    return root / "jali" / f"speed-{digest('mpc.pace', *facts, *versions).hex()[:16]}.json"


def _write(file: Path, pace: Pace) -> None:
    with suppress(JaliError, OSError):  # a folder that cannot be written costs the measurement each time, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, msgspec.json.encode(pace))


def _read(file: Path) -> Pace | None:
    try:
        return _PACES.decode(read_text(file))
    except (JaliError, msgspec.MsgspecError):
        return None
