# SPDX-License-Identifier: Apache-2.0
"""Handles: what a program holds of a value that lives on a device. They show what and where, never the value."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NoReturn

from jali.core.errors import NotRevealedHere, SecretUse
from jali.crypto.hashing import digest
from jali.graph.fingerprint import user_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from jali.devices.program import Program
    from jali.graph.node import Node

__all__ = ["Handle", "ObjectHandle", "Placeholder"]


class Handle:
    """A value on a device. Pass it to calls on devices, index it, or `jali.reveal` it.

    Dropping the last handle frees the value at its device.
    """

    __slots__ = ("__weakref__", "_derived", "node", "program")

    def __init__(self, program: Program, node: Node) -> None:
        """Made by devices, not by users."""
        self.program = program
        self._derived: dict[Any, Handle] = {}
        self.node = node
        weakref.finalize(self, program.drop, node)

    def derived(self, key: Any, make: Callable[[], Handle]) -> Handle:
        """A value made of this one (an element, its shares on a device): made once, kept as long as this handle."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    @property
    def device(self) -> str:
        """The name of the device that holds the value."""
        return self.node.device

    def to(self, device: Any) -> Handle:
        """The value on another device. It moves once for as long as this handle lives; nobody learns anything by that.

        Calls on devices move their arguments by themselves; say it to decide when, or to call it a step of its own.

        Raises: WouldDisclose if somebody would.
        """
        from jali.devices.doors import move

        return move(self, device)

    def __getitem__(self, key: int | str) -> Handle:
        """An element of a tuple, list or dict that lives on the device."""
        return self.program.item(self, (key,))

    def element(self, path: tuple[int | str, ...]) -> Handle:
        """The element at a path; this handle itself for the empty path."""
        return self.program.item(self, path) if path else self

    def __repr__(self) -> str:
        """Where the value is, who can see it, and where it came from; never the value."""
        return f"<Handle {self.node.text} on {self.node.device}, {self.node.visibility}, from {self.node.source}>"

    def _repr_html_(self) -> str:
        from html import escape

        node = self.node
        cells = {"value": node.text, "on": node.device, "seen by": str(node.visibility), "from": node.source}
        rows = "".join(f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in cells.items())
        return f"<table>{rows}</table>"

    def _refuse(self, what: str, instead: str) -> NoReturn:
        made = f"{self.node.text!r} on {self.node.device} (made at {self.node.source})"
        raise SecretUse(f"{made} {what}; {instead}", source=user_source())

    def __bool__(self) -> NoReturn:  # noqa: PLE0304 - it never returns
        """Refused: a branch would depend on a value that is not here."""
        self._refuse("has no truth value", "select on the device (jnp.where), or reveal it to all who branch on it")

    def __eq__(self, other: object) -> NoReturn:
        """Refused: compare on the device."""
        self._refuse("cannot be compared here", "compare on the device: device(lambda a, b: a == b)(x, y)")

    __hash__ = object.__hash__

    def __iter__(self) -> NoReturn:
        """Refused: the number of parts is not known here."""
        self._refuse("cannot be taken apart", "say how many parts there are: device(f, returns=2)(...), or index it")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        """Refused: the value is on its device."""
        self._refuse("is not an array here", "compute on the device, or jali.reveal(x, to=...)")

    def _refuse_use(self, *_: object, **__: object) -> NoReturn:
        """Refused: what Python's operators and conversions would do, a function on a device does."""
        self._refuse(
            "is not a number here",
            "compute on a device with the value as an argument: device(lambda a, b: a + b)(x, y), "
            "or jali.reveal(x, to=...)",
        )


class ObjectHandle(Handle):
    """A stateful object on a plain device; its methods run there, in the order in which they are called."""

    __slots__ = ("_last",)

    def __init__(self, program: Program, node: Node) -> None:
        """Made by `device(Class)(...)`."""
        super().__init__(program, node)
        self._last: Handle | None = None

    def __getattr__(self, method: str) -> Callable[..., Handle]:
        """A method that runs on the device and gives a handle."""
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args: Any, **kwargs: Any) -> Handle:
            handle = self._call(method, args, kwargs)
            self._last = handle
            return handle

        return call

    def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Handle:
        program, node = self.program, self.node
        last = node if self._last is None else self._last.node
        arguments, inputs, fingerprint = program.bind(args, kwargs)
        for handle in inputs:
            program.require_visible(handle.node, node.participants[0], method)
        called = program.append(
            "plain.call",
            device=node.device,
            participants=node.participants,
            inputs=(node, last, *(handle.node for handle in inputs)),
            attributes={"function": None, "method": method, "arguments": arguments, "returns": None},
            fingerprint=digest("devices.method", method, fingerprint),
            visibility=node.visibility,
            text=f"{node.text}.{method}",
        )
        return Handle(program, called)


class Placeholder:
    """Stands at a party for a value that was revealed to others only; it can be passed on, not looked at."""

    __slots__ = ("_path", "_root", "targets")

    def __init__(self, root: Handle, targets: tuple[str, ...], path: tuple[int | str, ...] = ()) -> None:
        """Made by `jali.reveal`."""
        self._root = root
        self._path = path
        self.targets = targets

    @property
    def program(self) -> Program:
        """The program that the value belongs to."""
        return self._root.program

    def handle(self) -> Handle:
        """What devices take in place of the value."""
        return self._root.element(self._path)

    def __getitem__(self, key: int | str) -> Placeholder:
        """The same element that the other parties take."""
        return Placeholder(self._root, self.targets, (*self._path, key))

    def __repr__(self) -> str:
        """Who has the value."""
        return f"<revealed to {', '.join(self.targets)} only>"


def _refuse_unrevealed(self: Placeholder, *_: object, **__: object) -> NoReturn:
    names = ", ".join(self.targets)
    raise NotRevealedHere(
        f"this value was revealed to {names} only (at {self._root.node.source}) and is not known here; "
        f"reveal it to every party whose program uses it: jali.reveal(x, to=[{names}, ...]) or to='all'",
        source=user_source(),
    )


_ARITHMETIC = """int float complex index len lt le gt ge add radd sub rsub mul rmul matmul rmatmul truediv rtruediv
    floordiv rfloordiv mod rmod pow rpow neg pos abs round"""
for _name in _ARITHMETIC.split():
    setattr(Handle, f"__{_name}__", Handle._refuse_use)  # noqa: SLF001 - its own
for _name in f"{_ARITHMETIC} bool iter next contains eq ne array format call".split():
    setattr(Placeholder, f"__{_name}__", _refuse_unrevealed)
Placeholder.__hash__ = object.__hash__  # type: ignore[method-assign]
