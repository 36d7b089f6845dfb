"""Packs the emoji that captions name: pictures of 64 x 64 as a zip, and what they show as tab-separated values.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python emoji.py --package package --out .

Into --out: emoji64.zip, the 1,911 pictures as packaged, byte for byte, and emoji64-captions.tsv (file, name, category, subcategory), in the
package's order, on which pictures and training depend. Noto emoji, Apache License 2.0; metadata MIT. No module beyond Python's own.
"""

import argparse
import json
import pathlib
import zipfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("package", "out"):
        parser.add_argument("--" + name, required=True, type=pathlib.Path)
    args = parser.parse_args()
    facts = json.loads((args.package / "emoji.json").read_text(encoding="utf-8"))
    rows = [row for row in facts if row["has_img_google"]]
    args.out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(args.out / "emoji64.zip", "w") as archive:
        for row in rows:
            archive.write(args.package / "img" / "google" / "64" / row["image"], row["image"])
    lines = ["\t".join((row["image"], row["name"].lower(), row["category"], row["subcategory"])) for row in rows]
    (args.out / "emoji64-captions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(rows):,} pictures")


if __name__ == "__main__":
    main()
