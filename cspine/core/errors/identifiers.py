"""Identifiers of patients and their objects, as messages may show them."""

from __future__ import annotations

import hashlib


def hashed(identifier: str) -> str:
    """Return a short, stable substitute for a UID or another identifier that is safe in logs and messages.

    Parameters
    ----------
    identifier : str
        A DICOM UID or any text that may identify a patient.

    Returns
    -------
    str
        The first 12 hexadecimal digits of its SHA-256.
    """
    return hashlib.sha256(identifier.encode("utf-8")).hexdigest()[:12]
