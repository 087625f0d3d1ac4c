"""From weights to a package that predicts vertebrae."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import TrainingError
from cspine.core.volumes import CtVolume
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.models.manifest import AUXILIARY
from cspine.models.package import load_package
from cspine.study.label_sets import BELOW, label_set
from cspine.study.synthetic_training.packaging import Provenance, manifest_of, package_model, stage_weights
from cspine.study.synthetic_training.recipe import Recipe
from cspine.study.synthetic_training.train_synthetic import build_network
from tests.builders.raises import raises_code
from tests.builders.tiny_training import tiny_recipe

_LABELS = label_set("cervical", auxiliary=True).network_labels()


def _weights(certain_class: int | None = None, recipe: Recipe | None = None) -> dict[str, torch.Tensor]:
    """Random weights; of a network that is certain of one class wherever it looks, where one is given."""
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in build_network(recipe or tiny_recipe()).state_dict().items()}
    if certain_class is not None:
        for name, value in weights.items():
            if "seg_layers" in name and name.endswith("bias"):
                value.zero_()
                value[certain_class] = 1000
    return weights


def _ct() -> CtVolume:
    rng = np.random.default_rng(0)
    affine = np.diag([-2.0, 2.0, 2.5, 1.0])  # x to the right: not the model's orientation
    return CtVolume(rng.integers(-200, 900, (30, 26, 22)).astype(np.int16), affine)


def test_a_package_is_loaded_with_its_statements(tmp_path: Path) -> None:
    package_model(tiny_recipe(), _weights(), Provenance(123), tmp_path / "deep" / "tiny")
    package = load_package(tmp_path / "deep" / "tiny")
    manifest = package.manifest
    assert manifest.demonstration
    assert package.identity.title == "tiny 0.0.1 (DEMONSTRATION)"
    assert "BodyParts3D" in manifest.credit
    assert "123 iterations" in manifest.training_data
    assert "3 x 3 x 3 mm" in manifest.limits
    card = (tmp_path / "deep" / "tiny" / "README.md").read_text("utf-8")
    assert "BodyParts3D" in card
    assert "DEMONSTRATION" in card.upper()


def test_the_stage_says_how_the_network_was_trained(tmp_path: Path) -> None:
    (stage,) = package_model(tiny_recipe(), _weights(), Provenance(1), tmp_path / "tiny").stages
    levels = {level.label: level.name for level in CERVICAL_LEVELS}
    assert {int(k): v for k, v in stage.manifest.labels.items()} == levels | {9: AUXILIARY}
    assert stage.manifest.mirror_axes == (2,)
    assert stage.manifest.orientation == "LPS"
    assert tuple(stage.plan.patch_size) == (24, 16, 16)


def test_weights_are_kept_in_half_precision(tmp_path: Path) -> None:
    weights = _weights()
    (stage,) = package_model(tiny_recipe(), weights, Provenance(1), tmp_path / "tiny").stages
    kept = stage.weights("all")
    assert {value.dtype for value in kept.values()} == {torch.float16}
    assert all(torch.equal(value, weights[name].half()) for name, value in kept.items())


def test_an_earlier_package_is_replaced(tmp_path: Path) -> None:
    package_model(tiny_recipe(version="0.0.1"), _weights(), Provenance(1), tmp_path / "tiny")
    package_model(tiny_recipe(version="0.0.2"), _weights(), Provenance(1), tmp_path / "tiny")
    assert load_package(tmp_path / "tiny").manifest.version == "0.0.2"


@pytest.mark.parametrize("level", CERVICAL_LEVELS, ids=lambda level: level.name)
def test_each_class_of_the_network_is_predicted_as_its_level(tmp_path: Path, level: object) -> None:
    label = level.label  # type: ignore[attr-defined]
    package = package_model(tiny_recipe(), _weights(label), Provenance(1), tmp_path / "tiny")
    labels = segment(_ct(), package, InferenceSettings(device="cpu")).labels
    assert (labels.labels_zyx == label).all()
    assert labels.grid.is_close(_ct().grid)
    assert labels.model == package.identity


@pytest.mark.parametrize("name", ["background", "T2 and below"])
def test_background_and_the_auxiliary_class_are_not_predicted(tmp_path: Path, name: str) -> None:
    package = package_model(tiny_recipe(), _weights(_LABELS[name]), Provenance(1), tmp_path / "tiny")
    assert not segment(_ct(), package, InferenceSettings(device="cpu")).labels.labels_zyx.any()


def test_a_cascade_follows_the_stages_of_the_package_before_it(tmp_path: Path) -> None:
    first = package_model(tiny_recipe(training_data="Coarse cases."), _weights(4), Provenance(7), tmp_path / "first")
    fine = tiny_recipe(stage="fine", cascade=True, version="0.0.2", training_data="Close-ups.")
    package = package_model(fine, _weights(4, fine), Provenance(9), tmp_path / "both", first)
    assert [stage.manifest.name for stage in package.stages] == ["neck", "fine"]
    assert [stage.plan.is_cascade for stage in package.stages] == [False, True]
    assert package.stages[1].plan.architecture.channels == 10
    card = package.manifest.training_data
    assert card.startswith("Stage neck: Coarse cases. 7 iterations")
    assert "Stage fine: Close-ups. 9 iterations" in card
    assert package.manifest.credit.count("BodyParts3D") == 1
    assert package.manifest.licence == "CC-BY-4.0"
    assert (segment(_ct(), package, InferenceSettings(device="cpu")).labels.labels_zyx == 4).all()
    kept, given = package.stages[0].weights("all"), first.stages[0].weights("all")
    assert all(torch.equal(kept[name], given[name]) for name in given)


@pytest.mark.parametrize("index", [0, 1])
def test_a_stage_of_the_same_name_is_replaced_and_the_other_one_stays(tmp_path: Path, index: int) -> None:
    recipes = [tiny_recipe(training_data="Coarse."), tiny_recipe(stage="fine", cascade=True, training_data="Fine.")]
    first = package_model(recipes[0], _weights(), Provenance(7), tmp_path / "first")
    both = package_model(recipes[1], _weights(recipe=recipes[1]), Provenance(9), tmp_path / "both", first)
    changed = recipes[index].model_copy(update={"version": "0.0.2", "training_data": "Anew."})
    new = package_model(changed, _weights(4, changed), Provenance(11), tmp_path / "both", both)
    assert [stage.manifest.name for stage in new.stages] == ["neck", "fine"]
    assert new.manifest.version == "0.0.2"
    card = new.manifest.training_data
    names, words, done = ("neck", "fine"), ["Coarse.", "Fine."], [7, 9]
    words[index], done[index] = "Anew.", 11
    for name, text, count in zip(names, words, done, strict=True):
        assert card.count(f"Stage {name}: {text} {count} iterations") == 1
    assert card.count("Stage ") == 2
    bias = [stage.weights("all")["decoder.seg_layers.0.bias"] for stage in new.stages]
    assert float(bias[index][4]) == 1000
    assert float(bias[1 - index].abs().max()) < 10


def test_a_model_of_several_people_credits_them() -> None:
    manifest = manifest_of(tiny_recipe(anatomy="articulated"), Provenance(3))
    assert "Visible Human" in manifest.credit and "BodyParts3D" in manifest.credit
    assert "several people" in manifest.training_data
    assert "Visible Human" not in manifest_of(tiny_recipe(), Provenance(3)).credit


def test_weights_for_a_further_training_are_those_of_the_stage_in_full_precision(tmp_path: Path) -> None:
    weights = _weights()
    package = package_model(tiny_recipe(), weights, Provenance(1), tmp_path / "tiny")
    again = stage_weights(package, tiny_recipe())
    assert all(value.dtype == torch.float32 for value in again.values())
    assert all(torch.allclose(value, weights[name], atol=1e-2) for name, value in again.items())
    with raises_code(TrainingError, "'fine'"):
        stage_weights(package, tiny_recipe(stage="fine", cascade=True))


def test_a_recipe_of_other_classes_begins_from_the_rows_of_the_same_levels(tmp_path: Path) -> None:
    package = package_model(tiny_recipe(), _weights(), Provenance(1), tmp_path / "tiny")
    spine = tiny_recipe(label_set="full-spine", stage="spine")
    before, after = stage_weights(package, tiny_recipe()), stage_weights(package, spine)
    names = tiny_recipe().labels.network_labels()
    rows = spine.labels.network_labels()
    outputs = [name for name in after if ".seg_layers." in name]
    assert outputs
    for name in outputs:
        assert len(after[name]) == len(rows)
        for level in ("background", "C1", "C7", "T1"):
            assert torch.equal(after[name][rows[level]], before[name][names[level]])
        for level in ("T2", "L5", "sacrum"):
            assert torch.equal(after[name][rows[level]], before[name][names[BELOW]])
    assert all(torch.equal(after[name], before[name]) for name in after if name not in outputs)


def test_the_card_says_what_the_weights_come_from() -> None:
    text = Provenance(5, "32 labelled cases of Pseudo", "old 0.1 (sha256 abc)").sentences(
        tiny_recipe(labelled_share=0.2)
    )
    assert "5 iterations" in text
    assert "20% of the patches from 32 labelled cases of Pseudo" in text
    assert "started from the weights of old 0.1 (sha256 abc)" in text
    assert "labelled" not in Provenance(5).sentences(tiny_recipe())


def test_what_cannot_be_packed_is_known_before_a_training(tmp_path: Path) -> None:
    fine = tiny_recipe(stage="fine", cascade=True)
    with raises_code(TrainingError, "cascade"):
        manifest_of(fine, Provenance(0))
    first = package_model(tiny_recipe(), _weights(), Provenance(1), tmp_path / "first")
    with raises_code(TrainingError, "cascade"):
        manifest_of(tiny_recipe(stage="other"), Provenance(0), first)
    with raises_code(TrainingError, first.manifest.name, "labels"):
        manifest_of(tiny_recipe(stage="fine", cascade=True, label_set="full-spine"), Provenance(0), first)
    with raises_code(TrainingError, "name"):
        manifest_of(tiny_recipe(name="Not a slug"), Provenance(0))
