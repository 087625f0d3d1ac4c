#!/usr/bin/env bash
# Build the container image (MAP): collect the wheels, prepare the context, build, and export the SBOMs.
#
#   FLAVOUR=cpu|cuda     cpu: torch without CUDA libraries
#   BASE=IMAGE           base image; default: built from Debian packages (buildah), or the default of the Containerfile (docker)
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

wanted() { # the pins of requirements.txt, without the excluded packages
    grep -E '^[A-Za-z]' requirements.txt | grep -v -i -x -E "($(grep -E '^[a-z]' deploy/map/excluded-packages.txt | paste -sd '|'))==.*"
    # Holoscan loads libcudart on a CPU too, but none of its wheels contains it.
    [ "$FLAVOUR" = cuda ] || echo 'nvidia-cuda-runtime==13.5.37'
}

pip_settings() { $PYTHON --version; $PYTHON -m pip config list; echo "${TORCH_INDEX:-}"; }

# collect FOLDER KEY COMMAND...: run a command that fills a folder, unless it is cached for the same key.
collect() {
    local folder=$1 key=$2
    shift 2
    [ "$(cat "$folder.key" 2>/dev/null)" = "$key" ] && return
    log "collecting wheels: $folder"
    rm -rf "$folder" "$folder.key"
    mkdir -p "$folder"
    "$@"
    echo "$key" > "$folder.key"
}

collect_tools() { $pip "$build/tools" --requirement deploy/map/tools.txt; }

collect_wheels() {
    wanted | grep -v '^torch==' > "$build/wanted.txt"
    $pip "$wheels" --no-deps --requirement "$build/wanted.txt"
    if [ "$FLAVOUR" = cpu ]; then
        $pip "$wheels" --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(wanted | grep '^torch==')"
        ls "$wheels"/torch-*+cpu-*.whl >/dev/null 2>&1 || {
            echo "pip found torch with CUDA. Set TORCH_INDEX=URL of the PyTorch index of CPU wheels, or FLAVOUR=cuda." >&2
            exit 1
        }
    else
        # With the CUDA libraries that torch pins.
        $pip "$wheels" --constraint requirements.txt "$(wanted | grep '^torch==')"
        ! ls "$wheels"/torch-*+cpu-*.whl >/dev/null 2>&1 || {
            echo "pip found torch without CUDA: its configuration prefers a CPU wheel. Set PIP_CONFIG_FILE=/dev/null, or FLAVOUR=cpu." >&2
            exit 1
        }
    fi
}

# --- context ----------------------------------------------------------------------------------------------------------

prepare_context() {
    rm -rf "$context" && mkdir -p "$context/src"
    cp -rl "$wheels" "$context/wheels"
    cp -rl "$build/tools" "$context/tools"
    tar --create --exclude=__pycache__ --exclude='*.egg-info' --mode='u=rwX,go=rX' --owner=0 --group=0 \
        app operators cspine models/cervical-demo docs deploy/map app.yaml pyproject.toml README.md CHANGELOG.md LICENSE |
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

collect "$build/tools" "$( (pip_settings; cat deploy/map/tools.txt) | sha256sum)" collect_tools
collect "$wheels" "$( (pip_settings; wanted) | sha256sum)" collect_wheels
prepare_context
if [ -z "$BASE" ] && [ "$ENGINE" = buildah ]; then
    key=$(sha256sum < deploy/map/base.sh)
    if [ ! -f "$build/base.tar" ] || [ "$(cat "$build/base.key" 2>/dev/null)" != "$key" ] || [ "${1:-}" = base ]; then
        log "building the base from Debian packages"
        rm -f "$build/base.key"
        bash deploy/map/base.sh "$build/base.tar"
        echo "$key" > "$build/base.key"
    fi
    BASE=localhost/cspine-base:bookworm
    printf 'FROM scratch\nADD base.tar /\n' > "$build/Containerfile.base"
    $BUILD --quiet --file "$build/Containerfile.base" --tag "$BASE" --ignorefile /dev/null "$build" >/dev/null
fi
log "building $image"
$BUILD --file deploy/Containerfile --tag "$image" ${BASE:+--build-arg "BASE=$BASE"} \
    --build-arg "FLAVOUR=$FLAVOUR" --build-arg "TITLE=$(of_app_yaml title)" --build-arg "VERSION=$(of_app_yaml version)" \
    --build-arg "REVISION=$revision" --build-arg "SDK_VERSION=$(pinned monai-deploy-app-sdk)" \
    --build-arg "CORE_VERSION=$(pinned holoscan-cu13)" --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "$context"
rm -rf "$context"

(cd "$wheels" && sha256sum ./*.whl) > "$build/wheels-$FLAVOUR.sha256"
for sbom in sbom-python.cdx.json sbom-debian.cdx.json; do
    $RUN --entrypoint cat "$image" "/opt/holoscan/docs/$sbom" > "$build/$FLAVOUR-$sbom"
done
log "done: $image, $(image_size "$image"), digest $(image_digest "$image")"
log "SBOM: $build/$FLAVOUR-sbom-python.cdx.json, $build/$FLAVOUR-sbom-debian.cdx.json"
if [ "${1:-}" = rebuild ] && [ "$before" != "$(image_digest "$image")" ]; then
    echo "The digest was $before: the build is not reproducible." >&2
    exit 1
fi
