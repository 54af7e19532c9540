# SPDX-License-Identifier: Apache-2.0
"""The mpc device: ordinary jax.numpy functions on values that no single party can see."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from jali.core.errors import DeviceInvalid, ProgramMismatch
from jali.core.tree import unflatten
from jali.crypto.hashing import digest
from jali.devices.doors import move
from jali.devices.ranges import check_as_guest, check_ranges, numbers_from, outside_owners
from jali.devices.roles import Layout, RoleParts, each_role
from jali.devices.specs import types_of_specs
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
    from jali.mpc.dealing.manifest import Manifest
    from jali.mpc.ir import Program as Compiled
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
        self.parties = layout.roles[: len(PROTOCOLS.get(layout.protocol).owners)]
        self.participants = layout.present

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
            dealing=settings.dealing,
            store=settings.store,
            numbers=numbers_from(
                fraction=settings.fraction,
                rounding=settings.rounding,
                ranges=settings.ranges,
                input_bound=settings.input_bound,
                ring=settings.ring,
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
        dealing: str | None = None,
        store: str | Path = "",
        numbers: Numbers | None = None,
    ) -> MpcDevice:
        """Choose what is not said: the protocol by the number of parties, the dealer from the helpers.

        Raises: DeviceInvalid if the parties, the protocol, the dealer and the way of dealing do not fit together.
        """
        chosen = protocol or {1: "plain", 2: "m2k", 3: "rep3"}.get(len(parties))
        if chosen is None:
            raise DeviceInvalid(f"no protocol for {len(parties)} parties; name two (m2k), three (rep3), or a protocol")
        kind = PROTOCOLS.get(chosen)
        if len(parties) != len(kind.owners) or len(set(parties)) != len(parties):
            raise DeviceInvalid(
                f"protocol {chosen!r} runs between {len(kind.owners)} different parties, found {', '.join(parties)}"
            )
        ahead = cls._ahead(chosen, dealing, str(store), insecure_dealer)
        roles = parties
        if len(kind.roles) > len(kind.owners):
            roles = (*parties, cls._dealer(program, parties, dealer, insecure_dealer, ahead=ahead))
        elif dealer or insecure_dealer:
            who = f"{parties[kind.dealer]!r}, its last party, deals" if kind.dealer else "it has no dealer"
            raise DeviceInvalid(f"protocol {chosen!r} takes no other party as dealer: {who}; remove the dealer")
        label = name or f"mpc({', '.join(parties)})"
        if ahead and (numbers or Numbers()).rounding == "exact":
            numbers = msgspec.structs.replace(numbers or Numbers(), rounding="probabilistic")
        computing = tuple(party for role, party in enumerate(parties) if not (ahead and role == kind.dealer))
        layout = Layout(
            chosen,
            tuple(roles),
            computing,
            dealing=dealing or "stream",
            store=str(store),
            numbers=numbers or Numbers(),
        )
        return cls(program, label, layout)

    @staticmethod
    def _ahead(protocol: str, dealing: str | None, store: str, insecure_dealer: str | None) -> bool:
        """Whether everything is dealt before, and that this can be."""
        if dealing not in {None, "stream", "prefetch", "ahead"}:
            raise DeviceInvalid(f'expected "stream", "prefetch" or "ahead" as dealing, found {dealing!r}')
        if dealing is not None and PROTOCOLS.get(protocol).dealer is None:
            raise DeviceInvalid(
                f"protocol {protocol!r} has no dealer, so dealing = {dealing!r} has no meaning: remove it"
            )
        if (dealing == "ahead") != bool(store):
            raise DeviceInvalid('dealing = "ahead" and a store (the folder of what is dealt) go together; found one')
        if dealing == "ahead" and insecure_dealer:
            raise DeviceInvalid(
                f"{insecure_dealer!r} is there whenever the device computes: leave out dealing and store"
            )
        return dealing == "ahead"

    @staticmethod
    def _dealer(
        program: Program,
        parties: tuple[str, ...],
        dealer: str | None,
        insecure_dealer: str | None,
        *,
        ahead: bool,
    ) -> str:
        if insecure_dealer:
            sys.stderr.write(
                f"warning: {insecure_dealer!r} is the dealer of {' and '.join(parties)} as insecure_dealer: "
                "it can read every secret of the device if it is one of them\n"
            )
            return insecure_dealer
        if dealer is None:
            helpers = [p for p, s in program.settings.parties.items() if s.role == "helper"]
            dealer = helpers[0] if helpers else None
        if dealer is None and ahead:
            return ""
        if dealer is None:
            raise DeviceInvalid(
                f"two-party MPC of {' and '.join(parties)} needs a dealer, and the federation has no helper party; add "
                'one ([parties.dealer] with role = "helper"), add a third party (rep3), or accept the risk with '
                f"insecure_dealer = {parties[0]!r}"
            )
        if dealer not in program.parties and not ahead:
            raise DeviceInvalid(
                f"{dealer!r} deals for {' and '.join(parties)} and does not come to this run: run with it, or say "
                'dealing = "ahead" and use what it dealt before'
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

    def deal_ahead(self, function: Callable[..., Any], *, count: int = 1) -> Callable[..., Manifest]:
        """Have dealt what `function` needs, for `count` calls, into each party's store; wait until it is there.

        Give shapes in place of values: ``device.deal_ahead(train, count=8)(jali.Spec((100, 5)), rate=0.1)`` serves 8
        calls ``device(train)(x, rate=0.1)``. The dealer must be there; what a store had for the same calls is
        replaced. Returns the list of what each call is dealt.

        Raises: DeviceInvalid if the device deals in another way, or the federation has no dealer; WriteFailed.
        """

        def call(*args: Any, **kwargs: Any) -> Manifest:
            return self._deal_ahead(function, args, kwargs, count=count)

        return call

    def executions_left(self, function: Callable[..., Any]) -> Callable[..., dict[str, int]]:
        """How many calls the stores of the parties that run here still serve; give shapes as to `deal_ahead`.

        Raises: DealingMissing if nothing was dealt for this function and these shapes; DealingBroken, DealingCopied.
        """

        def call(*args: Any, **kwargs: Any) -> dict[str, int]:
            from jali.mpc.dealing.store import Store, store_path

            manifest = self._planned(function, args, kwargs)[1].digest()
            left = {}
            for party in self.layout.evaluators:
                if party in self.program.runtimes:
                    with Store(store_path(Path(self.layout.store), party, manifest), party) as store:
                        left[party] = store.left
            return left

        return call

    def _planned(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Compiled, Manifest]:
        """The program for these shapes and what it is dealt. Raises: DeviceInvalid if that is not dealt before."""
        from jali.mpc.dealing.manifest import manifest_of
        from jali.mpc.prepare import prepare

        numbers = self.layout.numbers
        if self.layout.absent is None:
            raise DeviceInvalid(f'{self.name} deals while it computes: say dealing = "ahead" and store = "FOLDER"')
        shapes, named = types_of_specs(args, numbers), types_of_specs(kwargs, numbers)
        compiled = prepare(function, shapes, keywords=named, numbers=numbers, beforehand=True).program
        return compiled, manifest_of(compiled, self.layout.protocol)

    def _deal_ahead(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, count: int
    ) -> Manifest:
        program, layout = self.program, self.layout
        compiled, manifest = self._planned(function, args, kwargs)
        if not set(layout.roles) <= set(program.parties):
            raise DeviceInvalid(f"{self.name} has no dealer in this federation, so nothing can be dealt now; add one")
        if count < 1:
            raise DeviceInvalid(f"expected a count of executions of at least 1, found {count}")
        node = program.append(
            "mpc.deal",
            device=self.name,
            participants=tuple(dict.fromkeys(layout.roles)),
            inputs=(),
            attributes={
                "device": layout,
                "program": compiled,
                "manifest": manifest,
                "count": count,
                "federation": program.settings.name,
            },
            fingerprint=digest("devices.deal", manifest.digest(), count, layout.fingerprint),
            visibility=Visibility("secret", (self.name,)),
            text=f"deal {function_name(function)}",
        )
        for runtime in program.runtimes.values():
            if runtime.party in node.participants:
                runtime.value(node)
        return manifest

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
                "federation": program.settings.name,
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
        from jali.mpc.prepare import prepare, secrets_in

        layout: Layout = attributes["device"]
        played = layout.played_by(context.party)
        if not played:
            return check_as_guest(context, layout, inputs)
        args, kwargs = attributes["arguments"].fill(tuple(parts[played[0]] for parts in inputs))
        dealt = layout.absent is not None
        prepared = prepare(attributes["function"], args, keywords=kwargs, numbers=layout.numbers, beforehand=dealt)
        check_ranges(context, layout, prepared, inputs, used=secrets_in(args, kwargs))
        _agree(context, prepared.program.digest(), layout)

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, Any]:
            own_args, own_kwargs = attributes["arguments"].fill(tuple(parts[protocol.role] for parts in inputs))
            return run_on_secrets(prepared, protocol, own_args, own_kwargs, apart=dealt)

        if not dealt:
            return each_role(context, layout, operation)
        from jali.devices.dealing import taken

        with taken(context, layout, prepared.program, federation=attributes["federation"]) as dealing:
            return each_role(context, layout, operation, dealing=dealing)


def run_on_secrets(
    prepared: Prepared, protocol: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, apart: bool = False
) -> Generator[Round, Any, Any]:
    """Run a prepared function at one role on its arguments; the result nests as the function's own.

    `apart`: with dealings of its own, of which other nodes know nothing (`jali.mpc.dealing.manifest`).
    """
    from jali.mpc.dealing.manifest import run_apart
    from jali.mpc.prepare import run_prepared
    from jali.mpc.program import run_program

    secrets = yield from run_prepared(prepared, protocol, args, kwargs, run=run_apart if apart else run_program)
    return unflatten(prepared.program.output_structure, secrets)


def _agree(context: Context, own: bytes, layout: Layout) -> None:
    others = [p for p in layout.present if p != context.party]
    for party in others:
        context.stream(party, "~agree").send(own)
    for party in others:
        if bytes(context.stream(party, "~agree").receive()) != own:
            raise ProgramMismatch(
                f"{context.party!r} and {party!r} compiled different programs for {context.node.text!r}: a constant, "
                "an option or the version of jax differs",
                party=party,
            )
