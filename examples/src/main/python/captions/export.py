"""Writes what train.py learned in the layout of MiniMax-VL-01, pictures that were held out, and what this model says of them in PyTorch.

    python export.py --text ../../../../../models/minimax-nano --emoji emoji64.zip --names emoji64-captions.tsv --run run --out captions

Into --out: config.json, preprocessor_config.json and vision.safetensors (bf16; the vision side, and the attention of the text model's
softmax layers where that was trained: all other weights are the text model's own); pictures/*.png and captions.tsv (file, caption);
expected.json (greedy captions of the first pictures, of float32 activations over the weights as written, and the share of names right).
With --whole also model.safetensors, in place of vision.safetensors, and the tokenizer: a folder that `minimax caption-report --model` takes.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pictures as pictures_of
from train import MANY, PLACES, PROMPT, Captioner
from vision_model import HEADS, INNER, LAYERS, WIDTH

IMAGE_TOKEN = 0
EMOJI_NOTICE = "Noto emoji, Apache License 2.0, as packaged in emoji-datasource-google 16.0.0"


def configs(text):
    """config.json and preprocessor_config.json."""
    vision = {"model_type": "clip_vision_model", "hidden_act": "gelu", "hidden_size": WIDTH, "intermediate_size": INNER}
    vision |= {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_channels": 3, "layer_norm_eps": 1e-5}
    vision |= {"image_size": pictures_of.TILE, "patch_size": pictures_of.PATCH}
    config = {"architectures": ["MiniMaxVL01ForConditionalGeneration"], "model_type": "minimax_vl_01"}
    config |= {"image_token_index": IMAGE_TOKEN, "projector_hidden_act": "gelu", "vision_feature_layer": -1}
    config |= {"vision_feature_select_strategy": "default", "tie_word_embeddings": False, "text_config": text, "vision_config": vision}
    processor = {"process_image_mode": "anyres", "patch_size": pictures_of.PATCH, "size": [pictures_of.TILE] * 2}
    processor |= {"image_mean": pictures_of.MEAN.tolist(), "image_std": pictures_of.DEVIATION.tolist()}
    return config | {"image_grid_pinpoints": pictures_of.CANVASES}, processor | {"image_grid_pinpoints": pictures_of.CANVASES}


def weights(captioner):
    """The tensors that are not the text model's own, in bf16."""
    named = captioner.vision.released()
    named |= {"language_model." + name: captioner.text.weight(name) for name in captioner.text.trained}
    return {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in named.items()}


def save(captioner, text, out, whole):
    """Writes the tensors, with those of the text model and its tokenizer where the whole is wanted."""
    if not whole:
        save_file(weights(captioner), str(out / "vision.safetensors"), {"format": "pt"})
        return
    own = {"language_model." + name: tensor for name, tensor in load_file(str(text / "model.safetensors")).items()}
    save_file(own | weights(captioner), str(out / "model.safetensors"), {"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(text / name, out / name)


def greedy(captioner, rows, most):
    """The likeliest tokens behind rows of pictures, up to the stop, all pictures of one size."""
    ids = torch.tensor([captioner.prompt]).expand(len(rows), -1)
    for _ in range(most):
        logits = captioner.text(torch.cat([rows, captioner.text.embed(ids)], 1), 1)
        ids = torch.cat([ids, logits.argmax(-1)], 1)
        if all(captioner.stop[0] in said for said in ids[:, len(captioner.prompt) :].tolist()):
            break
    said = [row[: (row + captioner.stop).index(captioner.stop[0])] for row in ids[:, len(captioner.prompt) :].tolist()]
    return [captioner.tokenizer.decode(row) for row in said]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("text", "emoji", "names", "run", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seed", type=int, default=20251121)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--expected", type=int, default=16, help="pictures to caption here")
    parser.add_argument("--train-attention", action="store_true", help="as train.py was told")
    parser.add_argument("--whole", action="store_true", help="write a folder that is a model on its own")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    captioner = Captioner(args)
    state = torch.load(pathlib.Path(args.run) / "state.pt", weights_only=False)
    captioner.vision.load_state_dict(state["vision"])
    captioner.text.load_state_dict(state["text"], strict=False)
    out = pathlib.Path(args.out)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    for name, config in zip(("config.json", "preprocessor_config.json"), configs(captioner.text.config)):
        (out / name).write_text(json.dumps(config, indent=1) + "\n")
    save(captioner, pathlib.Path(args.text), out, args.whole)
    for parameter in captioner.parameters():
        parameter.copy_(parameter.to(torch.bfloat16))

    captions, tiles = [], []
    for i in range(args.pictures):
        picture, chosen = pictures_of.composition(captioner.pictures, captioner.living, *MANY, np.random.default_rng([args.seed, i]))
        captions.append(", ".join(f"{PLACES[at]} {captioner.names[c]}" for at, c in enumerate(chosen)))
        Image.fromarray(picture).save(out / "pictures" / f"{i:03}.png", optimize=True)
        tiles.append(pictures_of.tiles(picture))
    rows = [f"{i:03}.png\t{caption}" for i, caption in enumerate(captions)]
    (out / "captions.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    tiles = torch.from_numpy(np.stack(tiles[: args.expected]))
    said = greedy(captioner, captioner.vision(tiles, *MANY), 80)
    pairs = [(a, b) for want, got in zip(captions, said) for a, b in zip(want.split(", "), got.strip().split(", ") + [""] * 99)]
    right = sum(a == b for a, b in pairs) / len(pairs)
    facts = {"prompt": "<image>" + PROMPT, "captions": said, "namesRight": right, "emoji": EMOJI_NOTICE}
    (out / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{right:.4f} of {len(pairs)} names right")


if __name__ == "__main__":
    main()
