"""The vision side in the layout of MiniMax-VL-01: CLIP tower, projector, packing of tiles into rows for the text model."""

import torch
import torch.nn.functional as F
from torch import nn

from pictures import PATCH, TILE

WIDTH, LAYERS, HEADS, INNER, EPSILON = 128, 4, 4, 384, 1e-5
SIDE = TILE // PATCH


class EncoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(WIDTH, EPSILON)
        self.self_attn = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")})
        self.layer_norm2 = nn.LayerNorm(WIDTH, EPSILON)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, INNER), "fc2": nn.Linear(INNER, WIDTH)})

    def forward(self, x):
        normed = self.layer_norm1(x)
        q, k, v = (self.self_attn[p](normed).unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in ("q_proj", "k_proj", "v_proj"))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.self_attn["out_proj"](mixed)
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.layer_norm2(x))))


class VisionModel(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH) * 0.02)
        self.patch_embedding = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.position_embedding = nn.Parameter(torch.randn(1 + SIDE * SIDE, WIDTH) * 0.02)
        self.pre_layrnorm = nn.LayerNorm(WIDTH, EPSILON)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.linear_1 = nn.Linear(WIDTH, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)
        self.image_newline = nn.Parameter(torch.randn(hidden) * 0.05)

    def features(self, tiles):
        """[N, 3, 64, 64] to [N, patches, WIDTH]."""
        patches = self.patch_embedding(tiles).flatten(2).transpose(1, 2)
        classes = self.class_embedding.expand(len(tiles), 1, -1)
        x = self.pre_layrnorm(torch.cat([classes, patches], 1) + self.position_embedding)
        for layer in self.layers:
            x = layer(x)
        return x[:, 1:]

    def forward(self, tiles, wide, high):
        """[B, 1 + wide high, 3, 64, 64] to the rows of each picture [B, rows, hidden]: tile 0, then grid rows, each with a newline."""
        batch = len(tiles)
        rows = self.linear_2(F.gelu(self.linear_1(self.features(tiles.flatten(0, 1))))).unflatten(0, (batch, -1))
        grid = rows[:, 1:].reshape(batch, high, wide, SIDE, SIDE, -1).transpose(2, 3).reshape(batch, high * SIDE, wide * SIDE, -1)
        newline = self.image_newline.expand(batch, high * SIDE, 1, -1)
        return torch.cat([rows[:, 0], torch.cat([grid, newline], 2).flatten(1, 2)], 1)

    def released(self):
        """The tensors under their names in the released layout."""
        named = {}
        for name, tensor in self.state_dict().items():
            if name == "image_newline":
                named[name] = tensor
            elif name.startswith("linear_"):
                named["multi_modal_projector." + name] = tensor
            elif name.startswith("layers."):
                named["vision_tower.vision_model.encoder." + name] = tensor
            elif name.startswith("pre_layrnorm"):
                named["vision_tower.vision_model." + name] = tensor
            else:
                suffix = ".weight" if name == "position_embedding" else ""
                named["vision_tower.vision_model.embeddings." + name + suffix] = tensor
        return named
