"""Selection: which series is chosen, and the written decision on each."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from cspine.core.errors import NoSuitableSeriesError, SeveralPatientsError, UnknownSeriesError, hashed
from cspine.dicom.read import read_volume
from cspine.dicom.rules import Rules, load_rules
from cspine.dicom.scan import Scan, scan_folder
from cspine.dicom.select import Selection, SeriesDecision, evaluate_series, select_series
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import Stack, build, empty_type_2, interleaved, save_all
from tests.builders.raises import raises_code


def _series(seed: str, *, slices: int = 40, step: float = 2.0, kernel: str = "B30f", number: int = 2) -> list[Dataset]:
    description = CtSeriesDescription(
        uid_seed=seed, study_seed="study", kernel=kernel, series_number=number, body_part="NECK"
    )
    return build(Stack(shape_zyx=(slices, 4, 4), spacing_xyz=(0.5, 0.75, step), description=description))


def _scan(folder: Path, **series: list[Dataset]) -> Scan:
    for name, datasets in series.items():
        save_all(datasets, folder / name)
    return scan_folder(folder)


def _uid(seed: str) -> str:
    return CtSeriesDescription(uid_seed=seed).series_uid


def _decision(decisions: tuple[SeriesDecision, ...], seed: str) -> SeriesDecision:
    return next(v for v in decisions if v.series.series_uid == _uid(seed))


def _choose(scan: Scan, rules: Rules | None = None) -> Selection:
    return select_series(scan, rules or load_rules())


def test_the_thinner_series_is_chosen_and_the_other_gets_a_reason(tmp_path: Path) -> None:
    selection = _choose(_scan(tmp_path, thick=_series("thick"), thin=_series("thin", slices=120, step=0.6)))
    assert selection.chosen.series_uid == _uid("thin")
    assert "0.6 mm" in _decision(selection.decisions, "thin").reason
    assert re.search(r"thinner.*\b2 mm.*0\.6 mm", _decision(selection.decisions, "thick").reason)


def test_headers_give_the_grid_that_is_read(tmp_path: Path) -> None:
    chosen = _choose(_scan(tmp_path, thin=_series("thin", slices=50, step=1.5))).chosen
    assert chosen.grid is not None
    read = read_volume(chosen).grid
    assert chosen.grid.shape_zyx == read.shape_zyx
    assert chosen.grid.spacing_xyz == pytest.approx(read.spacing_xyz)
    unplaced = replace(chosen.instances[0].planes[0], position_lps=None)
    assert replace(chosen, instances=(replace(chosen.instances[0], planes=(unplaced,)),)).grid is None


def test_a_bone_kernel_is_preferred_at_one_thickness(tmp_path: Path) -> None:
    selection = _choose(_scan(tmp_path, soft=_series("soft"), bone=_series("bone", kernel="B70f")))
    assert selection.chosen.series_uid == _uid("bone")
    assert "bone_kernel" in _decision(selection.decisions, "soft").reason
    assert "B30f" not in _decision(selection.decisions, "soft").reason


def test_more_coverage_is_preferred(tmp_path: Path) -> None:
    selection = _choose(_scan(tmp_path, short=_series("short"), long=_series("long", slices=80)))
    assert selection.chosen.series_uid == _uid("long")
    assert re.search(r"covers_more.*\b80 mm.*\b160 mm", _decision(selection.decisions, "short").reason)


def test_the_more_recent_is_preferred(tmp_path: Path) -> None:
    late = _series("late")
    for dataset in late:
        dataset.SeriesTime = "130000"
    selection = _choose(_scan(tmp_path, early=_series("early"), late=late))
    assert selection.chosen.series_uid == _uid("late")


def test_equal_series_are_distinguished_alike_in_any_order(tmp_path: Path) -> None:
    scan = _scan(tmp_path, **{f"s{i}": _series(f"s{i}") for i in range(4)})
    chosen = set()
    for seed in range(5):
        series = list(scan.series)
        random.Random(seed).shuffle(series)
        chosen.add(_choose(replace(scan, series=tuple(series))).chosen.series_uid)
    assert chosen == {min(_uid(f"s{i}") for i in range(4))}


def test_a_series_that_makes_no_volume_stands_behind_one_that_does(tmp_path: Path) -> None:
    scan = _scan(tmp_path, mixed=interleaved(_series("mixed", slices=120, step=0.6)), complete=_series("whole"))
    selection = _choose(scan)
    assert selection.chosen.series_uid == _uid("whole")
    assert "CS-GEO-004" in _decision(selection.decisions, "mixed").reason


def test_a_damaged_series_alone_is_chosen_so_that_reading_gives_its_own_error(tmp_path: Path) -> None:
    datasets = _series("gap")
    del datasets[20]
    selection = _choose(_scan(tmp_path, gap=datasets))
    assert selection.decisions[0].chosen and "CS-GEO-002" in selection.decisions[0].reason


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("Modality", "PT", r"modality.*'PT'.*'CT'"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], r"image type.*LOCALIZER"),
        ("SliceThickness", "7", r"slice thickness.*\b7\b.*\b5\b"),
        ("BodyPartExamined", "KNEE", r"body part.*'KNEE'"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], r"orientation.*'coronal'.*'axial'"),
    ],
)
def test_a_refusal_names_value_and_rule(tmp_path: Path, keyword: str, value: object, reason: str) -> None:
    datasets = _series("a")
    for dataset in datasets:
        setattr(dataset, keyword, value)
    with pytest.raises(NoSuitableSeriesError) as raised:
        _choose(_scan(tmp_path, a=datasets))
    assert re.search(reason, str(raised.value))
    assert _uid("a") not in str(raised.value)


def test_too_few_slices_and_too_little_coverage_are_refused(tmp_path: Path) -> None:
    (decision,) = evaluate_series(_scan(tmp_path, a=_series("a", slices=6)), load_rules())
    assert not decision.suitable and re.search(r"coverage.*\b12\b.*\b50\b.*slices.*\b6\b.*\b10\b", decision.reason)


def test_contrast_can_be_required(tmp_path: Path) -> None:
    rules = Rules.model_validate({"require": {"contrast": True}})
    with raises_code(NoSuitableSeriesError, "contrast"):
        _choose(_scan(tmp_path, a=_series("a")), rules)


@pytest.mark.parametrize(
    ("agent", "stated"),
    [
        *((text, False) for text in ("NONE", "None.", "NO", "N", "N/A", "-", "No contrast", "NON-CONTRAST", "w/o CM")),
        *((text, False) for text in ("UNENHANCED", "Without IV contrast", "No IV contrast given", "NATIV", "0")),
        *((text, True) for text in ("Oral", "IV", "Omnipaque 350", "NON-IONIC CONTRAST", "NIOPAM", "Y", "C", "350")),
    ],
)
def test_a_contrast_agent_is_stated_unless_the_text_says_that_there_was_none(
    tmp_path: Path, agent: str, stated: bool
) -> None:
    datasets = _series("a")
    for dataset in datasets:
        dataset.ContrastBolusAgent = agent
    (series,) = _scan(tmp_path, a=datasets).series
    assert series.contrast is stated


def test_a_series_of_empty_type_2_attributes_is_accepted(tmp_path: Path) -> None:
    selection = _choose(_scan(tmp_path, a=empty_type_2(_series("a"))))
    assert selection.chosen.series_number is None
    assert selection.decisions[0].chosen is True


def test_a_series_asked_for_is_chosen_whatever_the_rules_say(tmp_path: Path) -> None:
    scan = _scan(tmp_path, good=_series("good"), short=_series("short", slices=4))
    selection = select_series(scan, load_rules(), _uid("short"))
    assert selection.chosen.slices == 4
    assert _decision(selection.decisions, "short").chosen and "UID" in _decision(selection.decisions, "short").reason
    assert not _decision(selection.decisions, "good").chosen and _decision(selection.decisions, "good").reason


def test_a_series_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with raises_code(UnknownSeriesError, hashed("1.2.3.4"), 1) as raised:
        select_series(_scan(tmp_path, a=_series("a")), load_rules(), "1.2.3.4")
    assert "1.2.3.4" not in str(raised.value)


def test_a_series_uid_of_two_studies_is_an_error(tmp_path: Path) -> None:
    scan = _scan(tmp_path, a=_series("a"))
    twice = replace(scan, series=(scan.series[0], replace(scan.series[0], study_uid="2.25.9")))
    with pytest.raises(SeveralPatientsError):
        select_series(twice, load_rules(), _uid("a"))


def test_a_description_may_hold_a_name_and_is_not_repeated(tmp_path):
    datasets = build(Stack())
    for dataset in datasets:
        dataset.SeriesDescription = "SECRET^NAME neck"
    save_all(datasets, tmp_path)
    (tmp_path / "rules.yaml").write_text("require: {description: {matches: 'x.*'}}")
    with raises_code(NoSuitableSeriesError, "series description") as rejection:
        select_series(scan_folder(tmp_path), load_rules(tmp_path / "rules.yaml"))
    assert "SECRET" not in str(rejection.value)
