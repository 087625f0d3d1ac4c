"""Findings of a step: logged, and refused where a user wants none of their kind."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cspine.core.findings import CONTRAST_MEDIUM, FINDINGS_LOG, Finding, Severity, require_none
from cspine.pipeline.settings import RunSettings

_findings_log = logging.getLogger(FINDINGS_LOG)


def log_findings(findings: Sequence[Finding], settings: RunSettings) -> None:
    """Log findings, and refuse a result with one that is not wanted.

    Parameters
    ----------
    findings : sequence of Finding
        Findings of a step.
    settings : RunSettings
        Severities and codes with which nothing is written (``fail_on``).

    Raises
    ------
    FindingError
        If a finding is of such a kind.
    """
    for finding in findings:
        level = logging.INFO if finding.severity is Severity.INFO else logging.WARNING
        _findings_log.log(level, "finding %s %s: %s", finding.code, finding.level or "-", finding.sentence)
    require_none(findings, settings.fail_on)


def contrast_findings(has_contrast: bool) -> tuple[Finding, ...]:
    """Return a finding if a header states a contrast agent."""
    return (CONTRAST_MEDIUM.about("According to the header contrast medium was given."),) if has_contrast else ()
