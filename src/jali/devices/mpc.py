# SPDX-License-Identifier: Apache-2.0
"""The mpc device: ordinary jax.numpy functions on values that no single party can see."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jali.core.errors import DeviceInvalid, ProgramMismatch
from jali.core.tree import unflatten
from jali.crypto.hashing import digest
from jali.devices.doors import move
from jali.devices.ranges import check_as_guest, check_ranges, numbers_from, outside_owners
from jali.devices.roles import Layout, RoleParts, each_role
from jali.graph.fingerprint import function_fingerprint, function_name
from jali.graph.node import Visibility
from jali.mpc.numbers import Numbers
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from jali.core import config
    from jali.devices.program import Program
    from jali.graph.context import Context
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.prepare import Prepared
    from jali.mpc.rounds import Round

__all__ = ["MpcCall", "MpcDevice", "run_on_secrets"]


class MpcDevice:
    """Parties that compute together on shares. ``device(function)(*args)`` traces, agrees and runs."""

    kind = "mpc"

    def __init__(self, program: Program, name: str, layout: Layout) -> None:
        """Made by `Federation.mpc` or from the federation file."""
        self.program = program
        self.name = name
        self.layout = layout
        self.parties = layout.evaluators
        self.participants = tuple(dict.fromkeys(layout.roles))

    @classmethod
    def from_settings(cls, program: Program, name: str, settings: config.Device) -> MpcDevice:
        """The device of that name in the federation file."""
        return cls.make(
            program,
            settings.parties,
            name=name,
            protocol=settings.protocol,
            dealer=settings.dealer,
            insecure_dealer=settings.insecure_dealer,
            numbers=numbers_from(
                fraction=settings.fraction,
                rounding=settings.rounding,
                ranges=settings.ranges,
                input_bound=settings.input_bound,
            ),
        )

    @classmethod
    def make(
        cls,
        program: Program,
        parties: tuple[str, ...],
        *,
        name: str = "",
        protocol: str | None = None,
        dealer: str | None = None,
        insecure_dealer: str | None = None,
        numbers: Numbers | None = None,
    ) -> MpcDevice:
        """Choose what is not said: the protocol by the number of parties, the dealer from the helpers.

        Raises: DeviceInvalid if the parties, the protocol and the dealer do not fit together.
        """
        chosen = protocol or {1: "plain", 2: "m2k", 3: "rep3"}.get(len(parties))
        if chosen is None:
            raise DeviceInvalid(f"no protocol for {len(parties)} parties; name two (m2k), three (rep3), or a protocol")
        names = PROTOCOLS.get(chosen).roles
        dealt = names[-1] == "dealer"
        roles = parties
        if dealt:
            roles = (*parties, cls._dealer(program, parties, dealer, insecure_dealer))
        if len(roles) != len(names) or len(set(parties)) != len(parties):
            wanted = len(names) - dealt
            raise DeviceInvalid(
                f"protocol {chosen!r} runs between {wanted} different parties, found {', '.join(parties)}"
            )
        label = name or f"mpc({', '.join(parties)})"
        return cls(program, label, Layout(chosen, tuple(roles), tuple(parties), numbers=numbers or Numbers()))

    @staticmethod
    def _dealer(program: Program, parties: tuple[str, ...], dealer: str | None, insecure_dealer: str | None) -> str:
        if insecure_dealer:
            sys.stderr.write(
                f"warning: {insecure_dealer!r} is the dealer of {' and '.join(parties)} as insecure_dealer: "
                "it can read every secret of the device if it is one of them\n"
            )
            return insecure_dealer
        if dealer is None:
            helpers = [p for p, s in program.settings.parties.items() if s.role == "helper"]
            dealer = helpers[0] if helpers else None
        if dealer is None:
            raise DeviceInvalid(
                f"two-party MPC of {' and '.join(parties)} needs a dealer, and the federation has no helper party; add "
                'one ([parties.dealer] with role = "helper"), add a third party (rep3), or accept the risk with '
                f"insecure_dealer = {parties[0]!r}"
            )
        if dealer in parties:
            raise DeviceInvalid(
                f"{dealer!r} computes on this device and could read every secret as its dealer; name another party, or "
                f"ask for it: insecure_dealer = {dealer!r}"
            )
        return dealer

    def __call__(self, function: Callable[..., Any], *, returns: Any = None) -> Callable[..., Any]:
        """`function` (ordinary jax.numpy code) as it runs on shares; `returns` as for a plain device."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(function, args, kwargs, returns=returns)

        return call

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, returns: Any
    ) -> Any:
        program, layout = self.program, self.layout
        arguments, inputs, fingerprint = program.bind(args, kwargs)
        shared = [move(handle, self) for handle in inputs]
        outside = outside_owners(shared, layout)
        node = program.append(
            "mpc.call",
            device=self.name,
            participants=tuple(dict.fromkeys((*self.participants, *outside))),
            inputs=tuple(handle.node for handle in shared),
            attributes={
                "function": function,
                "arguments": arguments,
                "device": layout,
                "returns": returns,
                "outside": outside,
            },
            fingerprint=digest("devices.call", function_fingerprint(function), fingerprint, layout.fingerprint),
            visibility=Visibility("secret", (self.name,)),
            text=function_name(function),
        )
        return program.results(node, returns)

    def __repr__(self) -> str:
        """Protocol and parties."""
        return f"<mpc device {self.name!r}: {self.layout.protocol} of {', '.join(self.layout.roles)}>"


class MpcCall:
    """Every role compiles the function by itself, all compare the digests, then they run the program."""

    name = "mpc.call"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares of the result.

        Raises: ProgramMismatch if a party compiled another program; RangesUnsafe if it can overflow;
        FixedPointRangeError at a party whose numbers are too large for it.
        """
        from jali.mpc.prepare import prepare

        layout: Layout = attributes["device"]
        played = layout.played_by(context.party)
        if not played:
            return check_as_guest(context, layout, inputs)
        args, kwargs = attributes["arguments"].fill(tuple(parts[played[0]] for parts in inputs))
        prepared = prepare(attributes["function"], args, keywords=kwargs, numbers=layout.numbers)
        check_ranges(context, layout, prepared, inputs)
        _agree(context, prepared.program.digest(), layout)

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, Any]:
            own_args, own_kwargs = attributes["arguments"].fill(tuple(parts[protocol.role] for parts in inputs))
            return run_on_secrets(prepared, protocol, own_args, own_kwargs)

        return each_role(context, layout, operation)


def run_on_secrets(
    prepared: Prepared, protocol: MpcProtocol, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Generator[Round, Any, Any]:
    """Run a prepared function at one role on its arguments; the result nests as the function's own."""
    from jali.mpc.prepare import run_prepared

    secrets = yield from run_prepared(prepared, protocol, args, kwargs)
    return unflatten(prepared.program.output_structure, secrets)


def _agree(context: Context, own: bytes, layout: Layout) -> None:
    others = [p for p in dict.fromkeys(layout.roles) if p != context.party]
    for party in others:
        context.stream(party, "~agree").send(own)
    for party in others:
        if bytes(context.stream(party, "~agree").receive()) != own:
            raise ProgramMismatch(
                f"{context.party!r} and {party!r} compiled different programs for {context.node.text!r}: a constant, "
                "an option or the version of jax differs",
                party=party,
            )
