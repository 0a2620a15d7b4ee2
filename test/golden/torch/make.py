"""Writes the .pt files beside this script and expected.json: what a reader must find in each of them.

    python make.py        (torch 2.13, numpy, safetensors)

expected.json: file -> {"tensors": {name: {"dtype", "shape", "hex"}}}, hex being the contiguous little-endian row-major
bytes; or file -> {"refused": part of the message}.
"""

import argparse
import json
import os
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
DTYPES = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64",
    torch.int32: "i32", torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool",
}
expected = {}


def describe(tensor):
    flat = tensor.detach().contiguous().flatten()
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "hex": data.hex()}


def save(name, content, weights, **options):
    torch.save(content, HERE / name, **options)
    expected[name] = {"tensors": {key: describe(value) for key, value in weights.items()}}


def refuse(name, content, message, **options):
    torch.save(content, HERE / name, **options)
    expected[name] = {"refused": message}


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
state = net.state_dict()
assert isinstance(state, OrderedDict) and hasattr(state, "_metadata")

save("bare.pt", state, state)
for kind in (torch.float16, torch.bfloat16):
    cast = OrderedDict((key, value.to(kind)) for key, value in state.items())
    save(f"{DTYPES[kind]}.pt", {"model": cast}, cast)

optimizer = torch.optim.AdamW(net.parameters())
net(torch.ones(2, 3)).square().sum().backward()
optimizer.step()
state = net.state_dict()
options = argparse.Namespace(gpt_model="GPT-B", lr=1e-4, epochs=300, ema=True, results=None, sizes=[256, 384],
                             betas=(0.9, 0.95), dtype=torch.bfloat16, seed=2**40)
save("model.pt", {"model": state, "optimizer": optimizer.state_dict(), "steps": 7, "args": options}, state)
save("module.pt", {"module": state, "steps": 2**40, "other": -1}, state)
save("state-dict.pt", {"epoch": 3, "state_dict": state}, state)
for protocol in (3, 4, 5):
    save(f"protocol-{protocol}.pt", {"args": options, "model": state}, state, pickle_protocol=protocol)

several = {
    DTYPES[kind]: (torch.arange(6) - 2).to(kind).reshape(2, 3)
    for kind in DTYPES
}
several["scalar"] = torch.tensor(3.25)
several["empty"] = torch.zeros(0, 5)
save("dtypes.pt", several, several)

base = torch.arange(24, dtype=torch.float32)
views = OrderedDict(
    whole=base,
    offset=base[5:17],
    matrix=base.view(4, 6),
    transposed=base.view(4, 6).t(),
    stepped=base.view(4, 6)[1::2, ::3],
    permuted=base.view(2, 3, 4).permute(2, 0, 1),
    element=base[7],
    unit=base.view(4, 6)[2:3, 1:4],
    halves=(torch.arange(6) / 4).to(torch.bfloat16).view(2, 3).t(),
)
save("views.pt", views, views)

parameters = {"weight": nn.Parameter(base[2:8].view(2, 3)), "frozen": nn.Parameter(base[:2], requires_grad=False)}
save("parameters.pt", parameters, parameters)

named = {"__proto__": base[:1], "constructor": base[1:2], "übung": base[2:3]}
save("names.pt", {"model": named, "__proto__": {"polluted": 1}}, named)

refuse("expanded.pt", {"wide": torch.ones(3, 1).expand(3, 100)}, "wide: expected at most")
refuse("legacy.pt", {"model": state}, "legacy", _use_new_zipfile_serialization=False)
refuse("system.pt", {"model": {"a": base, "b": Call(os.system, "true")}}, "posix.system")
refuse("eval.pt", {"model": state, "args": Call(eval, "1")}, "__builtin__.eval")
refuse("eval-4.pt", {"model": state, "args": Call(eval, "1")}, "builtins.eval", pickle_protocol=4)
trained = argparse.Namespace(device=torch.device("cuda", 1), results=Path("/results/7"), loss=numpy.float64(1.5),
                             step=numpy.int64(2**40), done=numpy.bool_(True), rates=numpy.arange(3.0), kind=numpy.float32,
                             stored=numpy.dtype("f4"))
for name, protocol in (("numpy.pt", 2), ("numpy-4.pt", 4)):
    save(name, {"args": trained, "model": state, "loss": numpy.float64(1.5)}, state, pickle_protocol=protocol)
refuse("complex.pt", {"freqs": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage")
refuse("list.pt", [base], "list")
refuse("none.pt", {"steps": 1}, "tensor")
refuse("set.pt", {"model": state, "seen": {1, 2}}, "__builtin__.set")

several.pop("scalar")
stored = {key: value.contiguous() for key, value in several.items()}
save_file(stored, HERE / "dtypes.safetensors", metadata={"format": "pt", "made by": "make.py"})
expected["dtypes.safetensors"] = {"tensors": {key: describe(value) for key, value in stored.items()}}

lines = [f"{json.dumps(name)}: {json.dumps(content)}" for name, content in expected.items()]
(HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
