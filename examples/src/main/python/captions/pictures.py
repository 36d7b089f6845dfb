"""Pictures of several emoji with captions that name them in order, and what any-resolution processing makes of them.

A picture is a grid of cells of 64 x 64 pixels, each with one emoji on a plain ground of its own, shifted by up to 6 pixels and mirrored
in half of all cases. Sizes are canvases of the model, so the canvas takes no resize; tile 0 is the whole, by Pillow's bicubic.
"""

import csv
import io
import zipfile

import numpy as np
from PIL import Image

TILE = 64
PATCH = 16
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
CANVASES = [[64 * w, 64 * h] for w in range(1, 5) for h in range(1, 5)]
SHIFT = 6
LIVING = {"Animals & Nature", "Food & Drink"}
THINGS = {"Activities", "Objects", "Smileys & Emotion", "Travel & Places"}


def emoji(zipped, captions, tokenizer):
    """Pictures [N, 64, 64, 4] and names: one word that the tokenizer writes in one or two tokens; and the places of animals and food."""
    names, files, living = [], [], []
    with open(captions, encoding="utf-8", newline="") as rows:
        for file, name, category, _ in csv.reader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
            short = name.isascii() and name.isalpha() and len(tokenizer.encode(" " + name).ids) <= 2
            if short and category in LIVING | THINGS:
                living += [len(names)] * (category in LIVING)
                names.append(name)
                files.append(file)
    with zipfile.ZipFile(zipped) as archive:
        opened = [Image.open(io.BytesIO(archive.read(file))).convert("RGBA") for file in files]
    return np.stack([np.asarray(picture) for picture in opened]), names, living


def cell(picture, random):
    """One emoji somewhere on a ground of some colour, [64, 64, 3] bytes."""
    ground = random.integers(96, 256, 3)
    dx, dy = random.integers(-SHIFT, SHIFT + 1, 2)
    if random.random() < 0.5:
        picture = picture[:, ::-1]
    moved = np.zeros_like(picture)
    ys, xs = slice(max(dy, 0), TILE + min(dy, 0)), slice(max(dx, 0), TILE + min(dx, 0))
    yf, xf = slice(max(-dy, 0), TILE + min(-dy, 0)), slice(max(-dx, 0), TILE + min(-dx, 0))
    moved[ys, xs] = picture[yf, xf]
    alpha = moved[..., 3:].astype(np.int32)
    return ((moved[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)


def composition(pictures, among, wide, high, random):
    """A grid of cells, no emoji twice: [64 high, 64 wide, 3] bytes, and which of those to choose among they are, row by row."""
    chosen = random.choice(among, wide * high, replace=False)
    cells = np.stack([cell(pictures[i], random) for i in chosen]).reshape(high, wide, TILE, TILE, 3)
    return cells.transpose(0, 2, 1, 3, 4).reshape(high * TILE, wide * TILE, 3), chosen


def tiles(picture):
    """The whole as one tile, then the tiles of a picture that is as large as its canvas: [1 + tiles, 3, 64, 64], normalized."""
    whole = np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.BICUBIC))
    high, wide = picture.shape[0] // TILE, picture.shape[1] // TILE
    cut = picture.reshape(high, TILE, wide, TILE, 3).transpose(0, 2, 1, 3, 4).reshape(-1, TILE, TILE, 3)
    levels = np.concatenate([whole[None], cut]).astype(np.float32) / np.float32(255)
    return ((levels - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
