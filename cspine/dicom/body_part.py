"""(0018,0015) *Body Part Examined* of derived objects (PS3.16 annex L)."""

from __future__ import annotations

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.volumes import LabelArray, labels_present


def body_part(labels_zyx: LabelArray) -> str:
    """Return (0018,0015) *Body Part Examined*: ``"CSPINE"`` if no vertebra below T1 is present, else ``"SPINE"``.

    Parameters
    ----------
    labels_zyx : ndarray, shape (z, y, x)
        Labels with the numbers of VerSe, 0 for background.
    """
    neck = {level.label for level in CERVICAL_LEVELS}
    return "CSPINE" if set(labels_present(labels_zyx)) <= neck else "SPINE"
