"""A shipment: from the checkpoint of a run to the package, its card, the README and the picture, in one command."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from benchmarks import ship_model as module
from benchmarks.ship_model import BEGIN, END, Shipment, ship, with_evaluation, worse, write_calibration, write_readme
from cspine.cli.train import command as train
from cspine.core.errors import RequirementError
from cspine.models.calibration import Calibration
from cspine.models.package import load_package
from cspine.study.calibrate_model import LabelledVertebra, fitted
from cspine.study.evaluation.judgement import Figures, LevelFigures
from cspine.study.synthesis import evaluation_sets
from cspine.study.synthesis.atlas import Atlas
from tests.benchmarks.conftest import certain_model
from tests.builders.raises import raises_code
from tests.builders.small_set import small_case
from tests.builders.tiny_training import fill_pool, tiny_recipe


def _figures(name: str, dice: float) -> Figures:
    every = LevelFigures(dice, dice, 1.0, 0.01, 0.04)
    return Figures(name, "m", 2, 0, 2, 0.5, 0, {"C1": every, "all": every})


@pytest.fixture
def shipment(
    tmp_path: Path, atlas: Atlas, atlas_folder: Path, atlas_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Shipment:
    """A tree with a shipped model, and a run of another recipe with a checkpoint."""
    monkeypatch.setattr(evaluation_sets, "set_case", small_case)
    root = tmp_path / "root"
    start = certain_model(root / "models" / "cervical-demo", 0, "0.0.1")
    (root / "README.md").write_text(f"# A\n\n{BEGIN}\nold\n{END}\n\nEnd.\n", encoding="utf-8")
    shutil.copytree(atlas_cache, tmp_path / "run")
    fill_pool(tmp_path / "run" / "pool", atlas)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe(version="0.0.2").model_dump(mode="json")), "utf-8")
    options = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "ignored"), "--atlas", str(atlas_folder)]
    kept = shutil.copytree(start, tmp_path / "start")
    result = CliRunner().invoke(
        train,
        ["--synthetic", "--recipe", str(recipe), "--device", "cpu", "--start-from", str(kept), *options],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    return Shipment(
        tmp_path / "work", ((str(recipe), tmp_path / "run"),), kept, atlas_folder, sets=("hard",), count=1, root=root,
        device="cpu",
    )  # fmt: skip


def test_a_shipment_redoes_all_that_hangs_on_the_weights_and_goes_on_after_an_interrupt(
    shipment: Shipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_package(shipment.target)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_pictures", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ship(shipment, force=True)
    assert load_package(shipment.target).identity == before.identity
    assert "old" in (shipment.root / "README.md").read_text("utf-8")
    taken = load_package(shipment.package).identity

    with monkeypatch.context() as patch:
        patch.setattr(module.train.command, "main", interrupt)  # the weights are those that were taken first
        ship(shipment, force=True)
    assert load_package(shipment.package).identity == taken
    shipped = load_package(shipment.target)
    assert shipped.manifest.version == "0.0.2"
    assert "3 iterations" in shipped.manifest.training_data
    weights = [package.stages[0].weights("all") for package in (shipped, load_package(shipment.package))]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    card = (shipment.target / "README.md").read_text("utf-8")
    assert card.count("## Evaluation") == 1
    assert "### hard" in card and "tiny 0.0.1" in card and "tiny 0.0.2" in card
    readme = (shipment.root / "README.md").read_text("utf-8")
    assert readme.startswith(f"# A\n\n{BEGIN}\n| set") and readme.endswith(f"{END}\n\nEnd.\n")
    assert "| `hard` (1) |" in readme and "old" not in readme
    with Image.open(shipment.root / "docs" / "images" / "model-failures.png") as picture:
        assert min(picture.size) > 100


def test_a_model_that_is_not_better_is_not_shipped(shipment: Shipment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "take_snapshots", lambda _: None)
    monkeypatch.setattr(module, "make_sets", lambda _: None)
    monkeypatch.setattr(module, "judge", lambda *_: [_figures("hard", 0.9), _figures("hard", 0.8)])
    before = load_package(shipment.target).identity
    with raises_code(RequirementError, "hard", "0.900", "0.800"):
        ship(shipment)
    assert load_package(shipment.target).identity == before
    assert "old" in (shipment.root / "README.md").read_text("utf-8")


def test_what_is_better_gains_over_all_sets_and_loses_little_on_each() -> None:
    old = [_figures("a", 0.9), _figures("b", 0.8)]
    assert worse(old, [_figures("a", 0.897), _figures("b", 0.85)]) == []
    assert len(worse(old, [_figures("a", 0.88), _figures("b", 0.95)])) == 1
    assert len(worse(old, old)) == 1
    assert len(worse(old, [_figures("a", 0.88), _figures("b", 0.8)])) == 2


def test_an_evaluation_replaces_the_one_before() -> None:
    card = with_evaluation("# Model\n\n## Limits\n\nL\n\n## Evaluation\n\nold\n", [_figures("hard", 0.9)])
    assert card.startswith("# Model\n\n## Limits\n\nL\n\n## Evaluation\n\n")
    assert "old" not in card and "### hard" in card and "0.900" in card
    assert "    cspine synthesize --set hard --count " in card and "judge_model.py" in card
    assert with_evaluation(card, [_figures("hard", 0.9)]) == card
    assert "--truncate" not in card
    assert "    cspine synthesize --truncate CTS --labels LABELS --out SETS/blank\n" in with_evaluation(
        card, [_figures("hard", 0.9), _figures("blank", 0.9)]
    )


def test_a_readme_has_a_row_a_set(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"a\n{BEGIN}\n{END}\nb\n", encoding="utf-8")
    for _ in range(2):
        write_readme(tmp_path / "README.md", [_figures("hard", 0.9), _figures("worn", 0.85)])
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "| `hard` (2) | 0.900 | 1.00 mm | 1.0 / 4.0 % | 50.0 % |" in text
    assert text.count("`worn`") == text.count(BEGIN) == 1


def test_a_calibration_is_written_beside_the_model_and_into_its_page(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "guide" / "confidence.md"
    page.parent.mkdir(parents=True)
    page.write_text("a\n<!-- calibration of cervical-demo: begin -->\n<!-- calibration of cervical-demo: end -->\nb\n")
    found = [
        LabelledVertebra(f"{number}", {"f": float(number % 2)}, number % 2 == 0, 0.5, "hard" if number < 20 else "worn")
        for number in range(40)
    ]
    record = Calibration(checksum="0" * 64, cases=40, fast=fitted(found, ("f",)))
    write_calibration(tmp_path, record, "cervical-demo 9.9.9")
    text = page.read_text("utf-8")
    assert "`cervical-demo 9.9.9`, 40 vertebrae of 40 images:" in text
    assert [line.split(" | ")[1] for line in text.splitlines() if line.startswith("| fast")] == ["all", "hard", "worn"]
    assert (tmp_path / "docs" / "images" / "reliability.png").read_bytes()[:4] == b"\x89PNG"


def test_the_pages_of_the_project_have_the_marks() -> None:
    for name, marks in (("README.md", (BEGIN, END)), ("docs/guide/confidence.md", module._CONFIDENCE)):
        text = (module.ROOT / name).read_text("utf-8")
        assert [text.count(mark) for mark in marks] == [1, 1]
    assert replace(Shipment(Path("w"), (), Path("s"), Path("a"))).target.is_dir()
