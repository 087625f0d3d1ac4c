#!/usr/bin/env bash
# Build the container image (MAP): collect the wheels, prepare the context, build, and export the SBOMs.
#
#   FLAVOUR=cpu|cuda     cpu: torch without CUDA libraries
#   BASE=IMAGE@sha256:.. base image, by its digest; default: built from Debian packages
#   TORCH_INDEX=URL      index of the CPU wheels of torch, if not in the indexes of pip
#   ENGINE=buildah|docker
#
# build.sh base       rebuilds the base from Debian packages (security updates), then builds
# build.sh rebuild    builds again and compares the digest with the previous one
# build.sh archive    writes the image as one file for `podman load` and `docker load`
set -euo pipefail
cd "$(dirname "$0")/../.."

. deploy/map/engine.sh

FLAVOUR=${FLAVOUR:-cpu}
PYTHON=${PYTHON:-python3}
BASE=${BASE:-}
build=build/map
wheels=$build/wheels-$FLAVOUR
context=$build/context-$FLAVOUR
image=$(image_name "$FLAVOUR")
mkdir -p "$build"

revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision="$revision-changed"

# A tag may name another image tomorrow.
case $BASE in
    "" | localhost/* | *@sha256:*) ;;
    *)
        echo "BASE=$BASE is a tag: give the digest, IMAGE@sha256:... (skopeo inspect docker://IMAGE shows it)." >&2
        exit 2
        ;;
esac

log() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

# --- wheels -----------------------------------------------------------------------------------------------------------

# The image has Python 3.11 on linux/amd64: pip must run on the same to find its wheels.
$PYTHON -c 'import platform, sys; sys.exit((*sys.version_info[:2], sys.platform, platform.machine()) != (3, 11, "linux", "x86_64"))' || {
    echo "The wheels of the image are collected with Python 3.11 on Linux, x86_64: set PYTHON=python3.11." >&2
    exit 1
}

[ -x "$build/python/bin/pip" ] || $PYTHON -m venv "$build/python"
PYTHON=$build/python/bin/python
pip="$PYTHON -m pip wheel --quiet --disable-pip-version-check --wheel-dir"

# collect NAME FOLDER: let pip fetch what deploy/map/lock-NAME.txt names, by hash, unless the folder holds it; compare the
# folder with the lock and with the checksums of when it was collected, each time before it is used.
collect() {
    local name=$1 folder=$2 key
    key=$( ($PYTHON --version; cat "deploy/map/lock-$name.txt") | sha256sum)
    if [ "$(cat "$folder.key" 2>/dev/null)" != "$key" ]; then
        log "collecting wheels: $folder"
        rm -rf "$folder" "$folder.key"
        mkdir -p "$folder"
        # Sources are built with the tools of the lock, not with whatever an index has.
        [ "$name" = tools ] || $PYTHON -m pip install --quiet --no-index --find-links "$build/tools" setuptools wheel
        $pip "$folder" --no-deps --require-hashes --requirement "deploy/map/lock-$name.txt" \
            $([ "$name" = tools ] || echo --no-build-isolation) ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} || {
            echo "pip cannot collect deploy/map/lock-$name.txt. The CPU wheel of torch may be on another index: TORCH_INDEX=URL." >&2
            exit 1
        }
        $PYTHON deploy/map/lock.py record "$name" "$folder" "$folder.sha256"
        echo "$key" > "$folder.key"
    fi
    $PYTHON deploy/map/lock.py check "$name" "$folder" "$folder.sha256"
}

# --- context ----------------------------------------------------------------------------------------------------------

prepare_context() {
    rm -rf "$context" && mkdir -p "$context/src"
    cp -rl "$wheels" "$context/wheels"
    cp -rl "$build/tools" "$context/tools"
    tar --create --exclude=__pycache__ --exclude='*.egg-info' --mode='u=rwX,go=rX' --owner=0 --group=0 \
        app operators cspine models/cervical-demo models/cervical-demo.*.json docs deploy/map app.yaml pyproject.toml README.md CHANGELOG.md LICENSE |
        tar --extract --same-permissions --no-same-owner --directory "$context/src"
}

of_app_yaml() { sed -n "s/^  $1: *//p" app.yaml | head -1; }
pinned() { sed -n "s/^$1==//p" requirements.txt; }

if [ "${1:-}" = archive ]; then
    archive=$build/cspine-$(of_app_yaml version)-$FLAVOUR.tar.gz
    log "writing $archive"
    $CONTAINERS save "$image" | gzip -n > "$archive.partial" && mv "$archive.partial" "$archive"
    log "done: $archive, $(numfmt --to=si --suffix=B "$(stat -c %s "$archive")")"
    exit
fi
if [ "${1:-}" = rebuild ]; then
    [ "$ENGINE" = buildah ] || { echo "Only images that buildah builds are reproducible." >&2; exit 1; }
    before=$(image_digest "$image")
    if [ "$(image_revision "$image")" != "$revision" ]; then
        echo "The sources have changed since $image was built: run make map, then make map-rebuild." >&2
        exit 1
    fi
fi

# --- build ------------------------------------------------------------------------------------------------------------

collect tools "$build/tools"
collect "$FLAVOUR" "$wheels"
prepare_context
if [ -z "$BASE" ]; then
    key=$(sha256sum < deploy/map/base.sh)
    if [ ! -f "$build/base.tar" ] || [ "$(cat "$build/base.key" 2>/dev/null)" != "$key" ] || [ "${1:-}" = base ]; then
        log "building the base from Debian packages"
        rm -f "$build/base.key"
        bash deploy/map/base.sh "$build/base.tar"
        echo "$key" > "$build/base.key"
    fi
    BASE=localhost/cspine-base:bookworm
    import_base "$build/base.tar" "$BASE"
fi
log "building $image"
$BUILD --file deploy/Containerfile --tag "$image" ${BASE:+--build-arg "BASE=$BASE"} \
    --build-arg "FLAVOUR=$FLAVOUR" --build-arg "TITLE=$(of_app_yaml title)" --build-arg "VERSION=$(of_app_yaml version)" \
    --build-arg "REVISION=$revision" --build-arg "SDK_VERSION=$(pinned monai-deploy-app-sdk)" \
    --build-arg "CORE_VERSION=$(pinned holoscan-cu13)" --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "$context"
rm -rf "$context"

for sbom in sbom-python.cdx.json sbom-debian.cdx.json; do
    $RUN --entrypoint cat "$image" "/opt/holoscan/docs/$sbom" > "$build/$FLAVOUR-$sbom"
done
log "done: $image, $(image_size "$image"), digest $(image_digest "$image")"
log "SBOM: $build/$FLAVOUR-sbom-python.cdx.json, $build/$FLAVOUR-sbom-debian.cdx.json"
if [ "${1:-}" = rebuild ] && [ "$before" != "$(image_digest "$image")" ]; then
    echo "The digest was $before: the build is not reproducible." >&2
    exit 1
fi
