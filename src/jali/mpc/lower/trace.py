# SPDX-License-Identifier: Apache-2.0
"""Tracing: an ordinary jax function and the types of its inputs become a program.

Only this side needs jax. Floating-point numbers are traced with 64 bits whatever their width, so that public constants
keep their precision; on the secret ones the program's scale decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from jali.core.errors import NotTraceable, SecretControl, UnsupportedOperation
from jali.core.extras import need
from jali.core.tree import flatten, unflatten
from jali.mpc.ir import DEFAULT_FRACTION, Program, ValueType
from jali.mpc.lower.builder import Builder, Operand, Secret, kind_of
from jali.mpc.lower.complex import Complex
from jali.mpc.lower.control import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["in_64_bits", "numpy_as_jax", "public_leaf", "spec_of", "trace"]


def trace(
    function: Callable[..., Any],
    specs: Sequence[Any],
    *,
    keywords: Mapping[str, Any] | None = None,
    fraction: int = DEFAULT_FRACTION,
) -> Program:
    """The program that computes `function(*specs, **keywords)` on secrets.

    A leaf of `specs` or `keywords` is anything with a shape and a dtype that is not an array (a `ValueType`, a
    jax.ShapeDtypeStruct): a secret input. Arrays, numbers and text are public and become constants of the program.

    Raises: ExtraMissing if jax is not installed; UnsupportedOperation, SecretControl, SecretIndex or NotTraceable if
    the function does something that secrets do not allow, with its source line.

    Example:
    >>> from jali.mpc.ir import ValueType
    >>> print(trace(lambda x, y: x < y, [ValueType(shape=(3,), kind="int")] * 2))
    <lambda>(%0: secret int[3], %1: secret int[3])
      %2 = less(%0, %1) : secret bool[3]
      return %2
    """
    jax = need("jax", extra="jax")
    leaves, structure = flatten([list(specs), dict(keywords or {})])
    secret = [index for index, leaf in enumerate(leaves) if not public_leaf(leaf)]
    types = [spec_of(leaves[index], fraction=fraction) for index in secret]
    result_structure: list[Any] = []
    traced = numpy_as_jax(function)

    def flat(*given: Any) -> list[Any]:
        full = list(leaves)
        for index, value in zip(secret, given, strict=True):
            full[index] = value
        arguments, named = unflatten(structure, full)
        outputs, shape = flatten(traced(*arguments, **named))
        result_structure[:] = [shape.to_value()]
        return outputs

    name = getattr(function, "__name__", type(function).__name__)
    with in_64_bits(jax):
        arguments = [jax.ShapeDtypeStruct(kind.shape, _DTYPES[kind.kind]) for kind in types]
        jaxpr = _jaxpr(jax, flat, arguments, name=name)
        build = Builder(name, fraction=fraction)
        # what is computed from an input has another range: its bound stays with the input
        bare = [build.given(msgspec.structs.replace(kind, secret=True, bound=None)) for kind in types]
        inputs: list[Operand] = [build.usual(x) if x.type.fraction > fraction else x for x in bare]
        results = walk(build, jaxpr, inputs)
        outputs = [_output(build, x) for x in results]
    program = build.finish(outputs)
    given = [msgspec.structs.replace(kind, secret=True) for kind in types]
    return msgspec.structs.replace(
        program,
        types=(*given, *program.types[len(given) :]),
        input_tree=structure.to_value(),
        output_tree=result_structure[0],
    )


_DTYPES = {"fixed": np.float64, "int": np.int64, "bool": np.bool_}


def in_64_bits(jax: Any) -> Any:
    """A context in which jax computes with 64 bits."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return need("jax.experimental", extra="jax").enable_x64()


def public_leaf(leaf: Any) -> bool:
    """Whether a leaf of the inputs is a value (public) and not the description of a secret."""
    if isinstance(leaf, ValueType):
        return not leaf.secret
    return isinstance(leaf, int | float | bool | str | np.ndarray | np.generic) or hasattr(leaf, "__array__")


def spec_of(leaf: Any, *, fraction: int = DEFAULT_FRACTION) -> ValueType:
    """The type of a secret input from anything with a shape and a dtype.

    Raises: NotTraceable if it has none; UnsupportedOperation if there is no secret form of the dtype.
    """
    if isinstance(leaf, ValueType):
        return leaf
    shape, dtype = getattr(leaf, "shape", None), getattr(leaf, "dtype", None)
    if shape is None or dtype is None:
        raise NotTraceable(f"expected the shape and the dtype of an input, found {type(leaf).__name__}")
    kind = kind_of(dtype, what="an input")
    return ValueType(shape=tuple(shape), kind=kind, fraction=fraction if kind == "fixed" else 0)


def _output(build: Builder, x: Operand | Complex) -> int:
    if isinstance(x, Secret):
        return build.usual(x).value
    if isinstance(x, Complex):
        raise UnsupportedOperation(
            "an output is complex: return its real and imaginary parts, x.real and x.imag", source=build.source or None
        )
    kind = kind_of(x.array.dtype, what="an output")
    fraction = build.fraction if kind == "fixed" else 0
    # an output that does not depend on the inputs; shared, so that all outputs are alike
    return build.shared(x, ValueType(shape=x.shape, kind=kind, fraction=fraction)).value


def _jaxpr(jax: Any, function: Callable[..., Any], arguments: list[Any], *, name: str) -> Any:
    errors = jax.errors
    try:
        return jax.make_jaxpr(function)(*arguments)
    except (errors.TracerBoolConversionError, errors.NonConcreteBooleanIndexError) as error:
        raise SecretControl(
            f"{name} branches on a secret (if, while, and, or, assert, x[mask]): nobody can know which way to go. "
            "Compute both sides and choose: jnp.where(condition, a, b)",
            source=_user_line(error),
        ) from None
    except errors.TracerArrayConversionError as error:
        raise NotTraceable(
            f"{name} hands a secret to numpy: use the same function of jax.numpy (jnp instead of np)",
            source=_user_line(error),
        ) from None
    except (errors.ConcretizationTypeError, errors.TracerIntegerConversionError) as error:
        raise NotTraceable(
            f"{name} needs the value of a secret while it is traced (int(x), float(x), range(x), x.item(), a shape): "
            "shapes and numbers of iterations must be public",
            source=_user_line(error),
        ) from None
    except TypeError as error:
        raise NotTraceable(
            f"{name} cannot be traced by jax with inputs {[f'{a.dtype}{list(a.shape)}' for a in arguments]}: "
            f"{str(error).splitlines()[0]}",
            source=_user_line(error),
        ) from None


def _user_line(error: BaseException) -> str | None:
    """file:line of the innermost frame that is neither jax's nor ours."""
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not any(part in name for part in ("/jax/", "/jaxlib/", "/numpy/", "/jali/mpc/")):
            found = f"{name.rpartition('/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def numpy_as_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """jax's namesake of a numpy function, which also takes lists of arrays as numpy does; others as they are."""
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is not function:
        return function
    jnp = need("jax.numpy", extra="jax")
    namesake = getattr(jnp, name, None)
    if namesake is None:
        raise NotTraceable(f"numpy.{name} has no namesake in jax.numpy")

    def called(*arguments: Any, **keywords: Any) -> Any:
        first = arguments[0] if arguments else None
        if isinstance(first, list | tuple) and first and name not in _TAKES_SEQUENCES:
            return _over_rows(lambda x: namesake(x, *arguments[1:], **keywords), first, jnp.stack)
        return namesake(*arguments, **keywords)

    return called


_TAKES_SEQUENCES = {"concatenate", "stack", "hstack", "vstack", "column_stack", "dstack", "block"}


def _over_rows(function: Callable[[Any], Any], rows: Sequence[Any], stack: Callable[..., Any]) -> Any:
    """A function of the stacked rows; rows that are trees of arrays (models) are taken leaf by leaf."""
    taken = [flatten(row) for row in rows]
    structure = taken[0][1]
    if any(other != structure for _, other in taken):
        raise NotTraceable("expected rows of one structure (the same layers from every party)")
    columns = zip(*(leaves for leaves, _ in taken), strict=True)
    return unflatten(structure, [function(stack(list(column))) for column in columns])
