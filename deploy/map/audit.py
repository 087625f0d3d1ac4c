"""Look up the packages of both images in a public list of vulnerabilities, by pip-audit.

    audit.py [--service osv|pypi]

Exit code 0: none is known, or deploy/map/vex.cdx.json says why cspine is not affected. 1: one is known. 2: the list
could not be asked; that is not the same as none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lock import MAP, read_lock

FLAVOURS = ("cpu", "cuda")
VEX = MAP / "vex.cdx.json"
#: Analyses of the exchange format under which nothing has to be done.
EXPLAINED = ("not_affected", "false_positive", "resolved", "resolved_with_pedigree")


class UnreachableError(Exception):
    """The list of vulnerabilities could not be asked about every package."""


def requirements(lock: Mapping[str, tuple[str, str]]) -> set[str]:
    """Return ``name==version`` of every package of a lock; the local part of a version is no release of its own."""
    return {f"{name}=={version.split('+')[0]}" for name, (version, _) in lock.items()}


def explained(vex: Mapping[str, Any]) -> set[str]:
    """Return the identifiers of vulnerabilities that do not affect cspine according to a CycloneDX VEX."""
    return {
        identifier
        for each in vex.get("vulnerabilities", [])
        if each.get("analysis", {}).get("state") in EXPLAINED
        for identifier in (each["id"], *(reference["id"] for reference in each.get("references", [])))
    }


def open_vulnerabilities(report: Mapping[str, Any], known: set[str]) -> list[str]:
    """Return a line for each vulnerability of a report of pip-audit that is not explained.

    Raises
    ------
    UnreachableError
        If a package was skipped.
    """
    lines = []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            raise UnreachableError(f"{package['name']}: {package['skip_reason']}")
        for found in package["vulns"]:
            if known.isdisjoint({found["id"], *found["aliases"]}):
                fixed = ", ".join(found["fix_versions"]) or "no fixed version"
                lines.append(f"{package['name']} {package['version']}: {found['id']} ({fixed})")
    return lines


def ask(listed: Sequence[str], service: str) -> dict[str, Any]:
    """Return pip-audit's report about pinned packages; UnreachableError if there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        path, report = Path(scratch) / "packages.txt", Path(scratch) / "report.json"
        path.write_text("\n".join(listed) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        options = ["--requirement", str(path), "--vulnerability-service", service, "--format", "json"]
        done = subprocess.run([*command, *options, "--output", str(report)], capture_output=True, text=True)
        if done.returncode not in (0, 1) or not report.is_file():
            raise UnreachableError(next(iter(done.stderr.strip().splitlines()[-1:]), "pip-audit failed"))
        return dict(json.loads(report.read_text(encoding="utf-8")))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", choices=["osv", "pypi"], default="osv", help="the list to ask")
    service = parser.parse_args().service
    cpu, cuda = (requirements(read_lock((MAP / f"lock-{name}.txt").read_text(encoding="utf-8"))) for name in FLAVOURS)
    known = explained(json.loads(VEX.read_text(encoding="utf-8")))
    try:
        # Twice, because pip-audit takes one version of a package at a time.
        found = [line for some in (cpu, cuda - cpu) for line in open_vulnerabilities(ask(sorted(some), service), known)]
    except UnreachableError as error:
        print(f"NOT AUDITED, {service} gave no complete answer: {error}", file=sys.stderr)
        sys.exit(2)
    print("\n".join(found or [f"{len(cpu | cuda)} packages of the images: no open vulnerability known to {service}"]))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
