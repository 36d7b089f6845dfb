"""Writes src/test/resources/fixtures/rotatekv: RotateKV computed from its formulas in numpy.

    python kv-quant/src/test/python/rotatekv.py

Independent of the Java code: dense Hadamard matrices, float64 but where the format rounds. Keys have channels of
large mean, as trained models do; 2 tokens of the prompt have massive activations.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

KV_HEADS, HEADS, DIM, GROUP_HEADS, GROUP = 8, 16, 16, 4, 32
TOKENS, WIDTH, THETA = 16, 32, 10000.0
N, M = KV_HEADS * DIM, GROUP_HEADS * DIM


def hadamard(n):
    h = np.ones((1, 1))
    while h.shape[0] < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)


def hadamard_12():
    """Paley's second construction over five elements."""
    c = np.zeros((6, 6))
    c[0, 1:] = c[1:, 0] = 1
    for i in range(5):
        for j in range(5):
            if i != j:
                c[i + 1, j + 1] = 1 if (i - j) % 5 in (1, 4) else -1
    return np.kron(c, [[1, 1], [1, -1]]) + np.kron(np.eye(6), [[1, -1], [-1, -1]])


def blocks(h, count):
    return np.kron(np.eye(count), h)


def scale_log8(s):
    u = np.clip(np.rint(8 * np.log2(s)) + 160, 0, 255)
    return u, np.float32(2.0 ** ((u - 160) / 8))


def quantize(x, bits, clip, group, log8):
    """Rows of float32 in groups: codes, scales, zeros, values."""
    x = x.astype(np.float32)
    groups = x.reshape(x.shape[0], -1, group)
    top = 2**bits - 1
    mx = clip * groups.max(-1, keepdims=True).astype(np.float64)
    mn = clip * groups.min(-1, keepdims=True).astype(np.float64)
    exact = (mx - mn) / top
    if log8:
        stored, s = scale_log8(exact)
    else:
        s = exact.astype(np.float32)
        stored = s
    z = np.rint(-mn / s.astype(np.float64))
    assert np.all(z >= -126) and np.all(z <= 129)
    q = np.clip(np.rint(groups / s) + z, 0, top)
    values = s * (q - z).astype(np.float32)
    return (q.reshape(x.shape).astype(np.uint8), stored[..., 0].astype(np.float32), z[..., 0].astype(np.float32),
            values.reshape(x.shape).astype(np.float32))


def rope(x, heads):
    """Half-split rotary embedding of rows [T, heads * DIM] at positions 0 to T - 1."""
    t = np.arange(x.shape[0])[:, None, None]
    freq = THETA ** (-np.arange(0, DIM, 2) / DIM)
    c, s = np.cos(t * freq), np.sin(t * freq)
    y = x.reshape(-1, heads, DIM)
    a, b = y[..., : DIM // 2], y[..., DIM // 2 :]
    return np.concatenate([a * c - b * s, b * c + a * s], -1).reshape(x.shape)


def attend(q, k, v):
    """Causal attention with grouped heads; q and k rotated to their positions."""
    t = q.shape[0]
    q, k, v = q.reshape(t, HEADS, DIM), k.reshape(t, KV_HEADS, DIM), v.reshape(t, KV_HEADS, DIM)
    out = np.zeros_like(q)
    for h in range(HEADS):
        g = h * KV_HEADS // HEADS
        scores = q[:, h] @ k[:, g].T / np.sqrt(DIM)
        scores[np.triu_indices(t, 1)] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, h] = p / p.sum(-1, keepdims=True) @ v[:, g]
    return out.reshape(t, -1)


def main():
    rng = np.random.default_rng(20250)
    f32 = lambda x: x.astype(np.float32)
    x = f32(rng.normal(size=(TOKENS, WIDTH)))
    w_k = f32(rng.normal(size=(N, WIDTH)) / np.sqrt(WIDTH))
    b_k = rng.normal(size=N) * 0.1
    b_k[rng.permutation(N)[:12]] += rng.choice([-1, 1], 12) * rng.uniform(4, 12, 12)
    b_k = f32(b_k)
    w_v = f32(rng.normal(size=(N, WIDTH)) / np.sqrt(WIDTH))
    w_q = f32(rng.normal(size=(HEADS * DIM, WIDTH)) / np.sqrt(WIDTH))
    w_o = f32(rng.normal(size=(WIDTH, HEADS * DIM)) / np.sqrt(HEADS * DIM))
    hidden = f32(rng.normal(size=(TOKENS, WIDTH)))
    hidden[0, [5, 20]] = 900, -400
    hidden[11, [5, 20]] = 700, 350

    # Calibration: the mean of the rotated keys of a training text, in ascending order.
    train = f32(rng.normal(size=(64, WIDTH)))
    k_train = f32(train.astype(np.float64) @ w_k.T.astype(np.float64) + b_k)
    big = blocks(hadamard(M), KV_HEADS // GROUP_HEADS)
    means = (k_train.astype(np.float64) @ big.T).mean(0)
    order = np.argsort(means, kind="stable")
    by_group = np.concatenate([g * M + np.argsort(means[g * M : (g + 1) * M], kind="stable") for g in range(N // M)])

    # Fusion.
    head = blocks(hadamard(DIM), KV_HEADS)
    w_k_fused = (big @ w_k.astype(np.float64))[order]
    b_k_fused = (big @ b_k.astype(np.float64))[order]
    w_v_fused = head @ w_v.astype(np.float64)
    w_o_fused = w_o.astype(np.float64) @ blocks(hadamard(DIM), HEADS)

    # The prompt: keys and values in the rotated bases; sinks stay as they are.
    k = f32(x.astype(np.float64) @ w_k.T.astype(np.float64) + b_k)
    v = f32(x.astype(np.float64) @ w_v.T.astype(np.float64))
    k_stored = f32((k.astype(np.float64) @ big.T)[:, order])
    v_stored = f32(v.astype(np.float64) @ head.T)
    magnitudes = np.abs(hidden).reshape(-1)
    top = np.argsort(-magnitudes, kind="stable")[:4]
    sinks = np.unique(top // WIDTH)

    q = rope(x.astype(np.float64) @ w_q.T.astype(np.float64), HEADS)
    inverse = np.argsort(order)
    tensors = {
        "x": x, "w_k": w_k, "b_k": b_k, "w_v": w_v, "w_o": w_o, "hidden": hidden, "k_train": k_train, "means": means,
        "permutation": order.astype(np.int32), "permutation_group": by_group.astype(np.int32),
        "w_k_fused": w_k_fused, "b_k_fused": b_k_fused, "w_v_fused": w_v_fused, "w_o_fused": w_o_fused,
        "k": k, "v": v, "q": f32(q), "k_stored": k_stored, "v_stored": v_stored, "sinks": sinks.astype(np.int32),
        "hadamard_12": hadamard_12() / np.sqrt(12), "hadamard_24": np.kron(hadamard_12(), [[1.0, 1], [1, -1]]) / np.sqrt(24),
        "k_rope": f32(rope(k.astype(np.float64), KV_HEADS)),
    }
    exact = attend(q, rope(k.astype(np.float64), KV_HEADS), v.astype(np.float64))
    tensors["out_exact"] = exact @ w_o.T.astype(np.float64)
    for bits, clip in ((2, 0.8), (3, 1.0), (4, 1.0)):
        for log8 in (False, True):
            name = f"{bits}_{'log8' if log8 else 'fp32'}"
            codes, scales, zeros, values = quantize(k_stored, bits, clip, GROUP, log8)
            v_codes, v_scales, v_zeros, v_values = quantize(v_stored, bits, clip, DIM, log8)
            for part, data in (("codes", codes), ("scales", scales), ("zeros", zeros), ("values", values)):
                tensors[f"k_{part}_{name}"] = data
            tensors[f"v_codes_{name}"], tensors[f"v_values_{name}"] = v_codes, v_values
            kept = np.isin(np.arange(TOKENS), sinks)[:, None]
            k_read = np.where(kept, k_stored, values).astype(np.float64)
            v_read = np.where(kept, v_stored, v_values).astype(np.float64)
            restored = k_read[:, inverse] @ big.T
            out = attend(q, rope(restored, KV_HEADS), v_read)
            tensors[f"k_restored_{name}"] = f32(restored)
            tensors[f"out_{name}"] = out @ w_o_fused.T
            error = np.mean((tensors[f"out_{name}"] - tensors["out_exact"]) ** 2) / np.mean(tensors["out_exact"] ** 2)
            print(name, "relative error of the layer", error)

    folder = pathlib.Path(__file__).parents[1] / "resources/fixtures/rotatekv"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: np.ascontiguousarray(t) for n, t in tensors.items()}, folder / "data.safetensors")
    readme = {
        "made_by": "kv-quant/src/test/python/rotatekv.py",
        "kv_heads": KV_HEADS, "heads": HEADS, "dim": DIM, "group_heads": GROUP_HEADS, "group": GROUP,
        "tokens": TOKENS, "width": WIDTH, "theta": int(THETA), "top_k": 4,
        "recommended_atol": {"k_stored": 1e-5, "k_restored": 2e-5, "fused": 1e-12, "out": 1e-4},
    }
    (folder / "README.json").write_text(json.dumps(readme, indent=2) + "\n")


if __name__ == "__main__":
    main()
