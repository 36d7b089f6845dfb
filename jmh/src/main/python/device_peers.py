"""What the device benchmarks are compared with: PyTorch, flash-linear-attention and transformers on the same GPU.

    python device_peers.py --results peers.jsonl [--device cuda] [--seconds 120] [--smoke]

Writes a line of JSON for each peer, as DeviceBench does for ours: microseconds of a step (median, range), the title of our
row it stands beside, and how many times as fast that is to be. A peer that is not installed, or fails, is a line that says
so. Where flash-linear-attention is not installed, the same chunked recurrence in PyTorch, compiled by torch.compile, takes
its place under its own name: nobody's best kernel, but what a user would write. --smoke takes tiny sizes.
"""
import argparse
import json
import statistics
import sys
import time

import torch

PROMPT = "lightning attention, prompt of 8,192 tokens, 64 heads of 128, bf16"
TRAINING = "lightning attention, forward and backward, 8,192 tokens, 64 heads of 128, bf16"
DECODE = "decode over bf16 pages, 64 heads on 8 kv heads of 128, one row in a graph, tokens: 262,144"
PAGES = "prompt of 8,192 tokens over bf16 pages, 64 heads on 8 kv heads of 128"
EXPERTS = "experts of MiniMax-01 (32 of 6,144 x 9,216, two a token), bf16, tokens: 4,096"
MODEL = "MiniMax of 8 layers, hidden 2,048, 8 experts, bf16"


class Clock:
    """Microseconds of a step: events of the GPU around several calls, or the clock of the CPU."""

    def __init__(self, device, smoke):
        self.cuda = device.startswith("cuda")
        self.smoke = smoke

    def sample(self, step, calls):
        if not self.cuda:
            start = time.perf_counter()
            for _ in range(calls):
                step()
            return 1e6 * (time.perf_counter() - start) / calls
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            step()
        end.record()
        end.synchronize()
        return 1e3 * start.elapsed_time(end) / calls

    def time(self, step):
        step()
        samples = [self.sample(step, 1)]
        if not self.smoke:
            warm = time.perf_counter()
            while time.perf_counter() - warm < 0.2:
                last = self.sample(step, 1)
            calls = max(1, min(500, round(4000 / last)))
            count = int(max(5, min(50, 2e6 / (calls * last))))
            samples = [self.sample(step, calls) for _ in range(count)]
        return {"medianUs": statistics.median(samples), "minUs": min(samples), "maxUs": max(samples), "samples": len(samples)}


class Peers:
    def __init__(self, args):
        self.device, self.smoke = args.device, args.smoke
        self.clock = Clock(args.device, args.smoke)
        self.random = torch.Generator(device=args.device).manual_seed(1)

    def size(self, full, tiny):
        return tiny if self.smoke else full

    def normal(self, *shape):
        return torch.randn(shape, generator=self.random, device=self.device, dtype=torch.bfloat16)

    def copy(self):
        n = self.size(1 << 30, 1 << 16)
        a, b = (torch.zeros(n, dtype=torch.uint8, device=self.device) for _ in range(2))
        yield dict(row="torch copy of 1 GiB", bytes=2.0 * n, yardstick="BANDWIDTH", beside="copy of 1 GiB on the GPU"), lambda: b.copy_(a)

    def matmul(self):
        n = self.size(8192, 64)
        a, b = self.normal(n, n), self.normal(n, n)
        out = torch.empty_like(a)
        beside = "product of 8,192 x 8,192 x 8,192, bf16, by cuBLAS"
        row = dict(row="torch.matmul of 8,192 x 8,192 x 8,192, bf16", operations=2.0 * n**3, yardstick="MATRIX_RATE", beside=beside)
        yield row, lambda: torch.matmul(a, b, out=out)

    def lightning(self):
        heads, dim = self.size(64, 2), self.size(128, 16)
        rates = torch.tensor([-(2 ** (-8 * (h + 1) / heads)) for h in range(heads)], device=self.device)
        name, attend = self.attention()
        check(attend, self.device)
        q, k, v, seed = (self.normal(1, self.size(8192, 128), heads, dim) for _ in range(4))
        yield dict(row=f"{name}, forward", beside=PROMPT), lambda: attend(q, k, v, rates)

        def train():
            leaves = [x.detach().requires_grad_() for x in (q, k, v)]
            attend(*leaves, rates).backward(seed)

        yield dict(row=f"{name}, forward and backward", beside=TRAINING, factor=1.5), train

    def attention(self):
        """Attention [B, T, H, D] with log decays [H]: o_t = S_t^T q_t, S_t = exp(g) S_(t-1) + k_t v_t^T."""
        try:
            from fla.ops.simple_gla import chunk_simple_gla

            def simple_gla(q, k, v, rates):
                g = rates.expand(q.shape[0], q.shape[1], -1).contiguous()
                return chunk_simple_gla(q, k, v, g=g, scale=1.0)[0]

            return "flash-linear-attention simple_gla", simple_gla
        except ImportError:
            compiled = chunked if self.smoke else torch.compile(chunked, dynamic=False)
            return "chunked recurrence in PyTorch, torch.compile", compiled

    def attention_over_keys(self):
        heads, dim = self.size(64, 16), self.size(128, 16)
        context, prompt = self.size(262144, 64), self.size(8192, 64)
        attend = torch.nn.functional.scaled_dot_product_attention
        k, v = (self.normal(1, heads // 8, context, dim) for _ in range(2))
        q = self.normal(1, heads, 1, dim)
        # The heads of a group as rows of one product: as PyTorch's kernels take few rows best.
        grouped = q.view(1, heads // 8, 8, dim)
        row = dict(row="torch attention, decode over 262,144 keys, groups as rows", bytes=4.0 * k.numel(), beside=DECODE)
        yield row, lambda: attend(grouped, k, v)
        q, k, v = self.normal(1, heads, prompt, dim), k[:, :, :prompt].contiguous(), v[:, :, :prompt].contiguous()
        row = dict(row="torch attention, prompt of 8,192 tokens", operations=2.0 * prompt**2 * heads * dim, beside=PAGES)
        yield row, lambda: attend(q, k, v, is_causal=True, enable_gqa=True)

    def experts(self):
        if not hasattr(torch, "_grouped_mm"):
            raise ImportError("grouped_mm of PyTorch 2.8")
        tokens, count, hidden, inner = self.size(4096, 32), self.size(32, 4), self.size(6144, 64), self.size(9216, 64)
        pairs = 2 * tokens
        x = self.normal(tokens, hidden)
        up, down = self.normal(count, hidden, 2 * inner) / hidden**0.5, self.normal(count, inner, hidden) / inner**0.5
        expert = torch.rand(tokens, count, generator=self.random, device=self.device).topk(2).indices.flatten()
        weight = torch.rand(pairs, 1, generator=self.random, device=self.device).bfloat16()

        def mixture():
            order = expert.argsort()
            ends = torch.bincount(expert, minlength=count).cumsum(0).int()
            gate, value = torch._grouped_mm(x[order // 2], up, offs=ends).chunk(2, -1)
            out = torch._grouped_mm(torch.nn.functional.silu(gate) * value, down, offs=ends)
            return torch.zeros_like(x).index_add_(0, order // 2, out * weight[order])

        yield dict(row="torch grouped_mm, experts of 4,096 tokens", operations=6.0 * pairs * hidden * inner, beside=EXPERTS), mixture

    def minimax(self):
        from transformers import MiniMaxConfig, MiniMaxForCausalLM

        layers = self.size(8, 2)
        config = MiniMaxConfig(
            vocab_size=self.size(32000, 128), hidden_size=self.size(2048, 64), intermediate_size=self.size(1024, 32),
            num_hidden_layers=layers, num_attention_heads=self.size(16, 4), num_key_value_heads=self.size(8, 2),
            head_dim=self.size(128, 16), num_local_experts=8, num_experts_per_tok=2,
            layer_types=["linear_attention" if i % 8 != 7 and i != layers - 1 else "full_attention" for i in range(layers)])
        torch.manual_seed(1)
        model = MiniMaxForCausalLM(config).to(self.device, torch.bfloat16).eval()
        tokens = torch.randint(0, config.vocab_size, (1, self.size(4096, 40)), generator=self.random, device=self.device)
        yield (dict(row="transformers, prompt of 4,096 tokens", beside=f"{MODEL}, prompt of 4,096 tokens", factor=3.0),
               lambda: model(tokens, use_cache=True, logits_to_keep=1))
        state = {"cache": model(tokens[:, : self.size(1024, 10)], use_cache=True).past_key_values}

        def decode():
            state["cache"] = model(tokens[:, :1], past_key_values=state["cache"], use_cache=True).past_key_values

        yield dict(row="transformers, decode after 1,024 tokens", beside=f"{MODEL}, decode after 1,024 tokens", factor=3.0), decode


def chunked(q, k, v, rates, chunk=128):
    """All chunks side by side: scores inside of them, and states between them by one product with powers of the decay."""
    batch, tokens, heads, dim = q.shape
    count = tokens // chunk
    q, k, v = (x.view(batch, count, chunk, heads, dim).permute(0, 3, 1, 2, 4) for x in (q, k, v))
    i = torch.arange(chunk, device=q.device, dtype=torch.float32)
    c = torch.arange(count, device=q.device, dtype=torch.float32)
    rate = rates.view(-1, 1, 1)

    def powers(distance):
        return torch.where(distance >= 0, torch.exp(rate * distance.clamp(min=0)), 0.0)

    inside = powers(i[:, None] - i[None, :])[:, None]
    scores = (q @ k.transpose(-1, -2)).float() * inside
    faded = (k.float() * torch.exp(rate.unsqueeze(-1) * (chunk - 1 - i)[:, None])).to(q.dtype)
    sums = (faded.transpose(-1, -2) @ v).float().flatten(-2)
    states = powers(chunk * (c[:, None] - 1 - c[None, :])) @ sums
    carried = (q @ states.view(batch, heads, count, dim, dim).to(q.dtype)).float() * torch.exp(rate.unsqueeze(-1) * (i + 1)[:, None])
    out = (scores.to(q.dtype) @ v).float() + carried
    return out.permute(0, 2, 3, 1, 4).reshape(batch, tokens, heads, dim).to(q.dtype)


def check(attend, device):
    """A peer that computes something else is none: held against the recurrence in double."""
    random = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(1, 256, 2, 64, generator=random).bfloat16() for _ in range(3))
    rates = torch.tensor([-0.5, -0.01])
    state, expected = torch.zeros(2, 64, 64, dtype=torch.float64), []
    for t in range(q.shape[1]):
        state = state * rates.double().exp().view(2, 1, 1) + k[0, t].double().unsqueeze(-1) * v[0, t].double().unsqueeze(-2)
        expected.append((q[0, t].double().unsqueeze(-2) @ state).squeeze(-2))
    expected = torch.stack(expected)
    got = attend(*(x.to(device) for x in (q, k, v, rates)))[0].double().cpu()
    error = ((got - expected).square().sum() / expected.square().sum()).item()
    if not error < 1e-4:
        raise ArithmeticError(f"differs from the recurrence by a mean square of {error:.2g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=120, help="begin no peer after so many seconds")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("device_peers.py: PyTorch sees no GPU")
    peers, start, failed = Peers(args), time.monotonic(), False
    with open(args.results, "a", buffering=1) as results:

        def tell(**line):
            results.write(json.dumps({"bytes": 0, "operations": 0, "factor": 0, **line}) + "\n")

        for peer in (peers.copy, peers.matmul, peers.lightning, peers.attention_over_keys, peers.experts, peers.minimax):
            row = peer.__name__
            try:
                with torch.enable_grad() if peer == peers.lightning else torch.inference_mode():
                    if time.monotonic() - start > args.seconds:
                        raise TimeoutError("no time was left")
                    for line, step in peer():
                        row = line["row"]
                        timing = peers.clock.time(step)
                        tell(**line, timing=timing, **({"note": "tiny sizes"} if args.smoke else {}))
                        print(f"{row}: {timing['medianUs']:.1f} us", flush=True)
            except ImportError as e:
                tell(row=row, note=f"not installed: {e}")
            except Exception as e:
                failed |= not isinstance(e, TimeoutError)
                tell(row=row, note=f"{type(e).__name__}: {e}")
                print(f"{row}: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
