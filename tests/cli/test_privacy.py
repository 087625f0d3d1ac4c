"""Nothing of a header is printed or written by any command that reads DICOM, whatever the header is like."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cspine.study.dry_run import layouts
from tests.builders.bright_studies import BrightModel
from tests.builders.marked_studies import leaking_files, leaks, mark_files, shown_by_series, write_marked_studies
from tests.builders.public_sets import LADY, small_case

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
#: Runs commands as the command line does, one after another in one process, which loads the libraries once.
_COMMANDS = """
import json, sys
from cspine.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["cspine", *arguments]
    print("\\x1e", flush=True)
    print("\\x1e", file=sys.stderr, flush=True)
    try:
        main()
        print("exit 0", file=sys.stderr)
    except SystemExit as end:
        print("exit", end.code, file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marked studies in ``in``, a data set with DICOM images, and a model."""
    path = tmp_path_factory.mktemp("marked")
    write_marked_studies(path / "in")
    BrightModel().package(path / "model")
    layouts.write_hnscc(path / "hnscc", path / "masks", 1, *small_case(), LADY)
    mark_files(path / "hnscc")
    return path


def run_all(*commands: list[object]) -> list[tuple[int, str, str]]:
    """Run commands with every message; return exit code, standard output and standard error of each."""
    arguments = json.dumps([["-v", *(str(argument) for argument in command)] for command in commands])
    ended = subprocess.run(
        [sys.executable, "-c", _COMMANDS, arguments], cwd=ROOT, env=os.environ | {"COLUMNS": "400"},
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    outputs, errors = (text.split("\x1e\n")[1:] for text in (ended.stdout, ended.stderr))
    codes = [int(re.findall(r"^exit (\d+)$", text, re.MULTILINE)[-1]) for text in errors]
    return list(zip(codes, outputs, errors, strict=True))


def test_commands_print_and_write_nothing_of_a_header(folder: Path) -> None:
    source, out, cpu = folder / "in", folder / "out", ["--model", folder / "model", "--device", "cpu", "--step-size", 1]
    ran = run_all(
        ["run", source / "needless", out / "needless", *cpu, "--outputs", "seg,nifti"],
        ["run", source / "needed", out / "needed", *cpu],
        ["run", source, out / "all", *cpu, "--all-studies"],
        ["predict", "--input", source / "complete", "--out", out / "labels", *cpu[:-2]],
        ["predict", "--input", source, "--out", out / "labels-of-all", *cpu[:-2]],
        ["dataset", "convert", "--out", out / "Dataset501_C", "--label-set", "cervical", "--hnscc", folder / "hnscc",
         "--ctspine1k", folder / "masks", "--jobs", 2],
    )  # fmt: skip
    assert [code for code, _, _ in ran] == [0, 6, 11, 0, 11, 0]
    assert [leaks(output + error) for _, output, error in ran] == [set()] * len(ran)
    assert (out / "needless" / "dicom" / "segmentation.dcm").is_file()
    assert (out / "labels").is_dir() and (out / "Dataset501_C" / "cases.csv").is_file()
    assert leaking_files(out) == {}


def test_the_list_of_series_shows_what_selects_a_series_and_no_more(folder: Path) -> None:
    names = ("complete", "needless", "needed", "shifted")
    listed = run_all(*(["series", folder / "in" / name, *more] for name in names for more in ([], ["--json"])))
    assert [code for code, _, _ in listed] == [0] * len(listed)
    for _, output, error in listed:
        assert not leaks(error)
        assert not leaks(shown_by_series().sub("", output))
