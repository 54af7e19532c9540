# SPDX-License-Identifier: Apache-2.0
"""Numbers about the keys in common that are computed on an mpc device: counts and sums, bounded from below, noised.

Nobody learns which keys are in common, and of a number nothing before it is revealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jali.core.errors import ProgramError
from jali.core.extras import need
from jali.devices.plain import PlainDevice
from jali.privacy.laplace import discrete_laplace
from jali.psi.owners import owners_of
from jali.psi.secret_join import ROWS, TOTAL, join_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jali.devices.handle import Handle
    from jali.devices.mpc import MpcDevice

__all__ = ["count_on", "sum_common"]

_MOST_EPSILON: Final = 100.0


def count_on(
    left: Any,
    right: Any,
    *,
    on: str | Sequence[str],
    device: MpcDevice,
    normalise: str,
    at_least: int,
    epsilon: float | None,
) -> Handle:
    """How many different keys two tables have in common, as a secret on a device: see `jali.count_common`.

    Raises: ProgramError.
    """
    _require_bound(at_least)
    joined = join_on(left, right, on=on, device=device, normalise=normalise, of="")
    noise = []
    if epsilon is not None:
        if not 0 < epsilon <= _MOST_EPSILON:
            raise ProgramError(f"expected an epsilon above 0 and up to {_MOST_EPSILON:g}, found {epsilon}")
        noise = [PlainDevice(left.program, owner, owner)(discrete_laplace)(epsilon) for owner in owners_of(left, right)]
    result: Handle = device(_count)(joined["difference"], noise, at_least=at_least)
    return result


def sum_common(
    left: Any,
    right: Any,
    *,
    on: str | Sequence[str],
    of: str,
    device: MpcDevice,
    at_least: int = 0,
    normalise: str = "trimmed",
) -> Handle:
    """The sum of a column of the right table over the rows of a join, as a secret on an mpc device.

    The handle is to a mapping: "sum", "rows" (how many rows the join has, so that the mean is sum / rows) and "keys"
    (how many different keys are in common), all as SQL's inner join has them where keys stand in several rows. With
    fewer than `at_least` keys in common, all three are 0. Reveal what shall be known, and no more.

    Security: `jali.psi.circuit` and the device's. Whoever learns sums over sets that they choose learns about one
    person from two sets that differ in that one: agree on who may ask how often, and set `at_least`.
    Raises: ProgramError, WouldDisclose; ColumnMissing and KeyInvalid at the right party for a column without numbers.

    Example: ``total = jali.sum_common(readers, sales, on="id", of="amount", device=mpc, at_least=100)`` and then
    ``jali.reveal(total["sum"], to="publisher")``.
    References: Ion et al. 2019 (ePrint 2019/723) for what it is good for.
    """
    _require_bound(at_least)
    joined = join_on(left, right, on=on, device=device, normalise=normalise, of=of)
    result: Handle = device(_sum)(joined["difference"], joined["left"], joined["right"], at_least=at_least)
    return result


def _require_bound(at_least: int) -> None:
    if at_least < 0:
        raise ProgramError(f"expected at_least = 0 or more keys in common, found {at_least}")


def _count(difference: Any, noise: Sequence[Any], *, at_least: int) -> Any:
    """How many differences are 0, with noise."""
    count = (difference == 0).sum()
    for number in noise:
        count = count + number
    return _released(count, count, at_least)


def _sum(difference: Any, left: Any, right: Any, *, at_least: int) -> Any:
    """Sum, rows and keys of the join."""
    where = need("jax.numpy", extra="jax").where
    member = difference == 0
    times = where(member, left[ROWS], 0)
    keys = member.sum()
    numbers = {
        "sum": (times * where(member, right[TOTAL], 0)).sum(),
        "rows": (times * where(member, right[ROWS], 0)).sum(),
        "keys": keys,
    }
    return {name: _released(number, keys, at_least) for name, number in numbers.items()}


def _released(number: Any, count: Any, at_least: int) -> Any:
    """The number, or 0 if the count is too small."""
    return need("jax.numpy", extra="jax").where(count >= at_least, number, 0) if at_least else number
