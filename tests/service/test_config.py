"""The configuration file, the examples, and the tables in the documentation."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validate
from pydantic import ValidationError

from cspine.core.errors import RoutingConfigError
from cspine.service.config import Credentials, Retry, ServiceConfig, WebServer, load_config
from tests.builders.raises import raises_code

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "deploy" / "pacs").glob("*.yaml"))
GOOD: dict[str, Any] = {
    "spool": "spool",
    "listener": {"allowed_calling_ae_titles": ["PACS"]},
    "destinations": [{"name": "pacs", "dicom": {"host": "h", "port": 104, "ae_title": "PACS"}}],
}
WEB = {"name": "web", "dicomweb": {"url": "https://h/dicom-web"}}


def written(folder: Path, content: Any) -> Path:
    """The content as a file."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_both_examples_are_there():
    assert [path.name for path in EXAMPLES] == ["listener.yaml", "polling.yaml"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_follow_the_schema(path: Path) -> None:
    config = load_config(path)
    assert config.spool == Path("/var/lib/cspine/spool")
    validate(yaml.safe_load(path.read_text()), ServiceConfig.model_json_schema())


def test_the_unit_of_systemd_starts_the_command_and_leaves_the_end_to_it():
    unit = (ROOT / "deploy" / "pacs" / "cspine-serve-pacs.service").read_text()
    assert "ExecStart=/opt/cspine/bin/cspine serve-pacs /etc/cspine/serve-pacs.yaml" in unit
    for line in ("KillMode=mixed", "Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in unit.splitlines()
    assert {"UMask=0077", "MemoryMax=12G"} <= set(unit.splitlines())


def test_relative_paths_count_from_the_file(tmp_path):
    assert load_config(written(tmp_path, GOOD)).spool == tmp_path / "spool"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spool": None}, "spool"),
        ({"nonsense": 1}, "nonsense"),
        ({"listener": {"allowed_calling_ae_titles": []}}, "listener.allowed_calling_ae_titles"),
        ({"listener": {}}, "listener.allowed_calling_ae_titles"),
        ({"listener": {"allowed_calling_ae_titles": ["A" * 17]}}, "listener.allowed_calling_ae_titles.0"),
        ({"listener": {"allowed_calling_ae_titles": ["A"], "port": 70000}}, "listener.port"),
        ({"listener": {"allowed_calling_ae_titles": ["A"], "tls": {"certificate": "c", "key": "k"}}}, "listener.tls"),
        ({"listener": None}, "file"),
        ({"spool": "a\0b"}, "spool"),
        ({"run": {"outputs": "seg,pictures"}}, "run.outputs"),
        ({"run": {"outputs": "preview,report"}}, "no DICOM object is among the outputs"),
        ({"run": {"outputs": "surfaces,fe"}}, "no DICOM object is among the outputs"),
        ({"run": {"outputs": "report", "surface_format": "dicom"}}, "no DICOM object is among the outputs"),
        ({"run": {"surface_format": "step"}}, "run.surface_format"),
        ({"run": {"fe_format": "msh"}}, "run.fe_format"),
        ({"run": {"seg_type": "fractional"}}, "run.seg_type"),
        ({"run": {"engine": "tensorrt"}}, "run.engine"),
        ({"spool": "~no-such-user/x"}, "spool"),
        ({"study_complete_after_s": 1e18}, "study_complete_after_s"),
        ({"retention": {"done_days": 1e18}}, "retention.done_days"),
        ({"polling": {"url": "https://h", "lookback_days": 10**9}}, "polling.lookback_days"),
        ({"destinations": []}, "destinations"),
        ({"destinations": [{"name": "a"}]}, "destinations.0"),
        ({"destinations": [WEB, WEB]}, "file"),
        ({"polling": {"url": "https://user:pw@h/x"}}, "polling.url"),
        ({"polling": {"url": "ftp://h/x"}}, "polling.url"),
        ({"polling": {"url": "https://h", "filters": {"Nonsense": "x"}}}, "polling.filters.Nonsense.[key]"),
        ({"polling": {"url": "https://h", "filters": {"Modality": "MR"}}}, "polling.filters.Modality.[key]"),
        (
            {"polling": {"url": "https://h", "credentials": {"user": "u", "password": "p"}}},
            "polling.credentials.password",
        ),
        ({"polling": {"url": "https://h", "credentials": {"user": "u"}}}, "polling.credentials"),
        ({"polling": {"url": "https://h", "credentials": {"password_variable": "P"}}}, "polling.credentials"),
    ],
)
def test_an_invalid_value_is_reported_with_its_field(change: dict[str, Any], field: str, tmp_path: Path) -> None:
    content = copy.deepcopy(GOOD) | change
    with raises_code(RoutingConfigError, field) as caught:
        load_config(written(tmp_path, content))
    assert ":pw@" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [None, "a: [", "\x00", "- 1", "[" * 5000, "spool: .inf", "spool: " + "9" * 5000, "spool: 2024-13-45"],
    ids=["no file", "no end", "control", "a list", "deep", "infinite", "long number", "date"],
)
def test_an_invalid_file_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RoutingConfigError):
        load_config(path)


def test_surfaces_as_dicom_objects_are_something_to_send(tmp_path):
    run = {"outputs": "surfaces", "surface_format": "DICOM, stl", "fe_format": "vtu,k"}
    read = load_config(written(tmp_path, GOOD | {"run": run})).run
    assert (read.surface_format, read.fe_format) == ("stl,dicom", "k,vtu")


def test_a_secret_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "pw").write_text("geheim\n")
    monkeypatch.setenv("TOKEN", "abc")
    assert Credentials(user="u", password_file=tmp_path / "pw").secret() == "geheim"
    assert Credentials(token_variable="TOKEN").secret() == "abc"
    with raises_code(RoutingConfigError, "GONE"):
        Credentials(token_variable="GONE").secret()


def test_pauses_grow_to_their_maximum():
    retry = Retry(initial_delay_s=10, factor=3, max_delay_s=100)
    assert [retry.delay_s(n) for n in (1, 2, 3, 4, 5000)] == [10, 30, 90, 100, 100]


def test_the_schema_is_json():
    assert json.dumps(ServiceConfig.model_json_schema())


def test_no_secret_travels_in_clear_text():
    credentials = {"token_variable": "TOKEN"}
    with pytest.raises(ValidationError, match="https"):
        WebServer.model_validate({"url": "http://pacs.hospital/dicom-web", "credentials": credentials})
    for url in ("https://pacs.hospital/dicom-web", "http://127.0.0.1:8042/dicom-web"):
        assert WebServer.model_validate({"url": url, "credentials": credentials}).url == url
