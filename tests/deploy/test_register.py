"""register.sh with a fake Informatics Gateway and Workflow Manager."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.deploy.test_monai_express import DOCUMENTS, EXPRESS, errors, read

IDENTIFIER = "849d4683-006b-410c-aa17-d0474ee26b7b"


@dataclass
class Services:
    """State of both fake services, which share one address: registered entities, health, and requests."""

    url: str = ""
    entities: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    workflows: list[dict[str, Any]] = field(default_factory=list)
    healthy: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, object]:
        """Answer as the two services do."""
        self.asked.append((method, path))
        parts = path.strip("/").split("/")
        if parts == ["health"]:
            return (200 if self.healthy else 503), {}
        if parts[0] == "config":
            return self._config(method, parts[1:], body)
        if parts[:2] == ["workflows", "aetitle"]:
            found = [w for w in self.workflows if w["informatics_gateway"]["ae_title"] == parts[2]]
            return 200, {"data": found}
        if method == "POST" and parts == ["workflows"]:
            refused = errors(body, "workflow.json") or body["name"] in [w["name"] for w in self.workflows]
            if not refused:
                self.workflows.append(body)
            return (400, {"detail": "refused"}) if refused else (201, {"workflow_id": IDENTIFIER})
        if method == "POST" and parts == ["workflows", "validate"]:
            return (400 if errors(body["workflow"], "workflow.json") else 204), {}
        if method == "PUT" and parts == ["workflows", IDENTIFIER]:
            assert body["original_workflow_name"] == body["workflow"]["name"]
            return 201, {"workflow_id": IDENTIFIER}
        return 404, {"detail": "not found"}

    def _config(self, method: str, parts: list[str], body: Any) -> tuple[int, object]:
        if method == "GET":
            entity = self.entities.get((parts[0], parts[1]))
            return (404, {"detail": "not found"}) if entity is None else (200, entity)
        if errors(body, DOCUMENTS[f"gateway/{parts[0]}.json"]):
            return 400, {"detail": "refused"}
        key = (parts[0], body["name"])
        if method == "POST" and key in self.entities:
            return 409, {"detail": "already there"}
        self.entities[key] = body
        return (201 if method == "POST" else 200), body


@pytest.fixture
def services() -> Iterator[Services]:
    state = Services()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, answer = state.answer(self.command, self.path, body)
            self.send_response(status)
            self.end_headers()
            if status != 204:
                self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def register(services: Services, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(EXPRESS / "register.sh"), *arguments],
        env=os.environ | {"GATEWAY": services.url, "WORKFLOW_MANAGER": services.url} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_everything_is_registered_as_the_files_have_it(services: Services) -> None:
    done = register(services)
    assert done.returncode == 0, done.stderr
    assert services.entities == {
        ("ae", "CSPINE"): read("gateway/ae.json"),
        ("source", "PACS"): read("gateway/source.json"),
        ("destination", "PACS"): read("gateway/destination.json"),
    }
    assert services.workflows == [read("workflow.json")]
    assert IDENTIFIER in done.stdout


def test_what_is_there_is_updated_and_a_second_workflow_is_refused(services: Services) -> None:
    services.entities["ae", "CSPINE"] = {"name": "CSPINE"}
    assert register(services).returncode == 0
    assert services.entities["ae", "CSPINE"] == read("gateway/ae.json")
    again = register(services)
    assert again.returncode == 1 and "--update" in again.stderr
    assert len(services.workflows) == 1


def test_the_workflow_may_be_the_one_for_argo_and_gets_new_revisions(services: Services) -> None:
    argo = str(EXPRESS / "workflow-argo.json")
    assert register(services, WORKFLOW=argo).returncode == 0
    assert services.workflows == [read("workflow-argo.json")]
    done = register(services, "--update", IDENTIFIER, WORKFLOW=argo)
    assert done.returncode == 0 and services.asked[-1] == ("PUT", f"/workflows/{IDENTIFIER}")


def test_a_check_changes_nothing_and_reports_what_is_missing(services: Services) -> None:
    lacking = register(services, "--check")
    assert lacking.returncode == 1 and "source PACS" in lacking.stderr
    assert register(services).returncode == 0
    services.asked.clear()
    done = register(services, "--check")
    assert done.returncode == 0, done.stderr
    assert {method for method, path in services.asked if path != "/workflows/validate"} == {"GET"}
    assert str(EXPRESS / "workflow.json") in done.stdout and "CSPINE" in done.stdout


def test_unhealthy_services_stop_the_registration(services: Services) -> None:
    services.healthy = False
    done = register(services)
    assert done.returncode == 1 and services.url in done.stderr
    assert services.entities == {}
    absent = register(services, WORKFLOW_MANAGER="http://127.0.0.1:1", GATEWAY="http://127.0.0.1:1")
    assert absent.returncode == 1 and "127.0.0.1:1" in absent.stderr


def test_an_unknown_option_shows_the_usage(services: Services) -> None:
    done = register(services, "--help")
    assert done.returncode == 2 and "--check" in done.stderr
    assert services.asked == []
