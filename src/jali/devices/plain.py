# SPDX-License-Identifier: Apache-2.0
"""The plain device: ordinary Python at one party, on values that never leave it."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from jali.core import codec
from jali.core.errors import ElementMissing, JaliError, PlainCallFailed
from jali.core.tree import flatten, map_leaves
from jali.core.types import Spec
from jali.crypto.hashing import digest
from jali.devices.handle import ObjectHandle
from jali.graph.fingerprint import function_fingerprint, function_name
from jali.graph.node import Visibility
from jali.graph.operation import ABSENT
from jali.mpc.bounds import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jali.core import config
    from jali.devices.program import Program
    from jali.graph.context import Context
    from jali.graph.operation import NodeContext

__all__ = ["Item", "PlainCall", "PlainDevice", "PlainReveal"]


class PlainDevice:
    """One party's own machine. ``device(function)(*args)`` runs there and gives a handle; so does a class."""

    kind = "plain"

    def __init__(self, program: Program, name: str, party: str) -> None:
        """Made by `Federation.plain` or from the federation file."""
        self.program = program
        self.name = name
        self.party = party
        self.parties = (party,)

    def __call__(self, function: Callable[..., Any], *, returns: Any = None) -> Callable[..., Any]:
        """`function` (or class) as it runs on this device.

        `returns` says how many results there are (an int gives that many handles), or pins their shapes as
        `jali.Spec`, so that a program can be planned without running anything.
        """

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(function, args, kwargs, returns=returns)

        return call

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, returns: Any
    ) -> Any:
        program, name = self.program, function_name(function)
        arguments, inputs, fingerprint = program.bind(args, kwargs)
        for handle in inputs:
            program.require_visible(handle.node, self.party, name)
        node = program.append(
            "plain.call",
            device=self.name,
            participants=self.parties,
            inputs=tuple(handle.node for handle in inputs),
            attributes={"function": function, "method": None, "arguments": arguments, "returns": returns},
            fingerprint=digest("devices.call", function_fingerprint(function), fingerprint),
            visibility=Visibility("private", self.parties),
            text=name,
        )
        if isinstance(function, type) and returns is None:
            return ObjectHandle(program, node)
        return program.results(node, returns)

    @classmethod
    def from_settings(cls, program: Program, name: str, settings: config.Device) -> PlainDevice:
        """The device of that name in the federation file."""
        return cls(program, name, settings.party or "")

    def __repr__(self) -> str:
        """Kind and party."""
        return f"<plain device {self.name!r} of {self.party}>"


class PlainCall:
    """Runs a function, a class or a method of an object at the party that owns the inputs."""

    name = "plain.call"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """Call it. Raises: PlainCallFailed for any exception of the user's code that is not jali's."""
        del context
        function, method = attributes["function"], attributes["method"]
        if method is not None:
            function, inputs = getattr(inputs[0], method), inputs[2:]
        args, kwargs = attributes["arguments"].fill(inputs)
        try:
            return _declared(function(*args, **kwargs), attributes["returns"])
        except JaliError:
            raise
        except Exception as error:  # user code may raise anything; its message may hold data, so it stays here
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
            raise PlainCallFailed(
                f"{function_name(function)} raised {type(error).__name__} at {where}; "
                "its message is shown at the party that ran it only"
            ) from error


class Item:
    """Takes an element out of a value, wherever the value is."""

    name = "item"

    def run(self, context: NodeContext, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The element at `path`. Raises: ProgramError if there is none."""
        del context
        if inputs[0] is ABSENT:
            return ABSENT
        value = inputs[0]
        if isinstance(value, attributes["by_role"]):
            return type(value)({role: _pick(tree, attributes["path"]) for role, tree in value.items()})
        return _pick(value, attributes["path"])


class PlainReveal:
    """Plain to plain: the owner sends the value itself."""

    name = "plain.reveal"

    def run(self, context: Context, inputs: tuple[Any, ...], attributes: Mapping[str, Any]) -> Any:
        """The value at the owner and at the targets. Raises: UnsupportedValue if the wire codec cannot carry it."""
        owner: str = attributes["owner"]
        if context.party != owner:
            return codec.decode(context.streams[owner].receive())
        parts = codec.encode(inputs[0])
        for target in attributes["to"]:
            if target != owner:
                context.streams[target].send(*parts)
        return inputs[0]


def _declared(value: Any, returns: Any) -> Any:
    """The value with the ranges that its pinned shapes declare."""
    if not any(isinstance(spec, Spec) and spec.bound for spec in flatten(returns)[0]):
        return value
    return map_leaves(lambda spec, x: bounded(x, spec.bound[1], low=spec.bound[0]) if spec.bound else x, returns, value)


def _pick(value: Any, path: tuple[int | str, ...]) -> Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise ElementMissing(f"the value has no element {key!r}: it is a {type(value).__name__}") from None
    return value
