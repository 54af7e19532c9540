# SPDX-License-Identifier: Apache-2.0
"""From a function and its secret arguments to a program that is ready to run: compiled, and its ranges judged.

Every role does this by itself, from what is public: types, declared bounds, and the intervals of earlier results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from jali.core.errors import FixedPointRangeError, RangesUnsafe, UnsupportedOperation
from jali.core.tree import flatten, map_leaves
from jali.mpc.engine import SecretArray, compile_function
from jali.mpc.ir import DEFAULT_FRACTION, ValueType
from jali.mpc.program import run_program
from jali.mpc.ranges.analysis import Analysis, analyse, input_interval
from jali.mpc.ranges.functions import least_fraction
from jali.mpc.ranges.rings import notes_on_rings, with_wide_products, with_widths
from jali.mpc.rounding import Whole, with_wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from jali.mpc.contract import MpcProtocol
    from jali.mpc.ir import Program
    from jali.mpc.numbers import Numbers
    from jali.mpc.ranges.analysis import Site
    from jali.mpc.ranges.rules import Known
    from jali.mpc.rounds import Round

__all__ = ["Prepared", "owner_check", "prepare", "run_prepared", "secrets_in"]

_FEWEST = 8
_MOST_NOTES = 3
_NO_LIMIT = (float("inf"), "")
_USEFUL = 8.0  # standard deviations: a smaller bound says more about worst cases than about data
_REMEDY = "scale or clip the data, declare how large the inputs are (jali.mpc.bounded), or use fewer fraction bits"


class Prepared(NamedTuple):
    """A program that may run.

    `worst` is what is proven of it, `brief` what first iterations of its loops show; `judgement` puts both in words.
    `chosen` says which fraction bits and rings were picked. `held` says of each input whether its owners compare it
    with its limit.
    """

    program: Program
    worst: Analysis
    brief: Analysis
    numbers: Numbers
    held: tuple[bool, ...] = ()
    judgement: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """All that was chosen and found, for plans and reports."""
        return tuple(f"{self.program.name}: {note}" for note in (*self.chosen, *self.judgement))

    @property
    def limits(self) -> tuple[tuple[float, str], ...]:
        """What each input of undeclared size may not exceed, and why: see `_enforced`."""
        strict = self.numbers.ranges == "strict"
        pairs = zip(self.worst.limits, self.brief.limits, strict=True)
        return tuple(_enforced(worst, brief, strict=strict) for worst, brief in pairs)

    @property
    def limit(self) -> tuple[float, str]:
        """The least of them."""
        return min(self.limits, default=_NO_LIMIT, key=lambda limit: limit[0])


def prepare(
    function: Callable[..., Any],
    args: Sequence[Any],
    *,
    keywords: Mapping[str, Any],
    numbers: Numbers,
    beforehand: bool = False,
) -> Prepared:
    """Compile a function for secret arguments (or their types alone), and judge its ranges.

    The program of a device that is dealt `beforehand` follows from types alone: nobody knew then what else is known of
    the arguments. Its ranges are judged as any other's.

    Raises: RangesUnsafe if the program overflows for all inputs, or for some within their declared bounds; with
    `ranges = "strict"` also if it is not proven that it does not. UnsupportedOperation if a function needs more
    fraction bits than the device has; what `compile_function` raises.
    """
    if beforehand:
        types, named = map_leaves(_known_by_type, list(args)), map_leaves(_known_by_type, dict(keywords))
        planned = prepare(function, types, keywords=named, numbers=numbers)
        return _judged(_analysed(planned.program, args, keywords, numbers)._replace(chosen=planned.chosen))
    given = _known_intervals(args, keywords)

    def attempt(fraction: int) -> Prepared:
        program = compile_function(function, args, keywords=keywords, fraction=fraction)
        tried = _analysed(program, args, keywords, numbers)
        if not tried.brief.unproven or not _chooses_rings(numbers):
            return tried
        return _analysed(with_wide_products(program, [first for _, first in given]), args, keywords, numbers)

    declared = all(x is None or x.low.size == 1 for x, _ in given)
    if numbers.fraction == "auto":
        return _in_small_rings(_with_most_fraction(attempt, declared=declared))
    prepared = attempt(numbers.fraction)
    _require_bits(prepared.program, numbers.fraction)
    return _in_small_rings(_judged(prepared))


def _analysed(program: Program, args: Sequence[Any], keywords: Mapping[str, Any], numbers: Numbers) -> Prepared:
    worst, first = ([pair[k] for pair in _known_intervals(args, keywords)] for k in (0, 1))
    return Prepared(
        program, analyse(program, worst), analyse(program, first, brief=True), numbers, _held(args, keywords)
    )


def _known_by_type(leaf: Any) -> Any:
    """A secret of which only the type is known, and not that its owners compare it with anything."""
    if isinstance(leaf, SecretArray):
        return SecretArray(None, leaf.type)
    return SecretArray(None, leaf) if isinstance(leaf, ValueType) else leaf


def _chooses_rings(numbers: Numbers) -> bool:
    return numbers.ring == "auto" and numbers.ranges != "unchecked"


def _in_small_rings(prepared: Prepared) -> Prepared:
    """With comparisons in the least ring that they are proven to fit."""
    if not _chooses_rings(prepared.numbers):
        return prepared
    known = zip(prepared.limits, prepared.worst.values, strict=False)  # those of the inputs
    limits = [
        0.0 if x is None or x.low.size == 1 else bound if held else np.inf
        for ((bound, _), x), held in zip(known, prepared.held, strict=True)
    ]
    program = with_widths(prepared.program, prepared.worst.compared, limits)
    return prepared._replace(program=program, chosen=(*prepared.chosen, *notes_on_rings(program)))


def _with_most_fraction(attempt: Callable[[int], Prepared], *, declared: bool) -> Prepared:
    """The largest number of fraction bits for which nothing is left unproven, by bisection."""
    best = attempt(DEFAULT_FRACTION)
    if not best.worst.unproven or not declared:
        why = "no more are used" if declared else "not all inputs have declared bounds"
        return _judged(best, f"fraction = auto: {DEFAULT_FRACTION} bits ({why})")
    reason = best.worst.unproven[0]
    low, high = max([_FEWEST, *map(least_fraction, _functions(best.program))]) - 1, DEFAULT_FRACTION
    found = None
    while high - low > 1:
        middle = (low + high) // 2
        tried = attempt(middle)
        if tried.worst.unproven:
            high, reason = middle, tried.worst.unproven[0]
        else:
            low, found = middle, tried
    if found is None:
        return _judged(best, f"fraction = auto: {DEFAULT_FRACTION} bits; fewer would not help")
    return _judged(found, f"fraction = auto: {low} bits; with one more, {reason}")


def _require_bits(program: Program, fraction: int) -> None:
    for name in _functions(program):
        if (least := least_fraction(name)) > fraction:
            raise UnsupportedOperation(
                f"{program.name} uses {name}, which needs {least} fraction bits, on a device with fraction = {fraction}"
            )


def _functions(program: Program) -> list[str]:
    names = [str(op.attributes["name"]) for op in program.ops if op.kind == "function"]
    return [*names, *(name for op in program.ops if op.body is not None for name in _functions(op.body))]


def _enforced(worst: tuple[float, Site | None], brief: tuple[float, Site | None], *, strict: bool) -> tuple[float, str]:
    """What is proven, unless that is a mere worst case of loops, or of anything: then data may well be kinder."""
    for bound, site in (min(worst, brief, key=lambda limit: limit[0]), brief):
        if strict or bound >= _USEFUL:
            return bound, str(site)
    return _NO_LIMIT


def _known_intervals(args: Sequence[Any], keywords: Mapping[str, Any]) -> list[tuple[Known, Known]]:
    leaves, _ = flatten([list(args), dict(keywords)])
    found = []
    for leaf in leaves:
        if isinstance(leaf, SecretArray):
            found.append(leaf.intervals)
        elif isinstance(leaf, ValueType):
            found.append((input_interval(leaf),) * 2)
    return found


def _held(args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[bool, ...]:
    """Of each secret input; one of which only the type is known is still to be shared."""
    leaves, _ = flatten([list(args), dict(keywords)])
    secret = [leaf for leaf in leaves if isinstance(leaf, SecretArray | ValueType)]
    return tuple(isinstance(leaf, ValueType) or leaf.held for leaf in secret)


def secrets_in(args: Sequence[Any], keywords: Mapping[str, Any]) -> list[SecretArray]:
    """The secrets among arguments, in the order of the inputs of the program that they give."""
    leaves, _ = flatten([list(args), dict(keywords)])
    return [leaf for leaf in leaves if isinstance(leaf, SecretArray)]


# -- judging --------------------------------------------------------------------------------------------------------


def _judged(prepared: Prepared, *chosen: str) -> Prepared:
    if prepared.numbers.ranges != "unchecked":
        _require_safe(prepared)
    return prepared._replace(chosen=(*prepared.chosen, *chosen), judgement=_judgement(prepared))


def _require_safe(prepared: Prepared) -> None:
    program, worst, brief = prepared.program, prepared.worst, prepared.brief
    if worst.certain is not None:
        raise _unsafe(f"{program.name} overflows whatever its inputs are: {worst.certain}", worst.certain)
    if brief.unproven:
        bare = [input_interval(msgspec.structs.replace(kind, bound=None)) for kind in program.input_types]
        free = analyse(program, bare, brief=True)
        hopeless = {(site.what, site.source) for site in free.unproven}
        for site in brief.unproven:
            if (site.what, site.source) not in hopeless:
                raise _unsafe(
                    f"{program.name} can overflow within the declared bounds of its inputs: {site}. There is room for "
                    f"inputs within {_around(free.bound)}",
                    site,
                )
    if prepared.numbers.ranges == "strict" and worst.unproven:
        site = worst.unproven[0]
        raise _unsafe(f'{program.name} is not proven to stay in range, as ranges = "strict" demands: {site}', site)


def _unsafe(message: str, site: Site) -> RangesUnsafe:
    error = RangesUnsafe(f"{message}; {_REMEDY}")
    error.source = site.source or None
    return error


def _judgement(prepared: Prepared) -> tuple[str, ...]:
    """What is proven, what owners check, and what is left open."""
    worst, unproven = prepared.worst, prepared.worst.unproven
    bound, reason = prepared.limit
    proven = not unproven and worst.bound >= bound
    notes = []
    if bound < float("inf"):
        safe = "proven safe for" if proven else "takes"
        notes.append(f"{safe} inputs within {_around(bound)}, {_who_checks(prepared)}: beyond, {reason}")
    elif proven:
        notes.append("proven safe for all inputs that may go in")
    if not unproven and not proven:
        notes.append(f"proven safe within {_around(worst.bound)}: beyond, in the worst case, {worst.limiting}")
    distinct = list(dict.fromkeys(map(str, unproven)))
    notes += [f"not proven, overflow is possible: {text}" for text in distinct[:_MOST_NOTES]]
    if len(distinct) > _MOST_NOTES:
        notes.append(f"not proven: {len(distinct) - _MOST_NOTES} more places")
    return tuple(notes)


def _who_checks(prepared: Prepared) -> str:
    if prepared.numbers.ranges == "unchecked" or not any(prepared.held):
        return "which nobody checks"
    if all(prepared.held):
        return "which their owners check"
    return "which their owners check, and nobody for what was loaded or came from another device"


def _around(bound: float) -> str:
    return f"-{bound:.4g}..{bound:.4g}"


def owner_check(largest: float | None, limit: tuple[float, str]) -> None:
    """Let the owner of an input of undeclared size compare its largest number with what the program can take.

    Security: the others learn that a number was too large, as the run ends; not which, nor how large.
    Raises: FixedPointRangeError if it is too large.
    """
    bound, reason = limit
    if largest is None or largest <= bound:
        return
    raise FixedPointRangeError(
        f"an input of this party has numbers beyond {bound:.4g}, the most that the program has room for: beyond, "
        f"{reason}. {_REMEDY[0].upper()}{_REMEDY[1:]}; ranges = 'unchecked' runs it all the same"
    )


# -- running --------------------------------------------------------------------------------------------------------


def run_prepared(
    prepared: Prepared,
    protocol: MpcProtocol,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    run: Callable[..., Generator[Round, Any, list[Any]]] = run_program,
) -> Generator[Round, Any, list[SecretArray]]:
    """Run a program at one role on its arguments; the results know their intervals, and what they are rounded from."""
    program, exact = prepared.program, prepared.numbers.rounding == "exact"
    kept = with_wholes(program) if exact else None
    secrets = secrets_in(args, kwargs)
    results = yield from run(program if kept is None else kept.program, protocol, [secret.share for secret in secrets])
    facts = zip(prepared.worst.outputs, prepared.brief.outputs, prepared.worst.origins, strict=True)
    outputs = []
    for index, (kind, (*known, origins)) in enumerate(zip(program.output_types, facts, strict=True)):
        behind = [x for k, x in enumerate(secrets) if origins >> k & 1]
        largest = max((x.largest for x in behind if x.largest is not None), default=None)
        held = all(x.held for x in behind)
        place = None if kept is None else kept.places[index]
        whole = None if kept is None or place is None else Whole(results[place], kept.shifts[index])
        plain = msgspec.structs.replace(kind, bound=None)
        intervals = (known[0], known[1])
        outputs.append(SecretArray(results[index], plain, intervals=intervals, largest=largest, held=held, whole=whole))
    return outputs
