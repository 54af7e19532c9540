# SPDX-License-Identifier: Apache-2.0
"""What messages and computation take, on virtual clocks: one for each party, no sockets, no waiting.

A message leaves when its sender has made it and the sender's line is free; its bytes take their share of the bandwidth
(with the headers of IP, TCP and TLS), or of the processor where the network is faster than encryption; the last one
arrives half a round trip later. A connection that is new begins slowly: until it knows what the network takes, TCP
sends a window of ten segments, then twice as much, for each round trip (it begins there again after a pause, under
some operating systems; that is not modelled).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from jali.transport.network import Network

__all__ = ["MachineSpeed", "Timeline"]

SEGMENT_BYTES: Final = 1448  # of payload in an Ethernet frame of 1500 bytes, with TCP's time stamps
WIRE_FACTOR: Final = 1500 / SEGMENT_BYTES * (16384 + 22) / 16384  # records of TLS hold 16 KiB and add 22 bytes
MESSAGE_BYTES: Final = 40 + 22  # our frame's header, and a record's
FIRST_SEGMENTS: Final = 10  # RFC 6928
SEND_BUFFER_BYTES: Final = 2 << 20


class MachineSpeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a session costs here, measured on loopback, and how much the cores do at once.

    `message_s` is one way of a small message when another goes the other way, `message_cpu_s` the work for it at both
    ends; `byte_s` for each byte, encrypted and sent here, received and decrypted beside it. `cores` is the work of all
    cores at once over that of one: less than their number where they share units.
    """

    message_s: float
    message_cpu_s: float
    byte_s: float
    cores: float


class Timeline:
    """The clocks of parties (any hashable names), in seconds from a common start."""

    def __init__(
        self, network: Network, machine: MachineSpeed, *, windows: dict[tuple[object, object], float] | None = None
    ) -> None:
        """Everybody starts at 0, on a machine of that speed; `windows` are those of connections that were used before.

        Those are kept up to date.
        """
        self.network = network
        self.machine = machine
        self.busy_s = 0.0
        self._clocks: defaultdict[object, float] = defaultdict(float)
        self._line_free: defaultdict[object, float] = defaultdict(float)
        self._windows = {} if windows is None else windows

    def now(self, party: object) -> float:
        """A party's clock."""
        return self._clocks[party]

    def compute(self, party: object, seconds: float, cpu: float | None = None) -> None:
        """A party works; `cpu` is the time of all its cores together, where several work at once."""
        self._clocks[party] += seconds
        self.busy_s += seconds if cpu is None else max(seconds, cpu)

    def wait(self, party: object, until: float) -> None:
        """A party waits for something that is there at `until`."""
        self._clocks[party] = max(self._clocks[party], until)

    def send(self, sender: object, receiver: object, size_bytes: int) -> float:
        """When the message has arrived. The sender goes on when its socket has taken it."""
        cpu = size_bytes * self.machine.byte_s
        self.busy_s += self.machine.message_cpu_s + min(2.0, self.machine.cores) * cpu
        self.wait(sender, self._clocks[sender] + self.machine.message_s / 2)
        start = max(self._clocks[sender], self._line_free[sender])
        end = start + max(cpu, self._on_the_wire(sender, receiver, size_bytes))
        self._line_free[sender] = end
        self.wait(sender, max(start + cpu, end - self._buffered_s()))
        return end + self.network.latency_s + self.machine.message_s / 2

    def elapsed(self) -> float:
        """Seconds until the last party is done.

        On a shared machine the last clock and the cores' time for all the work are both lower bounds, and where they
        are close neither is met: who waits for a core is late for others. The cube root of the sum of cubes fits best.
        """
        last = max(self._clocks.values(), default=0.0)
        if not self.network.one_machine:
            return last
        return float((last**3 + (self.busy_s / self.machine.cores) ** 3) ** (1 / 3))

    def _on_the_wire(self, sender: object, receiver: object, size_bytes: int) -> float:
        network = self.network
        if not network.bandwidth:
            return 0.0
        rate = network.bandwidth / 8
        left = (size_bytes + MESSAGE_BYTES) * WIRE_FACTOR
        window = self._windows.get((sender, receiver), FIRST_SEGMENTS * SEGMENT_BYTES * WIRE_FACTOR)
        seconds = 0.0
        while left > window and window < rate * network.rtt_s:
            left -= window
            seconds += network.rtt_s
            window *= 2
        self._windows[sender, receiver] = window
        return seconds + left / rate

    def _buffered_s(self) -> float:
        """How long the line needs for what a socket takes before it makes its sender wait."""
        return 8 * SEND_BUFFER_BYTES / self.network.bandwidth if self.network.bandwidth else 0.0
