# SPDX-License-Identifier: Apache-2.0
"""What a device needs of the engine: compile a function, share inputs, run at one role, open outputs.

Everything here is a generator of rounds (see `jali.mpc.rounds`) except `execute`, which drives one over streams.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from jali.core.errors import NotTraceable, SecretUse
from jali.core.tree import flatten, unflatten
from jali.mpc.bounds import bound_of, largest_of, require_within
from jali.mpc.contract import Outline
from jali.mpc.fixed import decode, encode
from jali.mpc.ir import DEFAULT_FRACTION, Program, ValueType
from jali.mpc.program import run_program
from jali.mpc.ranges.analysis import input_interval
from jali.mpc.rounding import rounded
from jali.mpc.rounds import drive, parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Cost
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ranges.rules import Known
    from jali.mpc.rounding import Whole
    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

__all__ = [
    "SecretArray",
    "as_inputs",
    "compile_function",
    "encoded",
    "estimate_program",
    "execute",
    "reveal_outputs",
    "round_outputs",
    "seconds_to_compile",
    "share_inputs",
    "type_of",
]


class SecretArray:
    """One role's part of a secret array: a share with its type. It shows its type and nothing else.

    `intervals` say how large it can be, as everybody knows: in the worst case, and after the first iterations of the
    loops that made it; `largest` how large the inputs of undeclared size are that
    this party put into it, as only this party knows. It is `held` if owners compare all of those with what a program
    can take: nobody does for values that were loaded, or came from another device. `whole` is the number that it was
    truncated from.
    """

    __slots__ = ("held", "intervals", "largest", "share", "type", "whole")

    def __init__(
        self,
        share: Any,
        kind: ValueType,
        *,
        intervals: tuple[Known, Known] | None = None,
        largest: float | None = None,
        held: bool = False,
        whole: Whole | None = None,
    ) -> None:
        """Hold this role's share of a value of type `kind`; its intervals follow from that unless they are known."""
        self.share = share
        self.type = kind
        self.intervals = (input_interval(kind),) * 2 if intervals is None else intervals
        self.largest = largest
        self.held = held
        self.whole = whole

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the secret array."""
        return self.type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type that the value has when it is revealed."""
        return np.dtype(_DTYPES[self.type.kind])

    def __repr__(self) -> str:
        """The type only."""
        return f"<{self.type}>"

    def __bool__(self) -> bool:
        """Refused: nobody knows."""
        raise SecretUse(_REFUSED.format(what="the truth of"))

    def __iter__(self) -> Any:
        """Refused: iterate inside the function that runs on the device."""
        raise SecretUse(_REFUSED.format(what="the elements of"))

    def __eq__(self, other: object) -> bool:
        """Refused: compare inside the function that runs on the device."""
        raise SecretUse(_REFUSED.format(what="a comparison with"))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        """Refused: shares do not leave the party's memory."""
        raise SecretUse(_REFUSED.format(what="a copy of"))


_DTYPES = {"fixed": np.float64, "int": np.int64, "bool": np.bool_}
_REFUSED = "{what} a secret array is not known here: compute on its device (jnp.where chooses), or reveal it first"

_COMPILED: dict[Any, tuple[Any, Program]] = {}
_MOST_COMPILED = 512
_SECONDS: WeakKeyDictionary[Program, float] = WeakKeyDictionary()
_LOCK = RLock()


# -- programs -------------------------------------------------------------------------------------------------------


def compile_function(
    function: Callable[..., Any],
    specs: Sequence[Any],
    *,
    keywords: Mapping[str, Any] | None = None,
    fraction: int = DEFAULT_FRACTION,
) -> Program:
    """The program of a function for these inputs, traced once in a process.

    `specs` nest like the function's arguments; a leaf is a `ValueType`, a `SecretArray`, anything else with a shape and
    a dtype that is no array (secret inputs), or a value (public).

    Raises: what `jali.mpc.lower.trace.trace` raises.
    """
    leaves, structure = flatten([list(specs), dict(keywords or {})])
    kinds = [leaf.type if isinstance(leaf, SecretArray) else leaf for leaf in leaves]
    key: tuple[Any, ...] = (function, structure, tuple(map(_key, kinds)), fraction)
    arguments, named = unflatten(structure, kinds)
    try:
        hash(key)
    except TypeError:  # a callable that cannot be told from others
        return _traced(function, arguments, keywords=named, fraction=fraction)
    with _LOCK:  # the parties of a simulation ask at the same time; the first one traces
        if key not in _COMPILED:
            if len(_COMPILED) >= _MOST_COMPILED:
                _COMPILED.pop(next(iter(_COMPILED)))
            program = _traced(function, arguments, keywords=named, fraction=fraction)
            _COMPILED[key] = (function, program)  # the function is kept, so that its identity is not used again
        return _COMPILED[key][1]


def _traced(
    function: Callable[..., Any], specs: Sequence[Any], *, keywords: Mapping[str, Any], fraction: int
) -> Program:
    from jali.mpc.lower.trace import trace

    started = time.process_time()
    program = trace(function, specs, keywords=keywords, fraction=fraction)
    _SECONDS[program] = time.process_time() - started
    return program


def seconds_to_compile(program: Program) -> float:
    """What the tracing of a program took of a processor in this process (with the loading of jax, for the first)."""
    return _SECONDS.get(program, 0.0)


def _key(leaf: Any) -> Any:
    if isinstance(leaf, ValueType):
        return leaf
    if isinstance(leaf, np.ndarray | np.generic) or hasattr(leaf, "__array__"):
        array = np.asarray(leaf)
        return "public", array.dtype.str, array.shape, array.tobytes()
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return "secret", tuple(leaf.shape), str(leaf.dtype)
    return type(leaf), leaf


def type_of(value: Any, *, fraction: int = DEFAULT_FRACTION) -> ValueType:
    """The type that an array or a number has as a secret, with the range that its owner declared.

    Raises: UnsupportedOperation if it is no number or boolean.
    """
    from jali.mpc.lower.builder import kind_of

    array = np.asarray(value)
    kind = kind_of(array.dtype, what="an input")
    bound = None if kind == "bool" else bound_of(value)
    return ValueType(shape=array.shape, kind=kind, fraction=fraction if kind == "fixed" else 0, bound=bound)


# -- values in and out ----------------------------------------------------------------------------------------------


def share_inputs(
    protocol: MpcProtocol, values: Sequence[Any] | None, *, owner: int, types: Sequence[ValueType]
) -> Generator[Round, Any, list[SecretArray]]:
    """Share the owner's arrays, all at once; everybody else passes None as `values`.

    Security: as the protocol's `input`.
    Cost: the rounds of one input.
    Raises: FixedPointRangeError at the owner if a number does not fit, or lies outside its declared range.
    """
    own = [None] * len(types) if values is None else list(values)
    shares = yield from parallel(
        *(_share(protocol, value, kind, owner=owner) for value, kind in zip(own, types, strict=True))
    )
    return as_inputs(shares, own, types)


def as_inputs(shares: Sequence[Any], values: Sequence[Any], types: Sequence[ValueType]) -> list[SecretArray]:
    """Shares of inputs; whoever has the values remembers how large they are, unless that is declared."""
    sizes = [None if x is None or t.bound else largest_of(np.asarray(x)) for x, t in zip(values, types, strict=True)]
    return [SecretArray(s, kind, largest=size, held=True) for s, kind, size in zip(shares, types, sizes, strict=True)]


def encoded(value: Any, kind: ValueType) -> NDArray[Any] | None:
    """An array in fixed point, or bits; None for None.

    Raises: NotTraceable if it has another shape; FixedPointRangeError if a number does not fit, or is not as declared.
    """
    if value is None:
        return None
    array = np.asarray(value)
    if array.shape != kind.shape:
        raise NotTraceable(f"expected an input of shape {kind.shape}, found {array.shape}")
    if kind.bound is not None:
        require_within(array, kind.bound)
    return encode(array, kind=kind.kind, fraction=kind.fraction)


def _share(protocol: MpcProtocol, value: Any, kind: ValueType, *, owner: int) -> Generator[Round, Any, Any]:
    words = encoded(value, kind)
    if kind.kind == "bool":
        return (yield from protocol.input_bits(words, owner, kind.shape))
    return (yield from protocol.input(words, owner, kind.shape))


def round_outputs(protocol: MpcProtocol, values: Sequence[SecretArray]) -> Generator[Round, Any, list[SecretArray]]:
    """Round to nearest whatever comes out of a truncation, before it is revealed.

    Cost: see `jali.mpc.rounding.rounded`; nothing where no value does.
    """
    shares = yield from parallel(
        *(rounded(protocol, value.share, value.whole) for value in values if value.whole is not None)
    )
    left = iter(shares)
    return [value if value.whole is None else SecretArray(next(left), value.type) for value in values]


def reveal_outputs(
    protocol: MpcProtocol, values: Sequence[SecretArray], *, to: Sequence[int]
) -> Generator[Round, Any, list[NDArray[Any] | None]]:
    """Open arrays to the roles in `to`: floats, ints or bools there, None elsewhere.

    Cost: 1 round.
    """
    opened = yield from parallel(*(_reveal(protocol, value, to=to) for value in values))
    return [
        None if words is None else decode(words, kind=value.type.kind, fraction=value.type.fraction)
        for words, value in zip(opened, values, strict=True)
    ]


def _reveal(protocol: MpcProtocol, value: SecretArray, *, to: Sequence[int]) -> Generator[Round, Any, Any]:
    share = Outline(value.shape) if value.share is None else value.share
    if value.type.kind == "bool":
        return (yield from protocol.reveal_bits(share, to))
    return (yield from protocol.reveal(share, to))


# -- running --------------------------------------------------------------------------------------------------------


def execute(
    program: Program, protocol: MpcProtocol, inputs: Sequence[SecretArray], *, streams: Mapping[int, Stream]
) -> list[SecretArray]:
    """Run a program at this role, over the network.

    Raises: NotTraceable if the inputs are not of the program's types; ProtocolAbort or PeerError if a peer fails.
    """
    for position, (value, kind) in enumerate(zip(inputs, program.input_types, strict=True)):
        if value.type != kind:
            raise NotTraceable(f"{program.name}: expected {kind} as input {position}, found {value.type}")
    shares = drive(run_program(program, protocol, [value.share for value in inputs]), streams)
    return [SecretArray(share, kind) for share, kind in zip(shares, program.output_types, strict=True)]


def estimate_program(program: Program, protocol: str) -> Cost:
    """Exact rounds and bytes of a program under a protocol, found by running it on shapes.

    Sharing the inputs is not counted: it is another node of the graph.
    """
    from jali.core.threat import Cost
    from jali.mpc.cost.estimate import estimate

    def shared(side: MpcProtocol) -> Generator[Round, Any, list[Any]]:
        values = yield from share_inputs(side, None, owner=0, types=program.input_types)
        return [value.share for value in values]

    def whole(side: MpcProtocol) -> Generator[Round, Any, list[Any]]:
        return (yield from run_program(program, side, (yield from shared(side))))

    total, before = estimate(protocol, whole), estimate(protocol, shared)
    return Cost(
        rounds=total.rounds - before.rounds,
        bytes_sent={role: size - before.bytes_sent[role] for role, size in total.bytes_sent.items()},
        offline_bytes=total.offline_bytes - before.offline_bytes,
    )
