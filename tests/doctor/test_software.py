"""Versions, imports and rendering."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

import cspine
from cspine.doctor import software
from cspine.doctor.diagnostic import Status
from cspine.doctor.software import SdkProbe, rendering, versions


def test_versions_are_reported() -> None:
    lines = {line.name: line for line in versions()}
    assert all(line.status is Status.OK for line in lines.values())
    assert lines["cspine"].text.startswith(f"{cspine.__version__}, Python 3.")
    assert f"pydicom {metadata.version('pydicom')}" in lines["libraries"].text


def test_a_missing_library_fails_and_a_missing_extra_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_LIBRARIES", ("pydicom", "no-such-library"))
    monkeypatch.setattr(software, "_EXTRAS", {"cohort": ("no-such-library",)})
    lines = {line.name: line for line in versions()}
    assert lines["libraries"].status is Status.FAIL and "no-such-library" in lines["libraries"].text
    assert lines["extra cohort"].status is Status.OK and "cspine[cohort]" in lines["extra cohort"].text


def test_text_can_be_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendering().status is Status.OK

    def no_font(*_: object, **__: object) -> str:
        raise ValueError("Failed to find font DejaVu Sans")

    monkeypatch.setattr("matplotlib.font_manager.fontManager.findfont", no_font)
    assert rendering().status is Status.FAIL


@pytest.mark.parametrize(
    ("module", "status", "words"),
    [("json", Status.OK, "1.0"), ("no_such_module", Status.WARN, "failed")],
)
def test_the_sdk_is_tried_in_a_process_of_its_own(
    module: str, status: Status, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "_SDK", (module,))
    monkeypatch.setattr(software, "_version", lambda _: "1.0")
    line = SdkProbe().result()
    assert line.status is status and words in line.text


def test_an_sdk_that_hangs_or_is_not_there_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_version", lambda _: None)
    assert "not installed" in SdkProbe().result().text
    monkeypatch.setattr(software, "_SDK", ("json; import time; time.sleep(60)",))
    monkeypatch.setattr(software, "_SDK_S", 0.2)
    monkeypatch.setattr(software, "_version", lambda _: "1.0")
    assert "unknown" in SdkProbe().result().text


def test_the_installed_sdk_is_seen_whatever_its_distribution_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    distributions = metadata.packages_distributions().get("holoscan")
    if not distributions:
        pytest.skip("the SDK is not installed")
    (distribution,) = distributions
    monkeypatch.setattr(software, "_SDK", ("json",))  # its versions are looked for, not its import
    line = SdkProbe().result()
    assert f"{distribution} {metadata.version(distribution)}" in line.text
    assert f"monai-deploy-app-sdk {metadata.version('monai-deploy-app-sdk')}" in line.text


def test_holoscan_is_found_by_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "holoscan").mkdir()
    (tmp_path / "holoscan" / "__init__.py").touch()
    for name, files in (("holoscan-cu99", "holoscan/__init__.py,,\n"), ("monai-deploy-app-sdk", "monai/deploy.py,,\n")):
        folder = tmp_path / f"{name.replace('-', '_')}-7.8.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 7.8.9\n")
        (folder / "RECORD").write_text(files)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr(software, "_SDK", ("json",))
    line = SdkProbe().result()
    assert line.status is Status.OK and "holoscan-cu99 7.8.9" in line.text
    (tmp_path / "holoscan_cu99-7.8.9.dist-info" / "RECORD").write_text("")
    (tmp_path / "holoscan_cu99-7.8.9.dist-info" / "METADATA").unlink()
    assert "not installed" in SdkProbe().result().text
