"""A recipe: what it may say, and the nnU-Net files that follow from it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from pydantic import ValidationError

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import TrainingError
from cspine.models.plans import read_plan
from cspine.study.label_sets import BELOW, label_set
from cspine.study.synthetic_training.recipe import Recipe, dataset_json, find_recipe, load_recipe, plans_json
from tests.builders.raises import raises_code
from tests.builders.tiny_training import tiny_recipe

_LABELS = label_set("cervical", auxiliary=True).network_labels()
_NEEDED = "name: a\nversion: '1'\ntitle: A\ndescription: B\n"


def _load(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, "utf-8")
    return load_recipe(path)


def test_every_shipped_recipe_loads_and_keeps_off_the_seeds_of_tests() -> None:
    paths = [
        p
        for p in (resources.files("cspine.study.synthetic_training") / "recipes").iterdir()
        if p.name.endswith(".yaml")
    ]
    assert paths
    for path in paths:
        recipe = load_recipe(Path(str(path)))
        assert path.name in (f"{recipe.name}.yaml", f"{recipe.name}-fine.yaml")
        assert recipe.cascade == path.name.endswith("-fine.yaml")
        assert recipe.first_seed >= 1_000_000
        assert find_recipe(path.name.removesuffix(".yaml")) == find_recipe(str(path)) == recipe


def test_an_omitted_field_has_its_default(tmp_path: Path) -> None:
    recipe = _load(tmp_path, _NEEDED + "network: {patch_size: [32, 32, 48]}")
    assert recipe.network.patch_size == (32, 32, 48)
    assert recipe.network.spacing == (2.0, 2.0, 2.0)
    assert recipe.batch_size == 2


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (_NEEDED + "iterationz: 3", "iterationz"),
        (_NEEDED + "network: {depth: 3}", "network.depth"),
        (_NEEDED + "iterations: 0", "iterations"),
        (_NEEDED + "learning_rate: -1", "learning_rate"),
        (_NEEDED + "ema_decay: 1", "ema_decay"),
        (_NEEDED + "foreground_share: 1.5", "foreground_share"),
        (_NEEDED + "network: {patch_size: [32, 32]}", "network.patch_size"),
        ("name: a", "version"),
        ("- a list", "recipe.yaml"),
        ("", "recipe.yaml"),
        ("name: [", "recipe.yaml"),
    ],
)
def test_a_recipe_that_does_not_follow_the_schema_is_refused(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(TrainingError) as caught:
        _load(tmp_path, text)
    assert field in caught.value.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00name")
    with raises_code(TrainingError, "recipe.yaml"):
        load_recipe(tmp_path / "recipe.yaml")


def test_an_absent_recipe_is_refused(tmp_path: Path) -> None:
    with raises_code(TrainingError, tmp_path / "absent.yaml"):
        load_recipe(tmp_path / "absent.yaml")


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValidationError):
        tiny_recipe().iterations = 5  # type: ignore[misc]


def test_the_classes_are_the_cervical_levels_and_what_is_below() -> None:
    labels = label_set("cervical", auxiliary=True).network_labels()
    assert list(labels.values()) == list(range(10))
    assert labels["background"] == 0
    assert labels[BELOW] == 9
    assert all(labels[level.name] == level.label for level in CERVICAL_LEVELS)


def test_dataset_and_plans_say_what_the_recipe_says() -> None:
    recipe = tiny_recipe()
    dataset, plans = dataset_json(recipe), plans_json(recipe)
    assert dataset["labels"] == _LABELS
    assert dataset["channel_names"] == {"0": "CT"}
    configuration = plans["configurations"]["3d_fullres"]
    assert configuration["patch_size"] == [24, 16, 16]
    assert configuration["spacing"] == [3.0, 3.0, 3.0]
    statistics = plans["foreground_intensity_properties_per_channel"]["0"]
    assert (statistics["percentile_00_5"], statistics["percentile_99_5"]) == (-250.0, 1400.0)
    assert (statistics["mean"], statistics["std"]) == (150.0, 300.0)


def test_the_plans_are_ones_that_cspine_reads() -> None:
    recipe = tiny_recipe()
    plan = read_plan(plans_json(recipe), dataset_json(recipe), "3d_fullres")
    assert tuple(plan.patch_size) == (24, 16, 16)
