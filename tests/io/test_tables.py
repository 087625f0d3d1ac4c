"""Tables and summaries as files."""

import json
from pathlib import Path

import pytest

from cspine.core.errors import OutputError
from cspine.io.tables import duration, number, write_csv, write_json


def test_files_appear_complete_and_numbers_may_be_absent(tmp_path: Path) -> None:
    write_csv(tmp_path / "new" / "a.csv", ("case", "note"), [["a", "one, two"]])
    assert (tmp_path / "new" / "a.csv").read_text() == 'case,note\na,"one, two"\n'
    write_json(tmp_path / "new" / "a.json", {"a": None})
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"a": None}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.csv", "a.json"]
    assert (number(None), number(0.12345), number(2, 1)) == ("", "0.123", "2.0")
    with pytest.raises(OutputError):
        write_json(tmp_path / "new" / "a.csv" / "b.json", {})


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (720, "12 min"), (12000, "3 h 20 min")])
def test_a_time_span_reads_like_one(seconds: float, words: str) -> None:
    assert duration(seconds) == words
