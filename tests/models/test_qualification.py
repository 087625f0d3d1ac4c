from __future__ import annotations

import pytest

from cspine.core.errors import OutputError
from cspine.models.qualification import Qualification, Qualified
from tests.builders.nnunet_results import TinyModel


def qualified(engine="openvino", precision="bfloat16", **dice) -> Qualified:
    return Qualified(engine=engine, precision=precision, dice=dice)


@pytest.mark.parametrize(
    ("dice", "sufficient"),
    [
        ({"C1": 0.9995, "C2": 0.9995}, True),
        ({"C1": 0.999, "C2": 0.999}, True),
        ({"C1": 1.0, "C2": 0.997}, False),  # mean 0.9985
        ({f"C{n}": 1.0 for n in range(1, 8)} | {"T1": 0.9899}, False),  # mean 0.99874, T1 below
        ({f"C{n}": 1.0 for n in range(1, 8)} | {"T1": 0.9921}, True),
        ({}, False),
    ],
)
def test_reduced_precision_needs_the_mean_and_every_level(dice, sufficient):
    assert qualified(**dice).is_sufficient is sufficient


def test_a_record_lies_beside_the_package_and_is_of_this_version_alone(tmp_path):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    before = {path: path.read_bytes() for path in package.folder.rglob("*") if path.is_file()}
    good, bad = qualified(C1=1.0), qualified(precision="float32", engine="torch", C1=0.5)
    record = Qualification(checksum=package.identity.checksum, cases=3, results=(good, bad))
    path = record.write(package, {}, tmp_path)
    assert path == tmp_path / "models" / "tiny.qualification.json"
    assert Qualification.read(package, {}, tmp_path) == record
    assert record.sufficient == {("openvino", "bfloat16")}
    assert before == {path: path.read_bytes() for path in package.folder.rglob("*") if path.is_file()}
    other = TinyModel(seed=1).package(tmp_path / "other" / "tiny")
    path.rename(other.folder.parent / path.name)
    assert Qualification.read(other, {}, tmp_path) is None
    assert Qualification.read(package, {}, tmp_path) is None


def test_a_record_of_a_package_in_a_read_only_place_lies_with_the_users_models(tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "shipped" / "tiny")
    record = Qualification(checksum=package.identity.checksum, cases=1, results=(qualified(C1=1.0),))
    (tmp_path / "shipped" / "tiny.qualification.json").mkdir()  # cannot be replaced by a file
    path = record.write(package, {"XDG_DATA_HOME": str(tmp_path / "data")}, tmp_path)
    assert path == tmp_path / "data" / "cspine" / "models" / "tiny.qualification.json"
    assert Qualification.read(package, {"XDG_DATA_HOME": str(tmp_path / "data")}, tmp_path) == record
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError):
        record.write(package, {"XDG_DATA_HOME": str(tmp_path / "data")}, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"checksum": 1}', "{" * 100])
def test_a_damaged_record_counts_nothing(text, tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    (tmp_path / "tiny.qualification.json").write_text(text)
    assert Qualification.read(package, {}, tmp_path) is None


def test_a_record_of_a_shipped_package_counts_for_its_copies(tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "shipped" / "tiny")
    record = Qualification(checksum=package.identity.checksum, cases=1, results=(qualified(C1=1.0),))
    record.write(package, {}, tmp_path)
    copy = TinyModel().package(tmp_path / "mounted" / "tiny")
    assert Qualification.read(copy, {}, tmp_path) is None
    monkeypatch.setattr("cspine.models.records.shipped_folder", lambda: tmp_path / "shipped")
    assert Qualification.read(copy, {}, tmp_path) == record
