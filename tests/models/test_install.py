from __future__ import annotations

import errno
import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIOWithReorient
from safetensors import SafetensorError

from cspine.core.errors import (
    LabelMapNeededError,
    ModelError,
    ModelExistsError,
    OrientationNeededError,
    UnsafeCheckpointError,
    UnsupportedModelError,
    UsageError,
    hashed,
)
from cspine.core.geometry import ras_to_lps, reorientation
from cspine.models.install import READER_ORIENTATIONS, InstallOptions, install, read_label_map
from cspine.models.package import load_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code
from tests.models.test_checkpoint import Trap

VERTEBRAE = {"background": 0, "C1": 1, "vertebrae_C2": 2}
READY = TinyModel(reader="SimpleITKIOWithReorient", labels=VERTEBRAE)
AUXILIARY = {"T2 and below": "auxiliary"}


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def test_a_results_folder_becomes_a_package(tmp_path):
    model = replace(READY, folds=("0", "1", "all"), mirror_axes=(0, 1))
    package = install(model.results(tmp_path / "results"), tmp_path / "models", InstallOptions())
    stage = package.manifest.stages[0]
    assert package.folder == tmp_path / "models" / "dataset777_neck"
    assert (stage.configuration, stage.trainer, stage.mirror_axes) == ("3d_fullres", "nnUNetTrainer", (0, 1))
    assert (stage.orientation, stage.folds, stage.labels) == ("RAS", ("0", "1"), {1: "C1", 2: "C2"})
    assert load_package(package.folder).identity == package.identity
    stored = package.stages[0].weights("1")
    assert all(torch.equal(tensor, model.weights("1")[name]) for name, tensor in stored.items())
    assert str(tmp_path) not in (package.folder / "model.yaml").read_text()


def test_an_exported_zip_gives_the_same_package_as_its_folder(tmp_path):
    results = READY.results(tmp_path / "results")
    archive = zipped(tmp_path / "results", tmp_path / results.name)
    options = InstallOptions(statements={"source": "the same"})
    assert (
        install(archive, tmp_path / "a", options).identity
        == install(tmp_path / "results", tmp_path / "b", options).identity
    )


def test_a_bundle_made_by_monai_becomes_a_package(tmp_path, monkeypatch):
    from monai.apps.nnunet.nnunet_bundle import convert_nnunet_to_monai_bundle

    folder = READY.results(tmp_path / "results")
    for name in ("checkpoint_final.pth", "checkpoint_best.pth"):
        plain = {k: v for k, v in READY.checkpoint("0").items() if k not in ("logging", "_best_ema")}
        torch.save(plain, folder / "fold_0" / name)
    for variable in ("nnUNet_results", "nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / "results"))
    bundle = tmp_path / "bundle"
    (bundle / "models").mkdir(parents=True)
    convert_nnunet_to_monai_bundle({"dataset_name_or_id": "777"}, str(bundle), 0)

    package = install(bundle, tmp_path / "models", InstallOptions(name="from-bundle"))
    assert package.manifest.source.startswith("MONAI bundle")
    assert package.manifest.stages[0].folds == ("0",)
    stored = package.stages[0].weights("0")
    assert all(torch.equal(tensor, READY.weights("0")[name]) for name, tensor in stored.items())
    assert install(zipped(bundle, tmp_path / "b.zip"), tmp_path / "models", InstallOptions(name="zip")).stages


def test_a_package_is_installed_as_it_is(tmp_path):
    package = TinyModel().package(tmp_path / "made" / "tiny")
    archive = zipped(package.folder.parent, tmp_path / "tiny.zip")
    assert install(archive, tmp_path / "models", InstallOptions()).identity == package.identity
    with pytest.raises(ModelExistsError):
        install(package.folder, tmp_path / "models", InstallOptions())
    assert install(package.folder, tmp_path / "models", InstallOptions(force=True)).identity == package.identity
    with raises_code(UsageError, "--name"):
        install(package.folder, tmp_path / "models", InstallOptions(orientation="RAS"))
    with raises_code(UsageError, "tiny"):
        install(package.folder, tmp_path / "models", InstallOptions(name="other"))


def test_the_stored_order_says_nothing_about_anatomy(tmp_path):
    results = replace(READY, reader="SimpleITKIO").results(tmp_path / "results")
    with raises_code(OrientationNeededError, "SimpleITKIO"):
        install(results, tmp_path / "models", InstallOptions())
    package = install(results, tmp_path / "models", InstallOptions(orientation="lps"))
    assert package.manifest.stages[0].orientation == "LPS"


def test_an_orientation_that_contradicts_the_reader_is_refused(tmp_path):
    results = READY.results(tmp_path / "results")
    with raises_code(UsageError, "RAS", "LPS"):
        install(results, tmp_path / "models", InstallOptions(orientation="LPS"))


@pytest.mark.parametrize("reader", [SimpleITKIOWithReorient, NibabelIOWithReorient])
@pytest.mark.parametrize("stored", ["LPS", "RAS", "LSP", "AIL"])
def test_the_orientation_of_a_reader_is_what_it_gives(tmp_path, reader, stored):
    rng = np.random.default_rng(0)
    spacing, angle = np.array([2.0, 3.0, 4.0]), np.deg2rad(8)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(angle), np.sin(angle)], [-np.sin(angle), -np.cos(angle)]]
    affine[:3, :3] *= spacing
    affine[:3, 3] = 3, 4, 5
    image = nibabel.Nifti1Image(rng.integers(0, 99, (5, 6, 7), dtype=np.int16), affine)
    path = tmp_path / "image.nii.gz"
    sitk_file = tmp_path / "lps.nii.gz"
    nibabel.save(image, sitk_file)
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(sitk_file)), stored), str(path))

    given, properties = reader().read_images((str(path),))
    file = nibabel.load(path)
    array_zyx = np.asarray(file.dataobj).T
    to_reader = reorientation(ras_to_lps(file.affine), READER_ORIENTATIONS[reader.__name__])
    assert np.array_equal(to_reader.apply(array_zyx), given[0])
    assert np.allclose(sorted(properties["spacing"]), sorted(spacing))


def test_names_that_are_no_vertebrae_need_a_map(tmp_path):
    results = replace(READY, labels=TinyModel().labels).results(tmp_path / "results")
    with raises_code(LabelMapNeededError, "3 (T2 and below)"):
        install(results, tmp_path / "models", InstallOptions())
    package = install(results, tmp_path / "models", InstallOptions(labels=AUXILIARY))
    assert package.manifest.stages[0].labels == {1: "C1", 2: "C2", 3: "auxiliary"}
    by_number = InstallOptions(name="other", labels={1: "C7", 3: "auxiliary"})
    assert install(results, tmp_path / "models", by_number).manifest.stages[0].labels[1] == "C7"
    with raises_code(UsageError, "skull"):
        install(results, tmp_path / "models", InstallOptions(labels={**AUXILIARY, "skull": "auxiliary"}))
    with raises_code(UsageError, 3, "'skull'"):
        install(results, tmp_path / "models", InstallOptions(labels={3: "skull"}))


def test_a_label_map_is_read_from_yaml(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("T2 and below: auxiliary\n1: C1\n")
    assert read_label_map(path) == {"T2 and below": "auxiliary", 1: "C1"}
    for text in ("- a", "a: [1]", "a: {"):
        path.write_text(text)
        with pytest.raises(UsageError):
            read_label_map(path)


def test_folds_are_chosen(tmp_path):
    results = replace(READY, folds=("0", "1", "2")).results(tmp_path / "results")
    package = install(results, tmp_path / "models", InstallOptions(folds=("2", "0")))
    assert package.manifest.stages[0].folds == ("2", "0")
    with raises_code(ModelError, 4, "0, 1, 2"):
        install(results, tmp_path / "models", InstallOptions(folds=("4",)))


def test_fold_all_is_used_where_there_is_no_other(tmp_path):
    results = replace(READY, folds=("all",)).results(tmp_path / "results")
    assert install(results, tmp_path / "models", InstallOptions()).manifest.stages[0].folds == ("all",)


def test_folds_of_two_trainings_are_refused(tmp_path):
    results = replace(READY, folds=("0", "1")).results(tmp_path / "results")
    other = replace(READY, mirror_axes=(0,)).checkpoint("1")
    torch.save(other, results / "fold_1" / "checkpoint_final.pth")
    with raises_code(ModelError, 1, 0):
        install(results, tmp_path / "models", InstallOptions())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"spacing": (1.0, 1.0, 1.0)}, "spacing_mm"),
        ({"patch": (16, 16, 16)}, "patch_size"),
        ({"normalization": "ZScoreNormalization"}, "normalization"),
        ({"network": "ResidualEncoderUNet"}, "architecture"),
        ({"labels": {"background": 0, "vertebrae_C2": 1, "C1": 2}}, "label_names"),
    ],
)
def test_what_contradicts_a_checkpoint_is_refused(tmp_path, other, named):
    model = replace(READY, folds=("0", "1"))
    results = model.results(tmp_path / "results")
    install(results, tmp_path / "models", InstallOptions())
    for fold in ("1", "0"):  # first a fold that was trained otherwise, then files that no fold was trained with
        torch.save(replace(model, **other).checkpoint(fold), results / f"fold_{fold}" / "checkpoint_final.pth")
        with raises_code(ModelError, named):
            install(results, tmp_path / "models", InstallOptions(force=True))


@pytest.mark.parametrize("key", ["channel_names", "modality"])
def test_a_model_for_another_modality_is_refused_unless_the_user_states_that_it_is_for_ct(tmp_path, key):
    results = replace(READY, normalization="ZScoreNormalization").results(tmp_path / "results")
    dataset = {name: value for name, value in READY.dataset().items() if name != "channel_names"}
    for channel, is_ct in (("T2 MRI", False), ("noNorm", False), ("CTA-less", False), ("Ct", True)):
        (results / "dataset.json").write_text(json.dumps(dataset | {key: {"0": channel}}))
        if not is_ct:
            with raises_code(UnsupportedModelError, channel):
                install(results, tmp_path / "models", InstallOptions())
            assert install(results, tmp_path / channel, InstallOptions(is_ct=True)).stages
    assert install(results, tmp_path / "models", InstallOptions()).stages


def test_edited_intensities_are_refused(tmp_path):
    results = READY.results(tmp_path / "results")
    plans = READY.plans()
    plans["foreground_intensity_properties_per_channel"]["0"]["mean"] = -500.0
    (results / "plans.json").write_text(json.dumps(plans))
    with raises_code(ModelError, "normalization"):
        install(results, tmp_path / "models", InstallOptions())


def test_a_checkpoint_without_plans_is_taken_with_those_of_the_folder(tmp_path):
    results = READY.results(tmp_path / "results")
    checkpoint = READY.checkpoint("0")
    checkpoint["init_args"] = {"configuration": READY.configuration}
    torch.save(checkpoint, results / "fold_0" / "checkpoint_final.pth")
    assert install(results, tmp_path / "models", InstallOptions()).stages


def test_a_fold_with_another_checkpoint_alone_is_not_left_out_silently(tmp_path):
    results = replace(READY, folds=("0", "1", "2")).results(tmp_path / "results")
    (results / "fold_2" / "checkpoint_final.pth").rename(results / "fold_2" / "checkpoint_best.pth")
    with raises_code(UsageError, "fold 2"):
        install(results, tmp_path / "models", InstallOptions())
    package = install(results, tmp_path / "models", InstallOptions(folds=("0", "1")))
    assert package.manifest.stages[0].folds == ("0", "1")


def test_one_of_several_configurations_is_chosen(tmp_path):
    READY.results(tmp_path / "results")
    replace(READY, configuration="3d_lowres").results(tmp_path / "results")
    with raises_code(UsageError, "3d_fullres, 3d_lowres"):
        install(tmp_path / "results", tmp_path / "models", InstallOptions())
    chosen = install(tmp_path / "results", tmp_path / "models", InstallOptions(configuration="3d_lowres"))
    assert chosen.manifest.stages[0].configuration == "3d_lowres"
    with raises_code(ModelError, "2d"):
        install(tmp_path / "results", tmp_path / "models", InstallOptions(configuration="2d"))


def test_a_cascade_is_refused(tmp_path):
    folder = replace(READY, cascade=True).results(tmp_path / "results")
    with raises_code(UnsupportedModelError, "cascade"):
        install(folder, tmp_path / "models", InstallOptions())


def test_a_malicious_checkpoint_installs_nothing(tmp_path):
    folder = READY.results(tmp_path / "results")
    made = tmp_path / "made"
    torch.save({**READY.checkpoint("0"), "x": Trap(made)}, folder / "fold_0" / "checkpoint_final.pth")
    for source in (folder, zipped(tmp_path / "results", tmp_path / "x.zip")):
        with pytest.raises(UnsafeCheckpointError):
            install(source, tmp_path / "models", InstallOptions())
    assert not made.exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["../plans.json", "/plans.json", "a/../../plans.json", "C:/plans.json"])
def test_a_zip_that_unpacks_elsewhere_is_refused(tmp_path, name):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "{}")
    with raises_code(ModelError, "x.zip", hashed(name)):
        install(path, tmp_path / "models", InstallOptions())


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    link = zipfile.ZipInfo("plans.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with raises_code(ModelError, "x.zip", hashed("plans.json")):
        install(path, tmp_path / "models", InstallOptions())


def test_a_source_without_a_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("x")
    for name, reason in (("empty", "plans.json"), ("text", "text"), ("absent", "absent")):
        with raises_code(ModelError, reason):
            install(tmp_path / name, tmp_path / "models", InstallOptions())
    folder = READY.results(tmp_path / "results")
    shutil.rmtree(folder / "fold_0")
    with raises_code(ModelError, "plans.json"):
        install(folder, tmp_path / "models", InstallOptions())


@pytest.mark.parametrize("checkpoint", ["best", "latest"])
def test_another_checkpoint_is_installed_when_asked_for(tmp_path, checkpoint):
    folder = READY.results(tmp_path / "results")
    (folder / "fold_0" / "checkpoint_final.pth").rename(folder / "fold_0" / f"checkpoint_{checkpoint}.pth")
    with pytest.raises(ModelError) as refused:
        install(folder, tmp_path / "models", InstallOptions())
    assert f"`checkpoint`: there is {checkpoint}" in refused.value.advice
    options = InstallOptions(checkpoint=checkpoint, name="it")
    for number, source in enumerate((folder, zipped(tmp_path / "results", tmp_path / "x.zip"))):
        package = install(source, tmp_path / f"models-{number}", options)
        assert checkpoint in package.manifest.source
        assert package.stages[0].weights("0")
    with pytest.raises(UsageError):
        install(folder, tmp_path / "models", InstallOptions(checkpoint="newest"))
    with pytest.raises(UsageError):
        install(package.folder, tmp_path / "models", options)


@pytest.mark.parametrize("source", ["results", "package"])
@pytest.mark.parametrize("models", ["below a file", "read-only", "long"])
def test_a_folder_of_models_that_cannot_be_written_is_an_error_with_advice(tmp_path, source, models):
    folder = READY.results(tmp_path / "results")
    if source == "package":
        folder = install(folder, tmp_path / "models", InstallOptions()).folder
    (tmp_path / "file").write_text("")
    into = {"below a file": tmp_path / "file" / "x", "read-only": Path("/proc/models"), "long": tmp_path / ("x" * 300)}
    with pytest.raises(ModelError) as refused:
        install(folder, into[models], InstallOptions())
    assert "`into`" in refused.value.advice


@pytest.mark.parametrize("failing", ["safetensors.torch.save_file", "pathlib.Path.write_text", "shutil.copyfile"])
def test_a_full_disk_is_an_error_with_advice_and_leaves_nothing(tmp_path, monkeypatch, failing):
    folder = READY.results(tmp_path / "results")
    if failing == "shutil.copyfile":
        folder = install(folder, tmp_path / "others", InstallOptions()).folder

    def full(*_: object, **__: object) -> None:
        if failing == "safetensors.torch.save_file":
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(failing, full)
    with raises_code(ModelError, "No space left on device"):
        install(folder, tmp_path / "models", InstallOptions())
    assert list((tmp_path / "models").iterdir()) == []


def test_special_files_in_a_results_folder_never_hang(tmp_path):
    folder = READY.results(tmp_path / "results")
    for path in (folder / "plans.json", folder / "dataset.json", folder / "fold_0" / "checkpoint_final.pth"):
        aside = path.rename(path.with_suffix(".aside"))
        os.mkfifo(path)
        with pytest.raises(ModelError):
            install(tmp_path / "results", tmp_path / "models", InstallOptions())
        path.unlink()
        aside.rename(path)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(ModelError):
        install(tmp_path / "pipe.zip", tmp_path / "models", InstallOptions())
    install(tmp_path / "results", tmp_path / "models", InstallOptions())


def test_the_trainer_of_another_network_is_named(tmp_path):
    model = replace(READY, trainer="nnUNetTrainerUMambaBot")
    folder = model.results(tmp_path / "results")
    checkpoint = model.checkpoint("0")
    checkpoint["network_weights"] = {f"mamba.{name}": each for name, each in checkpoint["network_weights"].items()}
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    with raises_code(UnsupportedModelError, "nnUNetTrainerUMambaBot"):
        install(folder, tmp_path / "models", InstallOptions())
    assert list((tmp_path / "models").iterdir()) == []
