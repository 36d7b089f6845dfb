"""Measurements of several runs as a table in Markdown, as JSON, and as a chart."""
import json
import statistics
from dataclasses import dataclass
from typing import Optional

from bench_output import VARIANTS, Rate

RATES = ("prefill", "decode")


@dataclass
class Row:
    """One run at one context: medians over its rounds, the smallest and the largest of all, the greatest peak memory."""

    context: int
    sequences: int
    label: str
    prefill: Rate
    decode: Rate
    peak_bytes: Optional[float]

    def place(self):
        return self.context, self.sequences

    def where(self):
        return f"{self.context}" if self.sequences == 1 else f"{self.context} x {self.sequences}"


def rows(names, measured):
    """Rows by context, then in the order of the names; measured: pairs of a name and a measurement of one of its rounds."""
    varying = {}
    for name in names:
        of_name = [one for other, one in measured if other == name]
        varying[name] = [key for key in VARIANTS if len({one.variant.get(key) for one in of_name}) > 1]
    groups = {}
    for name, one in measured:
        label = " ".join([name] + [one.variant[key] for key in varying[name] if key in one.variant])
        groups.setdefault((one.context, one.sequences, names.index(name), label), []).append(one)
    return [
        Row(
            context,
            sequences,
            label,
            *(_pooled([getattr(one, rate) for one in group]) for rate in RATES),
            max((one.peak_bytes for one in group if one.peak_bytes is not None), default=None),
        )
        for (context, sequences, _, label), group in sorted(groups.items(), key=lambda item: item[0])
    ]


def _pooled(rates):
    rates = [rate for rate in rates if rate is not None]
    if not rates:
        return None
    medians, smallest, largest = zip(*rates)
    return statistics.median(medians), min(smallest + medians), max(largest + medians)


def baseline_of(label, baselines):
    """The run that one is held against; baselines: labels by label, and under None for all others."""
    return baselines.get(label, baselines[None])


def ratio(row, all_rows, baselines, what):
    """A row's rate over that of its baseline at the same context, or None where one of them is missing."""
    baseline = baseline_of(row.label, baselines)
    for other in all_rows:
        if (other.label, other.place()) == (baseline, row.place()) and getattr(row, what) and getattr(other, what):
            return getattr(row, what)[0] / getattr(other, what)[0]
    return None


def table(all_rows, baselines, remarks):
    """The table, and the remarks under it as a list."""
    head = ["context", "run", "prefill tokens/s", "decode tokens/s", "peak MB", "prefill ratio", "decode ratio"]
    lines = [head, ["---"] * len(head)]
    for row in all_rows:
        cells = [row.where(), row.label] + [_text(getattr(row, rate)) for rate in RATES]
        cells.append("-" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:,.0f}")
        for rate in RATES:
            value = ratio(row, all_rows, baselines, rate)
            cells.append("-" if value is None else f"{value:.2f}")
        lines.append([cell.replace("|", "\\|") for cell in cells])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"
    text += f"Median (smallest to largest); ratios are those of medians at the same context to {baselines[None]}"
    text += "".join(f", of {label} to {to}" for label, to in baselines.items() if label is not None)
    return text + ".\n" + ("\n" + "\n".join("- " + remark for remark in remarks) + "\n" if remarks else "")


def _text(rate):
    return "-" if rate is None else "{:,.1f} ({:,.1f} to {:,.1f})".format(*rate)


def write_json(file, all_rows, baselines, **more):
    """The rows with their ratios, and what else there is to tell."""
    entries = []
    for row in all_rows:
        ratios = {rate + "_ratio": ratio(row, all_rows, baselines, rate) for rate in RATES}
        entries.append({**vars(row), "baseline": baseline_of(row.label, baselines), **ratios})
    file.write_text(json.dumps({**more, "table": entries}, indent=1) + "\n")


def draw(file, all_rows):
    """Bars of each run by context, decode over prefill, with whiskers from the smallest to the largest."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "side by side"})
    from matplotlib import pyplot

    labels = list(dict.fromkeys(row.label for row in all_rows))
    places = list(dict.fromkeys(row.place() for row in all_rows))
    where = {row.place(): row.where() for row in all_rows}
    figure, panels = pyplot.subplots(2, 1, figsize=(max(6.4, 1.5 + 0.45 * len(labels) * len(places)), 7.2), layout="constrained")
    width = 0.8 / len(labels)
    for panel, rate in zip(panels, reversed(RATES)):
        for bar, label in enumerate(labels):
            shown = [row for row in all_rows if row.label == label and getattr(row, rate)]
            middle, smallest, largest = zip(*(getattr(row, rate) for row in shown)) if shown else ((), (), ())
            panel.bar(
                [places.index(row.place()) + (bar - (len(labels) - 1) / 2) * width for row in shown],
                middle,
                width,
                yerr=[[m - s for m, s in zip(middle, smallest)], [l - m for m, l in zip(middle, largest)]],
                capsize=3,
                label=label,
            )
        panel.set_xticks(range(len(places)), [where[place] for place in places])
        panel.set_ylabel(f"{rate}, tokens/s")
        panel.grid(axis="y", alpha=0.3)
        panel.set_axisbelow(True)
    panels[1].set_xlabel("context, tokens")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(3, len(labels)))
    figure.savefig(file, format="svg", metadata={"Date": None})
