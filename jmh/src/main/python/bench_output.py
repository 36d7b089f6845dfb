"""What a benchmark printed, as measurements: one for each context, number of sequences and variant.

Known are the JSON of `minimax bench --json` (a list of "runs" in one object), flat objects as a driver of llama.cpp prints them,
one a line, and the object of a driver of transformers ("prefill" and "decode" by context). Other keys are named by the caller,
with dots for objects in objects. Rates are tokens a second, memory is bytes.
"""
import json
import math
import statistics
from dataclasses import dataclass, field
from typing import Optional, Tuple

# Figure: the keys that it is looked for under, in this order.
KEYS = {
    "context": ("context", "ctx"),
    "sequences": ("batch",),
    "prefill": ("prefillTokensPerSecond", "prefill", "prefill_tps"),
    "prefill_range": ("prefillRange", "prefill_range"),
    "decode": ("decodeTokensPerSecond", "decode", "decode_tps"),
    "decode_range": ("decodeRange", "decode_range"),
    "batch_decode": ("batchDecodeTokensPerSecond",),
    "batch_decode_range": ("batchDecodeRange",),
    "peak_bytes": ("peakRssBytes", "peak_rss_bytes"),
    "peak_mib": ("peak_rss_mb", "peak_rss_mib", "hwm_mb"),
}
NEEDED = ("context", "prefill", "decode")
# What tells measurements of one command apart, where it has several.
VARIANTS = ("type", "dtype", "kv")
Rate = Optional[Tuple[float, float, float]]


class OutputError(Exception):
    """Output that tells no measurement, and what to do about it."""


@dataclass
class Measurement:
    """Figures of one context; a rate is (median, smallest, largest), or None where it was not measured."""

    context: int
    sequences: int
    variant: dict = field(default_factory=dict)
    prefill: Rate = None
    decode: Rate = None
    peak_bytes: Optional[float] = None


def last_objects(text):
    """The last JSON objects with nothing but blanks between them, and how many stand before those."""
    decoder, objects, passed, gap, at = json.JSONDecoder(), [], 0, False, 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value = None
        if text[at] in "{[":
            try:
                value, end = decoder.raw_decode(text, at)
            except ValueError:
                pass
        values = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
        if not values:
            gap, at = True, text.find("\n", at) + 1 or len(text)
            continue
        if gap:
            passed, objects, gap = passed + len(objects), [], False
        objects, at = objects + values, end
    return objects, passed


def read(name, text, keys=None):
    """Measurements in the output of a run, and a remark on what was passed over or None; keys go before those known."""
    objects, passed = last_objects(text)
    if not objects:
        raise OutputError("no JSON object on standard output")
    known = {**KEYS, **(keys or {})}
    records = [record for one in objects for record in _records(one)]
    told = [one for one in records if any(_find(one, known[figure])[1] is not None for figure in NEEDED)] or records
    measurements = [one for record in told for one in _Record(name, record, known).measurements()]
    remark = f"passed over {passed} JSON object{'s'[: passed > 1]} before other text" if passed else None
    return measurements, remark


def _records(one):
    """The flat objects within one: its runs, its contexts, or itself."""
    if isinstance(one.get("runs"), list):
        shared = {key: value for key, value in one.items() if key != "runs"}
        return [{**shared, **run} for run in one["runs"] if isinstance(run, dict)]
    by_context = {what: one[what] for what in ("prefill", "decode") if isinstance(one.get(what), dict)}
    if not by_context:
        return [one]
    shared = {key: value for key, value in one.items() if key not in by_context}
    contexts = sorted({context for values in by_context.values() for context in values}, key=lambda text: (len(text), text))
    records = []
    for context in contexts:
        record = {**shared, "context": int(context) if context.isdigit() else context, "prefill": None, "decode": None}
        for what, values in by_context.items():
            record.update(_of_context(what, values.get(context)))
        records.append(record)
    return records


def _of_context(what, value):
    """A rate and its range from the median rate of calls and their seconds."""
    if not isinstance(value, dict):
        return {what: value}
    rate = value.get("tok_s", value.get("tok_s_median"))
    seconds = value.get("chunks_s") or [value[key] for key in ("min_s", "median_s", "max_s") if key in value]
    if not (seconds and all(isinstance(one, (int, float)) and one > 0 for one in [rate, *seconds])):
        return {what: rate}
    tokens = rate * statistics.median(seconds)
    return {what: rate, what + "_range": [tokens / max(seconds), tokens / min(seconds)]}


def _find(record, names):
    """The first of these keys that a record has, and its value."""
    for name in names:
        value = record
        for part in [name] if name in record else name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None or name in record:
            return name, value
    return None, None


class _Record:
    """A flat object and the keys to read it by."""

    def __init__(self, name, values, known):
        self.name, self.values, self.known = name, values, known

    def measurements(self):
        context = self._whole("context")
        if context is None:
            raise self._missing("context")
        sequences = self._whole("sequences") or 1
        variant = {key: str(self.values[key]) for key in VARIANTS if self.values.get(key) is not None}
        peak = self._number("peak_bytes")
        if peak is None and self._number("peak_mib") is not None:
            peak = self._number("peak_mib") * (1 << 20)
        together = self._rate("batch_decode")
        alone = 1 if together else sequences
        for figure in ("prefill", "decode"):
            if self.known[figure] and _find(self.values, self.known[figure])[0] is None:
                raise self._missing(figure)
        found = [Measurement(context, alone, variant, self._rate("prefill"), self._rate("decode"), peak)]
        if together:
            found.append(Measurement(context, sequences, variant, None, together, peak))
        return found

    def _rate(self, figure):
        value = self._number(figure)
        if value is None:
            return None
        key, span = _find(self.values, self.known.get(figure + "_range", ()))
        if span is None:
            return value, value, value
        if not (isinstance(span, list) and len(span) == 2):
            raise OutputError(f"{key}: expected the smallest and the largest, got {json.dumps(span)}")
        return value, self._checked(key, span[0]), self._checked(key, span[1])

    def _whole(self, figure):
        value = self._number(figure)
        if value is not None and value != int(value):
            raise OutputError(f"{_find(self.values, self.known[figure])[0]}: expected a whole number, got {value}")
        return None if value is None else int(value)

    def _number(self, figure):
        key, value = _find(self.values, self.known[figure])
        return None if value is None else self._checked(key, value)

    @staticmethod
    def _checked(key, value):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value > 0):
            raise OutputError(f"{key}: expected a number above 0, got {json.dumps(value)}")
        return value

    def _missing(self, figure):
        none = "" if figure == "context" else f", or '{self.name}:{figure}=' where it is not measured"
        return OutputError(
            f"no {figure} among the keys {', '.join(self.values)} (looked for {', '.join(self.known[figure])}):"
            f" name it with --keys '{self.name}:{figure}=KEY'{none}"
        )
