"""From the public layouts to a dataset: complete cases or none, whatever happens meanwhile."""

import csv
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cspine.core.errors import CaseGridError, DatasetError, LabelSchemeError, OutputError
from cspine.core.geometry import orientation_of, reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.io.workspace import Records
from cspine.study.datasets import convert as module
from cspine.study.datasets.case_records import doubts_of
from cspine.study.datasets.case_table import Subset
from cspine.study.datasets.convert import convert
from cspine.study.datasets.convert_case import Conversion, convert_case
from cspine.study.datasets.dataset_folder import RECORDS, SPLITS, DatasetFolder
from cspine.study.datasets.exclusions import NOTHING_IN_VIEW
from cspine.study.datasets.sources import totalsegmentator, verse
from cspine.study.datasets.sources.collect import Folders, collect
from cspine.study.datasets.sources.found import Found
from cspine.study.dry_run import layouts
from tests.builders.public_sets import LADY, MAN, TRUNK, small_case, without, write_every_set
from tests.builders.raises import raises_code

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return write_every_set(tmp_path_factory.mktemp("public"))


@pytest.fixture
def in_process(monkeypatch):
    """Convert without other processes, which take seconds to start."""

    def run_here(work, items, jobs, take, *, isolated):
        for index, item in enumerate(items):
            take(index, work(item))

    monkeypatch.setattr(module, "run_each", run_here)


def conversion_to(root: Path, label_set: str = "cervical", auxiliary: bool = False) -> Conversion:
    return Conversion(DatasetFolder(root), label_set, auxiliary, jobs=2)


def run(found: Found, conversion: Conversion, reasons=None):
    return convert(found, conversion, reasons, lambda done, total: None)


def verse_of(root: Path, *cases) -> Found:
    for number, (ct, labels) in enumerate(cases, 1):
        layouts.write_verse(root, number, ct, labels, LADY)
    return verse.find(root, 2019)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def files_of(dataset: DatasetFolder) -> set[str]:
    return {path.name for path in dataset.root.glob("*/*.nii.gz")}


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_every_public_data_set_becomes_cases_of_one_dataset(public, tmp_path):
    names = {name.replace("-", "_"): path for name, path in public.items()}
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    reported = []
    outcome = convert(collect(Folders(**names)), conversion, None, lambda *done: reported.append(done))
    dataset = conversion.dataset
    assert not outcome.failures and outcome.done == 9 and reported[0] == (0, 9) and reported[-1] == (9, 9)
    rows = {row.case: row for row in dataset.rows()}
    assert {row.source for row in rows.values()} == {
        "VerSe 2019", "VerSe 2020", "HNSCC-3DCT-RT", "COLONOG", "MSD colon", "TotalSegmentator",
    }  # fmt: skip
    neck = rows["ctspine1k_HN_P001"]
    assert (neck.patient, neck.age_years, neck.sex, neck.image) == ("HN_P001", 47.0, "M", "HN_P001")
    assert neck.levels == ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1")
    assert rows["ctspine1k_colon_001"].excluded == NOTHING_IN_VIEW
    assert files_of(dataset) == {
        name for row in rows.values() if row.levels for name in (f"{row.case}_0000.nii.gz", f"{row.case}.nii.gz")
    }
    assert not any(row.doubts for row in rows.values())
    again = run(collect(Folders(**names)), conversion)
    assert (again.done, again.cached) == (0, 9)


def test_voxels_spacing_and_orientation_are_those_of_the_source(tmp_path, in_process):
    ct, labels = small_case(orientation="PIR", spacing_xyz=(3.0, 3.0, 2.5))
    conversion = conversion_to(tmp_path / "Dataset501_Cervical", auxiliary=True)
    run(verse_of(tmp_path / "verse", (ct, labels)), conversion)
    image, labels_path = conversion.dataset.pair("Tr", "verse2019_sub-verse001")
    written, network = nifti.read_ct(image), nifti.read_labels(labels_path)
    assert written.grid.is_close(ct.grid) and network.grid.is_close(ct.grid)
    assert (written.hu_zyx == ct.hu_zyx).all()
    assert (network.labels_zyx == np.minimum(labels.labels_zyx, 9)).all()  # T2 is "T2 and below"
    (row,) = conversion.dataset.rows()
    assert row.orientation == orientation_of(written.affine_lps) == "PIR"
    assert row.spacing_mm == pytest.approx((3.0, 2.5, 3.0)) and row.shape == ct.hu_zyx.shape[::-1]


def test_t13_and_l6_have_their_own_classes_in_the_full_spine(tmp_path, in_process):
    conversion = conversion_to(tmp_path / "Dataset502_FullSpine", "full-spine")
    run(verse_of(tmp_path / "verse", small_case((18, 19, 28, 20, 25))), conversion)
    _, labels_path = conversion.dataset.pair("Tr", "verse2019_sub-verse001")
    classes = conversion.labels.network_labels()
    present = set(np.unique(nifti.read_labels(labels_path).labels_zyx)) - {0}
    assert present == {classes[name] for name in ("T11", "T12", "T13", "L1", "L6")}


def test_doubts_and_cut_vertebrae_are_listed_and_concern_the_label_set(tmp_path, in_process):
    ct, labels = small_case()
    cut = slice(0, 58)  # through C1
    found = verse_of(
        tmp_path / "verse",
        (ct, without(labels, 4)),
        (type(ct)(ct.hu_zyx[cut], ct.affine_lps), LabelVolume(labels.labels_zyx[cut], labels.affine_lps)),
        small_case((1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12)),
        small_case(TRUNK),
    )
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    run(found, conversion)
    rows = conversion.dataset.rows()
    assert [row.doubts for row in rows] == [("missing level: C4",), (), (), ()]
    assert rows[1].partial == ("C1",)
    listed = {(row["case"][-3:], row["level"], row["kind"]) for row in rows_of(conversion.dataset.root / "audit.csv")}
    assert {("001", "C4", "missing level"), ("002", "C1", "partial"), ("003", "T3", "missing level")} <= listed
    assert [d.kind for d in doubts_of(conversion.dataset, "verse2019_sub-verse003")] == ["missing level"]


# --- bad input --------------------------------------------------------------------------------------------------------


def test_one_bad_case_of_each_kind_is_named_and_the_others_are_done(tmp_path, in_process):
    good = small_case()
    ct, labels = good
    found = verse_of(tmp_path / "verse", good, good, good, good, good, good)
    image = {case.name[-1]: case for case in found.cases}
    image["2"].image.write_bytes(image["2"].image.read_bytes()[:300])
    nifti.write(image["3"].labels, labels.labels_zyx[:-1], labels.affine_lps)
    nifti.write(image["4"].labels, np.where(labels.labels_zyx == 3, 99, labels.labels_zyx), labels.affine_lps)
    image["5"].labels.unlink()
    image["6"].centroids.write_text("{")
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    outcome = run(verse.find(tmp_path / "verse", 2019), conversion)
    codes = {case[-1]: code for case, code, _ in outcome.failures}
    assert codes == {
        "2": "CS-IN-001", "3": CaseGridError.code, "4": LabelSchemeError.code, "5": DatasetError.code, "6": "CS-IN-001",
    }  # fmt: skip
    assert len(rows_of(conversion.dataset.root / "failures.csv")) == 5
    assert files_of(conversion.dataset) == {"verse2019_sub-verse001_0000.nii.gz", "verse2019_sub-verse001.nii.gz"}
    layouts.write_verse(tmp_path / "verse", 2, ct, labels, LADY)
    again = run(verse.find(tmp_path / "verse", 2019), conversion)
    assert (again.done, again.cached, len(again.rows)) == (1, 1, 2)


def test_a_case_that_is_damaged_later_is_removed(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case(), small_case())
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    run(found, conversion)
    found.cases[0].labels.write_bytes(b"broken")
    outcome = run(found, conversion)
    assert [row.case for row in outcome.rows] == ["verse2019_sub-verse002"]
    assert len(files_of(conversion.dataset)) == 2
    assert run(Found(), conversion).rows == outcome.rows


def test_files_that_vanish_meanwhile_are_reported(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case(), small_case())
    shutil.rmtree(tmp_path / "verse" / "rawdata" / "sub-verse001")
    outcome = run(found, conversion_to(tmp_path / "Dataset501_Cervical"))
    assert [(case, code) for case, code, _ in outcome.failures] == [("verse2019_sub-verse001", "CS-IN-001")]


def test_wrong_folders_and_names_are_refused_before_any_work(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case())
    with raises_code(DatasetError, "'out'"):
        run(found, conversion_to(tmp_path / "out"))
    with raises_code(DatasetError, "verse2019_sub-verse001"):
        run(Found(found.cases * 2), conversion_to(tmp_path / "Dataset501_Cervical"))
    run(found, conversion_to(tmp_path / "Dataset501_Cervical"))
    with raises_code(DatasetError, "Dataset501_Cervical"):
        run(found, conversion_to(tmp_path / "Dataset501_Cervical", "full-spine"))


# --- exclusions and the split -----------------------------------------------------------------------------------------


def test_exclusions_move_files_and_stay_until_they_are_lifted(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case(), small_case(), small_case(TRUNK))
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    outcome = run(found, conversion, {"verse001": "fractured", "verse9": "typo"})
    assert outcome.notes == ["the exclusion file names verse9, which is not a case; verse003 is one"]
    assert [row.excluded for row in outcome.rows] == ["fractured", "", NOTHING_IN_VIEW]
    assert conversion.dataset.where("verse2019_sub-verse001") == "Excluded"
    assert [row.excluded for row in run(found, conversion).rows] == ["fractured", "", NOTHING_IN_VIEW]
    assert [row.excluded for row in run(found, conversion, {}).rows] == ["", "", NOTHING_IN_VIEW]
    assert conversion.dataset.where("verse2019_sub-verse001") == "Tr"


def test_a_split_stays_until_a_case_comes_or_goes(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case(), small_case())
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    rows = run(found, conversion).rows
    dataset = conversion.dataset
    splits = dataset.root / SPLITS
    splits.write_text("[]")
    module.write_cases(dataset.root / "cases.csv", [module.replace(rows[0], subset=Subset.INTERNAL), rows[1]])
    dataset.publish(dataset.rows())
    assert not run(found, conversion).notes and splits.exists()
    assert dataset.where(rows[0].case) == "Ts" and dataset.rows()[0].subset is Subset.INTERNAL
    outcome = run(found, conversion, {rows[0].case: "metal"})
    assert "run `cspine dataset split` again" in outcome.notes[0] and not splits.exists()
    assert outcome.rows[0].subset is Subset.UNUSED and dataset.where(rows[0].case) == "Excluded"


# --- interrupts -------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_conversion_and_leaves_nothing_half_written(tmp_path, in_process):
    rng = np.random.default_rng(1)
    ct, labels = small_case()
    noisy = type(ct)((ct.hu_zyx + rng.integers(-200, 200, ct.hu_zyx.shape)).astype(np.int16), ct.affine_lps)
    found = verse_of(tmp_path / "verse", noisy_pair := (noisy, labels), noisy_pair)
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with raises_code(OutputError, "verse2019_sub-verse001"):
            run(found, conversion)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not files_of(conversion.dataset)
    assert run(found, conversion).done == 2


def test_files_of_a_killed_call_never_count_as_a_case(tmp_path, in_process, monkeypatch):
    found = verse_of(tmp_path / "verse", small_case(), small_case())
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Records, "write", die)  # both files are there, the record is not
        run(found, conversion)
    assert len(files_of(conversion.dataset)) == 2
    assert not run(Found(), conversion).rows and not files_of(conversion.dataset)
    assert run(found, conversion).done == 2


def test_a_damaged_record_costs_a_conversion_and_no_more(tmp_path, in_process):
    found = verse_of(tmp_path / "verse", small_case(), small_case())
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    run(found, conversion)
    (conversion.dataset.root / RECORDS / "verse2019_sub-verse001.json").write_text("[1]")
    outcome = run(Found(), conversion)
    assert [row.case for row in outcome.rows] == ["verse2019_sub-verse002"] and "damaged" in outcome.notes[0]
    with raises_code(DatasetError, "verse2019_sub-verse001"):
        doubts_of(conversion.dataset, "verse2019_sub-verse001")
    assert run(found, conversion).done == 1


def die_on_the_second(case, conversion):
    """Stand in for `convert_case` in a worker."""
    if case.name.endswith("002"):
        os.kill(os.getpid(), signal.SIGKILL)
    return convert_case(case, conversion)


def test_a_process_that_dies_loses_its_case_and_no_other(tmp_path, monkeypatch):
    found = verse_of(tmp_path / "verse", *[small_case()] * 4)
    monkeypatch.setattr(module, "convert_case", die_on_the_second)
    outcome = run(found, conversion_to(tmp_path / "Dataset501_Cervical"))
    assert [(case[-3:], message) for case, _, message in outcome.failures] == [
        ("002", "the process that converted it died, most often because it ran out of memory")
    ]
    assert [row.case[-3:] for row in outcome.rows] == ["001", "003", "004"]


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_command_that_is_stopped_goes_on_where_it_was(tmp_path, in_process, sign, code):
    verse_of(tmp_path / "verse", *[small_case()] * 30)
    out = tmp_path / "Dataset501_Cervical"
    command = [sys.executable, "-m", "cspine", "-q", "dataset", "convert", "--out", str(out), "--jobs", "2"]
    command += ["--label-set", "cervical", "--verse2019", str(tmp_path / "verse")]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stderr=subprocess.PIPE)
    try:
        limit = time.monotonic() + 60
        while len(list(out.glob(f"{RECORDS}/*.json"))) < 3 and time.monotonic() < limit:
            time.sleep(0.005)
        os.killpg(process.pid, sign) if sign is signal.SIGINT else process.kill()
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert len(list(out.glob(f"{RECORDS}/*.json"))) < 30
    deadline = time.monotonic() + 20
    conversion = conversion_to(out)
    while True:
        try:
            outcome = run(verse.find(tmp_path / "verse", 2019), conversion)
            break
        except DatasetError:  # a process of the killed command ends a moment later
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert outcome.cached >= 3 and len(outcome.rows) == 30 and not outcome.failures
    assert not list(out.glob("*/.partial-*")) and not list(out.glob(f"{RECORDS}/*.begun"))
    assert len(files_of(conversion.dataset)) == 60


def test_age_and_sex_of_totalsegmentator_and_its_empty_cases(tmp_path, in_process):
    layouts.write_totalsegmentator(tmp_path / "ts", 1, *small_case(), MAN)
    ct, labels = small_case()
    layouts.write_totalsegmentator(tmp_path / "ts", 2, ct, without(labels, *range(1, 10)), LADY)
    outcome = run(totalsegmentator.find(tmp_path / "ts"), conversion_to(tmp_path / "Dataset501_Cervical"))
    assert not outcome.failures
    assert [(r.age_years, r.sex, bool(r.levels), r.excluded) for r in outcome.rows] == [
        (47.0, "M", True, ""), (61.0, "F", False, NOTHING_IN_VIEW),
    ]  # fmt: skip


def test_one_image_under_two_names_is_one_patient_and_a_doubt(tmp_path, in_process):
    """A reoriented copy of a scan of a patient who has another one: all three are one person's."""
    ct, labels = small_case()
    change = reorientation(ct.affine_lps, "PIR")
    affine = change.grid(ct.grid).affine_lps
    arrays = [np.ascontiguousarray(change.apply(array)) for array in (ct.hu_zyx, labels.labels_zyx)]
    layouts.write_verse(tmp_path / "verse", 1, ct, labels, LADY)
    layouts.write_totalsegmentator(tmp_path / "ts", 7, CtVolume(arrays[0], affine), LabelVolume(arrays[1], affine), MAN)
    layouts.write_totalsegmentator(tmp_path / "ts", 8, *small_case(), MAN)
    people = tmp_path / "people.csv"
    people.write_text("id,patient\ntotalsegmentator_s0007,someone\ntotalsegmentator_s0008,someone\n")
    found = collect(Folders(verse2019=tmp_path / "verse", totalsegmentator=tmp_path / "ts", demographics=people))
    outcome = run(found, conversion_to(tmp_path / "Dataset501_Cervical"))
    assert len({row.patient for row in outcome.rows}) == 1
    doubtful = {row.case for row in outcome.rows if "same image" in row.doubts}
    assert doubtful == {"verse2019_sub-verse001"}  # by name, it comes after the other
    assert any("verse2019_sub-verse001 is totalsegmentator_s0007" in note for note in outcome.notes)
    assert "same image" in (tmp_path / "Dataset501_Cervical" / "audit.csv").read_text()


def test_a_split_goes_when_a_case_gets_another_patient(tmp_path, in_process):
    for number in (1, 2):
        layouts.write_verse(tmp_path / "verse", number, *small_case(), LADY)
    conversion = conversion_to(tmp_path / "Dataset501_Cervical")
    run(collect(Folders(verse2019=tmp_path / "verse")), conversion)
    (conversion.dataset.root / SPLITS).write_text("[]")
    people = tmp_path / "people.csv"
    people.write_text("id,patient\nverse001,verse002\n")
    outcome = run(collect(Folders(verse2019=tmp_path / "verse", demographics=people)), conversion)
    assert any("patients changed since the split" in note for note in outcome.notes)
    assert not (conversion.dataset.root / SPLITS).exists()


@pytest.mark.parametrize(("available", "jobs"), [(0, 8), (100 * 10**9, 8), (7 * 10**9, 2), (10**9, 1)])
def test_processes_are_limited_by_cores_and_memory(monkeypatch, available, jobs):
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    monkeypatch.setattr(module, "memory", lambda: SimpleNamespace(available=available))
    assert module.default_jobs() == jobs
