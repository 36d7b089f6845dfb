"""Trains a vision tower and projector that let minimax-nano name the emoji of a picture in order, and saves what can be resumed.

    python train.py --text ../../../../../models/minimax-nano --emoji emoji64.zip --names emoji64-captions.tsv --out run

Needs torch, safetensors, tokenizers and Pillow. Three stages: rows of single emoji are drawn to the embeddings of their names; captions
of one or two; captions of up to sixteen. Seeded, one thread: the same machine gives the same weights. A run that is started again goes on.
"""

import argparse
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import pictures as pictures_of
from text_model import TextModel
from vision_model import VisionModel

PROMPT = "\nI see"
SINGLES = 64
# Cells side by side, cells one above the other, pictures of that layout in a step.
FEW, MANY = ((1, 1, 16), (2, 1, 16), (1, 2, 16)), ((4, 1, 24), (4, 2, 12), (4, 4, 6))


class Captioner:
    """Both models, the data, and the loss of a batch of pictures."""

    def __init__(self, args):
        torch.manual_seed(args.seed)
        folder = pathlib.Path(args.text)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.pictures, self.names = pictures_of.emoji(args.emoji, args.names, self.tokenizer)
        self.text = TextModel(folder, args.train_attention)
        self.vision = VisionModel(self.text.config["hidden_size"])
        self.name_ids = [self.tokenizer.encode(" " + name).ids for name in self.names]
        self.prompt = self.tokenizer.encode(PROMPT).ids
        self.comma, self.stop = (self.tokenizer.encode(mark).ids for mark in (",", "."))
        means = torch.stack([self.text.embed(torch.tensor(ids)).mean(0) for ids in self.name_ids])
        self.targets = F.normalize(means - means.mean(0), dim=-1).detach()

    def parameters(self):
        return [p for model in (self.vision, self.text) for p in model.parameters() if p.requires_grad]

    def caption(self, chosen):
        """What is to be said of a picture: its names with commas between and a stop behind."""
        marked = [self.name_ids[i] + (self.comma if at + 1 < len(chosen) else self.stop) for at, i in enumerate(chosen)]
        return [token for name in marked for token in name]

    def single_loss(self, random):
        """Rows of one emoji against the embeddings of all names."""
        chosen = random.integers(len(self.names), size=SINGLES)
        tiles = np.stack([pictures_of.tiles(pictures_of.cell(self.pictures[i], random))[1] for i in chosen])
        features = self.vision.features(torch.from_numpy(tiles))
        rows = self.vision.linear_2(F.gelu(self.vision.linear_1(features)))
        logits = 20 * F.normalize(rows.mean(1), dim=-1) @ self.targets.T
        return F.cross_entropy(logits, torch.from_numpy(chosen)), logits.argmax(-1).numpy() == chosen

    def caption_loss(self, layouts, random):
        """Cross entropy of captions; and of each token whether it is the likeliest."""
        wide, high, batch = layouts[random.integers(len(layouts))]
        drawn = [pictures_of.composition(self.pictures, wide, high, random) for _ in range(batch)]
        tiles = torch.from_numpy(np.stack([pictures_of.tiles(picture) for picture, _ in drawn]))
        captions = [self.caption(chosen) for _, chosen in drawn]
        longest = max(map(len, captions))
        ids = torch.tensor([self.prompt + caption + self.stop * (longest - len(caption)) for caption in captions])
        said = torch.tensor([[i < len(caption) for i in range(longest)] for caption in captions])
        rows = self.vision(tiles, wide, high)
        logits = self.text(torch.cat([rows, self.text.embed(ids[:, :-1])], 1), longest)
        logits, wanted = logits[said], ids[:, len(self.prompt) :][said]
        return F.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).numpy()


def stage(captioner, name, steps, rate, loss_of, args):
    """Runs one stage from where it was left; rates rise over 100 steps and fall along a cosine."""
    saved = pathlib.Path(args.out) / "state.pt"
    parameters = captioner.parameters()
    optimizer = torch.optim.AdamW(parameters, rate, (0.9, 0.98), weight_decay=0.01)
    first = 0
    if saved.exists():
        state = torch.load(saved, weights_only=False)
        captioner.vision.load_state_dict(state["vision"])
        captioner.text.load_state_dict(state["text"], strict=False)
        if name in state["done"]:
            return
        if state["stage"] == name:
            first = state["step"]
            optimizer.load_state_dict(state["optimizer"])

    def save(step):
        done = [] if not saved.exists() else torch.load(saved, weights_only=False)["done"]
        trained = {k: v for k, v in captioner.text.named_parameters() if v.requires_grad}
        state = {"vision": captioner.vision.state_dict(), "text": trained, "optimizer": optimizer.state_dict()}
        torch.save({**state, "stage": name, "step": step, "done": done + [name] * (step == steps)}, saved)

    start, mean, right = time.time(), 0.0, 0.0
    for step in range(first, steps):
        random = np.random.default_rng([args.seed, sum(map(ord, name)), step])
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.05 + 0.475 * (1 + np.cos(np.pi * step / steps)))
        loss, hits = loss_of(random)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        share = max(0.02, 1 / (step - first + 1))
        mean, right = mean + share * (loss.item() - mean), right + share * (hits.mean() - right)
        if (step + 1) % 50 == 0:
            print(f"{name} {step + 1}/{steps} loss {mean:.3f} right {right:.3f} {time.time() - start:.0f} s", flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save(step + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("text", "emoji", "names", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, nargs=3, default=(1500, 600, 1500), help="of each stage")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--train-attention", action="store_true", help="also the attention of the text model's softmax layers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pathlib.Path(args.out).mkdir(parents=True, exist_ok=True)
    captioner = Captioner(args)
    print(len(captioner.names), "names;", sum(p.numel() for p in captioner.parameters()), "parameters trained", file=sys.stderr)
    single, few, many = args.steps
    stage(captioner, "single", single, 1e-3, captioner.single_loss, args)
    stage(captioner, "few", few, args.rate, lambda random: captioner.caption_loss(FEW, random), args)
    stage(captioner, "many", many, args.rate, lambda random: captioner.caption_loss(MANY, random), args)


if __name__ == "__main__":
    main()
