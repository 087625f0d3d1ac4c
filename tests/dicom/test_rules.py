"""The rules file: what it may say, and how its mistakes are reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cspine.core.anatomy import FULL_SPINE_LEVELS
from cspine.core.errors import RulesError
from cspine.dicom.rules import NumberCondition, TextCondition, ValuesCondition, load_rules
from tests.builders.raises import raises_code


def _load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text, "utf-8")
    load_rules(path)


def test_the_shipped_rules_load() -> None:
    rules = load_rules()
    assert rules.require.modality is not None
    assert rules.rank[0] == "regular"


@pytest.mark.parametrize("kernel", ["BONE", "BONEPLUS", "B60s", "Br64d\\3", "Hr68h", "FC30", "YD", "H70h", "I70f\\3"])
def test_the_shipped_rules_know_bone_kernels(kernel: str) -> None:
    assert load_rules().bone_kernel.rejection(kernel) is None


@pytest.mark.parametrize("kernel", ["", "STANDARD", "SOFT", "B30f", "Br40d\\3", "FC08", "YA", "B"])
def test_the_shipped_rules_know_what_is_no_bone_kernel(kernel: str) -> None:
    assert load_rules().bone_kernel.rejection(kernel) is not None


@pytest.mark.parametrize("text", ["", "require:\n  modality: CT\n", "rank: [bone_kernel]\n"])
def test_a_file_that_names_no_bone_kernel_has_the_shipped_ones(text: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text, "utf-8")
    rules = load_rules(tmp_path / "rules.yaml")
    assert rules.bone_kernel == load_rules().bone_kernel == load_rules(levels=FULL_SPINE_LEVELS).bone_kernel
    assert rules.bone_kernel.rejection("Br64d\\3") is None and rules.bone_kernel.rejection("STANDARD") is not None


def test_a_file_inherits_no_requirement_of_the_shipped_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rank: [regular]\n", "utf-8")
    assert load_rules(tmp_path / "rules.yaml").require.model_fields_set == set()


def test_an_empty_image_type_contains_nothing_that_is_unwanted() -> None:
    assert ValuesCondition(none_of=("LOCALIZER",)).rejection(()) is None
    assert ValuesCondition(all_of=("AXIAL",)).rejection(()) == "is missing"


@pytest.mark.parametrize("part", ["", "NECK", "CSPINE", "HEADNECK", "CHEST", "SPINE", "WHOLEBODY"])
def test_the_shipped_rules_accept_what_may_show_a_neck(part: str) -> None:
    condition = load_rules().require.body_part
    assert condition is not None
    assert condition.rejection(part) is None
    assert condition.rejection("KNEE") is not None
    assert condition.rejection("EXTREMITY") is not None


def test_text_conditions() -> None:
    assert TextCondition.model_validate("CT").rejection("ct") is None
    assert TextCondition.model_validate("CT").rejection("OCT") is not None
    assert TextCondition.model_validate(["A", "B"]).rejection("b") is None
    assert TextCondition(matches="T").rejection("CT") is not None
    assert TextCondition(matches=".T").rejection("CT") is None
    assert TextCondition(not_matches="C.*").rejection("CT") is not None
    assert TextCondition(not_one_of=("X",)).rejection("x") is not None
    assert TextCondition(equals="3").rejection("Br64d\\3") is None
    assert TextCondition(equals="CT").rejection("") is not None
    assert TextCondition(equals="CT", allow_missing=True).rejection("") is None


def test_number_conditions_and_zero_is_a_number() -> None:
    assert NumberCondition.model_validate(0).rejection(0.0) is None
    assert NumberCondition(min=0, max=3).rejection(3.0) is None
    assert re.search(r"3\.1\b.*\b3\b", NumberCondition(max=3).rejection(3.1) or "")
    assert re.search(r"\b0\b.*\b1\b", NumberCondition(min=1).rejection(0) or "")
    assert NumberCondition.model_validate([1, 2]).rejection(2) is None
    assert NumberCondition(min=1).rejection(None) is not None


def test_values_are_compared_complete() -> None:
    assert ValuesCondition.model_validate(["AXIAL"]).rejection(("ORIGINAL", "axial")) is None
    assert ValuesCondition(all_of=("AXI",)).rejection(("ORIGINAL", "AXIAL")) is not None
    assert ValuesCondition(none_of=("MIP",)).rejection(("DERIVED", "MINIP")) is None
    assert "MIP" in (ValuesCondition(none_of=("MIP",)).rejection(("DERIVED", "MIP")) or "")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("require: {modalty: CT}", "require.modalty"),
        ("require: {slices: {min: many}}", "require.slices.min"),
        ("require: {kernel: {matches: '('}}", "require.kernel.matches"),
        ("require: {kernel: {allow_missing: true}}", "require.kernel"),
        ("require: {slices: {min: 5, max: 2}}", "require.slices"),
        ("rank: [thinner, thinner]", "rank"),
        ("rank: [prettier]", "rank.0"),
        ("- a list", "file"),
        ("require: {kernel: {matches: 'a{99999999999}'}}", "require.kernel.matches"),
        (f"require: {{kernel: {{matches: {'a' * 2000}}}}}", "require.kernel.matches"),
    ],
)
def test_a_mistake_is_reported_with_its_field(tmp_path: Path, text: str, field: str) -> None:
    with raises_code(RulesError, field):
        _load(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 5000, "{a: " * 500, "require: {slices: {min: .inf}}", "require: {slices: .nan}"),
        *("require: {slices: " + "9" * 5000 + "}", "require: 2024-13-45", "a: !!timestamp 2024-13-45"),
    ],
)
def test_values_beyond_the_limits_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RulesError):
        _load(tmp_path, text)


def test_a_file_that_is_no_yaml_or_absent_is_refused(tmp_path: Path) -> None:
    with raises_code(RulesError, "YAML"):
        _load(tmp_path, "a: [")
    with raises_code(RulesError, "FileNotFoundError"):
        load_rules(tmp_path / "absent.yaml")


def test_the_examples_of_the_documentation_load(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "guide" / "selection.md"
    blocks = [block.split("```")[0] for block in page.read_text("utf-8").split("```yaml\n")[1:]]
    assert len(blocks) == 3
    for block in blocks:
        _load(tmp_path, block)
