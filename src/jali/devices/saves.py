# SPDX-License-Identifier: Apache-2.0
"""Saving secrets and loading them again: each holder of a part keeps it on its own disk, encrypted under its own key.

What is kept is the additive form, with a fresh sharing of 0 added: helpers keep nothing, and nothing of how the value
was made is in the files. What the parties then do is in `jali.devices.saved_shares`, the files in `jali.devices.vault`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jali.core.errors import UnsupportedValue
from jali.core.threat import Leak
from jali.crypto.hashing import digest
from jali.devices.handle import Handle, Placeholder
from jali.devices.pinned import pinned_types
from jali.devices.vault import require_name
from jali.graph.fingerprint import constant_fingerprint, user_source
from jali.graph.node import Visibility

if TYPE_CHECKING:
    from jali.devices.mpc import MpcDevice
    from jali.devices.program import Program
    from jali.devices.roles import Layout
    from jali.graph.node import Node

__all__ = ["is_saved", "load", "save"]


def save(x: Handle | Placeholder, name: str) -> None:
    """Save a secret of an mpc device under a name: each party keeps its share on its own disk, encrypted.

    Returns when it is on the disks of the parties that run here; what was saved under the name before is replaced
    then. The folder and the key are each party's own decision: `[saved]` in its federation file.

    Security: nobody learns anything. A file says nothing without its key, and the files and keys of all computing
    parties together say the value, as their shares do.
    Raises: SaveNameInvalid; UnsupportedValue if x is on no mpc device; WriteFailed; what ended the run, if it failed.
    """
    if not isinstance(x, (Handle, Placeholder)):
        raise UnsupportedValue(f"expected a handle to save as {name!r}, found {type(x).__name__}: it is on no device")
    handle = x.handle() if isinstance(x, Placeholder) else x
    program, node = handle.program, handle.node
    layout = node.attributes.get("device")
    if layout is None:
        raise UnsupportedValue(
            f"expected a secret of an mpc device to save as {name!r}, found {node.text!r}, {node.visibility}: its "
            "owner can save it with a function on its plain device",
            source=user_source(),
        )
    saved = Handle(program, _save_node(program, node, layout, require_name(name)))
    for party in layout.holders:
        if party in program.runtimes:
            program.runtimes[party].value(saved.node)


def _save_node(program: Program, node: Node, layout: Layout, name: str) -> Node:
    keepers = " and ".join(layout.holders)
    trust = (
        f"{node.text} ({node.source}) is saved as {name!r} at {keepers}: whoever gets the files and the keys of all of "
        "them can read it, for as long as they exist"
    )
    return program.append(
        "mpc.save",
        device=node.device,
        participants=layout.holders,
        inputs=(node,),
        attributes={"name": name, "device": layout, "settings": program.settings.saved, "trust": trust},
        fingerprint=digest("devices.save", name, layout.fingerprint),
        visibility=Visibility("secret", (node.device,)),
        text=f"save {node.text} as {name!r}",
    )


def load(name: str, on: MpcDevice, *, returns: Any = None) -> Any:
    """A secret that was saved under a name, by this program or an earlier one, on the same mpc device.

    The device must have the protocol and the parties, in their order, of the one that it was saved on; `x.to(device)`
    takes it elsewhere. `returns` says how many results there are, or pins their shapes as `jali.Spec`, as for a call.

    Security: nobody learns anything; the parties compare a digest over what they saved before they use it.
    Cost: nothing (rep3 and aby3: bits take 1 round, 1/8 byte from two parties).
    Raises: SaveNameInvalid here; the run ends with SavedMissing, SavedInvalid or SavedMismatch if a party has no such
    share, a changed one, or one that does not fit.
    """
    program, layout = on.program, _layout_of(on, name)
    node = program.append(
        "mpc.load",
        device=on.name,
        participants=on.participants,
        inputs=(),
        attributes={
            "name": require_name(name),
            "device": layout,
            "settings": program.settings.saved,
            "returns": returns,
        },
        fingerprint=digest("devices.load", name, layout.fingerprint, _pin(returns)),
        visibility=Visibility("secret", (on.name,)),
        text=f"load {name!r}",
        leaks=tuple(
            Leak(what=f"shapes and types of saved {name!r}", to=party, why=f"announced by {layout.holders[0]}")
            for party in on.participants
            if party not in layout.holders
        ),
    )
    return program.results(node, returns)


def is_saved(name: str, on: MpcDevice) -> bool:
    """Whether all who must have a share of a saved value have one, so that `load` finds it; the same at every party.

    A program that starts again branches on it. A plan, in which nothing runs, is that of a first start: it is False.

    Security: all parties of the federation learn that the name is saved.
    Raises: SaveNameInvalid; what ended the run, if it failed.
    """
    program, layout = on.program, _layout_of(on, name)
    node = program.append(
        "mpc.saved",
        device=on.name,
        participants=tuple(dict.fromkeys((*layout.holders, *program.parties))),
        inputs=(),
        attributes={"name": require_name(name), "layout": layout, "settings": program.settings.saved},
        fingerprint=digest("devices.saved", name, layout.fingerprint),
        visibility=Visibility("public", program.parties),
        text=f"is {name!r} saved",
        leaks=tuple(
            Leak(what=f"whether {name!r} is saved", to=party, why=f"told by {layout.holders[0]}")
            for party in program.parties
            if party not in layout.holders
        ),
    )
    handle = Handle(program, node)
    answers = [runtime.value(handle.node) for runtime in program.runtimes.values()]
    return bool(answers) and all(answers)


def _layout_of(device: MpcDevice, name: str) -> Layout:
    layout: Layout | None = getattr(device, "layout", None)
    if layout is None:
        raise UnsupportedValue(
            f"expected an mpc device to load {name!r} on, found {device!r}: its owner can load a value with a function",
            source=user_source(),
        )
    return layout


def _pin(returns: Any) -> bytes:
    pins = pinned_types(returns)
    if pins is None:
        return constant_fingerprint(returns if isinstance(returns, int) else None)
    return digest("devices.pins", str(pins[0]), *(str(kind) for kind in pins[1]))
