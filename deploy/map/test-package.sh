#!/usr/bin/env bash
# Install the build context of the stock packager as its Dockerfile does, without network, from the wheels of `make map`,
# and start it: its DICOM Segmentation must equal the one of `python -m app` (FLAVOUR=cpu|cuda).
set -euo pipefail
cd "$(dirname "$0")/../.."
FLAVOUR=${FLAVOUR:-cpu}
wheels=$PWD/build/map/wheels-$FLAVOUR
place=$PWD/build/map/package-test
[ -d "$wheels" ] || { echo "$wheels is not there: first make map." >&2; exit 1; }

rm -rf "$place" && mkdir -p "$place/output"
.venv/bin/python deploy/map/package.py build/map/package
.venv/bin/python deploy/map/package_context.py build/map/package app.yaml "$place/context"

# What the image of `make map` leaves out (deploy/map/excluded-packages.txt) has no wheel here, so pip may not resolve.
# The command of app.json then starts the application with the paths of its manifests.
.venv/bin/python -m venv "$place/python"
pip=("$place/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps)
(cd "$place/context" && "${pip[@]}" "$wheels"/*.whl && "${pip[@]}" ./cspine-*.whl)
normal() { tr 'A-Z_.' 'a-z--' | sort -u; }
installed() {
    "$place/python/bin/python" -c 'from importlib.metadata import distributions as d; print(*{x.name for x in d()}, sep="\n")'
}
missing=$(comm -23 <(sed -n 's/==.*//p' "$place/context/pip/requirements.txt" | normal) \
    <( (installed; grep -E '^[a-z]' deploy/map/excluded-packages.txt) | normal))
[ -z "$missing" ] || { echo "FAIL requirements of the context without a wheel: $missing" >&2; exit 1; }

libraries=$(dirname "$(find "$place/python" -name 'libcudart.so.*' | head -1)")
env -i PATH=/usr/bin:/bin HOME="$place" LD_LIBRARY_PATH="$libraries" SOURCE_DATE_EPOCH=1700000000 \
    HOLOSCAN_INPUT_PATH="$PWD/examples/neck-ct" HOLOSCAN_OUTPUT_PATH="$place/output" HOLOSCAN_MODEL_PATH="$place/context/models" \
    "$place/python/bin/python" "$place/context/app"
SOURCE_DATE_EPOCH=1700000000 .venv/bin/python -m app -i examples/neck-ct -o "$place/direct" -m models/cervical-demo >/dev/null
cmp "$place/output/dicom/segmentation.dcm" "$place/direct/dicom/segmentation.dcm"
echo "PASS the build context of the stock packager: installed, started, the same DICOM Segmentation"
