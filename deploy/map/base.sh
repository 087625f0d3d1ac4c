#!/usr/bin/env bash
# Build a base image from Debian packages: a C library, a shell and Python 3.11. For sites that trust the archive of Debian
# and no image registry. Two runs on the same state of the archive give the same bytes.
#   base.sh TAR
set -euo pipefail

command -v mmdebstrap >/dev/null || {
    echo "mmdebstrap is missing: install it, or give the build a base image, BASE=IMAGE@sha256:..." >&2
    exit 1
}
umask 022
export SOURCE_DATE_EPOCH=1700000000 # a constant: file dates must not depend on the day of the build
mmdebstrap --quiet --variant=minbase --mode=root --format=tar --include=python3 \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='find "$1/usr" -name __pycache__ -type d -prune -exec rm -rf {} +' \
    bookworm "$1.partial"
mv "$1.partial" "$1"
