#!/bin/sh
# A bot with curl alone: works on the queue `curl` until no job comes for two seconds.
#
#     curl -s $LEASEHOLD_URL/v1/jobs -H 'content-type: application/json' -d '{"kind": "hello", "queue": "curl", "payload": "ann"}'
#     sh curl.sh
set -eu
url=${LEASEHOLD_URL:-http://127.0.0.1:8080}
worker=$(cat /proc/sys/kernel/random/uuid)

# Requests that fail are sent again: a claim has an id, and the end of a run has a fence.
post() {
    curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --max-time 30 \
        ${LEASEHOLD_TOKEN:+-H "authorization: Bearer $LEASEHOLD_TOKEN"} \
        -H 'content-type: application/json' -d "$2" "$url$1"
}

while :; do
    claim_id=$(cat /proc/sys/kernel/random/uuid)
    answer=$(post /v1/queues/curl/claim "{\"worker\": \"$worker\", \"claim_id\": \"$claim_id\", \"wait_ms\": 2000, \"lease_ms\": 60000}")
    id=$(printf '%s' "$answer" | sed -n 's/.*"jobs":\[{"id":"\([^"]*\)".*/\1/p')
    epoch=$(printf '%s' "$answer" | sed -n 's/.*"epoch":\([0-9]*\).*/\1/p')
    [ -n "$id" ] || exit 0
    # The work. It takes less than the lease of a minute, so nothing renews the lease.
    post "/v1/jobs/$id/complete" "{\"worker\": \"$worker\", \"epoch\": $epoch, \"result\": \"hello\"}" >/dev/null || echo "dropped $id" >&2
done
