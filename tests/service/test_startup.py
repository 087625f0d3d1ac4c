"""What must hold before the service starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import ModelNotFoundError, RoutingConfigError, SpoolError
from cspine.service.queue.spool import Spool
from cspine.service.startup import inspect_spool, model_of_service, require_links
from tests.builders.nnunet_results import TinyModel
from tests.builders.small_neck import MODELS


def test_a_demonstration_model_that_was_not_named_is_refused() -> None:
    with pytest.raises(RoutingConfigError):
        model_of_service(None, {})
    with pytest.raises(RoutingConfigError):
        model_of_service(None, {"HOLOSCAN_MODEL_PATH": str(MODELS / "cervical-demo")})
    assert model_of_service(None, {}, allow_demonstration=True).demonstration
    assert model_of_service("cervical-demo", {}).name == "cervical-demo"


def test_a_mounted_model_counts_as_named(tmp_path: Path) -> None:
    TinyModel().package(tmp_path / "neck")
    assert not model_of_service(None, {"HOLOSCAN_MODEL_PATH": str(tmp_path)}).demonstration
    with pytest.raises(ModelNotFoundError):
        model_of_service(None, {"HOLOSCAN_MODEL_PATH": str(tmp_path / "wrong mount")}, allow_demonstration=True)


def test_a_spool_is_inspected_without_a_trace(tmp_path: Path) -> None:
    assert "GiB free" in inspect_spool(tmp_path / "var" / "spool", 0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpoolError):
        inspect_spool(tmp_path, 2**60)
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError):
        inspect_spool(tmp_path / "file", 0)


def test_a_spool_in_use_is_seen(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.lock()
    with pytest.raises(SpoolError):
        inspect_spool(spool.folder, 0)
    spool.release()
    assert "GiB free" in inspect_spool(spool.folder, 0)


def test_hard_links_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool")
    require_links(spool)
    assert list(spool.tmp.iterdir()) == []

    def refuse(first: Path, second: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("cspine.service.queue.durable.link", refuse)
    with pytest.raises(SpoolError):
        require_links(spool)
    assert list(spool.tmp.iterdir()) == []
