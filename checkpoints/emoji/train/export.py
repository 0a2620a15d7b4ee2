"""Write the trained weights as LlamaGen names them, in f16, and the class list. python export.py NODE_MODULES OUT TARGET"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from data import classes

packages, out, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def half(state, keep=lambda name: True):
    return {name: value.half().contiguous() for name, value in state.items() if keep(name)}


gpt = half(torch.load(out / "gpt.pt"))
vq = half(torch.load(out / "vq.pt"), lambda name: not name.startswith(("encoder.", "quant_conv.")))
save_file(gpt, target / "gpt.safetensors", {"model": "rasterline emoji, class-conditional GPT, LlamaGen layout"})
save_file(vq, target / "vq.safetensors", {"model": "rasterline emoji, VQ decoder, LlamaGen layout"})


def character(entry):
    return "".join(chr(int(point, 16)) for point in entry["unified"].split("-"))


rows = [
    json.dumps({"id": i, "name": e["name"].lower(), "short": e["short_name"], "emoji": character(e)}, ensure_ascii=False)
    for i, e in enumerate(classes(packages))
]
(target / "classes.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
print(len(gpt), "+", len(vq), "tensors,", sum(t.numel() for t in (*gpt.values(), *vq.values())), "values")
