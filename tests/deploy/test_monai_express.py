"""The files for MONAI Deploy Express and Argo: against schemas of both, and against each other."""

from __future__ import annotations

import copy
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

import cspine
from cspine.core.errors import every_error

EXPRESS = Path(__file__).parents[2] / "deploy" / "monai-express"
SCHEMAS = Path(__file__).parent / "schemas"
#: A process that a signal ended exits with 128 and its number: SIGKILL, SIGTERM.
SIGNALS = {128 + 9, 128 + 15}

Document = dict[str, Any]


def read(name: str) -> Document:
    return dict(json.loads((EXPRESS / name).read_text()))


def read_all(name: str) -> list[Document]:
    return list(yaml.safe_load_all((EXPRESS / "argo" / name).read_text()))


def errors(document: Document, schema: str) -> list[str]:
    validator = Draft202012Validator(json.loads((SCHEMAS / schema).read_text()))
    return [error.message for error in validator.iter_errors(document)]


def templates() -> dict[str, Document]:
    """The WorkflowTemplates, by name."""
    found = [*read_all("workflow-template.yaml"), *read_all("cohort-template.yaml")]
    return {document["metadata"]["name"]: document for document in found}


def task(workflow: Document, identifier: str) -> Document:
    (found,) = [each for each in workflow["tasks"] if each["id"] == identifier]
    return dict(found)


WORKFLOWS = ["workflow.json", "workflow-argo.json"]
DOCUMENTS = {
    "gateway/ae.json": "gateway-ae.json",
    "gateway/source.json": "gateway-source.json",
    "gateway/destination.json": "gateway-destination.json",
    "workflow.json": "workflow.json",
    "workflow-argo.json": "workflow.json",
}


# --- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_each_schema_is_one_and_names_its_source(schema: Path) -> None:
    text = json.loads(schema.read_text())
    Draft202012Validator.check_schema(text)
    assert re.search(r"\b(Project-MONAI|argoproj)/[a-z-]+, (src|api)/", text["description"])


@pytest.mark.parametrize(("name", "schema"), DOCUMENTS.items())
def test_each_file_follows_its_schema(name: str, schema: str) -> None:
    assert errors(read(name), schema) == []


@pytest.mark.parametrize("name", ["cspine", "cspine-gpu", "cspine-cohort"])
def test_each_template_follows_the_schema_of_argo(name: str) -> None:
    assert errors(templates()[name], "argo-workflow-template.json") == []


def _set(*path: str | int, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        node: Any = document
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


def _remove(*path: str | int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        node: Any = document
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("gateway/ae.json", _set("aeTitle", value="CERVICAL-SPINE-1")),
        ("gateway/ae.json", _set("aeTitle", value="C SPINE")),
        ("gateway/ae.json", _set("grouping", value="0020,0010")),
        ("gateway/ae.json", _set("timeout", value="60")),
        ("gateway/ae.json", _set("ignoredSopClasses", value=["1.2.3"])),
        ("gateway/ae.json", _set("AETitle", value="CSPINE")),
        ("gateway/source.json", _set("hostIp", value="10.0.0.300")),
        ("gateway/source.json", _remove("aeTitle")),
        ("gateway/destination.json", _set("port", value=0)),
        ("gateway/destination.json", _set("hostIp", value="http://pacs")),
        ("workflow.json", _set("name", value="cervical-vertebrae")),
        ("workflow.json", _remove("informatics_gateway")),
        ("workflow.json", _set("description", value="x" * 201)),
        ("workflow.json", _set("tasks", value=[])),
        ("workflow.json", _set("tasks", 0, "id", value="router 1")),
        ("workflow.json", _set("tasks", 0, "task_destinations", 0, "conditions", value=["CT == 'CT'"])),
        ("workflow.json", _set("tasks", 1, "type", value="podman")),
        ("workflow.json", _remove("tasks", 1, "args", "entrypoint")),
        ("workflow.json", _set("tasks", 1, "args", "image", value="cspine")),
        ("workflow.json", _set("tasks", 1, "args", "task_timeout_minutes", value=30)),
        ("workflow.json", _remove("tasks", 1, "artifacts", "input", 0, "value")),
        ("workflow.json", _set("tasks", 1, "artifacts", "input", 0, "value", value="{{ input.dicom }}")),
        ("workflow.json", _set("tasks", 2, "export_destinations", value=[])),
        ("workflow-argo.json", _remove("tasks", 1, "args", "workflow_template_name")),
        ("workflow-argo.json", _set("tasks", 1, "args", "gpu", value="1")),
        ("workflow-argo.json", _set("tasks", 1, "args", "priority", value="urgent")),
    ],
)
def test_a_damaged_file_is_refused(name: str, change: Callable[[Document], None]) -> None:
    document = read(name)
    change(document)
    assert errors(document, DOCUMENTS[name]) != []


@pytest.mark.parametrize(
    "change",
    [
        _set("kind", value="Workflow"),
        _set("spec", "template", value=[]),
        _set("spec", "templates", 0, "retry", value={}),
        _set("spec", "templates", 0, "retryStrategy", "retryPolicy", value="Sometimes"),
        _set("spec", "templates", 0, "container", "resources", "limits", "memory", value="8GB"),
        _set("spec", "templates", 0, "container", "securityContext", "privileged", value=True),
        _set("spec", "templates", 0, "volumes", 0, "hostPath", value={"path": "/"}),
        _remove("spec", "templates", 0, "executor"),
        _remove("spec", "templates", 0, "container", "command"),
    ],
)
def test_an_invalid_template_is_refused(change: Callable[[Document], None]) -> None:
    document = copy.deepcopy(templates()["cspine"])
    change(document)
    assert errors(document, "argo-workflow-template.json") != []


# --- what the Workflow Manager's validator checks beyond a schema -----------------------------------------------------


@pytest.mark.parametrize("name", WORKFLOWS)
def test_tasks_are_reached_once_from_the_first(name: str) -> None:
    tasks = read(name)["tasks"]
    identifiers = [each["id"] for each in tasks]
    destinations = [to["name"] for each in tasks for to in each.get("task_destinations", [])]
    assert len(set(identifiers)) == len(identifiers)
    assert sorted(destinations) == sorted(identifiers[1:])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_gateway_and_workflow_have_the_same_peers(name: str) -> None:
    gateway = read(name)["informatics_gateway"]
    source, destination = read("gateway/source.json"), read("gateway/destination.json")
    assert gateway["ae_title"] == read("gateway/ae.json")["aeTitle"]
    assert gateway["data_origins"] == [source["name"]] == [source["aeTitle"]]
    assert gateway["export_destinations"] == [destination["name"]]
    assert task(read(name), "export")["export_destinations"] == [{"name": destination["name"]}]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_artifacts_that_are_referenced_exist_and_the_result_is_mandatory(name: str) -> None:
    workflow = read(name)
    outputs = {
        f"{{{{ context.executions.{each['id']}.artifacts.{output['name']} }}}}": output
        for each in workflow["tasks"]
        for output in each.get("artifacts", {}).get("output", [])
    }
    (exported,) = task(workflow, "export")["artifacts"]["input"]
    assert outputs[exported["value"]]["mandatory"] is True
    assert exported["mandatory"] is True


def test_artifacts_of_the_docker_task_are_keys_of_its_arguments() -> None:
    docker = task(read("workflow.json"), "cspine")
    names = [artifact["name"] for side in docker["artifacts"].values() for artifact in side]
    assert names and set(names) <= set(docker["args"])
    assert not any("," in docker["args"][key] for key in ("entrypoint", "command"))


def test_the_task_manager_waits_at_least_as_long_as_the_task() -> None:
    docker, argo = (task(read(name), "cspine") for name in WORKFLOWS)
    segment = templates()["cspine"]["spec"]["templates"][0]
    attempts = 1 + int(segment["retryStrategy"]["limit"])
    assert docker["timeout_minutes"] > int(docker["args"]["task_timeout_minutes"])
    assert argo["timeout_minutes"] * 60 > int(argo["args"]["timeoutSeconds"])
    assert int(argo["args"]["timeoutSeconds"]) >= attempts * segment["activeDeadlineSeconds"]


def routed(conditions: list[str], first_instance: dict[str, str]) -> bool:
    """Evaluate conditions as the Workflow Manager does: ``.any`` takes the value of the payload's first instance."""
    (condition,) = conditions

    def resolve(match: re.Match[str]) -> str:
        return f"'{first_instance.get(match[1] + match[2], '') or 'NULL'}'"

    resolved = re.sub(r"\{\{ context\.dicom\.series\.any\('(\w{4})','(\w{4})'\) \}\}", resolve, condition)
    assert "{{" not in resolved
    parts = []
    for part in re.split(r"\sAND\s", resolved, flags=re.IGNORECASE):
        match = re.fullmatch(r"'([^']*)' CONTAINS \[(.*)\]", part)
        if match is None:
            return False  # what cannot be parsed is false
        parts.append(match[1] in [value.strip().strip("'") for value in match[2].split(",")])
    return all(parts)


@pytest.mark.parametrize("name", WORKFLOWS)
@pytest.mark.parametrize(
    ("modality", "body_part", "goes_on"),
    [
        ("CT", "CSPINE", True),
        ("CT", "NECK", True),
        ("CT", "CERVICAL SPINE", True),
        ("CT", "", True),
        ("SEG", "CSPINE", True),
        ("CT", "CHEST", False),
        ("CT", "HEAD AND NECK", False),
        ("MR", "CSPINE", False),
        ("", "CSPINE", False),
    ],
)
def test_the_router_selects_necks(name: str, modality: str, body_part: str, goes_on: bool) -> None:
    (to,) = task(read(name), "router")["task_destinations"]
    assert routed(to["conditions"], {"00080060": modality, "00180015": body_part}) is goes_on


def test_the_gateway_accepts_the_classes_of_the_router() -> None:
    from pydicom.uid import UID

    names = [UID(uid).name for uid in read("gateway/ae.json")["allowedSopClasses"]]
    assert names[:4] == [
        "CT Image Storage",
        "Enhanced CT Image Storage",
        "Legacy Converted Enhanced CT Image Storage",
        "Segmentation Storage",
    ]
    assert len(names) == 5


# --- the container ----------------------------------------------------------------------------------------------------


def test_every_file_starts_the_same_image_alike() -> None:
    docker = task(read("workflow.json"), "cspine")["args"]
    images = {docker["container_image"]}
    for name in ("cspine", "cspine-gpu"):
        (segment,) = templates()[name]["spec"]["templates"]
        container = segment["container"]
        images.add(container["image"])
        assert container["command"] == [docker["entrypoint"], docker["command"]]
        environment = {each["name"]: each["value"] for each in container["env"]}
        for variable in ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"):
            assert docker[f"env_{variable}"].rstrip("/") == environment[variable]
        (given,), (made,) = segment["inputs"]["artifacts"], segment["outputs"]["artifacts"]
        assert (given["path"], made["path"]) == tuple(
            environment[f"HOLOSCAN_{side}_PATH"] for side in ("INPUT", "OUTPUT")
        )
    assert images == {f"cspine:{cspine.__version__}"}
    assert {read(name)["version"] for name in WORKFLOWS} == {cspine.__version__}


def test_the_argo_task_names_a_template_and_its_artifacts() -> None:
    argo = task(read("workflow-argo.json"), "cspine")
    template = templates()[argo["args"]["workflow_template_name"]]
    (segment,) = [t for t in template["spec"]["templates"] if t["name"] == template["spec"]["entrypoint"]]
    for side in ("input", "output"):
        names = [artifact["name"] for artifact in argo["artifacts"][side]]
        assert names == [artifact["name"] for artifact in segment[f"{side}s"]["artifacts"]]
    # MONAI Deploy passes artifacts only: parameters need a value of their own.
    assert all("value" in parameter for parameter in segment["inputs"]["parameters"])


def test_the_variants_differ_in_their_resources_alone() -> None:
    cpu, gpu = (copy.deepcopy(templates()[name]["spec"]) for name in ("cspine", "cspine-gpu"))
    resources = [spec["templates"][0]["container"].pop("resources") for spec in (cpu, gpu)]
    assert cpu == gpu
    assert "nvidia.com/gpu" not in resources[0]["limits"] and resources[1]["limits"]["nvidia.com/gpu"] == "1"
    assert all(set(each["requests"]) == set(each["limits"]) for each in resources)


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    accounts = {(each["kind"], each["metadata"]["name"]): each for each in read_all("accounts.yaml")}
    for name in ("cspine", "cspine-gpu"):
        (segment,) = templates()[name]["spec"]["templates"]
        pod, container = segment["securityContext"], segment["container"]["securityContext"]
        assert (pod["runAsNonRoot"], pod["runAsUser"]) == (True, 1000)
        assert container == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert segment["automountServiceAccountToken"] is False
        executor = segment["executor"]["serviceAccountName"]
        assert ("ServiceAccount", segment["serviceAccountName"]) in accounts
        assert ("ServiceAccount", executor) in accounts and segment["serviceAccountName"] != executor
        assert ("Secret", f"{executor}.service-account-token") in accounts
        mounted = {mount["name"]: mount["mountPath"] for mount in segment["container"]["volumeMounts"]}
        assert set(mounted) == {volume["name"] for volume in segment["volumes"] if "emptyDir" in volume}
        assert set(mounted.values()) == {"/tmp", segment["outputs"]["artifacts"][0]["path"]}
    (rule,) = accounts["Role", "cspine-executor"]["rules"]
    assert (rule["resources"], rule["verbs"]) == (["workflowtaskresults"], ["create", "patch"])


def test_only_transient_errors_are_retried() -> None:
    known = {error.exit_code for error in every_error()}
    by_name = {error.__name__: error.exit_code for error in every_error()}
    for name in ("cspine", "cspine-gpu"):
        expression = templates()[name]["spec"]["templates"][0]["retryStrategy"]["expression"]
        retried = {int(code) for code in re.findall(r"'(\d+)'", expression)}
        assert retried <= known | SIGNALS and retried >= SIGNALS
        assert by_name["OutOfMemoryError"] in retried
        assert not retried & {by_name[e] for e in ("CSpineError", "GeometryError", "ModelError", "NoVertebraError")}


def test_a_cohort_runs_each_study_through_the_template_of_one() -> None:
    spec = templates()["cspine-cohort"]["spec"]
    (cohort,) = spec["templates"]
    ((step,),) = cohort["steps"]
    one = templates()[step["templateRef"]["name"]]["spec"]["templates"]
    (segment,) = [t for t in one if t["name"] == step["templateRef"]["template"]]
    assert step["withParam"] == "{{workflow.parameters.studies}}"
    assert isinstance(json.loads(spec["arguments"]["parameters"][0]["value"]), list)
    assert 1 <= cohort["parallelism"] <= 16
    for kind in ("parameters", "artifacts"):
        names = {each["name"] for each in step["arguments"][kind]}
        assert names == {each["name"] for each in segment["inputs"][kind]}


def test_the_readme_describes_every_file() -> None:
    text = (EXPRESS / "README.md").read_text()
    files = [path for path in EXPRESS.rglob("*") if path.is_file() and path.name != "README.md"]
    assert [path.name for path in files if f"`{path.relative_to(EXPRESS)}`" not in text] == []
    assert (EXPRESS / "register.sh").stat().st_mode & stat.S_IXUSR
