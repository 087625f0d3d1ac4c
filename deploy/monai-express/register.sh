#!/bin/sh
# Register cspine with the Informatics Gateway and the Workflow Manager; README.md describes the files.
#
#   ./register.sh                  update existing entities, create the workflow
#   ./register.sh --check          change nothing: check health, registration and validity
#   ./register.sh --update ID      create a new revision of the workflow with this id (see --check)
#
#   GATEWAY=http://host:5000 WORKFLOW_MANAGER=http://host:5001 WORKFLOW=workflow-argo.json ./register.sh
set -eu

GATEWAY="${GATEWAY:-http://localhost:5000}"
WORKFLOW_MANAGER="${WORKFLOW_MANAGER:-http://localhost:5001}"
HERE="$(cd "$(dirname "$0")" && pwd)"
WORKFLOW="${WORKFLOW:-$HERE/workflow.json}"
ANSWER="$(mktemp)"
trap 'rm -f "$ANSWER"' EXIT

# send METHOD URL [FILE|-]: write the body to $ANSWER and print the status; 000 without a response.
send() {
    if [ $# -gt 2 ]; then
        curl --silent --max-time 30 --output "$ANSWER" --write-out '%{http_code}' \
            --request "$1" --header 'Content-Type: application/json' --data-binary "@$3" "$2" || true
    else
        curl --silent --max-time 30 --output "$ANSWER" --write-out '%{http_code}' --request "$1" "$2" || true
    fi
}

fail() {
    echo "FAILED: $1" >&2
    cat "$ANSWER" >&2
    echo >&2
    exit 1
}

name_in() { sed -n 's/^  "name": "\(.*\)",$/\1/p' "$1"; }

# entity KIND FILE: create it, or update the one with its name.
entity() {
    status="$(send POST "$GATEWAY/config/$1" "$2")"
    [ "$status" != 409 ] || status="$(send PUT "$GATEWAY/config/$1" "$2")"
    case "$status" in
        200 | 201) echo "$1 $(name_in "$2"): registered" ;;
        *) fail "$1 $(name_in "$2"): status $status" ;;
    esac
}

# The body of an update or a validation.
request() { printf '{"original_workflow_name": "%s", "workflow": %s}' "$1" "$(cat "$WORKFLOW")"; }

healthy() {
    [ "$(send GET "$1/health")" = 200 ] || fail "$1 is not healthy"
    echo "$1: healthy"
}

case "${1:-}" in
    "")
        healthy "$GATEWAY"
        healthy "$WORKFLOW_MANAGER"
        entity source "$HERE/gateway/source.json"
        entity destination "$HERE/gateway/destination.json"
        entity ae "$HERE/gateway/ae.json"
        status="$(send POST "$WORKFLOW_MANAGER/workflows" "$WORKFLOW")"
        [ "$status" = 201 ] || fail "workflow $(name_in "$WORKFLOW"): status $status (if it exists, see --update)"
        echo "workflow $(name_in "$WORKFLOW"): $(cat "$ANSWER")"
        ;;
    --check)
        healthy "$GATEWAY"
        healthy "$WORKFLOW_MANAGER"
        for kind in source destination ae; do
            name="$(name_in "$HERE/gateway/$kind.json")"
            status="$(send GET "$GATEWAY/config/$kind/$name")"
            [ "$status" = 200 ] || fail "$kind $name is not registered: status $status"
            echo "$kind $name: $(cat "$ANSWER")"
        done
        ae_title="$(sed -n 's/^    "ae_title": "\(.*\)",$/\1/p' "$WORKFLOW")"
        status="$(send GET "$WORKFLOW_MANAGER/workflows/aetitle/$ae_title")"
        [ "$status" = 200 ] || fail "no workflow for $ae_title: status $status"
        echo "workflows of $ae_title: $(cat "$ANSWER")"
        status="$(request "$(name_in "$WORKFLOW")" | send POST "$WORKFLOW_MANAGER/workflows/validate" -)"
        [ "$status" = 204 ] || fail "the Workflow Manager refuses $WORKFLOW: status $status"
        echo "$WORKFLOW: valid"
        ;;
    --update)
        [ $# -eq 2 ] || fail "--update needs the id of the workflow"
        status="$(request "$(name_in "$WORKFLOW")" | send PUT "$WORKFLOW_MANAGER/workflows/$2" -)"
        [ "$status" = 201 ] || fail "workflow $2: status $status"
        echo "workflow $(name_in "$WORKFLOW"): $(cat "$ANSWER")"
        ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
