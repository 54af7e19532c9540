# SPDX-License-Identifier: Apache-2.0
"""What every type that holds a secret has in common: it shows nothing, compares with nothing, is never serialised."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """Base of keys and generators.

    Security: `repr` names the type only; truth, equality, order of iteration and pickling raise `TypeError`, so that
    a secret reaches neither a log nor a branch by accident.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The name of the type."""
        return f"<{type(self).__name__}>"

    def __bool__(self) -> bool:  # noqa: PLE0304 - it never returns
        """Refused: the truth of a secret would be a branch on it."""
        self._refuse("has no truth value; compare `is None` if it is optional")

    def __eq__(self, other: object) -> NoReturn:
        """Refused: `==` is not constant time and its result would be a branch on the secret."""
        self._refuse("cannot be compared")

    def __iter__(self) -> NoReturn:
        """Refused."""
        self._refuse("cannot be iterated")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refused: secrets stay in the process that made them."""
        self._refuse("cannot be copied or serialised")

    def _refuse(self, why: str) -> NoReturn:
        message = f"{type(self).__name__} holds a secret: it {why}"
        raise TypeError(message)
