"""One typing error in a configuration, one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cspine.core.errors import RoutingConfigError
from cspine.service.config import load_config


def faults(folder: Path, **changes: Any) -> list[str]:
    content: dict[str, Any] = {
        "spool": "spool",
        "listener": {"allowed_calling_ae_titles": ["PACS"]},
        "destinations": [{"name": "pacs", "dicom": {"host": "h", "port": 104, "ae_title": "PACS"}}],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    with pytest.raises(RoutingConfigError) as refused:
        load_config(path)
    return refused.value.message.partition(": ")[2].split("; destinations")


def test_a_misspelt_field_that_is_needed_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, destinations=[{"name": "pacs", "dicom": {"hosst": "h", "port": 1, "ae_title": "P"}}])
    assert fault.startswith("destinations.0.dicom.hosst") and fault.endswith("host is missing")


def test_a_misspelt_field_that_is_optional_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, run={"modell": "neck"})
    assert fault.startswith("run.modell")


def test_two_errors_are_two_faults(tmp_path: Path) -> None:
    found = faults(tmp_path, destinations=[{"name": "pacs", "dicom": {"colour": 1, "port": 1, "ae_title": "P"}}])
    assert len(found) == 2
