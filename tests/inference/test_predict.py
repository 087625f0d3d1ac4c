from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from cspine.core.errors import DeviceError, UsageError
from cspine.core.geometry import orientation_of, reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference import predict
from cspine.inference import stage as stage_module
from cspine.inference.engines.choose import choose_engine
from cspine.inference.predict import _changed_share, box_around, segment
from cspine.inference.preprocess import preprocess
from cspine.inference.settings import EngineName, InferenceSettings
from cspine.inference.sliding_window import Window, importance, logits_slabs, padded_to, predict_logits, tiles_of
from cspine.models.manifest import ModelManifest
from cspine.models.package import Stage
from cspine.models.package_writer import write_package
from tests.builders.nnunet_results import TinyModel, default_arguments
from tests.builders.raises import raises_code
from tests.builders.stock_nnunet import accumulating_in_float32, lively_volume, stock_labels, stock_predictor

ISOTROPIC = (1.5, 1.4, 1.4)
# Labels that the network gives, whatever they mean: one level each, so that none is lost.
ALL_LEVELS = {"background": 0, "C1": 1, "C2": 2, "C3": 3}


@dataclass(frozen=True)
class Case:
    """A model, an image and settings that both predictors run."""

    model: TinyModel
    volume: CtVolume
    step_size: float = 0.5
    mirror: bool = False


def torch_arguments(**more):
    return {"is_seg": False, "force_separate_z": None, "memefficient_seg_resampling": False, **more}


TORCH = {
    "resampling": "resample_torch_fornnunet",
    "data_arguments": torch_arguments(),
    "logits_arguments": torch_arguments(),
}
CUBIC_LOGITS = {**default_arguments(3)}
CASES = {
    "plain": Case(TinyModel(), lively_volume(spacing_zyx=ISOTROPIC)),
    "residual encoder": Case(TinyModel(network="ResidualEncoderUNet"), lively_volume(spacing_zyx=ISOTROPIC)),
    "two folds, mirrored": Case(TinyModel(folds=("0", "1")), lively_volume(spacing_zyx=ISOTROPIC), mirror=True),
    "mirrored over one axis": Case(TinyModel(mirror_axes=(2,)), lively_volume(), mirror=True),
    "step 0.75": Case(TinyModel(), lively_volume(spacing_zyx=ISOTROPIC), step_size=0.75),
    "step 0.3": Case(TinyModel(), lively_volume((20, 40, 36), ISOTROPIC), step_size=0.3),
    "step 1": Case(TinyModel(), lively_volume(spacing_zyx=ISOTROPIC), step_size=1),
    "thick slices": Case(TinyModel(), lively_volume((12, 52, 44), (6.5, 1.1, 1.2))),
    "network of thick slices": Case(
        TinyModel(spacing=(7.0, 1.5, 1.5), patch=(8, 24, 20)), lively_volume((40, 40, 40), (1.5, 1.2, 1.2))
    ),
    "thick rows": Case(TinyModel(), lively_volume((40, 12, 40), (1.2, 6.5, 1.2))),
    "thick slices, linear between": Case(
        TinyModel(
            data_arguments={**default_arguments(3), "order_z": 1},
            logits_arguments={**default_arguments(1), "order_z": 1},
        ),
        lively_volume((12, 52, 44), (6.5, 1.1, 1.2)),
    ),
    "axes in another order": Case(TinyModel(transpose=(1, 2, 0)), lively_volume(spacing_zyx=(2.5, 1.1, 1.4))),
    "axes in reversed order, thick": Case(TinyModel(transpose=(2, 1, 0)), lively_volume((12, 50, 40), (6.5, 1.1, 1.2))),
    "zeros around": Case(TinyModel(), lively_volume(zero_border=4)),
    "smaller than the patch": Case(TinyModel(), lively_volume((7, 30, 50), (2.2, 1.2, 1.2))),
    "same spacing": Case(TinyModel(), lively_volume((20, 30, 30), (2.0, 2.0, 2.0))),
    "torch's resampling": Case(TinyModel(**TORCH), lively_volume(spacing_zyx=ISOTROPIC)),
    "torch's resampling, thick slices": Case(TinyModel(**TORCH), lively_volume((12, 52, 44), (6.5, 1.1, 1.2))),
    "logits by cubic splines": Case(TinyModel(logits_arguments=CUBIC_LOGITS), lively_volume((20, 40, 36), ISOTROPIC)),
    "z-score": Case(TinyModel(normalization="ZScoreNormalization"), lively_volume(spacing_zyx=ISOTROPIC)),
    "z-score within a mask": Case(
        TinyModel(normalization="ZScoreNormalization", masked=True), lively_volume(zero_border=5)
    ),
    "rescaled": Case(TinyModel(normalization="RescaleTo01Normalization"), lively_volume(spacing_zyx=ISOTROPIC)),
    "slice by slice": Case(
        TinyModel(patch=(24, 20), spacing=(2.0, 2.0), configuration="2d", mirror_axes=(0, 1)),
        lively_volume((9, 50, 44), (3.0, 1.1, 1.1)),
        mirror=True,
    ),
}


def ours(case: Case, tmp_path, engine: EngineName = "auto") -> tuple[np.ndarray, Stage, InferenceSettings]:
    model = replace(case.model, labels=ALL_LEVELS)
    labels = {1: "C1", 2: "C2", 3: "C3"}
    content = model.manifest().model_dump(mode="json")
    content["stages"][0]["labels"] = labels
    package = write_package(tmp_path / "tiny", ModelManifest.model_validate(content), {"fine": model.content()})
    settings = InferenceSettings("cpu", mirror=case.mirror, step_size=case.step_size, engine=engine)
    return segment(case.volume, package, settings).labels.labels_zyx, package.stages[0], settings


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("name", CASES)
def test_labels_equal_those_of_nnunets_predictor(name, engine, tmp_path):
    case = replace(CASES[name], model=replace(CASES[name].model, labels=ALL_LEVELS))
    mine, stage, settings = ours(case, tmp_path, engine)
    predictor = stock_predictor(case.model.results(tmp_path), case.model.folds, case.step_size, case.mirror)
    stock = stock_labels(predictor, case.volume)
    with accumulating_in_float32():
        exact = stock_labels(predictor, case.volume)
    ties = ties_of_float16(case, stage, settings)

    assert len(np.unique(mine)) > 2, "the network says nothing"
    assert np.mean(mine != exact) <= 1e-4
    assert np.mean((mine != stock) & ~ties) <= 1e-4
    assert ties.mean() < 0.2


@pytest.mark.parametrize("name", CASES)
def test_logits_slab_by_slab_give_the_same_labels(name, tmp_path, monkeypatch):
    case = CASES[name]
    complete, _, _ = ours(case, tmp_path / "whole")
    monkeypatch.setattr(stage_module, "MAX_LOGITS_BYTES", 0)
    slabs, _, _ = ours(case, tmp_path / "slabs")
    assert np.mean(slabs != complete) <= (1e-4 if len(case.model.folds) > 1 else 0)


def test_slabs_have_a_few_rows_of_tiles_and_no_more(tmp_path):
    model, volume = TinyModel(), lively_volume((160, 30, 30), (2.0, 2.0, 2.0))
    stage = model.package(tmp_path / "tiny").stages[0]
    image = preprocess(volume.hu_zyx, (2.0, 2.0, 2.0), stage.plan)
    engine = choose_engine("cpu")
    seen: list[tuple[int, int]] = []
    slabs = logits_slabs(
        [lambda: engine.network(stage, "0")], image.values[None], Window(stage.plan.patch_size, 0.5, ()),
        engine, lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    depths = [slab.shape[1] for slab in slabs]
    assert sum(depths) == 160
    assert max(depths) <= stage.plan.patch_size[0]
    assert seen == [(done, seen[-1][1]) for done in range(len(seen))]
    assert seen[-1][0] == seen[-1][1]


def ties_of_float16(case: Case, stage: Stage, settings: InferenceSettings) -> np.ndarray:
    """Voxels whose two best logits are nearer than nnU-Net's rounding: it accumulates, averages and resamples float16.

    Each addition to an accumulator rounds by half a unit in the last place of float16, and where only the corner of a
    patch reaches, its weights are so small (6e-8) that the rounding is as large as the logits.
    """
    plan = stage.plan
    window = Window(plan.patch_size, settings.step_size, stage.manifest.mirror_axes if settings.mirror else ())
    image = preprocess(case.volume.hu_zyx, tuple(reversed(case.volume.grid.spacing_xyz)), plan)
    engine = choose_engine("cpu")
    folds = [partial(engine.network, stage, fold) for fold in stage.manifest.folds]
    logits = predict_logits(folds, image.values[None], window, engine, lambda done, total: None)

    padded, inside = padded_to(image.values[None], plan.patch_size)
    shape = tuple(padded.shape[1:])
    weight, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for tile in tiles_of(shape, window):
        weight[tile] += importance(plan.patch_size).reshape(weight[tile].shape)
        count[tile] += 1
    weight, count = weight[inside], count[inside]
    largest = np.abs(logits).max(0)
    units = np.spacing((largest * weight).astype(np.float16)).astype(np.float32)
    error = count * units / weight + largest * (count + 2 + len(folds)) * 2.0**-11

    to = (image.box_shape, image.network_spacing_mm, image.spacing_mm)
    function, arguments = plan.resample_logits.function, plan.resample_logits.arguments
    bound = np.asarray(function(error[None].astype(np.float32), *to, **arguments))[0]
    best = np.sort(np.asarray(function(logits.copy(), *to, **arguments)), axis=0)
    rounding = np.spacing(np.abs(best[-1]).astype(np.float16)).astype(np.float32)
    ties = np.zeros(image.image_shape, dtype=bool)
    ties[image.box] = best[-1] - best[-2] <= 2 * (np.abs(bound) + rounding)
    return ties.transpose(plan.transpose_backward)


@pytest.mark.parametrize("spacing_zyx", [ISOTROPIC, (2.5, 1.1, 1.1), (2.0, 2.0, 2.0)])
def test_the_second_stage_of_a_cascade_sees_what_nnunet_shows_it(tmp_path, spacing_zyx):
    volume = lively_volume((24, 40, 36), spacing_zyx)
    first, second = TinyModel(labels=ALL_LEVELS), TinyModel(labels=ALL_LEVELS, cascade=True, patch=(20, 20, 20), seed=3)
    content = first.manifest().model_dump(mode="json")
    labels = {1: "C1", 2: "C2", 3: "C3"}
    stages = [
        {**content["stages"][0], "name": name, "folder": name, "labels": labels, "configuration": model.configuration}
        for name, model in (("locate", first), ("fine", replace(second, configuration="3d_cascade_fullres")))
    ]
    second = replace(second, configuration="3d_cascade_fullres")
    manifest = ModelManifest.model_validate({**content, "stages": [stages[0], {**stages[1], "margin_mm": 500}]})
    package = write_package(tmp_path / "two", manifest, {"locate": first.content(), "fine": second.content()})
    result = segment(volume, package, InferenceSettings("cpu"))

    stock_first = stock_predictor(first.results(tmp_path / "a"), ("0",), 0.5, False)
    stock = stock_predictor(second.results(tmp_path / "b"), ("0",), 0.5, False)
    with accumulating_in_float32():
        before = stock_labels(stock_first, volume)
        expected = stock_labels(stock, volume, previous=before)
    assert len(np.unique(expected)) > 2, "the network says nothing"
    assert np.mean(result.labels.labels_zyx != expected) <= 2e-3


def test_what_was_not_scanned_has_no_label(tmp_path):
    package, volume = TinyModel().package(tmp_path / "tiny"), lively_volume((60, 40, 36))
    before = segment(volume, package, InferenceSettings("cpu")).labels.labels_zyx
    hu = volume.hu_zyx.copy()
    hu[:20] = -1024
    blank = segment(replace(volume, hu_zyx=hu), package, InferenceSettings("cpu"))
    assert before[:20].any()
    assert blank.labels.labels_zyx.any()
    assert not blank.labels.labels_zyx[:20].any()
    assert not blank.auxiliary_zyx[:20].any()


def test_the_share_of_a_level_that_the_stage_before_named_otherwise():
    before = np.array([[[1, 1, 2, 2, 0, 3]]], dtype=np.uint8)
    after = np.array([[[1, 2, 2, 2, 2, 0]]], dtype=np.uint8)
    assert _changed_share(before, after) == {1: 0.0, 2: 1 / 3}


def test_between_the_stages_labels_may_be_removed_and_the_next_stage_does_not_see_them(tmp_path):
    first, second = TinyModel(), TinyModel(cascade=True, configuration="3d_cascade_fullres")
    content = first.manifest().model_dump(mode="json")
    stage = content["stages"][0]
    stages = [{**stage, "name": "locate", "folder": "locate"}, {**stage, "configuration": second.configuration}]
    manifest = ModelManifest.model_validate({**content, "stages": stages})
    package = write_package(tmp_path / "two", manifest, {"locate": first.content(), "fine": second.content()})
    volume = lively_volume()

    def nothing(labels):
        return LabelVolume(np.zeros_like(labels.labels_zyx), labels.affine_lps, labels.model)

    inference = segment(volume, package, InferenceSettings("cpu"), between=nothing)
    assert not inference.labels.labels_zyx.any()
    assert [stage["name"] for stage in inference.record["stages"]] == ["locate"]
    complete = segment(volume, package, InferenceSettings("cpu"), between=lambda labels: labels)
    assert [stage["name"] for stage in complete.record["stages"]] == ["locate", "fine"]


@pytest.fixture
def fixed_boxes(monkeypatch):
    """Random labels reach the end of every box, which would grow."""
    monkeypatch.setattr(predict, "faces_reached", lambda *of: ())


@pytest.mark.usefixtures("fixed_boxes")
def test_auxiliary_classes_of_the_stage_before_are_kept_around_the_last_box(tmp_path):
    first, second = TinyModel(), TinyModel(cascade=True, configuration="3d_cascade_fullres", seed=5)
    content = first.manifest().model_dump(mode="json")
    stage = content["stages"][0]
    stages = [{**stage, "name": "locate", "folder": "locate"}, {**stage, "configuration": second.configuration}]
    manifest = ModelManifest.model_validate({**content, "stages": [stages[0], {**stages[1], "margin_mm": 0}]})
    package = write_package(tmp_path / "two", manifest, {"locate": first.content(), "fine": second.content()})
    volume = lively_volume()

    def upper_half(labels):
        kept = labels.labels_zyx.copy()
        kept[:15] = 0
        return LabelVolume(kept, labels.affine_lps, labels.model)

    one = segment(volume, TinyModel().package(tmp_path / "one"), InferenceSettings("cpu"))
    both = segment(volume, package, InferenceSettings("cpu"), between=upper_half)
    assert one.auxiliary_zyx[:14].any()
    assert np.array_equal(both.auxiliary_zyx[:14], one.auxiliary_zyx[:14])
    assert not np.array_equal(both.auxiliary_zyx[16:], one.auxiliary_zyx[16:])
    assert not (both.auxiliary_zyx & (both.labels.labels_zyx > 0)).any()
    removed = np.bincount(one.labels.labels_zyx[:15].ravel(), minlength=3) * volume.grid.voxel_mm3
    assert both.removed_mm3 == pytest.approx({1: removed[1], 2: removed[2]})


def test_the_same_input_gives_the_same_labels(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    first, second = (segment(lively_volume(), package, InferenceSettings("cpu")) for _ in range(2))
    assert np.array_equal(first.labels.labels_zyx, second.labels.labels_zyx)
    assert first.labels.model == package.identity


@pytest.mark.parametrize("stored", ["RAS", "LPI", "PSL", "AIR"])
def test_any_orientation_of_the_volume_gives_the_same_anatomy(tmp_path, stored):
    package = TinyModel().package(tmp_path / "tiny")
    volume = lively_volume((20, 40, 36))
    change = reorientation(volume.affine_lps, stored)
    reoriented = CtVolume(np.ascontiguousarray(change.apply(volume.hu_zyx)), change.grid(volume.grid).affine_lps)
    assert orientation_of(reoriented.affine_lps) == stored
    expected = segment(volume, package, InferenceSettings("cpu")).labels
    result = segment(reoriented, package, InferenceSettings("cpu")).labels
    assert result.grid.is_close(reoriented.grid)
    assert np.array_equal(change.undo(result.labels_zyx), expected.labels_zyx)


def test_a_network_is_shown_the_orientation_that_it_was_trained_in(tmp_path):
    model = TinyModel()
    volume = lively_volume((20, 40, 36))
    content = model.manifest().model_dump(mode="json")
    content["stages"][0]["orientation"] = "RAS"
    ras = write_package(tmp_path / "ras", ModelManifest.model_validate(content), {"fine": model.content()})
    lps = model.package(tmp_path / "lps")
    flipped = CtVolume(np.ascontiguousarray(volume.hu_zyx[:, ::-1, ::-1]), volume.affine_lps)
    one = segment(volume, ras, InferenceSettings("cpu")).labels.labels_zyx
    other = segment(flipped, lps, InferenceSettings("cpu")).labels.labels_zyx
    assert np.array_equal(one, other[:, ::-1, ::-1])


def test_auxiliary_classes_end_here(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    inference = segment(lively_volume(), package, InferenceSettings("cpu"))
    labels = inference.labels.labels_zyx
    assert set(np.unique(labels)) <= {0, 1, 2}
    assert labels.dtype == np.uint8
    assert inference.auxiliary_zyx.shape == labels.shape
    assert inference.auxiliary_zyx.any()
    assert not (inference.auxiliary_zyx & (labels > 0)).any()


def test_a_full_spine_model_states_its_levels_and_where_the_sacrum_is(tmp_path):
    names = ["background", "L6", "sacrum", "ribs", "T13"]
    model = TinyModel(labels={name: number for number, name in enumerate(names)})
    package = model.package(tmp_path / "spine")
    inference = segment(lively_volume(), package, InferenceSettings("cpu"))
    assert [level.name for level in package.levels] == ["T13", "L6"]  # from head to foot
    assert package.levels == inference.levels
    assert package.stages[0].sacrum_labels == (2,)
    assert set(np.unique(inference.labels.labels_zyx)) == {0, 25, 28}  # L6 and T13 by their own numbers
    assert inference.sacrum_zyx is not None and inference.sacrum_zyx.any()
    assert not (inference.sacrum_zyx & ~inference.auxiliary_zyx).any()


def test_a_cervical_model_sees_no_sacrum(tmp_path):
    inference = segment(lively_volume(), TinyModel().package(tmp_path / "tiny"), InferenceSettings("cpu"))
    assert inference.sacrum_zyx is None
    assert [level.name for level in inference.levels] == ["C1", "C2"]


def test_the_record_states_what_ran(tmp_path):
    package = TinyModel(folds=("0", "1")).package(tmp_path / "tiny")
    seen = []
    settings = InferenceSettings("cpu", folds=("1",), mirror=True, step_size=0.8)
    record = segment(lively_volume(), package, settings, lambda done, total: seen.append((done, total))).record
    assert (record["engine"], record["device"], record["precision"]) == ("openvino", "cpu", "float32")
    assert record["step_size"] == 0.8
    (stage,) = record["stages"]
    assert (stage["name"], stage["folds"], stage["mirror_axes"]) == ("fine", ["1"], [0, 1, 2])
    assert stage["network_grid"]["spacing_mm"] == [2.0, 2.0, 2.0]
    assert set(stage["seconds"]) == {"preprocess", "network", "restore"}
    assert [done for done, _ in seen] == list(range(seen[-1][1] + 1))


def two_stages(tmp_path, margin_mm: float):
    coarse, fine = TinyModel(spacing=(4.0, 4.0, 4.0)), TinyModel(seed=5)
    content = coarse.manifest("two").model_dump(mode="json")
    (stage,) = content["stages"]
    content["stages"] = [
        {**stage, "name": "locate", "folder": "locate"},
        {**stage, "name": "fine", "folder": "fine", "margin_mm": margin_mm},
    ]
    contents = {"locate": coarse.content(), "fine": fine.content()}
    return write_package(tmp_path / "two", ModelManifest.model_validate(content), contents)


@pytest.mark.usefixtures("fixed_boxes")
def test_a_second_stage_sees_the_box_around_what_the_first_found(tmp_path, monkeypatch):
    package = two_stages(tmp_path, 3.0)
    volume = lively_volume((20, 40, 36))
    found = np.zeros((20, 40, 36), dtype=np.uint8)
    found[8:12, 10:30, 12:25] = 1
    shapes = []

    def stage_one(logits, image, plan):
        shapes.append(image.image_shape)
        return found if len(shapes) == 1 else np.full(image.image_shape, 2, dtype=np.uint8)

    monkeypatch.setattr("cspine.inference.stage.restore", stage_one)
    result = segment(volume, package, InferenceSettings("cpu"))
    box = (slice(6, 14), slice(7, 33), slice(9, 28))
    assert shapes == [(20, 40, 36), (8, 26, 19)]
    assert result.record["stages"][1]["box_zyx"] == [[6, 14], [7, 33], [9, 28]]
    expected = np.zeros_like(found)
    expected[box] = 2
    assert np.array_equal(result.labels.labels_zyx, expected)


def test_two_real_stages_run_and_the_second_decides_within_its_box(tmp_path):
    result = segment(lively_volume(), two_stages(tmp_path, 500.0), InferenceSettings("cpu"))
    alone = segment(lively_volume(), TinyModel(seed=5).package(tmp_path / "alone"), InferenceSettings("cpu"))
    assert np.array_equal(result.labels.labels_zyx, alone.labels.labels_zyx)


def test_nothing_found_ends_the_stages(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "cspine.inference.stage.restore", lambda logits, image, plan: np.zeros(image.image_shape, dtype=np.uint8)
    )
    result = segment(lively_volume(), two_stages(tmp_path, 3.0), InferenceSettings("cpu"))
    assert len(result.record["stages"]) == 1
    assert not result.labels.labels_zyx.any()


def test_a_box_stays_within_the_volume():
    volume = lively_volume((10, 20, 30), (2.0, 1.0, 1.0))
    labels = np.zeros((10, 20, 30), dtype=np.uint8)
    assert box_around(labels, volume, 5) is None
    labels[1, 18, 15] = 3
    assert box_around(labels, volume, 5) == (slice(0, 5), slice(13, 20), slice(10, 21))


def test_folds_and_devices_that_are_not_there_are_refused_before_any_work(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    with raises_code(UsageError, "fine", 0, 3):
        segment(lively_volume(), package, InferenceSettings("cpu", folds=("3",)))
    with pytest.raises(DeviceError):
        segment(lively_volume(), package, InferenceSettings("cuda:99"))


def test_a_volume_of_zeros_has_no_vertebrae_but_no_accident(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    volume = CtVolume(np.zeros((9, 20, 20), dtype=np.int16), np.eye(4))
    assert segment(volume, package, InferenceSettings("cpu")).labels.labels_zyx.shape == (9, 20, 20)


def test_bfloat16_gives_nearly_the_same_labels(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    one, other = (
        segment(lively_volume(), package, InferenceSettings("cpu", precision=precision)).labels.labels_zyx
        for precision in ("float32", "bfloat16")
    )
    assert np.mean(one == other) > 0.95
