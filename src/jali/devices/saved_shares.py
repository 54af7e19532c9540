# SPDX-License-Identifier: Apache-2.0
"""What the parties do when a secret is saved and loaded: agree on which saving it is, then write or read their parts.

All holders of a saving agree on a digest over its name, number, random identity, device, structure and types. Loading
compares all that before anything is used, so files of different runs, names, devices or programs never meet.

A saving replaces the one before it under its name, and a crash half-way leaves at every party one that all have: old
files go when every party has said that its new one is on the disk, and a load takes the latest that all have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from jali.core.errors import MalformedMessage, SavedMismatch, SavedMissing
from jali.core.tree import Structure, flatten, unflatten
from jali.crypto.hashing import digest
from jali.crypto.randomness import random_bytes
from jali.devices.pinned import pinned_types
from jali.devices.roles import RoleParts, each_role
from jali.devices.secret_moves import fresh_parts
from jali.devices.vault import HEADERS, RUN_BYTES, Header, Saving, Vault
from jali.mpc.parts import from_parts
from jali.mpc.registry import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jali.devices.roles import Layout
    from jali.graph.context import Context
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.engine import SecretArray
    from jali.mpc.rounds import Round

    Words = NDArray[np.uint64]

__all__ = ["AskSaved", "LoadShares", "SaveShares"]

LABEL = "~saved"

T = TypeVar("T")

_SAVING = msgspec.msgpack.Decoder(Saving)
_SAVINGS = msgspec.msgpack.Decoder(list[Saving])


class SaveShares:
    """Every holder writes its part, hears that all others have, and only then forgets what it saved before.

    Cost: nothing that counts: short messages between the holders.
    """

    name = "mpc.save"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> None:
        """Write this party's part. Raises: WriteFailed, SavedInvalid, SavedMissing; SavedMismatch if peers differ."""
        layout: Layout = attributes["device"]
        name: str = attributes["name"]
        vault = Vault(attributes["settings"], context.party)
        role = _holder(layout, context.party)
        secrets, structure = flatten(inputs[0][role])
        number, run = _begin(context, layout, vault, name)
        header = Header(
            name=name,
            number=number,
            run=run,
            protocol=layout.protocol,
            roles=layout.roles,
            holder=role,
            tree=structure.to_value(),
            types=tuple(secret.type for secret in secrets),
        )
        context.note["saved"] = header.digest().hex()
        vault.write(header, fresh_parts(context, layout, secrets))
        for party, theirs in _exchange(context, layout, header.digest()).items():
            if theirs != header.digest():
                raise SavedMismatch(f"{context.party} and {party} saved different values as {name!r}", party=party)
        vault.forget(name, before=number)


def _begin(context: Context, layout: Layout, vault: Vault, name: str) -> tuple[int, bytes]:
    """The number of this saving, higher than any before it at any holder, and its identity, to which all contribute."""
    last = max((saving.number for saving in vault.savings(name)), default=0)
    own = msgspec.msgpack.encode(Saving(last, random_bytes(RUN_BYTES).hex()))
    said = {context.party: own, **_exchange(context, layout, own)}
    number = 1 + max(_decoded(words, _SAVING, party).number for party, words in said.items())
    return number, digest("devices.saved.run", *(said[party] for party in layout.holders))[:RUN_BYTES]


class LoadShares:
    """The holders find the latest saving that all of them have, compare what it says of itself, and hand it in.

    Cost: that of the protocol's `from_parts`, and short messages.
    """

    name = "mpc.load"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> RoleParts:
        """This party's shares. Raises: SavedMissing, SavedInvalid, SavedMismatch, SavedVersionUnknown."""
        del inputs
        layout: Layout = attributes["device"]
        name: str = attributes["name"]
        parts: list[Words] | None = None
        own: Header | None = None
        if context.party in layout.holders:
            vault = Vault(attributes["settings"], context.party)
            own, parts = vault.read(name, _latest(context, layout, vault, name))
            _require_fit(own, name, layout, context.party)
        header = _agreed(context, layout, own)
        _require_fit(header, name, layout, layout.holders[0])
        structure, types = Structure.from_value(header.tree), list(header.types)
        _require_pins(name, attributes["returns"], structure, header)
        context.outline = (structure, types)
        context.note["saved"] = header.digest().hex()

        def operation(protocol: MpcProtocol) -> Generator[Round, Any, list[SecretArray]]:
            mine = parts if own is not None and protocol.role == own.holder else None
            return from_parts(protocol, mine, types)

        found = each_role(context, layout, operation)
        return RoleParts({role: unflatten(structure, secrets) for role, secrets in found.items()})


class AskSaved:
    """The holders compare what they have, and the first tells everybody.

    Cost: nothing that counts: short messages.
    """

    name = "mpc.saved"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> bool:
        """Whether all holders have a saving in common."""
        del inputs
        layout: Layout = attributes["layout"]
        first = layout.holders[0]
        if context.party not in layout.holders:
            return bytes(context.stream(first, LABEL).receive()) == b"yes"
        vault = Vault(attributes["settings"], context.party)
        found = bool(_common(context, layout, vault, attributes["name"]))
        if context.party == first:
            for party in context.participants:
                if party not in layout.holders:
                    context.stream(party, LABEL).send(b"yes" if found else b"no")
        return found


def _latest(context: Context, layout: Layout, vault: Vault, name: str) -> Saving:
    savings = vault.savings(name)
    if not savings:
        raise SavedMissing(
            f"{context.party} has nothing saved as {name!r} (looked in {vault.directory}): did an earlier run save it, "
            "on this machine and with this federation file?",
            party=context.party,
        )
    common = _common(context, layout, vault, name)
    if not common:
        parties = " and ".join(layout.holders)
        raise SavedMismatch(
            f"{parties} have {name!r}, but not of one run: a file was restored or deleted at one of them. Put back "
            "files of the same run at all, or save the value again"
        )
    return max(common)


def _common(context: Context, layout: Layout, vault: Vault, name: str) -> set[Saving]:
    """The savings of a name that all holders have."""
    savings = vault.savings(name)
    common = set(savings)
    for party, theirs in _exchange(context, layout, msgspec.msgpack.encode(savings)).items():
        other: list[Saving] = _decoded(theirs, _SAVINGS, party)
        common &= set(other)
    return common


def _agreed(context: Context, layout: Layout, own: Header | None) -> Header:
    """What all holders say of the value alike; the others hear it from each of them."""
    if own is not None:
        for party in context.participants:
            if party != context.party:
                context.stream(party, LABEL).send(own.agreed())
    said = {p: bytes(context.stream(p, LABEL).receive()) for p in layout.holders if p != context.party}
    if own is not None:
        said[context.party] = own.agreed()
    first = layout.holders[0]
    for party, words in said.items():
        if words != said[first]:
            raise SavedMismatch(
                f"{first} and {party} saved different values: restore files of one run at both", party=party
            )
    return HEADERS.decode(said[first])


def _exchange(context: Context, layout: Layout, words: bytes) -> dict[str, bytes]:
    """Tell the other holders, and hear from them."""
    others = [party for party in layout.holders if party != context.party]
    for party in others:
        context.stream(party, LABEL).send(words)
    return {party: bytes(context.stream(party, LABEL).receive()) for party in others}


def _decoded(words: bytes, form: msgspec.msgpack.Decoder[T], party: str) -> T:
    try:
        return form.decode(words)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise MalformedMessage(f"{party} sent something else than what it saved", party=party) from None


def _holder(layout: Layout, party: str) -> int:
    """The role in which a party holds a part."""
    roles: tuple[int, ...] = PROTOCOLS.get(layout.protocol).holders
    return roles[layout.holders.index(party)]


def _require_fit(header: Header, name: str, layout: Layout, party: str) -> None:
    if header.name != name:
        raise SavedMismatch(f"{party} has a file of {header.name!r} under the name {name!r}", party=party)
    if (header.protocol, header.roles) != (layout.protocol, layout.roles):
        raise SavedMismatch(
            f"{name!r} was saved on {header.protocol} of {', '.join(header.roles)} (in the order of its roles), not on "
            f"{layout.protocol} of {', '.join(layout.roles)}: load it on that device, then move it with x.to(device)",
            party=party,
        )
    if header.holder not in (-1, _holder(layout, party)):
        raise SavedMismatch(f"{party} has another party's file of {name!r}: put back its own", party=party)


def _require_pins(name: str, returns: Any, structure: Structure, header: Header) -> None:
    pins = pinned_types(returns)
    if pins is None or (pins[0] == structure and tuple(pins[1]) == header.types):
        return
    raise SavedMismatch(
        f"the program says that {name!r} is {_described(*pins)}; saved is {_described(structure, header.types)}: "
        "correct returns=, or save the value again"
    )


def _described(structure: Structure, types: Sequence[Any]) -> str:
    return f"{structure} of {', '.join(str(kind) for kind in types)}"
