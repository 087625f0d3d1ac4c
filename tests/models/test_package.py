from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from cspine.core.errors import ModelChecksumError, ModelError, UnsupportedModelError
from cspine.inference.engines.choose import choose_engine
from cspine.io.files import sha256_of
from cspine.models.network import build_network, load_weights
from cspine.models.package import load_package
from cspine.models.package_writer import StageContent, write_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


def test_a_written_package_is_read_back_with_the_same_network(tmp_path):
    model = TinyModel(folds=("0", "all"))
    package = model.package(tmp_path / "deep" / "tiny")
    stage = load_package(package.folder).stages[0]
    network = build_network(stage.plan.architecture)
    for fold in model.folds:
        load_weights(network, stage.weights(fold))
        for name, tensor in model.weights(fold).items():
            assert torch.equal(network.state_dict()[name], tensor)
    assert (package.folder / "README.md").read_text().startswith("# A tiny model")
    assert sorted(p.name for p in package.folder.parent.iterdir()) == ["tiny"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_every_type_that_is_installed_are_read_without_torch(tmp_path, dtype):
    model = TinyModel()
    weights = {name: each.to(dtype) for name, each in model.weights("0").items()}
    content = StageContent(model.plans(), model.dataset(), {"0": weights})
    stage = write_package(tmp_path / "tiny", model.manifest(), {"fine": content}).stages[0]
    for name, array in stage.arrays("0").items():
        np.testing.assert_array_equal(array, weights[name].double().numpy())
    choose_engine("cpu", engine="openvino").network(stage, "0")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize(
    "text",
    ["[" * 50_000 + "]" * 50_000, '{"a":' * 500 + "1" + "}" * 500, '{"a": ' + "9" * 5000 + "}", '{"a": Infinity}'],
)
def test_json_beyond_the_limits_is_refused(tmp_path, name, text):
    package = TinyModel().package(tmp_path / "tiny")
    path = package.folder / "fine" / name
    path.write_text(text)
    manifest = package.folder / "model.yaml"
    content = yaml.safe_load(manifest.read_text())
    content["files"][f"fine/{name}"] = sha256_of(path)
    manifest.write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError):
        load_package(package.folder)


def test_an_infinite_weight_is_never_run(tmp_path):
    model = TinyModel()
    network = build_network(model.package(tmp_path / "tiny").stages[0].plan.architecture)
    weights = {name: torch.full_like(tensor, torch.inf) for name, tensor in model.weights("0").items()}
    with raises_code(UnsupportedModelError, "encoder.stages.0.0.convs.0.conv.weight"):
        load_weights(network, weights)


def test_a_changed_file_is_noticed(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    with (package.folder / "fine" / "plans.json").open("a") as file:
        file.write(" ")
    with raises_code(ModelChecksumError, "fine/plans.json"):
        load_package(package.folder)


def test_a_missing_file_is_noticed(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    (package.folder / "fine" / "fold_0.safetensors").unlink()
    with raises_code(ModelChecksumError, "fine/fold_0.safetensors"):
        load_package(package.folder)


def test_a_link_out_of_the_package_is_refused(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    weights = package.folder / "fine" / "fold_0.safetensors"
    weights.rename(tmp_path / "outside")
    weights.symlink_to(tmp_path / "outside")
    with raises_code(ModelChecksumError, "fine/fold_0.safetensors"):
        load_package(package.folder)


def test_a_manifest_that_leaves_a_file_out_is_refused(tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    path = package.folder / "model.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "fold_0.safetensors:" not in line))
    with raises_code(ModelChecksumError, "fold_0.safetensors", "model.yaml"):
        load_package(package.folder)
