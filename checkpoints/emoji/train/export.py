"""Write the trained weights as LlamaGen and T5 name them, in f16, the class list and the tokenizer. python export.py NODE_MODULES OUT TARGET"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from data import classes

packages, out, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def half(state, keep=lambda name: True):
    return {name: value.half().contiguous() for name, value in state.items() if keep(name)}


both = torch.load(out / "both.pt")
text = both["text"]
caption = {
    "cls_embedding.cap_proj.fc1.weight": text["fc1.weight"],
    "cls_embedding.cap_proj.fc2.weight": text["fc2.weight"],
    "cls_embedding.uncond_embedding": text["unconditional"],
}
encoder = {name[3:]: value for name, value in text.items() if name.startswith("t5.") and name != "t5.encoder.embed_tokens.weight"}
files = {
    "gpt": (half({**both["gpt"], **caption}), "GPT, conditioned on classes and on captions, LlamaGen layout"),
    "t5": (half(encoder), "T5 encoder"),
    "vq": (half(torch.load(out / "vq.pt"), lambda name: not name.startswith(("encoder.", "quant_conv."))), "VQ decoder, LlamaGen layout"),
}
for name, (state, what) in files.items():
    save_file(state, target / f"{name}.safetensors", {"model": f"rasterline emoji, {what}"})
    print(name, len(state), "tensors,", sum(t.numel() for t in state.values()), "values")
shutil.copy(out / "tokenizer.json", target / "tokenizer.json")


def character(entry):
    return "".join(chr(int(point, 16)) for point in entry["unified"].split("-"))


rows = [
    json.dumps({"id": i, "name": e["name"].lower(), "short": e["short_name"], "emoji": character(e)}, ensure_ascii=False)
    for i, e in enumerate(classes(packages))
]
(target / "classes.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
