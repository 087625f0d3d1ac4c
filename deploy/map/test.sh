#!/usr/bin/env bash
# Check a built image (FLAVOUR=cpu|cuda) against the MAP guidelines and run it on the example series.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/map/engine.sh
exec .venv/bin/python deploy/map/check "$(image_name "${FLAVOUR:-cpu}")" --engine "$CONTAINERS" "$@"
