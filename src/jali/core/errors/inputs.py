# SPDX-License-Identifier: Apache-2.0
"""J1xxx: files, tables, settings and parameters that are not what was expected."""

from __future__ import annotations

from jali.core.errors.tree import InputError

__all__ = [
    "BadRange",
    "CacheInvalid",
    "CellTypeWrong",
    "ColumnMissing",
    "ColumnTypeError",
    "ConfigInvalid",
    "DealerMissing",
    "DealingBroken",
    "DealingCopied",
    "DealingExhausted",
    "DealingMismatch",
    "DealingMissing",
    "DuplicateName",
    "EncodingWrong",
    "ExtraMissing",
    "FederationExists",
    "FileEmpty",
    "FileMissing",
    "FixedPointRangeError",
    "KernelLevelError",
    "KeyInvalid",
    "KeyTypeWrong",
    "LabelError",
    "LedgerBroken",
    "ModelParameterError",
    "PartyNameInvalid",
    "RowRagged",
    "RunFolderInvalid",
    "SavedInvalid",
    "SavedMismatch",
    "SavedMissing",
    "TableInvalid",
    "TrainingRowsError",
    "UnknownKey",
    "UnknownName",
    "UnseenCategoryError",
]


class ConfigInvalid(InputError):
    """The federation file is not valid TOML or a setting has the wrong form."""

    code = "J1010"


class UnknownKey(InputError):
    """The federation file has a key that no setting goes by."""

    code = "J1011"


class BadRange(InputError):
    """A template's range such as [0..3] cannot be expanded."""

    code = "J1012"


class DuplicateName(InputError):
    """Two entries of the federation file have the same name."""

    code = "J1013"


class UnknownName(InputError):
    """A name does not exist; the message lists near misses."""

    code = "J1014"


class DealerMissing(InputError):
    """A two-party mpc device has nobody to deal correlated randomness."""

    code = "J1015"


class ExtraMissing(InputError):
    """An optional library is needed and not installed."""

    code = "J1016"


class TableInvalid(InputError):
    """Columns do not make a table."""

    code = "J1020"


class ColumnMissing(InputError):
    """A table or file lacks a column that was asked for."""

    code = "J1021"


class FileMissing(InputError):
    """A file that should be read does not exist or cannot be opened."""

    code = "J1030"


class FileEmpty(InputError):
    """A data file has no header or no rows."""

    code = "J1031"


class CellTypeWrong(InputError):
    """A cell cannot be read as the type of its column."""

    code = "J1032"


class RowRagged(InputError):
    """A row of a CSV file has more or fewer cells than the header."""

    code = "J1033"


class KeyInvalid(InputError):
    """The identifiers of a table are empty or not unique."""

    code = "J1034"


class EncodingWrong(InputError):
    """A text file is not UTF-8."""

    code = "J1035"


class RunFolderInvalid(InputError):
    """The folder of an unfinished run is in the way, or not what a run wrote."""

    code = "J1036"


class CacheInvalid(InputError):
    """A cache of masked keys is damaged, forged, of another epoch, or asked for more than its owner allows."""

    code = "J1037"


class FixedPointRangeError(InputError):
    """A number is not finite, or too large for the fixed-point format."""

    code = "J1310"


class KernelLevelError(InputError):
    """JALI_KERNELS names a level that this build or processor does not have, or JALI_THREADS is no number."""

    code = "J1311"


class KeyTypeWrong(InputError):
    """A column cannot be a key: only integers, text and bytes are compared exactly."""

    code = "J1040"


class ColumnTypeError(InputError):
    """A column holds another kind of values than the preparation needs."""

    code = "J1501"


class TrainingRowsError(InputError):
    """The training rows do not say enough to fit on."""

    code = "J1502"


class LabelError(InputError):
    """Labels are not 0 and 1, or there is another number of them than of rows."""

    code = "J1503"


class UnseenCategoryError(InputError):
    """A column has a category that the training rows did not show."""

    code = "J1504"


class ModelParameterError(InputError):
    """A parameter of a model or preparation step is out of its range, or its inputs do not fit together."""

    code = "J1505"


class LedgerBroken(InputError):
    """An entry of a ledger was changed, removed, inserted or moved, or a line was cut off."""

    code = "J1080"


class FederationExists(InputError):
    """A federation would overwrite files that are already there."""

    code = "J1601"


class PartyNameInvalid(InputError):
    """A party's name cannot be used in a certificate or a file name."""

    code = "J1602"


class SavedMissing(InputError):
    """A party has no saved share of that name, or not the key that it is encrypted under."""

    code = "J1090"


class SavedInvalid(InputError):
    """The file of a saved share was changed, was cut off, or is encrypted under another key."""

    code = "J1091"


class SavedMismatch(InputError):
    """Saved shares do not fit each other or the program: another run, device, name, type or structure."""

    code = "J1092"


class DealingMissing(InputError):
    """Nothing was dealt ahead of time for this program and these shapes."""

    code = "J1100"


class DealingBroken(InputError):
    """A store of dealt material was changed or cut off, or its key is another."""

    code = "J1101"


class DealingCopied(InputError):
    """A store of dealt material is a copy, so that what it holds may have been used elsewhere."""

    code = "J1102"


class DealingExhausted(InputError):
    """All executions that were dealt ahead of time are used."""

    code = "J1103"


class DealingMismatch(InputError):
    """A store of dealt material is for other parties, or the evaluators' stores were not dealt together."""

    code = "J1104"
