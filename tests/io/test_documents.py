from __future__ import annotations

import json
import math
import os

import pytest

from cspine.io.documents import (
    MAX_DEPTH,
    MAX_YAML_BYTES,
    DocumentError,
    parse_json,
    parse_yaml,
    read_csv,
    read_json,
    read_yaml,
)

CONTENT = {"a": [1, 2.5, None, True, "text"], "b": {"c": -7}}


def test_ordinary_documents_are_read(tmp_path):
    path = tmp_path / "x"
    path.write_text(json.dumps(CONTENT))
    assert read_json(path) == read_yaml(path) == CONTENT
    path.write_text("")
    assert read_yaml(path) is None


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(parse, depth, opened, closed):
    with pytest.raises(DocumentError):
        parse(opened * depth + "1" + closed * depth)


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_the_deepest_that_is_accepted(parse):
    content = parse("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH):
        (content,) = content
    assert content == 1


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "9" * 25, str(2**63), "1e999", "-1.0e+999"])
@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_numbers_beyond_all_meaning_are_refused(parse, number):
    for text in (number, f'{{"a": [1, {number}]}}'):
        if parse is parse_yaml and number == "1e999":
            assert isinstance(parse("1e999"), str)  # YAML 1.1 needs a dot
            continue
        with pytest.raises(DocumentError):
            parse(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_json_that_is_not_finite_is_accepted_only_where_a_reader_expects_it(text):
    with pytest.raises(DocumentError):
        parse_json(text)
    assert parse_json(text, allow_nan=True) is not None


def test_what_a_reader_expects_as_nan_is_nan():
    assert math.isnan(parse_json("[NaN]", allow_nan=True)[0])


@pytest.mark.parametrize(
    "text",
    [
        "a: .inf", "a: .nan", "a: 0x" + "f" * 40, "a: 1" + ":59" * 200, "? .nan\n: 1",
        "a: &x [1, *x]", "!!python/object/apply:os.system ['true']", "a: !!timestamp 2024-13-45", "a: !!set {x, y}",
        "a: !!binary aGFsbG8=", "a: {", "a: [1\n", "\t- a", "? [1]\n: 2", "a: \x00", "a: !!int x", "a: !!float x",
    ],
)  # fmt: skip
def test_yaml_that_is_no_plain_data_is_refused(text):
    with pytest.raises(DocumentError):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["2024-13-45", "2024-02-30", "2024-01-01", "2024-01-01 25:61:61"])
def test_dates_are_texts(text):
    assert parse_yaml(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("data", [b"\xff\xfe{", b"", b"{", b"[1,]", b"[1] 2", b'{"a": \x00}'])
def test_json_that_is_none_is_refused(data):
    with pytest.raises(DocumentError):
        parse_json(data)


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '{"x": [{"a": {}, "a": {}}]}'])
def test_a_name_that_an_object_has_twice_is_refused_not_overwritten(text):
    for parse in (parse_json, parse_yaml):
        with pytest.raises(DocumentError) as raised:
            parse(text)
        assert "twice" in str(raised.value)


def test_a_merged_value_may_be_replaced():
    text = "base: &b {a: 1, c: 1}\nx: {y: &m {<<: *b, a: 2}}\ntop: {<<: *m, c: 3}"
    assert parse_yaml(text)["top"] == {"a": 2, "c": 3}


def test_an_alias_repeats_its_value():
    assert parse_yaml("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


def test_aliases_cannot_grow():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(DocumentError):
        parse_yaml("\n".join(lines))


def test_a_document_that_is_too_large_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"#" * (MAX_YAML_BYTES + 1))
    with pytest.raises(DocumentError):
        read_yaml(path)
    with pytest.raises(DocumentError):
        parse_yaml(b"#" * (MAX_YAML_BYTES + 1))


def test_the_content_is_not_quoted():
    for text in ("Mustermann: {", '"Mustermann', "a: *Mustermann", "!!Mustermann x"):
        with pytest.raises(DocumentError) as raised:
            parse_yaml(text)
        assert "Mustermann" not in str(raised.value)


def test_a_pipe_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_json, read_yaml, read_csv):
        for path in (tmp_path / "pipe", tmp_path):
            with pytest.raises(DocumentError):
                read(path)


def test_a_file_that_is_absent_is_an_error_of_the_system(tmp_path):
    for read in (read_json, read_yaml, read_csv):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "absent")


def test_a_table_has_its_columns_and_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,"x, y\nz"\r\n\r\n2,\r\n')
    assert read_csv(path) == (("a", "b"), [{"a": "1", "b": "x, y\nz"}, {"a": "2", "b": ""}])
    path.write_text("a\tb\n1\n1\t2\t3\n")
    assert read_csv(path, "\t", ragged=True)[1] == [{"a": "1"}, {"a": "1", "b": "2"}]
    path.write_text("a,,\n1,,\n")
    assert read_csv(path)[1] == [{"a": "1", "": ""}]
    path.write_text("")
    assert read_csv(path) == ((), [])


@pytest.mark.parametrize(
    "data", [b"a,b\n1\n", b"a\n1,2\n", b"a,b,a\n1,2,3\n", b"a,b,a\n", b"a\n\xff\n", b'a\n"' + b"x" * 200_000 + b'"\n']
)
def test_a_table_that_is_damaged_is_refused(tmp_path, data):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(DocumentError):
        read_csv(tmp_path / "x.csv")
