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
from jali.crypto.hashing import digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jali.psi.keys import Keys

__all__ = ["Job", "RunFolder"]

_PRIVATE = 0o600
_JOB, _STATE = "job.json", "state.json"


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one party wants of an intersection of files.

    `source` is a path or a query, `on` its key columns, `target` the file for the result ("" at a party that does not
    learn). `learns` is "both" or a party; `keep` are the parties whose rows without a match are kept. With `anti`
    those rows are written whose key the other party has not, in their order, instead of those in common. `report` is
    the file for a page about the run, if there shall be one.
    """

    federation: str
    me: str
    peer: str
    source: str
    on: tuple[str, ...]
    target: str = ""
    learns: str = "both"
    keep: tuple[str, ...] = ()
    protocol: str = "auto"
    normalise: str = "trimmed"
    network: str = "lan"
    memory_mib: int = 1024
    anti: bool = False
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
    """Checkpoints of one job, see `jali.psi.intersection.Checkpoints`.

    Security: holds positions of matching keys, which are as private as the result; files are readable by their owner
    only. No key, digest of a key or secret is kept.
    """

    def __init__(self, path: Path) -> None:
        """A folder that exists; see `create` and `job`."""
        self.path = path
        self._keys = ""

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
    def wish(self) -> str:
        """The protocol that was begun with, so that "auto" does not choose another after a crash; or that was asked."""
        try:
            return _STATES.decode((self.path / _STATE).read_bytes()).protocol
        except (OSError, msgspec.MsgspecError):
            return self.job.protocol

    @property
    def started(self) -> bool:
        """Whether there are results of an earlier run to go on from."""
        return (self.path / _STATE).exists()

    def holds(self, keys: Keys) -> None:
        """Say which keys the run has, so that results of other keys are not taken for theirs."""
        self._keys = digest("jali.psi.run.v1", keys.digests.tobytes()).hex()

    def begin(self, n_mine: int, n_theirs: int, protocol: str, count: int) -> NDArray[np.bool_]:
        """See `Checkpoints.begin`."""
        state = _State(keys=self._keys, n_mine=n_mine, n_theirs=n_theirs, protocol=protocol, count=count)
        path = self.path / _STATE
        try:
            same = _STATES.decode(path.read_bytes()) == state
        except (OSError, msgspec.MsgspecError):
            same = False
        if not same:
            for old in self.path.glob("bucket-*.npy"):
                old.unlink()
            write_atomically(path, msgspec.json.encode(state), mode=_PRIVATE)
        return np.array([self._bucket(bucket).exists() for bucket in range(count)], np.bool_)

    def load(self, bucket: int) -> NDArray[np.int64] | None:
        """See `Checkpoints.load`. Raises: RunFolderInvalid."""
        try:
            found = np.load(self._bucket(bucket), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RunFolderInvalid(f"bucket {bucket} in {str(self.path)!r} cannot be read: {error}") from None
        if found.dtype != np.int64 or found.ndim != 1:
            raise RunFolderInvalid(f"bucket {bucket} in {str(self.path)!r} is not what a run wrote: delete the folder")
        return None if len(found) and found[0] < 0 else np.asarray(found)

    def save(self, bucket: int, found: NDArray[np.int64] | None) -> None:
        """See `Checkpoints.save`. Raises: WriteFailed."""
        file = io.BytesIO()
        np.save(file, np.array([-1], np.int64) if found is None else found, allow_pickle=False)
        write_atomically(self._bucket(bucket), file.getvalue(), mode=_PRIVATE)

    def delete(self) -> None:
        """The run has ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _bucket(self, bucket: int) -> Path:
        return self.path / f"bucket-{bucket:04d}.npy"
