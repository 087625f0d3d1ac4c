"""Errors of usage (CS-USE): options, settings, configuration files, and what a command needs."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError


class UsageError(CSpineError):
    """An option, a setting or a configuration file is invalid."""

    code = "CS-USE-001"
    exit_code = 2
    advice = "See `help` for the values that are allowed."


class RulesError(UsageError):
    """A series selection file is invalid."""

    code = "CS-USE-002"
    advice = "Correct the field that the message names; docs/guide/selection.md describes the file."


class RoutingConfigError(UsageError):
    """The configuration of `cspine serve-pacs` is invalid."""

    code = "CS-USE-003"
    advice = "Correct the field that the message names; `cspine serve-pacs --schema` prints what is allowed."


class MissingExtraError(UsageError):
    """A command needs libraries that the basic installation does not include."""

    code = "CS-USE-004"
    advice = "Install the extra that the message names, for example pip install 'cspine[service]'."


class DicomSourceNeededError(UsageError):
    """A DICOM object was asked for, and the image does not come from DICOM."""

    code = "CS-USE-005"
    advice = "Leave seg out of `outputs`, or pass the DICOM series of the image: a SEG refers to its instances."
