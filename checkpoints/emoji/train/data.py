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


DRAWN = set(
    "animal-mammal animal-bird animal-marine animal-bug animal-reptile animal-amphibian plant-flower food-fruit "
    "food-vegetable food-sweet food-prepared drink face-smiling face-glasses face-hat cat-face monkey-face "
    "transport-air musical-instrument".split()
)


def drawn(packages):
    """Indexes into `pictured` of the emoji that the GPT learns: few enough for its hours on two cores. Class ids count them."""
    return [i for i, entry in enumerate(pictured(packages)) if entry["subcategory"] in DRAWN]


def classes(packages):
    """The class list: entry i is class i."""
    entries = pictured(packages)
    return [entries[i] for i in drawn(packages)]


def pictured(packages):
    """The emoji the tokenizer is trained on, in the order of the Unicode chart."""
    entries = json.loads((Path(packages) / "emoji-datasource-google" / "emoji.json").read_text())
    entries = [e for e in entries if wanted(e) and all(e[f"has_img_{s}"] for s in SETS)]
    return sorted(entries, key=lambda e: e["sort_order"])


def pictures(packages):
    """uint8 [sets, pictured, 64, 64, 3]."""
    rows = []
    for name in SETS:
        folder = Path(packages) / f"emoji-datasource-{name}" / "img" / name / "64"
        row = []
        for entry in pictured(packages):
            picture = Image.open(folder / entry["image"]).convert("RGBA").resize((64, 64))
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            row.append(np.asarray(Image.alpha_composite(white, picture).convert("RGB")))
        rows.append(np.stack(row))
    return np.stack(rows)


if __name__ == "__main__":
    import sys

    print(len(classes(sys.argv[1])), len(pictured(sys.argv[1])), pictures(sys.argv[1]).shape)
