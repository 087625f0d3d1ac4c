#!/usr/bin/env bash
# Make a base image of Debian packages alone: a C library, a shell and Python 3.11. For sites that trust Debian's archive
# and no image registry. Two runs on the same state of the archive give the same bytes.
#   base.sh TAR
set -euo pipefail

umask 022
export SOURCE_DATE_EPOCH=1700000000 # any constant: dates of files must not follow the day of the build
mmdebstrap --quiet --variant=minbase --mode=root --format=tar --include=python3 \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='find "$1/usr" -name __pycache__ -type d -prune -exec rm -rf {} +' \
    bookworm "$1.partial"
mv "$1.partial" "$1"
