#!/bin/sh
# Tells how long ./minimax generate takes from its start to its first byte of text:
# first-token.sh [RUNS] [OPTIONS OF GENERATE]. One run more, which may build, comes first and does not
# count.
set -eu

fail() {
  echo "first-token.sh: $1" >&2
  exit 1
}

minimax=$(cd "$(dirname "$0")/.." && pwd)/minimax
runs=5
case ${1:-} in
  '' | -*) ;;
  *[!0-9]* | 0) fail "runs: expected a number, 1 or more, got $1" ;;
  *) runs=$1; shift ;;
esac
case $(date +%N) in *[!0-9]* | '') fail "no clock: needs a date that knows %N (GNU coreutils)" ;; esac

# The time of the first byte, and how many bytes came after it: none, where the command failed.
milliseconds() {
  start=$(date +%s%N)
  rest=$("$minimax" generate --max-new-tokens 8 "$@" 2>/dev/null </dev/null |
    { dd bs=1 count=1 >/dev/null 2>&1; date +%s%N; wc -c; })
  # The words are two numbers.
  # shellcheck disable=SC2086
  set -- $rest
  [ "$2" -gt 0 ] || fail "minimax generate wrote nothing"
  echo $((($1 - start) / 1000000))
}

milliseconds "$@" >/dev/null
run=0
while [ "$run" -lt "$runs" ]; do
  milliseconds "$@" || exit 1
  run=$((run + 1))
done | sort -n | awk '
  { ms[NR] = $1 }
  END {
    if (NR == 0) exit 1
    median = (ms[int((NR + 1) / 2)] + ms[int(NR / 2) + 1]) / 2
    printf "first byte after min %d, median %d, max %d ms (%d runs)\n", ms[1], median, ms[NR], NR
  }'
