"""The forward pass of minimax-nano on rows of embeddings, with gradients; pictures and captions fit one block of lightning attention."""

import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

SOFTMAX = ("q_proj", "k_proj", "v_proj", "o_proj")


def normed(x, weight, epsilon):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight


class TextModel(nn.Module):
    """Weights keep their released names, with '/' for '.'. Frozen, but for the attention of softmax layers where asked."""

    def __init__(self, folder, train_attention):
        super().__init__()
        self.config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        self.trained = []
        for name, tensor in load_file(str(pathlib.Path(folder) / "model.safetensors")).items():
            parts = name.split(".")
            train = train_attention and parts[-2] in SOFTMAX
            self.register_parameter(name.replace(".", "/"), nn.Parameter(tensor.float(), requires_grad=train))
            if train:
                self.trained.append(name)
        experts = self.config["num_local_experts"]
        for layer in range(self.config["num_hidden_layers"]):
            mixture = f"model.layers.{layer}.block_sparse_moe.experts."
            for part in ("w1", "w2", "w3"):
                stacked = torch.stack([self.weight(f"{mixture}{e}.{part}.weight") for e in range(experts)])
                self.register_buffer(f"experts{layer}{part}", stacked.detach(), persistent=False)

    def weight(self, name):
        return self._parameters[name.replace(".", "/")]

    def embed(self, ids):
        return F.embedding(ids, self.weight("model.embed_tokens.weight"))

    def lightning(self, layer, x):
        config, prefix = self.config, f"model.layers.{layer}.self_attn."
        heads, width, length = config["num_attention_heads"], config["head_dim"], x.shape[1]
        mixed = F.silu(F.linear(x, self.weight(prefix + "qkv_proj.weight")))
        q, k, v = mixed.unflatten(-1, (heads, 3 * width)).transpose(1, 2).split(width, -1)
        slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
        slopes = slopes * (1 - layer / (config["num_hidden_layers"] - 1 + 1e-5) + 1e-5)
        ages = torch.arange(length)[:, None] - torch.arange(length)
        decay = torch.exp(-slopes[:, None, None] * ages.clamp(min=0)) * (ages >= 0)
        out = ((q @ k.transpose(-1, -2) * decay) @ v).transpose(1, 2).flatten(2)
        out = normed(out, self.weight(prefix + "norm.weight"), config["rms_norm_eps"])
        gate = torch.sigmoid(F.linear(x, self.weight(prefix + "output_gate.weight")))
        return F.linear(gate * out, self.weight(prefix + "out_proj.weight"))

    def softmax(self, layer, x, last):
        config, prefix = self.config, f"model.layers.{layer}.self_attn."
        width = config["head_dim"]
        q, k, v = (F.linear(x, self.weight(prefix + p + ".weight")).unflatten(-1, (-1, width)).transpose(1, 2) for p in SOFTMAX[:3])
        speeds = config["rope_theta"] ** (-torch.arange(0, width, 2) / width)
        angles = (torch.arange(x.shape[1])[:, None] * speeds).repeat(1, 2)

        def turned(t):
            first, second = t.chunk(2, -1)
            return t * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

        seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()[-last:]
        out = F.scaled_dot_product_attention(turned(q)[:, :, -last:], turned(k), v, seen)
        return F.linear(out.transpose(1, 2).flatten(2), self.weight(prefix + "o_proj.weight"))

    def mixture(self, layer, x):
        rows, config = x.flatten(0, 1), self.config
        chances = F.softmax(F.linear(rows, self.weight(f"model.layers.{layer}.block_sparse_moe.gate.weight")), -1)
        weights, chosen = chances.topk(config["num_experts_per_tok"], -1)
        weights = (weights / weights.sum(-1, keepdim=True)).flatten()
        order = chosen.flatten().argsort(stable=True)
        source = order // config["num_experts_per_tok"]
        sizes = torch.bincount(chosen.flatten(), minlength=config["num_local_experts"]).tolist()
        w1, w2, w3 = (getattr(self, f"experts{layer}{part}") for part in ("w1", "w2", "w3"))
        outs = []
        for e, part in enumerate(rows.index_select(0, source).split(sizes)):
            outs.append(F.linear(F.silu(F.linear(part, w1[e])) * F.linear(part, w3[e]), w2[e]))
        out = torch.zeros_like(rows).index_add(0, source, torch.cat(outs) * weights[order][:, None])
        return out.view_as(x)

    def stream(self, x, last, layers):
        """The residual stream of the last rows behind some layers that follow one another, from that of all rows before them."""
        config, epsilon = self.config, self.config["rms_norm_eps"]
        for layer in layers:
            prefix, full = f"model.layers.{layer}.", config["attn_type_list"][layer] == 1
            rows = last if layer == layers[-1] else x.shape[1]
            x = normed(x, self.weight(prefix + "input_layernorm.weight"), epsilon)
            mixed = self.softmax(layer, x, rows) if full else self.lightning(layer, x)[:, -rows:]
            x = config[f"layernorm_{'full' if full else 'linear'}_attention_alpha"] * x[:, -rows:] + mixed
            x = normed(x, self.weight(prefix + "post_attention_layernorm.weight"), epsilon)
            x = config["layernorm_mlp_alpha"] * x + self.mixture(layer, x)
        return x

    def forward(self, x, last, first=0):
        """Logits [B, last, V] behind the last rows of the stream [B, T, H] before a layer."""
        x = self.stream(x, last, range(first, self.config["num_hidden_layers"]))
        return F.linear(normed(x, self.weight("model.norm.weight"), self.config["rms_norm_eps"]), self.weight("lm_head.weight"))
