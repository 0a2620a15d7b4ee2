"""Emoji pictures as one array: 64 x 64 RGB on white, and the class list."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SETS = ("google", "twitter")
CATEGORIES = (
    "Smileys & Emotion",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "People & Body",
)


def wanted(entry):
    """Things a person can name; no flags, signs, clock faces, or people who differ only by gender, skin or family."""
    if entry["category"] not in CATEGORIES or entry["subcategory"] == "time" and "clock" in entry["short_name"]:
        return False
    if entry["category"] == "People & Body":
        return "hand" in entry["subcategory"] or entry["subcategory"] in ("body-parts", "person-fantasy", "person") and "-" not in entry["unified"]
    return True


def classes(packages):
    """The emoji of the class list, in the order of the Unicode chart; a class id is an index into it."""
    entries = json.loads((Path(packages) / "emoji-datasource-google" / "emoji.json").read_text())
    entries = [e for e in entries if wanted(e) and all(e[f"has_img_{s}"] for s in SETS)]
    return sorted(entries, key=lambda e: e["sort_order"])


def pictures(packages):
    """uint8 [sets, classes, 64, 64, 3]."""
    rows = []
    for name in SETS:
        folder = Path(packages) / f"emoji-datasource-{name}" / "img" / name / "64"
        row = []
        for entry in classes(packages):
            picture = Image.open(folder / entry["image"]).convert("RGBA").resize((64, 64))
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            row.append(np.asarray(Image.alpha_composite(white, picture).convert("RGB")))
        rows.append(np.stack(row))
    return np.stack(rows)


if __name__ == "__main__":
    import sys

    print(len(classes(sys.argv[1])), pictures(sys.argv[1]).shape)
