# SPDX-License-Identifier: Apache-2.0
"""The times and sizes that govern a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from jali.core.config import Network

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every wait of a session ends after one of these; seconds and bytes.

    `connect_s`: until all parties have come. `wait_s`: one send or receive. `heartbeat_s`: between signs of life;
    `silence_s` without any means that the connection is dead. `reconnect_s`: to come back after a drop.
    `linger_s`: at the end, until peers have what was sent. `window_bytes`: what a stream may hold unread, beyond the
    message that is next.
    """

    connect_s: float = 30.0
    wait_s: float = 600.0
    heartbeat_s: float = 1.0
    silence_s: float = 10.0
    reconnect_s: float = 5.0
    linger_s: float = 5.0
    window_bytes: int = 64 << 20

    @classmethod
    def of(cls, network: Network) -> Settings:
        """The settings that a federation file gives."""
        return cls(
            connect_s=network.connect_s,
            wait_s=network.node_s,
            heartbeat_s=network.heartbeat_s,
            silence_s=network.silence_s,
            reconnect_s=network.reconnect_s,
            linger_s=network.reconnect_s,
            window_bytes=network.window_mib << 20,
        )
