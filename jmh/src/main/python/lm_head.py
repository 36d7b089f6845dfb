"""What FusedHeadBenchmark is compared with: logits, then log_softmax, then gather, forward and backward, in PyTorch.

    python lm_head.py --tokens 2048 --vocabulary 32768 --width 1024 --dtype bf16 --threads 2 --runs 1

Prints one JSON object: seconds forward and backward of each run after the first. bf16 keeps operands and logits in bf16 and
takes the softmax in fp32, as trainers do; f32 does all in fp32.
"""
import argparse
import json
import time

import torch


def run(hidden, head, targets, d_log_prob):
    start = time.perf_counter()
    logits = (hidden @ head.T).float()
    log_prob = torch.log_softmax(logits, -1).gather(1, targets)[:, 0]
    middle = time.perf_counter()
    torch.autograd.grad(log_prob, (hidden, head), d_log_prob)
    return middle - start, time.perf_counter() - middle


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tokens", 2048), ("vocabulary", 32768), ("width", 1024), ("threads", 2), ("runs", 1)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(args.tokens, args.width, generator=random).to(dtype).requires_grad_(True)
    head = torch.randn(args.vocabulary, args.width, generator=random).div(args.width**0.5).to(dtype)
    head.requires_grad_(True)
    targets = torch.randint(0, args.vocabulary, (args.tokens, 1), generator=random)
    d_log_prob = torch.randn(args.tokens, generator=random)
    if args.runs > 1:
        run(hidden, head, targets, d_log_prob)
    times = [run(hidden, head, targets, d_log_prob) for _ in range(args.runs)]
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                **vars(args),
                "forward_s": [round(forward, 3) for forward, _ in times],
                "backward_s": [round(backward, 3) for _, backward in times],
            }
        )
    )


if __name__ == "__main__":
    main()
