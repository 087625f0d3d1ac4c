"""Read JSON, YAML and CSV files from outside, with limits: size, depth, and numbers that can be computed with.

A name or a column that is there twice is refused: which of the two values was meant, nothing says.
A document is data only. What it means is checked by the schema of its reader, which needs values that can be computed
with, and a depth that no later step runs out of stack for.
"""

from __future__ import annotations

import csv
import io
import json
import math
import stat
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

#: Largest file: summaries of large evaluations have tens of megabytes as JSON, and YAML is written by hand.
MAX_JSON_BYTES = 256 * 2**20
MAX_YAML_BYTES = 2**20
#: Levels of lists and objects within each other; plans.json has seven.
MAX_DEPTH = 32
#: Values with those that aliases repeat, by which a short text can grow without limit.
MAX_YAML_VALUES = 1_000_000
#: Whole numbers beyond 64 bits are no count, number or size.
MAX_INTEGER = 2**63 - 1


class DocumentError(ValueError):
    """A file is no JSON or YAML, or beyond the limits; the message quotes nothing of the file."""


def read_json(path: Path, *, allow_nan: bool = False) -> Any:
    """Return the content of a JSON file.

    Parameters
    ----------
    path : Path
        A file in UTF-8.
    allow_nan : bool
        True to accept NaN and infinity, which nnU-Net writes for the score of a structure that no image has.

    Raises
    ------
    OSError
        If the file cannot be read.
    DocumentError
        If it is no JSON, or beyond the limits.
    """
    return parse_json(_bytes_of(path, MAX_JSON_BYTES), allow_nan=allow_nan)


def parse_json(data: bytes | str, *, allow_nan: bool = False) -> Any:
    """Return the content of a JSON text.

    Parameters
    ----------
    data : bytes or str
        The text, UTF-8.
    allow_nan : bool
        As in `read_json`.

    Raises
    ------
    DocumentError
        As in `read_json`.

    Examples
    --------
    >>> parse_json('{"levels": ["C1"]}')
    {'levels': ['C1']}
    >>> parse_json("[1e999]")
    Traceback (most recent call last):
    cspine.io.documents.DocumentError: contains a number that is not finite
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if len(data) > MAX_JSON_BYTES:
        raise DocumentError(f"is larger than {MAX_JSON_BYTES // 2**20} MiB")
    try:
        content = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    except DocumentError:
        raise
    except json.JSONDecodeError as error:
        raise DocumentError(f"is not valid JSON (line {error.lineno})") from error
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    except ValueError as error:  # no UTF-8, or a number of thousands of digits
        raise DocumentError(f"is not valid JSON ({type(error).__name__})") from error
    _require_plain(content, allow_nan, MAX_JSON_BYTES)
    return content


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; None for an empty one.

    Parameters
    ----------
    path : Path
        A file in UTF-8; dates are texts.

    Raises
    ------
    OSError
        If the file cannot be read.
    DocumentError
        If it is no YAML, or beyond the limits.
    """
    return parse_yaml(_bytes_of(path, MAX_YAML_BYTES))


def parse_yaml(data: bytes | str) -> Any:
    """Return the content of a YAML text.

    Parameters
    ----------
    data : bytes or str
        The text.

    Raises
    ------
    DocumentError
        As in `read_yaml`.

    Examples
    --------
    >>> parse_yaml("version: 2024-13-45")
    {'version': '2024-13-45'}
    """
    if len(data) > MAX_YAML_BYTES:
        raise DocumentError(f"is larger than {MAX_YAML_BYTES // 2**20} MiB")
    try:
        content = yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader
    except DocumentError:
        raise
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise DocumentError("is not valid YAML" + (f" (line {line + 1})" if isinstance(line, int) else "")) from error
    except RecursionError as error:
        raise DocumentError(_TOO_DEEP) from error
    except Exception as error:  # values that match the form of a number or a date and are none
        raise DocumentError(f"is not valid YAML ({type(error).__name__})") from error
    _require_plain(content, False, MAX_YAML_VALUES)
    return content


def read_csv(path: Path, delimiter: str = ",", *, ragged: bool = False) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Return the columns and the rows of a CSV file.

    Parameters
    ----------
    path : Path
        A file in UTF-8, with or without a byte order mark.
    delimiter : str
        What separates the cells.
    ragged : bool
        True to accept rows of more or fewer cells than columns, which then lack what they lack.

    Raises
    ------
    OSError
        If the file cannot be read.
    DocumentError
        If it is no text, no CSV, has a column twice, or is beyond the limits.
    """
    try:
        text = _bytes_of(path, MAX_JSON_BYTES).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DocumentError(f"is not valid CSV ({type(error).__name__})") from error
    columns = tuple(rows[0]) if rows else ()
    refuse_repeated(columns)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns) and not ragged:
            raise DocumentError(f"has {len(row)} cells for {len(columns)} columns in row {number}")
    return columns, [dict(zip(columns, row, strict=False)) for row in rows[1:]]


def refuse_repeated(columns: Sequence[str]) -> None:
    """Refuse a table that has a column twice; columns without a name are none.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.

    Raises
    ------
    DocumentError
        With the positions of the two.
    """
    places: dict[str, int] = {}
    for number, name in enumerate(columns, 1):
        if name and places.setdefault(name, number) != number:
            raise DocumentError(f"has one name for columns {places[name]} and {number}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice([name for name, _ in pairs])
    return dict(pairs)


def _refuse_twice(names: Sequence[Hashable]) -> None:
    if len(set(names)) < len(names):
        raise DocumentError("has a name twice in one object")


_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"


class _Loader(yaml.SafeLoader):
    """YAML with limited depth, and without dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, unless it is too deep."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise DocumentError(_TOO_DEEP)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose an object, unless it has a name twice; values that it merges may be replaced."""
        node = super().compose_mapping_node(anchor)
        _refuse_twice([(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return node


def _bytes_of(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; a pipe or a device might never end."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise DocumentError("is not a file")
    if state.st_size > limit:
        raise DocumentError(f"is larger than {limit // 2**20} MiB")
    return path.read_bytes()


def _require_plain(content: Any, allow_nan: bool, max_values: int) -> None:
    """Refuse depth, size and numbers beyond the limits, level by level."""
    level, depth, values = [content], 0, 0
    while level:
        depth, values = depth + 1, values + len(level)
        if depth > MAX_DEPTH + 1:
            raise DocumentError(_TOO_DEEP)
        if values > max_values:
            raise DocumentError(f"contains more than {max_values} values")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif not isinstance(value, str):
                _require_number(value, allow_nan=allow_nan)
        level = below


def _require_number(value: object, *, allow_nan: bool) -> None:
    if isinstance(value, float) and not allow_nan and not math.isfinite(value):
        raise DocumentError("contains a number that is not finite")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise DocumentError("contains a whole number of more than 64 bits")
    if not (value is None or isinstance(value, (bool, int, float))):
        raise DocumentError(f"contains a value of type {type(value).__name__}")
