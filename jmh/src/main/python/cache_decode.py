"""What CacheDecodeBenchmark is compared with: PyTorch's scaled_dot_product_attention of one token over a bf16 cache.

    python cache_decode.py --tokens 32768 --kv-heads 8 --heads 32 --dim 128 --threads 2 --runs 10

Prints one JSON object: the best and the median milliseconds of a call. Successive calls take successive caches, together
--pool MiB or more, so that the last-level cache holds none of them. "gqa" leaves it to PyTorch to share heads,
"expanded" gives it a view of the keys and values with every head, "copied" such a copy, and "folded" the query heads of
a kv head as rows of one query: the least work that PyTorch can be given.
"""
import argparse
import json
import statistics
import time

import torch
from torch.nn.functional import scaled_dot_product_attention


def call(form, q, k, v):
    group = q.shape[1] // k.shape[1]
    if form == "gqa":
        return scaled_dot_product_attention(q, k, v, enable_gqa=True)
    if form == "folded":
        return scaled_dot_product_attention(q.view(1, k.shape[1], group, -1), k, v).view(q.shape)
    if form == "expanded":
        shape = (1, k.shape[1], group, *k.shape[2:])
        k, v = (x.unsqueeze(2).expand(shape).flatten(1, 2) for x in (k, v))
    return scaled_dot_product_attention(q, k, v)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = (("tokens", 32768), ("kv-heads", 8), ("heads", 32), ("dim", 128), ("threads", 2), ("runs", 10), ("pool", 256))
    for name, default in sizes:
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--forms", nargs="+", default=["gqa", "folded"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random = torch.Generator().manual_seed(1)
    q = torch.randn(1, args.heads, 1, args.dim, generator=random).bfloat16()
    bytes_of_one = 4 * args.tokens * args.kv_heads * args.dim
    caches = []
    for _ in range(max(2, -(-(args.pool << 20) // bytes_of_one))):
        k, v = (torch.randn(1, args.kv_heads, args.tokens, args.dim, generator=random).bfloat16() for _ in range(2))
        caches.append((k, v))
    results = {}
    for form in args.forms:
        held = caches
        if form == "copied":
            held = [tuple(x.repeat_interleave(args.heads // args.kv_heads, 1) for x in pair) for pair in caches]
        times = []
        with torch.inference_mode():
            for i in range(args.runs + 2):
                k, v = held[i % len(held)]
                start = time.perf_counter()
                call(form, q, k, v)
                times.append(1e3 * (time.perf_counter() - start))
        results[form] = {"best_ms": round(min(times[2:]), 2), "median_ms": round(statistics.median(times[2:]), 2)}
    print(json.dumps({"torch": torch.__version__, **vars(args), **results}))


if __name__ == "__main__":
    main()
