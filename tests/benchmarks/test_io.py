"""Tools that scan, read and write DICOM come to the same results, where they are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.io import (
    KINDS,
    LEVELS,
    SYNTAXES,
    against,
    column,
    comparisons,
    labelled,
    many_series,
    noisy,
    same,
    taking_part,
    written,
)
from benchmarks.io_tools import TOOLS
from benchmarks.scans import resampled, write_series
from cspine.core.volumes import CtVolume
from tests.builders.small_neck import small_neck


@pytest.fixture(scope="module")
def volume() -> CtVolume:
    return noisy(resampled(small_neck()[0], (52, 40, 40)))


@pytest.fixture(scope="module")
def series(volume: CtVolume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_series(volume, folder, transfer_syntax=SYNTAXES["uncompressed"])
    return folder


def test_every_tool_finds_all_series_and_files(
    volume: CtVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.io._SERIES_FILES", 4)
    many_series(volume, 10, tmp_path)
    for tool in taking_part("scan")[0]:
        found = TOOLS["scan"][tool](tmp_path)
        assert (found["series"], found["files"]) == (3, 10), tool
        assert found["seconds"] > 0


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_tool_reads_the_same_values(name: str, volume: CtVolume, tmp_path: Path) -> None:
    write_series(volume, tmp_path, transfer_syntax=SYNTAXES[name])
    digests = {tool: TOOLS["read"][tool](tmp_path)["digest"] for tool in taking_part("read")[0]}
    assert len(digests) > 1 and len(set(digests.values())) == 1, digests


def test_other_values_have_another_digest(volume: CtVolume, series: Path, tmp_path: Path) -> None:
    changed = volume.hu_zyx.copy()
    changed[10, 10, 10] += 1
    write_series(CtVolume(changed, volume.affine_lps), tmp_path, transfer_syntax=SYNTAXES["uncompressed"])
    read = TOOLS["read"]["cspine"]
    assert read(tmp_path)["digest"] != read(series)["digest"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", LEVELS)
def test_every_tool_writes_the_same_labels(
    count: int, kind: str, volume: CtVolume, series: Path, tmp_path: Path
) -> None:
    tools, _ = taking_part("write", kind)
    digests = {}
    for tool, work in labelled(column(volume.hu_zyx.shape, count), count, tools, tmp_path).items():
        TOOLS["write"][tool](series, work, kind)
        digests[tool] = written(work)["digest"]
    assert len(digests) > 1 and len(set(digests.values())) == 1, digests


def test_labels_of_a_column_begin_at_the_head() -> None:
    labels = column((50, 20, 20), 25)
    assert [int(labels[k].max()) for k in (49, 48, 47, 0)] == [1, 1, 2, 25]
    assert np.count_nonzero(labels) > 0 and (labels[:, 0] == 0).all()


def test_other_tools_are_compared_with_cspine() -> None:
    def tools(digest: int) -> dict[str, dict[str, float]]:
        return {"cspine": {"seconds": 2.0, "digest": 7}, "SimpleITK": {"seconds": 3.0, "digest": digest}}

    figures = {"scan": tools(7), "read": {"RLE": tools(7)}, "write": {"8 binary": tools(8)}}
    assert list(comparisons(figures)) == ["scan", "read RLE", "write 8 binary"]
    assert against(figures)["read RLE, SimpleITK"] == 1.5
    assert same(figures) == {"scan": True, "read RLE": True, "write 8 binary": False}
