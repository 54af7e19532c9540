# SPDX-License-Identifier: Apache-2.0
"""The MPC protocols that can be chosen by name."""

from __future__ import annotations

from jali.core.registry import Registry

__all__ = ["PROTOCOLS"]

PROTOCOLS = Registry(
    "jali.protocols",
    builtin={
        "plain": "jali.mpc.plain:PlainProtocol",
        "m2k": "jali.mpc.m2k.protocol:M2k",
        "m3k": "jali.mpc.m2k.m3k:M3k",
        "rep3": "jali.mpc.rep3.protocol:Rep3",
        "aby3": "jali.mpc.aby3.protocol:Aby3",
    },
)
