"""UIDs of the objects that a run writes: equal for equal runs, different for different objects."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass

from cspine.dicom.clock import Clock

_NAMESPACE = uuid.UUID("6f1a4f0e-5b0f-5a55-9c55-3d6b0c1d7a80")


@dataclass(frozen=True)
class ObjectIdentity:
    """Everything that distinguishes an output object from others.

    Parameters
    ----------
    sources : tuple of str
        SOP Instance UIDs of the source instances; their order does not matter.
    model_checksum : str
        Checksum of the model package, empty for a reference.
    version : str
        Version of cspine.
    settings : tuple of (str, str)
        Every setting that changes the object; their order does not matter.
    clock : Clock
        Clock of the run.
    content : str
        Digest of the pixels and of the source header, so that results of a device with different rounding, or with a
        corrected name, are separate objects.
    """

    sources: tuple[str, ...]
    model_checksum: str
    version: str
    settings: tuple[tuple[str, str], ...]
    clock: Clock
    content: str = ""

    def uid(self, role: str) -> str:
        """Return the UID of a part of the object.

        Parameters
        ----------
        role : str
            For example ``"series"``, ``"instance"``, ``"dimension organization"``.

        Returns
        -------
        str
            ``2.25.`` followed by the integer of a name-based UUID (PS3.5 B.2).
        """
        facts = [
            role,
            sorted(self.sources),
            self.model_checksum,
            self.version,
            sorted(self.settings),
            int(self.clock.moment.timestamp()),
            self.content,
        ]
        digest = hashlib.sha256(json.dumps(facts).encode("utf-8")).hexdigest()
        return f"2.25.{uuid.uuid5(_NAMESPACE, digest).int}"
