#!/usr/bin/env bash
# What `make test-system` needs beside .venv: Orthanc with DICOMweb, dcmtk, CalculiX, Chromium and node from Debian, and from npm the
# OHIF viewer and the driver of the browser, pinned, into build/test-tools. Needs root where Debian packages are missing.
# A part whose tools are absent is skipped with its reason.
set -euo pipefail
cd "$(dirname "$0")/../.."

ohif_version=3.13.2
ohif_sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10

missing=()
[ -x /usr/sbin/Orthanc ] || missing+=(orthanc)
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)
command -v storescu >/dev/null || missing+=(dcmtk)
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v ccx >/dev/null || missing+=(calculix-ccx)
if [ "${#missing[@]}" -gt 0 ]; then
  apt-get update -qq
  # The packages start services of their own; the tests start theirs on free ports.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

tools=build/test-tools/viewer
mkdir -p "$tools"
cp tests/system/viewer/package.json tests/system/viewer/package-lock.json tests/system/viewer/.npmrc "$tools"
npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel=error

# The viewer as its makers built it. Its package also names what it was built from, some of which npm does not have; so it
# is fetched alone and compared with its checksum.
if [ "$(cat "$tools/ohif/.version" 2>/dev/null)" != "$ohif_version" ]; then
  rm -rf "$tools/ohif" "$tools/partial"
  mkdir -p "$tools/partial"
  (cd "$tools/partial" && npm pack --silent --loglevel=error "@ohif/app@$ohif_version" >/dev/null)
  echo "$ohif_sha512  $tools/partial/ohif-app-$ohif_version.tgz" | sha512sum --check --quiet
  tar -xzf "$tools/partial/ohif-app-$ohif_version.tgz" -C "$tools/partial" package/dist
  echo "$ohif_version" > "$tools/partial/package/dist/.version"
  mv "$tools/partial/package/dist" "$tools/ohif"
  rm -rf "$tools/partial"
fi
echo "Installed. Run: make test-system"
