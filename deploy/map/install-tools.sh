#!/usr/bin/env bash
# Install the Debian packages for building and testing the container image. Run as root.
set -euo pipefail

packages=(buildah podman runc skopeo mmdebstrap)
missing=()
for package in "${packages[@]}"; do
    command -v "$package" >/dev/null || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "Missing: ${missing[*]}. As root on Debian or Ubuntu: $0" >&2
    exit 1
fi
echo "Installing ${missing[*]} from the distribution's packages."
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
