"""The substitute for an identifier."""

from __future__ import annotations

import hashlib

from cspine.core.errors import hashed


def test_a_hashed_identifier_is_short_stable_and_not_the_identifier() -> None:
    assert hashed("1.2.3") == hashlib.sha256(b"1.2.3").hexdigest()[:12] != hashed("1.2.4")
    assert len(hashed("Müller")) == 12
