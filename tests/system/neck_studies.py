"""Small studies for the service, a fast model, and the result of `cspine run` with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from click.testing import CliRunner
from pydicom import Dataset, dcmread

from cspine.cli.run import command
from cspine.core.errors import hashed
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.small_neck import MODELS, write_neck

#: All dates of all results: they can be compared byte by byte.
CLOCK = "1700000000"


@dataclass(frozen=True)
class NeckStudy:
    """A study with one series of 128 small slices.

    Parameters
    ----------
    folder : Path
        Where the files are.
    paths : tuple of Path
        The files, from slice to slice.
    """

    folder: Path
    paths: tuple[Path, ...]

    @cached_property
    def uid(self) -> str:
        """Study Instance UID."""
        return str(dcmread(self.paths[0], stop_before_pixels=True).StudyInstanceUID)

    @property
    def key(self) -> str:
        """The study as the service's log names it."""
        return hashed(self.uid)


def neck_study(folder: Path, seed: str) -> NeckStudy:
    """Write a study; the seed decides its UIDs and its patient."""
    paths = write_neck(folder, CtSeriesDescription(uid_seed=seed, patient_id=hashed(seed)))
    return NeckStudy(folder, tuple(sorted(paths)))


def quick_model(folder: Path) -> Path:
    """The first stage of the shipped model alone: coarse, and done in a second or two."""
    shipped = MODELS / "cervical-demo"
    shutil.copytree(shipped, folder, ignore=shutil.ignore_patterns("fine"))
    manifest = yaml.safe_load((shipped / "model.yaml").read_text("utf-8"))
    manifest["stages"] = manifest["stages"][:1]
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if not name.startswith("fine/")}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return folder


def direct_run(images: Path, model: Path, out: Path) -> Dataset:
    """The segmentation that `cspine run` writes."""
    arguments = [str(images), str(out), "--model", str(model), "--device", "cpu"]
    done = CliRunner(env={"SOURCE_DATE_EPOCH": CLOCK}).invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return dcmread(out / "dicom" / "segmentation.dcm")
