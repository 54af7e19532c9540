# SPDX-License-Identifier: Apache-2.0
"""What a device needs of the engine: compile a function, share inputs, run at one role, open outputs.

Everything here is a generator of rounds (see `jali.mpc.rounds`) except `execute`, which drives one over streams.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from jali.core.errors import NotTraceable, SecretUse
from jali.core.tree import flatten, unflatten
from jali.mpc.contract import Outline
from jali.mpc.fixed import decode, encode
from jali.mpc.ir import DEFAULT_FRACTION, Program, ValueType
from jali.mpc.program import run_program
from jali.mpc.rounds import drive, parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from jali.core.threat import Cost
    from jali.core.tree import Structure
    from jali.mpc.contract import MpcProtocol
    from jali.mpc.rounds import Round
    from jali.transport.channel import Stream

__all__ = [
    "Deviation",
    "SecretArray",
    "compile_function",
    "dry_run",
    "estimate_program",
    "execute",
    "reveal_outputs",
    "seconds_to_compile",
    "share_inputs",
    "type_of",
]


class SecretArray:
    """One role's part of a secret array: a share with its type. It shows its type and nothing else."""

    __slots__ = ("share", "type")

    def __init__(self, share: Any, kind: ValueType) -> None:
        """Hold this role's share of a value of type `kind`."""
        self.share = share
        self.type = kind

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

    Raises: what `jali.mpc.trace.trace` raises.
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
    from jali.mpc.trace import trace

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
    """The type that an array or a number has as a secret.

    Raises: UnsupportedOperation if it is no number or boolean.
    """
    from jali.mpc.lower import kind_of

    array = np.asarray(value)
    kind = kind_of(array.dtype, what="an input")
    return ValueType(shape=array.shape, kind=kind, fraction=fraction if kind == "fixed" else 0)


# -- values in and out ----------------------------------------------------------------------------------------------


def share_inputs(
    protocol: MpcProtocol, values: Sequence[Any] | None, *, owner: int, types: Sequence[ValueType]
) -> Generator[Round, Any, list[SecretArray]]:
    """Share the owner's arrays, all at once; everybody else passes None as `values`.

    Security: as the protocol's `input`.
    Cost: the rounds of one input.
    Raises: FixedPointRangeError at the owner if a number does not fit.
    """
    own = [None] * len(types) if values is None else list(values)
    shares = yield from parallel(
        *(_share(protocol, value, kind, owner=owner) for value, kind in zip(own, types, strict=True))
    )
    return [SecretArray(share, kind) for share, kind in zip(shares, types, strict=True)]


def _share(protocol: MpcProtocol, value: Any, kind: ValueType, *, owner: int) -> Generator[Round, Any, Any]:
    words = None
    if value is not None:
        array = np.asarray(value)
        if array.shape != kind.shape:
            raise NotTraceable(f"expected an input of shape {kind.shape}, found {array.shape}")
        words = encode(array, kind=kind.kind, fraction=kind.fraction)
    if kind.kind != "bool":
        return (yield from protocol.input(words, owner, kind.shape))
    # bits come in as numbers 0 and 1; that they are not 0 is a bit again
    numbers = None if words is None else words.astype(np.uint64)
    number = yield from protocol.input(numbers, owner, kind.shape)
    return protocol.invert((yield from protocol.is_zero(number)))


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
    from jali.mpc.estimate import estimate

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


# -- trying out -----------------------------------------------------------------------------------------------------


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """How far fixed point was from float64 for one output: greatest error, and that over the greatest result."""

    shape: tuple[int, ...]
    absolute: float
    relative: float


def dry_run(function: Callable[..., Any], *samples: Any, fraction: int = DEFAULT_FRACTION) -> list[Deviation]:
    """Run a function on sample data in fixed point, in clear, and compare with float64.

    The check to make before a long job: it raises where a secure protocol would silently give garbage.

    Raises: FixedPointRangeError if a number leaves the range or a function's domain; what `compile_function` raises.
    """
    from jali.core.extras import need
    from jali.mpc.plain import PlainProtocol

    leaves, structure = flatten(list(samples))
    arrays = [np.asarray(leaf) for leaf in leaves]
    types = [type_of(array, fraction=fraction) for array in arrays]
    program = compile_function(function, unflatten(structure, types), fraction=fraction)
    protocol: Any = PlainProtocol()
    shared = drive(share_inputs(protocol, arrays, owner=0, types=types), {})
    results = execute(program, protocol, shared, streams={})
    opened = drive(reveal_outputs(protocol, results, to=[0]), {})
    expected = _in_float64(function, arrays, structure, jax=need("jax", extra="jax"))
    return [_deviation(a, b) for a, b in zip(opened, expected, strict=True)]


def _in_float64(
    function: Callable[..., Any], arrays: Sequence[NDArray[Any]], structure: Structure, *, jax: Any
) -> list[NDArray[Any]]:
    from jali.mpc.trace import in_64_bits, numpy_as_jax

    with in_64_bits(jax):
        wide = [jax.numpy.asarray(a, np.float64) if a.dtype.kind == "f" else jax.numpy.asarray(a) for a in arrays]
        outputs, _ = flatten(numpy_as_jax(function)(*unflatten(structure, wide)))
        return [np.asarray(output) for output in outputs]


def _deviation(found: NDArray[Any] | None, expected: NDArray[Any]) -> Deviation:
    gap = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    worst = float(np.max(gap, initial=0.0))
    largest = float(np.max(np.abs(np.asarray(expected, np.float64)), initial=2.0**-DEFAULT_FRACTION))
    return Deviation(shape=expected.shape, absolute=worst, relative=worst / largest)
