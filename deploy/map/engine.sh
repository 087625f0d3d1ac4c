# Select the container engine and define its commands; sourced by build.sh and test.sh.
# buildah and podman work without a daemon; docker works too.

# The date of the last commit, so that the same sources give the same image.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

if [ -z "${ENGINE:-}" ]; then
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then ENGINE=docker; else ENGINE=buildah; fi
fi
if [ "$ENGINE" = buildah ]; then
    bash deploy/map/install-tools.sh
    storage="--storage-driver overlay"
    [ "$(id -u)" = 0 ] || storage=
    BUILD="buildah $storage bud --isolation chroot --layers=false --timestamp $SOURCE_DATE_EPOCH"
    # Limits for hosts that are containers themselves.
    CONTAINERS="podman $storage --runtime runc --cgroup-manager cgroupfs"
    RUN="$CONTAINERS run --rm --ulimit nofile=4096:4096 --ulimit nproc=1024:1024 --network none"
    import_base() {
        printf 'FROM scratch\nADD %s /\n' "$(basename "$1")" > "$1.Containerfile"
        $BUILD --quiet --file "$1.Containerfile" --tag "$2" --ignorefile /dev/null "$(dirname "$1")" >/dev/null
    }
    image_digest() { $CONTAINERS image inspect --format '{{.Digest}}' "$1"; }
    image_size() { $CONTAINERS image inspect --format '{{.Size}}' "$1" | numfmt --to=si --suffix=B; }
else
    BUILD="docker build"
    CONTAINERS=docker
    RUN="docker run --rm --network none"
    import_base() { docker import "$1" "$2" >/dev/null; }
    image_digest() { docker image inspect --format '{{.Id}}' "$1"; }
    image_size() { docker image inspect --format '{{.Size}}' "$1" | numfmt --to=si --suffix=B; }
fi

image_revision() {
    $CONTAINERS image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$1"
}
image_name() { echo "localhost/cspine:$(sed -n 's/^  version: *//p' app.yaml | head -1)-$1"; }
