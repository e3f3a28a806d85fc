#!/bin/bash
# The health check of the image: asks /healthz of the process in this container. The port comes from worker.listen, reaper.listen
# or api.listen, in the environment. A process that does not listen counts as healthy. The image has no curl, so bash opens the
# connection.
address=${LEASEHOLD_WORKER__LISTEN:-${LEASEHOLD_REAPER__LISTEN:-${LEASEHOLD_API__LISTEN:-}}}
[ -n "$address" ] || exit 0
exec 3<>"/dev/tcp/127.0.0.1/${address##*:}" || exit 1
printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
