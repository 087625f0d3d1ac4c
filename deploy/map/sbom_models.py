"""Add the models of the image to the list of its Python packages: a component each, with licence and checksum.

    sbom_models.py SBOM MODEL...

It runs in the image while that is built.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import yaml


def model_component(folder: Path) -> dict[str, Any]:
    """Return the CycloneDX component of a model package.

    Parameters
    ----------
    folder : Path
        Holds ``model.yaml``, which names every other file with its SHA-256: its own checksum stands for all.
    """
    content = (folder / "model.yaml").read_bytes()
    manifest = yaml.safe_load(content)
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{manifest['name']}@{manifest['version']}",
        "name": manifest["name"],
        "version": str(manifest["version"]),
        "description": manifest["title"],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        "licenses": [_licence(manifest["licence"])],
        "copyright": manifest.get("credit", ""),
        "modelCard": {
            "modelParameters": {"task": "segmentation"},
            "considerations": {
                "useCases": [manifest["intended_use"]],
                "technicalLimitations": [manifest["limits"]],
            },
        },
    }


def _licence(name: str) -> dict[str, Any]:
    known = name.startswith(("CC-", "Apache-", "MIT", "BSD-"))
    return {"license": {"id" if known else "name": name}}


def add_models(sbom: dict[str, Any], places: list[Path]) -> dict[str, Any]:
    """Return a CycloneDX document with a component for each model package.

    Parameters
    ----------
    sbom : dict
        The document.
    places : list of Path
        What lies beside each other in a folder of models: packages, and records about them, which are files.
    """
    folders = [place for place in places if place.is_dir()]
    return {**sbom, "components": [*sbom.get("components", []), *map(model_component, folders)]}


def main() -> None:
    """Rewrite the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sbom", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    given = parser.parse_args()
    document = add_models(json.loads(given.sbom.read_text(encoding="utf-8")), given.models)
    given.sbom.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
