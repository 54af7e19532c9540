# SPDX-License-Identifier: Apache-2.0
"""Networks between parties, as far as they decide how long a message takes."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from jali.core.errors import UnknownName
from jali.core.nearmiss import suggest

__all__ = ["NETWORKS", "Network", "network_of"]


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The way between any two parties: `rtt_s` there and back, and `bandwidth` bits a second out of each party.

    A `bandwidth` of 0 means no limit but the processor's. With `one_machine` the parties share this machine's cores.

    Example:
    >>> import jali
    >>> jali.Network(rtt_s=0.02, bandwidth=200e6).latency_s
    0.01
    """

    rtt_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    bandwidth: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    one_machine: bool = False

    @property
    def latency_s(self) -> float:
        """Seconds that the first byte is on its way."""
        return self.rtt_s / 2


NETWORKS: Final = {
    "loopback": Network(one_machine=True),
    "lan": Network(rtt_s=0.001, bandwidth=1e9),
    "wan": Network(rtt_s=0.04, bandwidth=100e6),
}
"""Names for networks: processes on this machine; 1 Gbit/s and 1 ms; 100 Mbit/s and 40 ms."""

_NUMBER = r"(\d+(?:\.\d+)?)"


def network_of(network: str | Network) -> Network:
    """The network of that name or description, or the network itself.

    Example:
    >>> network_of("20ms/200Mbit").rtt_s
    0.02

    Raises: UnknownName, with the near misses.
    """
    if isinstance(network, Network):
        return network
    found = NETWORKS.get(network)
    if found is not None:
        return found
    described = re.fullmatch(rf"{_NUMBER}ms/{_NUMBER}Mbit", network)
    if described is None:
        raise UnknownName(
            f"no network is called {network!r}{suggest(network, tuple(NETWORKS))}; known are {', '.join(NETWORKS)} and "
            "descriptions such as '20ms/200Mbit' (round trip, bits a second out of each party)"
        )
    return Network(rtt_s=float(described[1]) / 1e3, bandwidth=float(described[2]) * 1e6)
