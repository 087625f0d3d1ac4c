"""Errors of results (CS-RES) and of writing them (CS-OUT)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class NoVertebraError(CSpineError):
    """No cervical vertebra (with a full-spine model: no vertebra) was segmented, so no DICOM object is written."""

    code = "CS-RES-001"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Check that the series shows the neck. An empty result has no preview."


class FindingError(CSpineError):
    """The result has a finding that `fail_on` names, so nothing is written."""

    code = "CS-RES-002"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Run again without `fail_on` to see the result, with its findings, before it is used."


class MeshError(CSpineError):
    """A vertebra cannot be meshed with elements of the required quality."""

    code = "CS-RES-003"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Choose another edge length, or omit the level with `levels`; look at the segmentation of this level."


class OutputError(CSpineError):
    """The output cannot be written."""

    code = "CS-OUT-001"
    exit_code = 10
    advice = "Check the free space and the permissions of the output folder."


class OutputNotEmptyError(OutputError):
    """The output folder already contains results."""

    code = "CS-OUT-002"
    advice = "Choose an empty folder, or replace the results with `overwrite`."
