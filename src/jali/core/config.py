# SPDX-License-Identifier: Apache-2.0
"""The federation file: parties, devices and timeouts, in one schema.

::

    name = "credit"
    authority = "certs/authority.pem"        # paths are relative to the file

    [parties.bank]
    address = "127.0.0.1:7101"
    certificate = "certs/bank.pem"
    key = "certs/bank.key"                   # only at the party itself
    [parties."client[0..2]"]                 # a template: client[0], client[1], client[2]
    address = "127.0.0.1:{7200+i}"           # {i} and {N+i} in every string
    [parties.dealer]
    role = "helper"

    [devices.aggregator]
    kind = "mpc"
    parties = ["server[0..1]"]

Every party has its own copy. What must agree between them is in the digest: names, roles, devices and protocols, not
addresses and paths.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = [
    "DEVICE_KINDS",
    "PROTOCOLS",
    "Device",
    "Federation",
    "Ledger",
    "Network",
    "Party",
    "Saved",
    "explain",
    "load",
    "local",
]

DEVICE_KINDS = ("plain", "mpc")
PROTOCOLS = ("m2k", "m3k", "rep3", "aby3", "plain")

Seconds = Annotated[float, Meta(gt=0)]


class Party(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One organisation. `name` is the key of its table."""

    name: str = ""
    address: Annotated[str, Meta(description="host:port at which the others reach it; one port is enough")] = ""
    certificate: Annotated[str, Meta(description="file of its certificate (PEM), whose name is the party's")] = ""
    key: Annotated[str, Meta(description="file of its private key (PEM); only the party itself has it")] = ""
    role: Annotated[
        Literal["data", "helper"],
        Meta(description='"data", or "helper" for a party that holds no data, such as a dealer of randomness'),
    ] = "data"


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place to compute. `name` is the key of its table."""

    name: str = ""
    kind: Annotated[str, Meta(description='"plain" (one party, in the clear) or "mpc" (several, on secret shares)')]
    party: Annotated[str, Meta(description="the party of a plain device")] = ""
    parties: Annotated[tuple[str, ...], Meta(description="the computing parties of an mpc device, in order")] = ()
    protocol: Annotated[
        str | None,
        Meta(description='protocol of an mpc device: "m2k" (two parties), "rep3", "aby3" or "m3k" (three) or "plain"'),
    ] = None
    dealer: Annotated[
        str | None, Meta(description="helper party that deals randomness for m2k; the only helper when there is one")
    ] = None
    insecure_dealer: Annotated[
        str | None, Meta(description="a data party as dealer: it could read every secret of the device")
    ] = None
    dealing: Annotated[
        Literal["stream", "prefetch", "ahead"] | None,
        Meta(
            description='when the dealer deals: "stream" (while a node runs, the default), "prefetch" (the same, and '
            'the node starts when all is there) or "ahead" (before, into stores: the dealer need not be there)'
        ),
    ] = None
    store: Annotated[
        str, Meta(description='folder of what is dealt to this party with dealing = "ahead", beside the file')
    ] = ""
    fraction: Annotated[
        int | Literal["auto"] | None,
        Meta(description='fraction bits of numbers of an mpc device (18); "auto": the most that is safe, up to 18'),
    ] = None
    rounding: Annotated[
        Literal["exact", "probabilistic"] | None,
        Meta(description='of revealed results of an mpc device: "exact" (to nearest, the default) or "probabilistic"'),
    ] = None
    ranges: Annotated[
        Literal["checked", "strict", "unchecked"] | None,
        Meta(
            description='overflow on an mpc device: "checked" (the default), "strict" (programs that are not proven '
            'safe are refused) or "unchecked"'
        ),
    ] = None
    input_bound: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="what no input of an mpc device exceeds in magnitude; owners check it"),
    ] = None
    ring: Annotated[
        Literal["auto", 64] | None,
        Meta(description='of an mpc device: "auto" (for each product and comparison the least that fits) or 64'),
    ] = None


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deadlines and buffers of the sessions between parties."""

    connect_s: Annotated[Seconds, Meta(description="seconds to wait for the other parties at the start")] = 60.0
    node_s: Annotated[
        Seconds, Meta(description="seconds to wait for a peer at a joint node, and for each of its messages")
    ] = 600.0
    heartbeat_s: Annotated[Seconds, Meta(description="seconds between signs of life on an idle connection")] = 1.0
    silence_s: Annotated[Seconds, Meta(description="seconds without a sign of life until a peer counts as lost")] = 10.0
    reconnect_s: Annotated[Seconds, Meta(description="seconds in which a dropped connection may come back")] = 5.0
    window_mib: Annotated[
        int, Meta(ge=1, le=4096, description="mebibytes that a stream may hold before its sender waits")
    ] = 64


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of what was computed and disclosed."""

    directory: Annotated[
        str, Meta(description="folder of the hash-chained ledger, beside the file; empty means none")
    ] = "ledger"


class Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `jali.save` keeps of this party's shares."""

    directory: Annotated[
        str, Meta(description="folder of saved shares, encrypted, beside the file; empty means that nothing is saved")
    ] = "saved"
    keys: Annotated[
        str,
        Meta(description="folder of the keys that they are encrypted under; keep copies of it elsewhere than theirs"),
    ] = "saved-keys"


class Federation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A federation, with its templates expanded and its names checked.

    `path` is the file it was read from, empty when a program made it.
    """

    path: str = ""
    name: Annotated[str, Meta(min_length=1, description="name of the federation, in certificates and records")] = (
        "local"
    )
    authority: Annotated[str, Meta(description="file of the authority's certificate, which signed the parties'")] = ""
    parties: Annotated[dict[str, Party], Meta(description="a table for each party, or template of parties")] = {}
    devices: Annotated[dict[str, Device], Meta(description="a table for each device, or template of devices")] = {}
    network: Annotated[Network, Meta(description="deadlines and buffers")] = Network()
    ledger: Annotated[Ledger, Meta(description="where the record is kept")] = Ledger()
    saved: Annotated[Saved, Meta(description="where shares are kept that a program saves")] = Saved()

    def digest(self) -> bytes:
        """32 bytes over what all parties must agree on; addresses, paths (of stores too) and deadlines may differ.

        Covered: the federation's name; the parties' names and roles, in order; each device's kind, parties, protocol,
        dealer, way of dealing, and how it computes with numbers.
        """
        agreed = [
            "jali.federation.v1",
            self.name,
            [[party.name, party.role] for party in self.parties.values()],
            [list(msgspec.structs.astuple(msgspec.structs.replace(d, store=""))) for d in self.devices.values()],
        ]
        return sha256(msgspec.msgpack.encode(agreed)).digest()

    def without(self, names: Sequence[str]) -> Federation:
        """The federation of those who come to a run when `names` do not, such as a dealer that dealt ahead of time.

        Raises: UnknownName if there is no such party.
        """
        for name in names:
            if name not in self.parties:
                from jali.core.errors import UnknownName
                from jali.core.nearmiss import suggest

                raise UnknownName(f"the federation has no party {name!r}{suggest(name, self.parties)}")
        parties = {name: party for name, party in self.parties.items() if name not in names}
        return msgspec.structs.replace(self, parties=parties)

    @property
    def helpers(self) -> tuple[str, ...]:
        """The parties that hold no data."""
        return tuple(party.name for party in self.parties.values() if party.role == "helper")

    def insecure_choices(self) -> tuple[str, ...]:
        """One sentence for each choice that gives protection away; to be printed at the start of a run."""
        found = []
        for device in self.devices.values():
            if device.insecure_dealer:
                found.append(f"device {device.name!r}: its dealer {device.insecure_dealer!r} could read every secret")
            if device.protocol == "plain":
                found.append(f"device {device.name!r}: protocol 'plain' computes in the clear")
        return tuple(found)


def load(path: str | os.PathLike[str]) -> Federation:
    """The federation that a file describes, with templates expanded and paths made absolute.

    Raises: FileMissing, EncodingWrong, ConfigInvalid, UnknownKey, UnknownName, BadRange, DuplicateName, DealerMissing.
    """
    from jali.core import federation_file

    return federation_file.load(path)


def local(parties: Sequence[str], *, helpers: Sequence[str] = (), name: str = "local") -> Federation:
    """A federation of these parties, without addresses, certificates or devices, for simulations.

    `helpers` are those of the parties that hold no data. Ranges such as client[0..2] are expanded.

    Raises: BadRange, ConfigInvalid, DuplicateName.

    Example:
    >>> list(local(["bank", "client[0..1]", "dealer"], helpers=["dealer"]).parties)
    ['bank', 'client[0]', 'client[1]', 'dealer']
    """
    from jali.core.templates import expand_names

    names = expand_names(tuple(parties), where="the list of parties")
    roles = dict.fromkeys(expand_names(tuple(helpers), where="the list of helpers"), "helper")
    made = {party: msgspec.convert({"name": party, "role": roles.get(party, "data")}, Party) for party in names}
    return Federation(name=name, parties=made)


def explain(key: str) -> str:
    """Type, default and meaning of a key such as "network.connect_s". Raises: UnknownName, with the near misses."""
    from jali.core import settings

    return settings.explain(key)
