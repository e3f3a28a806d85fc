#!/bin/sh
# Runs the four queries of verify.sql on LEASEHOLD_DATABASE_URL. Prints the four numbers; exit 1 if one of them is not 0.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
url=${LEASEHOLD_DATABASE_URL:?set LEASEHOLD_DATABASE_URL}
numbers=$(psql "$url" --no-psqlrc --quiet --tuples-only --no-align --field-separator ' ' --set ON_ERROR_STOP=1 --file "$here/verify.sql")
# shellcheck disable=SC2086
set -- $numbers
echo "held_twice $1, disagree $2, stuck $3, overspent $4"
[ "$1 $2 $3 $4" = '0 0 0 0' ]
