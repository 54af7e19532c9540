# SPDX-License-Identifier: Apache-2.0
"""From a function and its secret arguments to a program that is ready to run: compiled, and its ranges judged.

Every role does this by itself, from what is public: types, declared bounds, and the intervals of earlier results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from jali.core.errors import FixedPointRangeError, RangesUnsafe, UnsupportedOperation
from jali.core.tree import flatten
from jali.mpc.engine import SecretArray, compile_function
from jali.mpc.ir import DEFAULT_FRACTION
from jali.mpc.program import run_program
from jali.mpc.ranges import Analysis, analyse, input_interval
from jali.mpc.ranges_functions import least_fraction
from jali.mpc.rounding import Whole, with_wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ir import Program
    from jali.mpc.numbers import Numbers
    from jali.mpc.ranges import Site
    from jali.mpc.ranges_rules import Known
    from jali.mpc.rounds import Round

__all__ = ["Prepared", "owner_check", "prepare", "run_prepared"]

_FEWEST = 8
_REMEDY = "scale or clip the data, declare how large the inputs are (jali.mpc.bounded), or use fewer fraction bits"


class Prepared(NamedTuple):
    """A program that may run. `notes` say how large numbers may be; none beyond `analysis.bound` must go in."""

    program: Program
    analysis: Analysis
    notes: tuple[str, ...]
    numbers: Numbers


def prepare(
    function: Callable[..., Any], args: Sequence[Any], *, keywords: Mapping[str, Any], numbers: Numbers
) -> Prepared:
    """Compile a function for secret arguments, and judge its ranges.

    Raises: RangesUnsafe if the program overflows for all inputs, or for some within their declared bounds; with
    `ranges = "strict"` also if it is not proven that it does not. UnsupportedOperation if a function needs more
    fraction bits than the device has; what `compile_function` raises.
    """
    given = [leaf.interval for leaf in _secrets(args, keywords)]
    if numbers.fraction != "auto":
        program = compile_function(function, args, keywords=keywords, fraction=numbers.fraction)
        _require_bits(program, numbers.fraction)
        return _judged(program, analyse(program, given), given, numbers=numbers)

    def attempt(fraction: int) -> Prepared:
        program = compile_function(function, args, keywords=keywords, fraction=fraction)
        return Prepared(program, analyse(program, given), (), numbers)

    return _with_most_fraction(attempt, given, numbers=numbers)


def _with_most_fraction(attempt: Callable[[int], Prepared], given: Sequence[Known], *, numbers: Numbers) -> Prepared:
    """The largest number of fraction bits for which nothing is left unproven, by bisection."""
    best = attempt(DEFAULT_FRACTION)
    declared = all(x is None or x.low.size == 1 for x in given)
    if not best.analysis.unproven or not declared:
        why = "no more are used" if declared else "not all inputs have declared bounds"
        return _noted(best, given, f"fraction = auto: {DEFAULT_FRACTION} bits ({why})", numbers=numbers)
    reason = best.analysis.unproven[0]
    low, high = max([_FEWEST, *map(least_fraction, _functions(best.program))]) - 1, DEFAULT_FRACTION
    found = None
    while high - low > 1:
        middle = (low + high) // 2
        tried = attempt(middle)
        if tried.analysis.unproven:
            high, reason = middle, tried.analysis.unproven[0]
        else:
            low, found = middle, tried
    if found is None:
        return _judged(best.program, best.analysis, given, numbers=numbers)
    return _noted(found, given, f"fraction = auto: {low} bits; with one more, {reason}", numbers=numbers)


def _noted(prepared: Prepared, given: Sequence[Known], note: str, *, numbers: Numbers) -> Prepared:
    judged = _judged(prepared.program, prepared.analysis, given, numbers=numbers)
    return judged._replace(notes=(note, *judged.notes))


def _require_bits(program: Program, fraction: int) -> None:
    for name in _functions(program):
        if (least := least_fraction(name)) > fraction:
            raise UnsupportedOperation(
                f"{program.name} uses {name}, which needs {least} fraction bits, on a device with fraction = {fraction}"
            )


def _functions(program: Program) -> list[str]:
    names = [str(op.attributes["name"]) for op in program.ops if op.kind == "function"]
    return [*names, *(name for op in program.ops if op.body is not None for name in _functions(op.body))]


def _secrets(args: Sequence[Any], keywords: Mapping[str, Any]) -> list[SecretArray]:
    leaves, _ = flatten([list(args), dict(keywords)])
    return [leaf for leaf in leaves if isinstance(leaf, SecretArray)]


# -- judging --------------------------------------------------------------------------------------------------------


def _judged(program: Program, analysis: Analysis, given: Sequence[Known], *, numbers: Numbers) -> Prepared:
    if numbers.ranges != "unchecked":
        _require_safe(program, analysis, given, strict=numbers.ranges == "strict")
    return Prepared(program, analysis, _notes(program, analysis, numbers=numbers), numbers)


def _require_safe(program: Program, analysis: Analysis, given: Sequence[Known], *, strict: bool) -> None:
    if analysis.certain is not None:
        raise _unsafe(f"{program.name} overflows whatever its inputs are: {analysis.certain}", analysis.certain)
    if not analysis.unproven:
        return
    if any(x is not None and x.low.size == 1 for x in given):
        free = analyse(program, [input_interval(msgspec.structs.replace(t, bound=None)) for t in program.input_types])
        hopeless = {(site.what, site.source) for site in free.unproven}
        for site in analysis.unproven:
            if (site.what, site.source) not in hopeless:
                raise _unsafe(
                    f"{program.name} can overflow within the declared bounds of its inputs: {site}. It is safe for "
                    f"inputs within -{free.bound:.4g}..{free.bound:.4g}",
                    site,
                )
    if strict:
        site = analysis.unproven[0]
        raise _unsafe(f'{program.name} is not proven to stay in range, as ranges = "strict" demands: {site}', site)


def _unsafe(message: str, site: Site) -> RangesUnsafe:
    error = RangesUnsafe(f"{message}; {_REMEDY}")
    error.source = site.source or None
    return error


def _notes(program: Program, analysis: Analysis, *, numbers: Numbers) -> tuple[str, ...]:
    notes = []
    if analysis.limiting is not None:
        held = "not checked" if numbers.ranges == "unchecked" else "their owners check"
        bound = f"{analysis.bound:.4g}"
        notes.append(f"safe for inputs within -{bound}..{bound} ({held}): beyond, {analysis.limiting}")
    elif not analysis.unproven:
        notes.append("proven safe for all inputs that may go in")
    distinct = dict.fromkeys(str(site) for site in analysis.unproven)
    notes += [f"not proven, overflow is possible: {text}" for text in list(distinct)[:3]]
    if len(distinct) > 3:
        notes.append(f"not proven: {len(distinct) - 3} more places")
    return tuple(f"{program.name}: {note}" for note in notes)


def owner_check(largest: float | None, bound: float, reason: str) -> None:
    """Let the owner of inputs of undeclared size compare its largest number with what the program can take.

    Security: the others learn that a number was too large, as the run ends; not which, nor how large.
    Raises: FixedPointRangeError if it is too large.
    """
    if largest is None or largest <= bound:
        return
    raise FixedPointRangeError(
        f"an input of this party has numbers beyond {bound:.4g}, up to which the program is certain not to overflow: "
        f"beyond, {reason}. {_REMEDY[0].upper()}{_REMEDY[1:]}; ranges = 'unchecked' runs it all the same"
    )


# -- running --------------------------------------------------------------------------------------------------------


def run_prepared(
    prepared: Prepared, protocol: MpcProtocol, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Generator[Round, Any, list[SecretArray]]:
    """Run a program at one role on its arguments; the results know their intervals, and what they are rounded from."""
    program, exact = prepared.program, prepared.numbers.rounding == "exact"
    kept = with_wholes(program) if exact else None
    secrets = _secrets(args, kwargs)
    results = yield from run_program(
        program if kept is None else kept.program, protocol, [secret.share for secret in secrets]
    )
    largest = max((secret.largest for secret in secrets if secret.largest is not None), default=None)
    outputs = []
    for index, (kind, interval) in enumerate(zip(program.output_types, prepared.analysis.outputs, strict=True)):
        place = None if kept is None else kept.places[index]
        whole = None if kept is None or place is None else Whole(results[place], kept.shifts[index])
        plain = msgspec.structs.replace(kind, bound=None)
        outputs.append(SecretArray(results[index], plain, interval=interval, largest=largest, whole=whole))
    return outputs
