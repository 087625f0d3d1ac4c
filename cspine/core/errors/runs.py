"""Errors of runs of many studies or cases (CS-RUN, CS-COH), and of the check before a run (CS-DOC)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError


class SomeStudiesFailedError(CSpineError):
    """At least one study or case failed."""

    code = "CS-RUN-001"
    exit_code = 11
    advice = "See the list: it gives each failure with its code."


class CohortError(CSpineError):
    """A cohort cannot start because its list, its output folder or its cluster cannot be used."""

    code = "CS-COH-001"
    exit_code = 16
    advice = "Run `cspine cohort --help` to see how studies are listed and how a cluster is named."


class NotReadyError(CSpineError):
    """`cspine doctor` found a problem that would make a run fail."""

    code = "CS-DOC-001"
    exit_code = 17
    advice = "See the lines marked FAIL, which say what is missing."
