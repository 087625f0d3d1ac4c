"""Checksums of the results of a job, made when they are complete and compared before anything uses them."""

from __future__ import annotations

from pathlib import Path

from cspine.io.files import sha256_of
from cspine.service.queue import durable

#: In the folder of the results, in the format of sha256sum.
CHECKSUMS = "sha256.txt"


def write_checksums(results: Path, staging: Path) -> None:
    """Write the checksums of the DICOM results of a job.

    Parameters
    ----------
    results : Path
        The folder ``results/`` of a job.
    staging : Path
        Folder for temporary files.
    """
    lines = [f"{sha256_of(path)}  {path.relative_to(results).as_posix()}\n" for path in _files(results)]
    durable.write(results / CHECKSUMS, "".join(lines).encode(), staging)


def altered_results(results: Path) -> list[str]:
    """Return the results that are missing, new or changed since their checksums were made, by name.

    Results of a version without checksums count as unaltered.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    try:
        lines = (results / CHECKSUMS).read_bytes().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {path.relative_to(results).as_posix(): sha256_of(path) for path in _files(results)}
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def _files(results: Path) -> list[Path]:
    return sorted((results / "dicom").glob("*.dcm"))
