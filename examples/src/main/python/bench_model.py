"""Writes a checkpoint of random weights to measure speed and memory on: no model speaks, only sizes matter.

    python bench_model.py --out DIR [--layers 8] [--hidden 1024] [--heads 8] [--kv-heads 8] [--expert 2816] [--vocab 2048] [--seed 1]

All layers are softmax layers of heads of 128 with one expert each, in bf16. The sizes given are those of a small LLaVA's proportions (107
million parameters), which docs/notes/vlm-quant.md measures throughput in a fixed memory on. Needs numpy.
"""

import argparse
import json
import pathlib
import struct

import numpy as np

HEAD = 128


def shapes(args):
    """Names and shapes in the released layout."""
    hidden, width, narrow = args.hidden, args.heads * HEAD, args.kv_heads * HEAD
    yield "model.embed_tokens.weight", (args.vocab, hidden)
    for i in range(args.layers):
        layer = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{layer}{norm}.weight", (hidden,)
        for name, rows in (("q", width), ("k", narrow), ("v", narrow)):
            yield f"{layer}self_attn.{name}_proj.weight", (rows, hidden)
        yield f"{layer}self_attn.o_proj.weight", (hidden, width)
        yield f"{layer}block_sparse_moe.gate.weight", (1, hidden)
        for name, shape in (("w1", (args.expert, hidden)), ("w2", (hidden, args.expert)), ("w3", (args.expert, hidden))):
            yield f"{layer}block_sparse_moe.experts.0.{name}.weight", shape
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (args.vocab, hidden)


def config(args):
    """config.json of the released dialect."""
    sizes = {"vocab_size": args.vocab, "hidden_size": args.hidden, "num_hidden_layers": args.layers, "intermediate_size": args.expert}
    heads = {"num_attention_heads": args.heads, "num_key_value_heads": args.kv_heads, "head_dim": HEAD, "rotary_dim": HEAD // 2}
    experts = {"num_local_experts": 1, "num_experts_per_tok": 1, "shared_intermediate_size": 0}
    rest = {"hidden_act": "silu", "rope_theta": 10000, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "tie_word_embeddings": False}
    return {"model_type": "minimax_m1", "attn_type_list": [1] * args.layers, "postnorm": False} | sizes | heads | experts | rest


def bf16(values):
    """The upper halves of 32-bit floats, which is near enough for random ones."""
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    for name, size in (("layers", 8), ("hidden", 1024), ("heads", 8), ("kv-heads", 8), ("expert", 2816), ("vocab", 2048), ("seed", 1)):
        parser.add_argument("--" + name, type=int, default=size)
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    header, end = {}, 0
    for name, shape in shapes(args):
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    random = np.random.default_rng(args.seed)
    with open(out / "model.safetensors", "wb") as to:
        to.write(struct.pack("<Q", len(told)) + told)
        for name, shape in shapes(args):
            values = np.ones(shape) if len(shape) == 1 else random.standard_normal(shape, np.float32) * shape[1] ** -0.5
            to.write(bf16(values).tobytes())
    (out / "config.json").write_text(json.dumps(config(args), indent=1) + "\n")
    print(f"{end // 2:,} parameters, {end:,} bytes")


if __name__ == "__main__":
    main()
