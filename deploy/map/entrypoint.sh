#!/bin/sh
# Entry point of the image: run the application, or a command of the MONAI application package.
set -eu

help() {
    cat <<'TEXT'
cspine: vertebrae C1..C7 and T1 from a CT of the neck, as a DICOM Segmentation. Research use only.

  (nothing)         segment the study in $HOLOSCAN_INPUT_PATH into $HOLOSCAN_OUTPUT_PATH
  show              print the manifests app.json and pkg.json
  extract           copy application, configuration, models and documents to /var/run/holoscan/export
  env               print the environment of the application
  doctor [...]      check whether this container is ready on this host
  cspine ...        any command of cspine: run, serve-pacs, queue, series, models ...
  help              this text
  anything else     is executed

  podman run --rm --network none --read-only --tmpfs /tmp \
    -v DICOM:/var/holoscan/input:ro -v RESULTS:/var/holoscan/output IMAGE

Exit codes: /opt/holoscan/docs/docs/reference/errors.md.
TEXT
}

extract() {
    export_to=/var/run/holoscan/export
    [ -d "$export_to" ] && [ -w "$export_to" ] || {
        echo "Error: mount a folder that user $(id -u) can write at $export_to." >&2
        exit 10
    }
    mkdir -p "$export_to/app" "$export_to/config" "$export_to/models" "$export_to/docs"
    cp -R /opt/holoscan/app /opt/holoscan/operators "$export_to/app/"
    cp /etc/holoscan/app.json /etc/holoscan/pkg.json "$HOLOSCAN_CONFIG_PATH" "$export_to/config/"
    cp -R "$HOLOSCAN_MODEL_PATH/." "$export_to/models/"
    cp -R "$HOLOSCAN_DOCS_PATH/." "$export_to/docs/"
    echo "Copied to $export_to."
}

application() {
    # Results in the writable layer of the container would be lost.
    if [ "$(stat -c %d "$HOLOSCAN_OUTPUT_PATH" 2>/dev/null)" = "$(stat -c %d /)" ] && [ -z "${CSPINE_OUTPUT_UNMOUNTED:-}" ]; then
        echo "Error [CS-OUT-001] no folder is mounted at $HOLOSCAN_OUTPUT_PATH: results would be lost" >&2
        echo "Advice: mount a folder there, for example -v RESULTS:$HOLOSCAN_OUTPUT_PATH." >&2
        exit 10
    fi
    exec python3 "$HOLOSCAN_APPLICATION" "$@"
}

# Holoscan warns if the stack is below 32 MiB; if the limit cannot be raised, the warning is harmless.
ulimit -s 32768 2>/dev/null || true

case "${1-}" in
    "") application ;;
    -*) application "$@" ;;
    show) cat /etc/holoscan/app.json /etc/holoscan/pkg.json ;;
    extract) extract ;;
    env) env | sort ;;
    help) help ;;
    doctor) exec cspine "$@" ;;
    *) exec "$@" ;;
esac
