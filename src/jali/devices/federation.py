# SPDX-License-Identifier: Apache-2.0
"""A federation as a program sees it: its parties' devices, and what a run has cost.

One engine serves a notebook (`simulate`: all parties in this process), processes on one machine and institutions
(`connect`: one party a process). The program, the cryptography and the agreement between parties are the same.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Unpack

from jali.core.errors import JaliError, ProgramFailed, UnknownDevice
from jali.core.registry import Registry
from jali.devices.mpc import MpcDevice
from jali.devices.plain import PlainDevice
from jali.devices.program import Program
from jali.devices.ranges import NumberOptions, numbers_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from jali.core import config
    from jali.devices.report import Report
    from jali.transport.network import Network

__all__ = ["KINDS", "Federation", "failure"]

KINDS: Final[Registry] = Registry(
    "jali.devices", builtin={"plain": "jali.devices.plain:PlainDevice", "mpc": "jali.devices.mpc:MpcDevice"}
)
Device = Any  # what a device kind makes: callable on functions, with `kind`, `name`, `parties`


class Federation:
    """Devices and reports of one program. Close it at the end (it is a context manager)."""

    def __init__(self, settings: config.Federation) -> None:
        """Made by `jali.simulate`, `jali.connect` and `jali.explain`."""
        self.settings = settings
        self.program = Program(settings)

    @property
    def parties(self) -> tuple[str, ...]:
        """All parties, in the federation's order."""
        return self.program.parties

    @property
    def hosted(self) -> tuple[str, ...]:
        """The parties whose part runs in this process."""
        return tuple(self.program.runtimes)

    def plain(self, party: str) -> PlainDevice:
        """The plain device of `party`."""
        return PlainDevice(self.program, self.program.require_party(party), party)

    def mpc(
        self,
        *parties: str,
        protocol: str | None = None,
        dealer: str | None = None,
        insecure_dealer: str | None = None,
        dealing: str | None = None,
        store: str | Path = "",
        **numbers: Unpack[NumberOptions],
    ) -> MpcDevice:
        """An MPC device of `parties`: two with a dealer (`m2k`) or three (`rep3`) unless `protocol` says otherwise.

        `dealer` defaults to the federation's helper party. A party of the device may deal only as
        `insecure_dealer`: it could then read every secret.

        `dealing` says when the dealer deals: "stream" (while a node runs, the default), "prefetch" (the same, and the
        node starts when all is there) or "ahead" (before, by `deal_ahead`, into the folder `store` of each party; the
        dealer need not be there when the device computes).

        Numbers have `fraction` bits after the point (18; "auto": the most for which a program is safe). What is
        revealed is rounded to nearest, unless `rounding` is "probabilistic". Programs and inputs are checked for
        overflow, unless `ranges` is "unchecked"; "strict" refuses programs that are not proven safe. `input_bound`
        declares that no input is larger in magnitude. Products and comparisons take place in the least ring that they
        are proven to fit (Z_2^128 to Z_2^16), unless `ring` is 64.
        """
        for party in (*parties, *(p for p in (dealer, insecure_dealer) if p)):
            self.program.require_party(party)
        return MpcDevice.make(
            self.program,
            parties,
            protocol=protocol,
            dealer=dealer,
            insecure_dealer=insecure_dealer,
            dealing=dealing,
            store=store,
            numbers=numbers_from(**numbers),
        )

    def device(self, name: str) -> Device:
        """The device of that name in the federation file."""
        found = self.settings.devices.get(name)
        if found is None:
            known = ", ".join(self.settings.devices) or "none"
            raise UnknownDevice(f"no device {name!r} in the federation file (known: {known}); add [devices.{name}]")
        device: Device = KINDS.get(found.kind).from_settings(self.program, name, found)
        return device

    def devices(self, template: str) -> list[Device]:
        """All devices ``template[0]``, ``template[1]``, … of the federation file, in order."""
        names = [name for name in self.settings.devices if name.startswith(f"{template}[")]
        if not names:
            raise UnknownDevice(f"no devices {template}[...] in the federation file")
        return [self.device(name) for name in names]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Group the nodes made inside under a name, for progress and reports."""
        before, self.program.stage = self.program.stage, name
        try:
            yield
        finally:
            self.program.stage = before

    def report(self, *, predicted: bool = True, network: str | Network | None = None) -> Report:
        """What ran so far: nodes, who learned what, bytes, rounds and seconds of the parties hosted here.

        With `predicted`, what MPC nodes should have cost stands beside it (the program is priced again: that takes
        about as long as its Python did). With a `network` (a name, or `jali.Network`), so do the seconds that they
        should have taken over it; see `jali.explain`. Raises: the error that ended the run.
        """
        return self.program.report(predicted=predicted, network=network)

    def close(self) -> None:
        """Wait for everything that runs, agree that the program has ended, and close the sessions.

        Raises: the error that ended the run.
        """
        self.program.close()

    def abandon(self, error: JaliError) -> None:
        """End the run at every party under this error."""
        self.program.abandon(error)

    def __repr__(self) -> str:
        """The parties, and which of them run here."""
        here = ", ".join(self.hosted) or "none: it only plans"
        return f"<Federation of {', '.join(self.parties)}; here: {here}>"

    def __enter__(self) -> Self:
        """The federation itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close, or end the run everywhere when the program failed."""
        if error is None:
            self.close()
        else:
            self.abandon(failure(error))


def failure(error: BaseException) -> JaliError:
    """What others are told of an exception of the program: its type only, since its message may hold data."""
    if isinstance(error, JaliError):
        return error
    failed = ProgramFailed(f"the program ended with {type(error).__name__}")
    failed.__cause__ = error
    return failed
