# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: what it was asked, and the results of its buckets, until it has ended."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from jali.core.errors import FileMissing, RunFolderInvalid
from jali.core.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jali.psi.keys import Keys

__all__ = ["Job", "RoundFolder", "RunFolder"]

_PRIVATE = 0o600
_JOB = "job.json"


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one party wants of an intersection of files.

    `source` is a path or a query, a text file of the `encoding`; `on` are its key columns, and `otherwise` those of
    further keys, for rows that no key before has matched; `target` is the file for the result ("" at a party that does
    not learn). `learns` is "both" or a party, `how` a kind of join. `report` is the file for a page about the run, if
    there shall be one.
    """

    federation: str
    me: str
    peer: str
    source: str
    on: tuple[str, ...]
    target: str = ""
    otherwise: tuple[tuple[str, ...], ...] = ()
    how: str = "inner"
    learns: str = "both"
    protocol: str = "auto"
    normalise: str = "trimmed"
    network: str = "lan"
    memory_mib: int = 1024
    encoding: str = "utf-8"
    report: str = ""


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which intersection the results belong to."""

    keys: str
    n_mine: int
    n_theirs: int
    protocol: str
    count: int


_JOBS, _STATES = msgspec.json.Decoder(Job), msgspec.json.Decoder(_State)


class RunFolder:
    """What one job was asked, and the checkpoints of its rounds.

    Security: holds positions of matching keys, which are as private as the result; files are readable by their owner
    only. Digests of keys are kept where there are too many for memory (`jali.psi.spilled`); no key and no secret is.
    """

    def __init__(self, path: Path) -> None:
        """A folder that exists; see `create` and `job`."""
        self.path = path

    @classmethod
    def create(cls, path: Path, job: Job) -> RunFolder:
        """A new folder for a job. Raises: RunFolderInvalid if there is one already: an unfinished run."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            raise RunFolderInvalid(
                f"{str(path)!r} holds a run that has not ended: go on with 'jali psi resume {path}', or delete it"
            ) from None
        except OSError as error:
            raise RunFolderInvalid(f"cannot make {str(path)!r}: {error.strerror or error}") from None
        write_atomically(path / _JOB, msgspec.json.encode(job), mode=_PRIVATE)
        return cls(path)

    @property
    def job(self) -> Job:
        """What was asked. Raises: FileMissing, RunFolderInvalid."""
        try:
            return _JOBS.decode((self.path / _JOB).read_bytes())
        except OSError:
            raise FileMissing(f"{str(self.path)!r} is no folder of a run: it has no {_JOB}") from None
        except msgspec.MsgspecError as error:
            raise RunFolderInvalid(f"{str(self.path / _JOB)!r} is not what a run wrote ({error})") from None

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of the rounds that have begun, each once."""
        states = (_state(path) for path in sorted(self.path.glob("state-*.json")))
        return tuple(dict.fromkeys(state.protocol for state in states if state is not None))

    @property
    def started(self) -> bool:
        """Whether there are results of an earlier run to go on from."""
        return any(self.path.glob("state-*.json"))

    def round(self, number: int, keys: Keys) -> RoundFolder:
        """The checkpoints of a round with these keys; results of other keys are not taken for theirs."""
        return RoundFolder(self.path, number, keys)

    def delete(self) -> None:
        """The run has ended."""
        shutil.rmtree(self.path, ignore_errors=True)


class RoundFolder:
    """Checkpoints of one round, see `jali.psi.intersection.Checkpoints`."""

    def __init__(self, path: Path, number: int, keys: Keys) -> None:
        """See `RunFolder.round`."""
        self._path, self._number = path, f"{number:02d}"
        self._state = path / f"state-{self._number}.json"
        self._keys = keys.fingerprint()

    @property
    def wish(self) -> str:
        """The protocol that was begun with, so that "auto" does not choose another after a crash; "" if none was."""
        state = _state(self._state)
        return "" if state is None else state.protocol

    def begin(self, n_mine: int, n_theirs: int, protocol: str, count: int) -> NDArray[np.bool_]:
        """See `Checkpoints.begin`."""
        state = _State(keys=self._keys, n_mine=n_mine, n_theirs=n_theirs, protocol=protocol, count=count)
        if _state(self._state) != state:
            for old in self._path.glob(f"bucket-{self._number}-*.npy"):
                old.unlink()
            write_atomically(self._state, msgspec.json.encode(state), mode=_PRIVATE)
        return np.array([self._bucket(bucket).exists() for bucket in range(count)], np.bool_)

    def load(self, bucket: int) -> NDArray[np.int64] | None:
        """See `Checkpoints.load`. Raises: RunFolderInvalid."""
        try:
            found = np.load(self._bucket(bucket), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RunFolderInvalid(f"bucket {bucket} in {str(self._path)!r} cannot be read: {error}") from None
        if found.dtype != np.int64 or found.ndim != 1:
            raise RunFolderInvalid(f"bucket {bucket} in {str(self._path)!r} is not what a run wrote: delete the folder")
        return None if len(found) and found[0] < 0 else np.asarray(found)

    def save(self, bucket: int, found: NDArray[np.int64] | None) -> None:
        """See `Checkpoints.save`. Raises: WriteFailed."""
        file = io.BytesIO()
        np.save(file, np.array([-1], np.int64) if found is None else found, allow_pickle=False)
        write_atomically(self._bucket(bucket), file.getvalue(), mode=_PRIVATE)

    def _bucket(self, bucket: int) -> Path:
        return self._path / f"bucket-{self._number}-{bucket:04d}.npy"


def _state(path: Path) -> _State | None:
    try:
        return _STATES.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
