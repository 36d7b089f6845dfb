"""Trains a vision tower and projector for minimax-nano, then its softmax attention, so that it names what a picture shows, place by place.

    python train.py --text ../../../../../models/minimax-nano --emoji emoji64.zip --names emoji64-captions.tsv --out run \\
        --train-attention

Needs torch, safetensors, tokenizers and Pillow. Three stages, each with the weights of the one before:
single   tower and projector: the rows of one emoji are drawn to the embedding of its name
few      the same and the softmax attention, through the frozen text model: captions of one emoji or two
many     the softmax attention alone, on the streams that enter its layer, worked out once: captions of 16 animals and kinds of food
Without --train-attention the text model stays frozen as a whole, and the last stage is left out.
Seeded, one thread: the same machine gives the same weights. A run that is started again goes on.
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
FEW = ((1, 1, 16), (2, 1, 16), (1, 2, 16))
MANY, MANY_BATCH, MANY_PASS = (4, 4), 16, 8
PLACES = "ABCDEFGHIJKLMNOP"


class Captioner:
    """Both models, the data, and the loss of a batch of pictures."""

    def __init__(self, args):
        torch.manual_seed(args.seed)
        folder = pathlib.Path(args.text)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.pictures, self.names, self.living = pictures_of.emoji(args.emoji, args.names, self.tokenizer)
        self.text = TextModel(folder, args.train_attention)
        self.vision = VisionModel(self.text.config["hidden_size"])
        self.name_ids = [self.tokenizer.encode(" " + name).ids for name in self.names]
        self.prompt = self.tokenizer.encode(PROMPT).ids
        self.comma, self.stop = (self.tokenizer.encode(mark).ids for mark in (",", "."))
        means = torch.stack([self.text.embed(torch.tensor(ids)).mean(0) for ids in self.name_ids])
        self.targets = F.normalize(means - means.mean(0), dim=-1).detach()

    def parameters(self):
        return [p for model in (self.vision, self.text) for p in model.parameters() if p.requires_grad]

    def caption(self, chosen, places=False):
        """What is to be said of a picture: its names, behind their places where asked, with commas between and a stop at the end."""
        ids = []
        for at, i in enumerate(chosen):
            place = self.tokenizer.encode(" " + PLACES[at]).ids if places else []
            ids += place + self.name_ids[i] + (self.comma if at + 1 < len(chosen) else self.stop)
        return ids

    def single_loss(self, random):
        """Rows of one emoji against the embeddings of all names."""
        chosen = random.integers(len(self.names), size=SINGLES)
        tiles = np.stack([pictures_of.tiles(pictures_of.cell(self.pictures[i], random))[1] for i in chosen])
        features = self.vision.features(torch.from_numpy(tiles))
        rows = self.vision.linear_2(F.gelu(self.vision.linear_1(features)))
        logits = 20 * F.normalize(rows.mean(1), dim=-1) @ self.targets.T
        return F.cross_entropy(logits, torch.from_numpy(chosen)), logits.argmax(-1).numpy() == chosen

    def tokens(self, captions, longest):
        """Prompts and captions, filled up to a length; and which of the captions' tokens are to be said."""
        ids = torch.tensor([self.prompt + caption + self.stop * (longest - len(caption)) for caption in captions])
        return ids, torch.tensor([[i < len(caption) for i in range(longest)] for caption in captions])

    def few_loss(self, random):
        """Cross entropy of captions; and of each token whether it is the likeliest."""
        wide, high, batch = FEW[random.integers(len(FEW))]
        drawn = [pictures_of.composition(self.pictures, len(self.names), wide, high, random) for _ in range(batch)]
        tiles = torch.from_numpy(np.stack([pictures_of.tiles(picture) for picture, _ in drawn]))
        captions = [self.caption(chosen) for _, chosen in drawn]
        ids, said = self.tokens(captions, max(map(len, captions)))
        rows = self.vision(tiles, wide, high)
        logits = self.text(torch.cat([rows, self.text.embed(ids[:, :-1])], 1), said.shape[1])
        return self.compared(logits, ids, said)

    def compared(self, logits, ids, said):
        logits, wanted = logits[said], ids[:, len(self.prompt) :][said]
        return F.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).numpy()

    @torch.no_grad()
    def streams(self, count, seed):
        """What enters the last layer, and the tokens, of so many pictures with captions."""
        longest = 4 * MANY[0] * MANY[1]
        streams, all_ids, all_said = [], [], []
        layers = range(self.text.config["num_hidden_layers"] - 1)
        for first in range(0, count, MANY_PASS):
            random = np.random.default_rng([seed, 2, first])
            drawn = [pictures_of.composition(self.pictures, self.living, *MANY, random) for _ in range(MANY_PASS)]
            tiles = torch.from_numpy(np.stack([pictures_of.tiles(picture) for picture, _ in drawn]))
            ids, said = self.tokens([self.caption(chosen, places=True) for _, chosen in drawn], longest)
            x = torch.cat([self.vision(tiles, *MANY), self.text.embed(ids[:, :-1])], 1)
            streams.append(self.text.stream(x, x.shape[1], layers).half())
            all_ids.append(ids)
            all_said.append(said)
        return torch.cat(streams), torch.cat(all_ids), torch.cat(all_said)

    def many_loss(self, streams, random):
        rows, ids, said = streams
        chosen = torch.from_numpy(random.choice(len(rows), MANY_BATCH, replace=False))
        logits = self.text(rows[chosen].float(), said.shape[1], self.text.config["num_hidden_layers"] - 1)
        return self.compared(logits, ids[chosen], said[chosen])


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
    parser.add_argument("--steps", type=int, nargs=3, default=(1500, 600, 1200), help="of each stage")
    parser.add_argument("--pictures", type=int, default=1536, help="of the last stage")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--train-attention", action="store_true", help="also the attention of the text model's softmax layers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pathlib.Path(args.out).mkdir(parents=True, exist_ok=True)
    captioner = Captioner(args)
    print(len(captioner.names), "names;", sum(p.numel() for p in captioner.parameters()), "parameters trained", file=sys.stderr)
    single, few, many = args.steps
    stage(captioner, "single", single, 1e-3, captioner.single_loss, args)
    stage(captioner, "few", few, args.rate, captioner.few_loss, args)
    if not args.train_attention:
        return
    rows = pathlib.Path(args.out) / f"streams{args.pictures}.pt"
    if not rows.exists():
        torch.save(captioner.streams(args.pictures, args.seed), rows)
    streams = torch.load(rows)
    stage(captioner, "many", many, args.rate, lambda random: captioner.many_loss(streams, random), args)


if __name__ == "__main__":
    main()
