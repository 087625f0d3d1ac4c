"""What may happen to a series: each mutation is a function that changes a `Case`, found by its name."""

from __future__ import annotations

from tests.fuzz.mutations import archives, elements, files, geometry, pixels
from tests.fuzz.mutations.registry import MUTATIONS, Mutation

__all__ = ["MUTATIONS", "Mutation", "archives", "elements", "files", "geometry", "pixels"]
