"""Packages are written completely or not at all, from weights that fit their plans."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cspine.core.errors import ModelError, ModelExistsError, UnsupportedModelError
from cspine.models.network import build_network, load_weights
from cspine.models.package import load_package
from cspine.models.package_writer import StageContent, write_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


def test_weights_may_be_stored_in_half_and_are_run_in_single_precision(tmp_path):
    model = TinyModel()
    package = write_package(tmp_path / "tiny", model.manifest(), {"fine": model.content(half=True)})
    weights = package.stages[0].weights("0")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    network = build_network(package.stages[0].plan.architecture)
    load_weights(network, weights)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_each_weight_is_stored_once(tmp_path):
    model = TinyModel(network="ResidualEncoderUNet")
    package = model.package(tmp_path / "tiny")
    network = build_network(package.stages[0].plan.architecture)
    assert len(package.stages[0].weights("0")) == len(list(network.parameters()))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module."])
def test_names_of_wrapped_networks_are_understood(tmp_path, prefix):
    model = TinyModel()
    weights = {f"{prefix}{name}": tensor for name, tensor in model.weights("0").items()}
    content = StageContent(model.plans(), model.dataset(), {"0": weights})
    assert write_package(tmp_path / "tiny", model.manifest(), {"fine": content}).stages


@pytest.mark.parametrize("fault", ["lack", "superfluous", "shape", "two values"])
def test_weights_that_do_not_fit_the_plans_are_refused(tmp_path, fault):
    model = TinyModel()
    weights = dict(model.weights("0"))
    key = "decoder.seg_layers.1.bias"
    if fault == "lack":
        del weights[key]
    elif fault == "superfluous":
        weights["head.weight"] = torch.zeros(1)
    elif fault == "shape":
        weights[key] = torch.zeros(7)
    else:
        twin = next(name for name in weights if name.startswith("decoder.encoder."))
        weights[twin] = weights[twin] + 1
    content = StageContent(model.plans(), model.dataset(), {"0": weights})
    with pytest.raises(UnsupportedModelError):
        write_package(tmp_path / "tiny", model.manifest(), {"fine": content})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "convert",
    [
        lambda tensor: tensor.to(torch.int32),
        lambda tensor: tensor.to(torch.bool),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: tensor.to(torch.float8_e4m3fn),
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
    ],
)
def test_weights_of_a_type_that_no_network_is_trained_in_are_refused(tmp_path, convert):
    model = TinyModel()
    weights = {name: convert(tensor) for name, tensor in model.weights("0").items()}
    content = StageContent(model.plans(), model.dataset(), {"0": weights})
    with pytest.raises(UnsupportedModelError):
        write_package(tmp_path / "tiny", model.manifest(), {"fine": content})


def test_a_weight_with_and_without_a_prefix_is_refused(tmp_path):
    model = TinyModel()
    weights = dict(model.weights("0"))
    weights["module.decoder.seg_layers.1.bias"] = weights["decoder.seg_layers.1.bias"] + 1
    content = StageContent(model.plans(), model.dataset(), {"0": weights})
    with pytest.raises(UnsupportedModelError):
        write_package(tmp_path / "tiny", model.manifest(), {"fine": content})


def test_labels_and_classes_must_agree(tmp_path):
    model, other = TinyModel(), TinyModel(labels={"background": 0, "C1": 1})
    with raises_code(ModelError, "fine", 1, 4):
        write_package(tmp_path / "tiny", other.manifest(), {"fine": model.content()})


def test_contents_must_be_of_the_stages_and_folds(tmp_path):
    model = TinyModel()
    with raises_code(ModelError, "coarse"):
        write_package(tmp_path / "tiny", model.manifest(), {"coarse": model.content()})
    with raises_code(ModelError, "fine", "'0'", "'1'"):
        write_package(tmp_path / "tiny", TinyModel(folds=("1",)).manifest(), {"fine": model.content()})


def test_a_package_is_replaced_only_when_asked(tmp_path):
    model = TinyModel()
    first = model.package(tmp_path / "tiny")
    with pytest.raises(ModelExistsError):
        model.package(tmp_path / "tiny")
    second = write_package(tmp_path / "tiny", model.manifest(version="2"), {"fine": model.content()}, replace=True)
    assert (first.identity.version, second.identity.version) == ("1.0", "2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny"]


@pytest.mark.parametrize("moment", ["before the first rename", "between the renames", "after the second rename"])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, OSError])
def test_an_interrupted_replacement_leaves_a_package(tmp_path, monkeypatch, moment, interrupt):
    model, folder, rename = TinyModel(), tmp_path / "tiny", Path.rename
    model.package(folder)

    def interrupted(path: Path, target: Path) -> Path:
        if moment == "before the first rename" or (moment == "between the renames" and target == folder):
            monkeypatch.undo()
            raise interrupt
        moved = rename(path, target)
        if moment == "after the second rename" and target == folder:
            monkeypatch.undo()
            raise interrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises((interrupt, ModelError)):
        write_package(folder, model.manifest(version="2"), {"fine": model.content()}, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    expected = "2" if moment == "after the second rename" else "1.0"
    assert load_package(folder).identity.version == expected


@pytest.mark.parametrize("moment", ["between the renames", "after the second rename"])
def test_what_a_killed_replacement_set_aside_is_put_back_or_removed(tmp_path, moment):
    model, folder = TinyModel(), tmp_path / "tiny"
    model.package(folder)
    aside = tmp_path / ".tiny-old-abc"
    aside.mkdir()
    if moment == "between the renames":
        folder.rename(aside / "old")
    else:
        shutil.copytree(folder, aside / "old")
    with pytest.raises(ModelExistsError):
        write_package(folder, model.manifest(version="2"), {"fine": model.content()})
    assert load_package(folder).identity.version == "1.0"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_writing_twice_gives_the_same_bytes(tmp_path):
    one, two = TinyModel().package(tmp_path / "a" / "tiny"), TinyModel().package(tmp_path / "b" / "tiny")
    assert one.identity == two.identity
