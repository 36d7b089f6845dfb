"""Our benchmark and those of others in turn on one checkpoint: A B C A B C, then one table and one chart.

    python side_by_side.py --rounds 3 --baseline llama.cpp --out results \\
        --run "lightning4j=./minimax bench --model FOLDER --prefill 512 --json" \\
        --run "llama.cpp=python llamacpp_bench.py bench FOLDER --types bf16 --ctx 512"

Each command is run by /bin/sh and prints JSON; bench_output.py tells which keys are known. Prints the table; with --out FOLDER
writes table.md, measurements.json and, where matplotlib is installed, chart.svg. A command that fails is told with the end of
its standard error and not run again; the others go on. Exit code: 0, 1 where a command failed, 2 for wrong arguments.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import bench_output
import bench_report


class RunError(Exception):
    """A command that brought no measurement, and why."""


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    runs, measured, log, remarks, failures = dict(args.run), [], [], [], []
    names = list(runs)
    for round_ in range(1, args.rounds + 1):
        for name in [name for name in names if name not in {failure["run"] for failure in failures}]:
            start = time.monotonic()
            try:
                found, remark = execute(name, runs[name], args.timeout, args.keys.get(name))
            except RunError as e:
                failures.append({"run": name, "round": round_, "error": str(e)})
                print(f"{name}: round {round_}: {e}", file=sys.stderr, flush=True)
                continue
            print(f"{name}: round {round_} of {args.rounds}, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
            measured += [(name, one) for one in found]
            log += [{"run": name, "round": round_, **vars(one)} for one in found]
            if remark and f"{name}: {remark}" not in remarks:
                remarks.append(f"{name}: {remark}")
    rows = bench_report.rows(names, measured)
    labels = list(dict.fromkeys(row.label for row in rows))
    for label in [label for pair in args.baseline.items() for label in pair if label is not None and label not in labels]:
        remarks.append(f"no ratios with {label}: not measured (measured: {', '.join(labels) or 'none'})")
    remarks += [f"{one['run']}: failed in round {one['round']}: {one['error'].splitlines()[0]}" for one in failures]
    report(args, rows, remarks, runs=runs, measurements=log, failures=failures)
    return 1 if failures else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--run", action="append", required=True, type=pair, metavar="NAME=COMMAND", help="a command; as many as wanted")
    option("--rounds", type=positive(int), default=3, metavar="N", help="how often each is run (%(default)s)")
    option("--timeout", type=positive(float), default=1800, metavar="SECONDS", help="the longest one may take (%(default)s)")
    option(
        "--baseline",
        action="append",
        default=[],
        metavar="[NAME=]BASELINE",
        help="the run that ratios are taken to (the first), or those of the run called NAME; as many as wanted",
    )
    option(
        "--keys",
        action="append",
        default=[],
        type=keys,
        metavar="NAME:FIGURE=KEY,...",
        help="where a run's figures are: " + ", ".join(bench_output.KEYS) + "; KEY may be a path with dots",
    )
    option("--out", type=pathlib.Path, metavar="FOLDER", help="write table.md, measurements.json and chart.svg here too")
    args = parser.parse_args()
    names = [name for name, _ in args.run]
    for name in names:
        if names.count(name) > 1:
            parser.error(f"--run: two are called {name}")
    named, args.baseline = args.baseline, {None: names[0]}
    for text in named:
        label, equals, baseline = (part.strip() for part in text.rpartition("="))
        args.baseline[label if equals else None] = baseline
    # A run whose output has several variants makes rows called "NAME VARIANT".
    for label in [label for pair in args.baseline.items() for label in pair if label is not None]:
        if not any(label == name or label.startswith(name + " ") for name in names):
            parser.error(f"--baseline: expected one of {', '.join(names)}, got {label}")
    for name, _ in args.keys:
        if name not in names:
            parser.error(f"--keys: expected one of {', '.join(names)} before the colon, got {name}")
    named, args.keys = args.keys, {}
    for name, figures in named:
        args.keys.setdefault(name, {}).update(figures)
    return args


def pair(text):
    name, equals, command = (part.strip() for part in text.partition("="))
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"expected NAME=COMMAND, got {text}")
    return name, command


def keys(text):
    name, _, figures = text.partition(":")
    found = {}
    for part in figures.split(","):
        figure, equals, key = (one.strip() for one in part.partition("="))
        if figure not in bench_output.KEYS or not equals:
            raise argparse.ArgumentTypeError(
                f"expected NAME:FIGURE=KEY,... with a FIGURE of {', '.join(bench_output.KEYS)}, got {text}"
            )
        found[figure] = (key,) if key else ()
    return name.strip(), found


def positive(kind):
    def number(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
        return value

    return number


def execute(name, command, timeout, figures):
    """The measurements of one run of a command; whatever it started ends with it."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        preexec_fn=os.setpgrp,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end(process)
        raise RunError(f"not done after {timeout:g} s (--timeout){tail(process.communicate()[1])}") from None
    finally:
        end(process)
    if process.returncode:
        raise RunError(f"exit code {process.returncode}{tail(err)}")
    try:
        return bench_output.read(name, out, figures)
    except bench_output.OutputError as e:
        raise RunError(f"{e}{tail(err or out)}") from None


def end(process):
    """Ends what is left of a process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def tail(text, lines=10):
    return "".join("\n    " + line for line in text.strip().splitlines()[-lines:])


def report(args, rows, remarks, **log):
    text = bench_report.table(rows, args.baseline, remarks)
    print(text, end="", flush=True)
    if not args.out:
        return
    (args.out / "table.md").write_text(text, encoding="utf-8")
    bench_report.write_json(args.out / "measurements.json", rows, args.baseline, rounds=args.rounds, **log)
    chart = args.out / "chart.svg"
    chart.unlink(missing_ok=True)
    if not rows:
        return
    try:
        bench_report.draw(chart, rows)
    except ImportError as e:
        print(f"no {chart}: {e} (pip install matplotlib)", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
