# SPDX-License-Identifier: Apache-2.0
"""The three ways to run a program: all parties in this process, one process a party here, one party an institution."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jali.core import config
from jali.core.errors import JaliError, ModeUnknown, UnsupportedValue
from jali.devices.federation import Federation, failure
from jali.devices.handle import Handle, Placeholder
from jali.devices.progress import listeners
from jali.graph.ledger import Ledger, ledger_of
from jali.graph.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.devices.report import Report
    from jali.transport.session import Session

__all__ = ["abandon_all", "close_all", "connect", "plan", "plans", "reveal", "simulate", "with_helper"]

HELPER = "dealer"
EXPLAIN = "explain"

_planned: list[Federation] = []
_open: weakref.WeakSet[Federation] = weakref.WeakSet()


def simulate(*parties: str) -> Federation:
    """A federation of `parties` in this process: a thread and a memory channel each, the same cryptography.

    A helper party "dealer", which holds no data, is added unless one of that name is given.

    Example:
    >>> import jali
    >>> with jali.simulate("alice", "bob") as fed:
    ...     x = fed.plain("alice")(lambda: 3)()
    ...     y = fed.plain("bob")(lambda: 4)()
    ...     print(jali.reveal(fed.mpc("alice", "bob")(lambda a, b: a + b)(x, y), to="all"))
    7
    """
    return _simulation(with_helper(parties))


def connect(path: str | Path | None = None, *, me: str | None = None, without: Sequence[str] = ()) -> Federation:
    """Join a federation as one of its parties, or as `jali run` says.

    `without` names parties that do not come, such as a dealer that dealt ahead of time (`jali run --without`).

    Without arguments, `jali run` decides: ``--as alice`` and ``--parties`` make this process one party over TLS,
    ``--simulate`` makes it all of them. Elsewhere name the federation file, and the party with `me`.

    Raises: ModeUnknown if neither says which party this is; errors of the configuration, of certificates and of
    peers that do not come (J1xxx, J3xxx).
    """
    mode = os.environ.get("JALI_MODE", "")
    found = path or os.environ.get("JALI_FEDERATION")
    together = mode in {"simulate", EXPLAIN}
    party = None if together else me or os.environ.get("JALI_PARTY")
    if found is None and together:
        raise ModeUnknown(
            "jali.connect() does not know which parties there are: `jali run` it with --parties alice,bob or with "
            "--federation FILE, or call jali.connect('federation.toml')"
        )
    if found is None or (party is None and not together):
        raise ModeUnknown(
            "jali.connect() does not know which party this is: start the program with "
            "`jali run PROGRAM.py --parties alice,bob` (or --simulate, or --as, with a federation file), or call "
            "jali.connect('federation.toml', me='PARTY')"
        )
    absent = without or [name for name in os.environ.get("JALI_WITHOUT", "").split(",") if name]
    settings = config.load(Path(os.environ.get("JALI_FEDERATION") or found)).without(absent)
    if party is None:
        return _simulation(settings)
    from jali.transport.connect import connect_tls

    sessions = {party: connect_tls(settings, party, program_digest=_script_digest())}
    return _federation(settings, sessions, kept=True)


def reveal(x: Handle | Placeholder, *, to: Any) -> Any:
    """Show a value to the parties in `to`: the only door out of a device, recorded in the ledger.

    `to` is a device, a party's name, a list of them, or "all". Returns the value (arrays, or trees of arrays) where
    this process hosts one of them, else a placeholder that may be passed on to devices but not looked at.

    Cost: 1 round; 8 bytes an element from each evaluator.
    Raises: what ended the run, if it failed; JaliError of any kind.
    """
    if not isinstance(x, (Handle, Placeholder)):
        raise UnsupportedValue(f"expected a handle, found {type(x).__name__}: it is on no device and needs no reveal")
    return x.program.reveal(x, to)


def with_helper(parties: tuple[str, ...]) -> config.Federation:
    """Settings of a federation on this machine, with a helper party unless one of that name is given."""
    return config.local(parties if HELPER in parties else (*parties, HELPER), helpers=(HELPER,))


def close_all() -> None:
    """Close every federation of this process, in the order in which they were made."""
    for federation in list(_open):
        federation.close()


def abandon_all(error: BaseException) -> None:
    """End every federation of this process, at all parties, because the program failed."""
    for federation in list(_open):
        federation.abandon(failure(error))


def plan(settings: config.Federation) -> Federation:
    """A federation in which nothing runs: programs are traced and priced (see `jali.explain`)."""
    planned = Federation(settings)
    _planned.append(planned)
    return planned


def plans(network: str | None = None) -> list[Report]:
    """What the programs of this process would do, where `jali run --explain` only plans them."""
    return [planned.report(network=network) for planned in _planned]


def _simulation(settings: config.Federation) -> Federation:
    if os.environ.get("JALI_MODE") == EXPLAIN:
        return plan(settings)
    from jali.transport.memory import connect_memory

    sessions = connect_memory(settings.parties, federation_digest=settings.digest())
    return _federation(settings, sessions, kept=False)


def _federation(settings: config.Federation, sessions: dict[str, Session], *, kept: bool) -> Federation:
    federation = Federation(settings)
    for party, session in sessions.items():
        ledger = ledger_of(settings, party) if kept else Ledger(party)
        runtime = Runtime(session, ledger, node_s=settings.network.node_s, progress=listeners.tell)
        federation.program.host(runtime)
    _open.add(federation)
    return federation


def _script_digest() -> bytes:
    from jali.crypto.hashing import digest

    script = Path(sys.argv[0])
    return digest("devices.script", script.read_bytes()) if script.is_file() else b""


def _at_exit() -> None:
    error = getattr(sys, "last_value", None)
    if error is not None:
        abandon_all(error)
        return
    try:
        close_all()
    except JaliError as late:
        sys.stderr.write(f"{late}\n")
        os._exit(late.exit_status)


# Not atexit, which comes after the executors of nodes have been shut down (by a hook that was registered earlier).
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]  # noqa: SLF001 - no public hook comes in time
