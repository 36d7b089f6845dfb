#!/bin/bash
# Runs the device tests, the benchmarks, the peers and compute-sanitizer on a machine with an NVIDIA GPU and the libraries
# of CUDA 13, without Java and without a network, and ends with one table. Nothing is written outside this folder and the
# results. What fails is told; the rest runs all the same.
set -u
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}:/usr/local/cuda/bin
export PATH
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat <<EOF
usage: run-gpu.sh [--limit S] [--results DIR] [--parts tests,bench,peers,slice,sanitizer] [--tests REGEX] [--rows REGEX] [--smoke]
                  [--repository DIR]

  --limit S      seconds for all of it; 540 if not given
  --results DIR  where results go; \$OUT, or else results beside this script
  --parts LIST   what to run; all if not given
  --tests REGEX  only test classes in whose name this is found
  --rows REGEX   only benchmarks in whose title this is found
  --repository DIR  a checkout, for the small model that the tests of whole models load; the current folder if not given
  --smoke        benchmarks and peers at tiny sizes, to see that they run

Exit codes: 0 tests passed and all parts ran; 1 tests or benchmarks failed; 2 bad arguments, or no GPU or library.
A benchmark that misses its goal is told as "short" and no failure.
EOF
}

limit=540 results=${OUT:-$here/results} parts=tests,bench,peers,slice,sanitizer tests='' rows='' smoke='' repository=$PWD
while [ $# -gt 0 ]; do
  case $1 in
    --smoke) smoke=--smoke ;;
    --help | -h) usage && exit 0 ;;
    --limit | --results | --parts | --tests | --rows | --repository)
      [ $# -ge 2 ] || { echo "run-gpu.sh: $1 needs a value" >&2 && exit 2; }
      printf -v "${1#--}" '%s' "$2" && shift ;;
    *) echo "run-gpu.sh: unknown argument $1" >&2 && usage >&2 && exit 2 ;;
  esac
  shift
done
[[ $limit =~ ^[0-9]+$ ]] || { echo "run-gpu.sh: --limit: expected seconds, got $limit" >&2 && exit 2; }
mkdir -p "$results" "$here/work" || exit 2
results=$(cd "$results" && pwd)
# Records of a run before would be taken for this one's.
rm -f "$results"/{summary.txt,table.md,tests.jsonl,tests.log,bench.jsonl,bench.log,sanitizer.log,crash.log}
status=0
summary=$results/summary.txt

say() { echo "$@" | tee -a "$summary"; }
left() { echo $((limit - SECONDS)); }
failed() { say "FAILED: $*" && status=1; }
wanted() { case ,$parts, in *,"$1",*) ;; *) return 1 ;; esac }

# Seconds for a step: what is left, but no more than $1 and no less than 1.
share() {
  local most=$1 now
  now=$(left)
  [ "$now" -lt "$most" ] && most=$now
  [ "$most" -lt 1 ] && most=1
  echo "$most"
}

# --- libraries -------------------------------------------------------------------------------------------------------
# A python3 that has torch, if there is one: its packages may bring CUDA's libraries, and it runs the peers.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" "$(command -v python3)" /opt/*/bin/python3 /opt/*/.venv/bin/python3 /usr/bin/python3; do
    [ -x "$candidate" ] && "$candidate" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null &&
      echo "$candidate" && return
  done
  return 1
}

library_folders() {
  [ -n "${LD_LIBRARY_PATH:-}" ] && tr : '\n' <<<"$LD_LIBRARY_PATH"
  ls -d /usr/local/cuda/lib64 /usr/local/cuda-13*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib /usr/local/nvidia/lib64 /usr/lib/x86_64-linux-gnu 2>/dev/null
  [ -n "$python" ] && "$python" -c 'import glob, sys
for path in sys.path:
    for folder in glob.glob(path + "/nvidia/*/lib"):
        print(folder)' 2>/dev/null
  ldconfig -p 2>/dev/null | sed -n 's|.* => \(.*\)/lib\(cuda\|nvrtc\|cudart\|cublas\|nccl\)[^/]*$|\1|p' | sort -u
}

find_libraries() {
  local name folder found
  path=${LD_LIBRARY_PATH:-}
  for name in libcuda.so.1 libcudart.so.13 libnvrtc.so.13 libcublas.so.13 libcublasLt.so.13 libnccl.so.2; do
    found=''
    while read -r folder; do
      [ -e "$folder/$name" ] && found=$folder && break
    done < <(library_folders)
    say "  $name: ${found:-not found}"
    [ -n "$found" ] && case :$path: in *:"$found":*) ;; *) path=${path:+$path:}$found ;; esac
    case $name in libcuda.so.1 | libcudart* | libnvrtc*) [ -n "$found" ] || missing="$missing $name" ;; esac
  done
}

# java CLASS ARGUMENTS..., for at most $seconds; prefix is a program that watches it.
prefix=()
java() {
  LD_LIBRARY_PATH=$path timeout -k 5 "$seconds" "${prefix[@]}" "$here/runtime/bin/java" -XX:+UseSerialGC -Xmx4g -XX:TieredStopAtLevel=1 \
    -XX:ErrorFile="$here/work/hs_err_%p.log" -Djava.io.tmpdir="$here/work" -Dorg.bytedeco.javacpp.cachedir="$here/work/javacpp" \
    -Dlightning4j.cuda.cache="$here/work/cubin" -Dlightning4j.repository="$repository" -cp "$here/lib/*" "$@" </dev/null
}
device=io.github.lightning4j.jmh.device

# --- parts -----------------------------------------------------------------------------------------------------------
# Runs one class of tests; where it loses the GPU or hangs, a new process goes on behind the method it was in.
run_class() {
  local class=$1 record=$2 log=$3 round code
  for round in 1 2 3 4 5 6; do
    seconds=$(share 120)
    echo "== $class, process $round" >>"$log"
    java "$device.DeviceTestRunner" run "$record" "$class" >>"$log" 2>&1
    code=$?
    [ "$code" -ge 3 ] && [ "$(left)" -gt 5 ] || break
  done
}

run_tests() {
  local end=$((SECONDS + $(share 300))) class
  say "--- device tests"
  while read -r class; do
    [ $SECONDS -lt "$end" ] || { failed "device tests: no time for $class and those after it" && break; }
    run_class "$class" "$results/tests.jsonl" "$results/tests.log"
  done < <(grep -E -- "$tests" <<<"$classes")
  seconds=60
  java "$device.DeviceTestRunner" summary "$results/tests.jsonl" "$tests" >"$here/work/summary" 2>&1 || status=1
  say "$(<"$here/work/summary")"
}

run_bench() {
  local round code=3
  say "--- benchmarks"
  for round in 1 2 3 4; do
    seconds=$(share 200)
    java "$device.DeviceBench" --results "$results/bench.jsonl" --rows "$rows" --seconds $((seconds * 3 / 4)) $smoke >>"$results/bench.log" 2>&1
    code=$?
    [ "$code" -ge 3 ] && [ "$(left)" -gt 10 ] || break
  done
  [ "$code" -eq 0 ] || failed "benchmarks: exit code $code; see bench.log"
}

run_peers() {
  say "--- peers"
  [ -n "$python" ] || { say "no python3 with torch: peers are not measured" && return; }
  seconds=$(share 150)
  timeout -k 5 "$seconds" "$python" "$here/device_peers.py" --results "$results/bench.jsonl" --seconds $((seconds * 3 / 4)) \
    --device "${PEERS_DEVICE:-cuda}" $smoke >>"$results/bench.log" 2>&1 || failed "peers: exit code $?; see bench.log"
}

# Layers of the released model with random weights: formats of weights and of keys and values, contexts, repeats. What does
# not fit is told by the program, what takes too long here; neither is a failure.
slices='int8 bf16 1024,32768 3
bf16 bf16 1024,32768 3
int8 kv2 1024,32768 3
bf16 kv2 1024,32768 3
int8 bf16 262144 1
int8 kv2 262144 1
bf16 bf16 262144 1'
run_slice() {
  local end=$((SECONDS + $(share 180))) weights kv contexts repeats code layers=8
  say "--- layers of MiniMax-M1"
  [ -z "$smoke" ] || { layers=1 slices='int8 kv2 64 1'; }
  while read -r weights kv contexts repeats; do
    [ $SECONDS -lt "$end" ] || { say "weights $weights, keys and values $kv, contexts $contexts: no time was left" && continue; }
    seconds=$(share 60)
    java io.github.lightning4j.examples.command.Minimax bench --config m1-slice --device cuda:0 --weights "$weights" --kv "$kv" \
      --prefill "$contexts" --repeats "$repeats" --layers "$layers" --prefill-chunk 4096 --decode 32 >"$here/work/slice" 2>"$here/work/slice.err"
    code=$?
    cat "$here/work/slice.err" >>"$results/bench.log"
    case $code in
      0) say "$(<"$here/work/slice")" ;;
      124 | 137) say "weights $weights, keys and values $kv, contexts $contexts: not done in $seconds s" ;;
      *)
        if grep -q CudaOutOfMemoryException "$here/work/slice.err"; then
          say "weights $weights, keys and values $kv, contexts $contexts: too large for this GPU"
        else
          failed "layers in $weights: exit code $code; see bench.log"
        fi ;;
    esac
  done <<<"$slices"
}

# A row of the table for what is not timed: what ran, what came of it, ok or short or -.
tell() {
  printf '{"row": "%s", "bytes": 0, "operations": 0, "factor": 0, "note": "%s", "verdict": "%s"}\n' "$@" >>"$results/bench.jsonl"
}

# Its own records: what it slows down or breaks is no failure of the tests above.
run_sanitizer() {
  local tool class code clean bad undone verdict
  say "--- compute-sanitizer"
  for tool in memcheck racecheck; do
    command -v compute-sanitizer >/dev/null || { say "$tool: compute-sanitizer not found, not run" && tell "$tool of the device tests" "compute-sanitizer not found" - && continue; }
    prefix=(compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 9 --print-limit 20)
    clean=0 bad=0 undone=0
    while read -r class; do
      [ "$(left)" -gt 10 ] || { say "$tool ${class##*.}: no time was left" && undone=$((undone + 1)) && continue; }
      seconds=$(share 90)
      echo "== $tool $class" >>"$results/sanitizer.log"
      java "$device.DeviceTestRunner" run "$here/work/$tool.jsonl" "$class" >>"$results/sanitizer.log" 2>&1
      code=$?
      case $code in
        0) say "$tool ${class##*.}: clean" && clean=$((clean + 1)) ;;
        124 | 137) say "$tool ${class##*.}: not done in $seconds s" && undone=$((undone + 1)) ;;
        *) failed "$tool ${class##*.}: exit code $code; see sanitizer.log" && bad=$((bad + 1)) ;;
      esac
    done < <(grep -E -- "$tests" <<<"$classes")
    verdict=-
    [ $clean -gt 0 ] && [ $undone -eq 0 ] && verdict=ok
    [ $bad -gt 0 ] && verdict=short
    tell "$tool of the device tests" "classes clean: $clean, with findings or failed: $bad, not done: $undone" "$verdict"
  done
  prefix=()
}

# --- all of it -------------------------------------------------------------------------------------------------------
say "Lightning4J on a GPU, $(date -u '+%Y-%m-%d %H:%M UTC')"
{ nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem --format=csv,noheader 2>&1 || echo "nvidia-smi did not run"; } | tee -a "$summary"
python=$(find_python) || python=''
say "  python with torch: ${python:-not found}"
missing='' path=''
find_libraries
seconds=30
classes=$(java "$device.DeviceTestRunner" list) || { failed "the Java runtime of this bundle does not start" && exit 2; }
rm -f "$here"/work/{memcheck,racecheck}.jsonl "$here"/work/hs_err_*.log
if [ -n "$missing" ]; then
  failed "not found:$missing; install the driver and CUDA 13, or name their folders in LD_LIBRARY_PATH"
  exit 2
fi
for part in tests bench peers slice sanitizer; do
  wanted "$part" || continue
  if [ "$(left)" -gt 5 ]; then "run_$part"; else failed "$part: no time was left"; fi
done

seconds=30
say "--- table"
java "$device.DeviceReport" --markdown "$results/table.md" "$results/bench.jsonl" >"$here/work/table" 2>&1 || failed "the table"
say "$(<"$here/work/table")"
cat "$here"/work/hs_err_*.log 2>/dev/null >"$here/work/crashes"
[ -s "$here/work/crashes" ] && cp "$here/work/crashes" "$results/crash.log"
say "$SECONDS s, results in $results, exit code $status"
exit $status
