"""Train the VQ tokenizer. python train_vq.py NODE_MODULES OUT MINUTES"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data import pictures
from schedule import Clock
from vq import VQ

packages, out, minutes = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
torch.set_num_threads(2)
images = torch.from_numpy(pictures(packages)).flatten(0, 1)
model = VQ().to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
clock, batch, step = Clock(out, minutes), 16, 0


def gradients(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


while clock.progress() < 1:
    for chosen in torch.randperm(len(images)).split(batch):
        x = images[chosen].permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
        z = model.encode(x)
        q, commitment, _ = model.quantize(z)
        y = model.decode(q)
        edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x)))
        loss = F.l1_loss(y, x) + F.mse_loss(y, x) + edges + commitment
        for group in optimizer.param_groups:
            group["lr"] = clock.rate(1e-3, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            dead = model.quantize.revive(z) if clock.progress() < 0.6 else 0
            print(f"{step} {clock.progress():.3f} l1 {F.l1_loss(y, x).item():.4f} edges {edges.item():.4f} commitment {commitment.item():.4f} dead {dead}", flush=True)
        if clock.progress() >= 1:
            break

model.eval()
torch.save(model.state_dict(), out / "vq.pt")
tokens, error = [], 0.0
with torch.no_grad():
    for part in images.split(64):
        x = part.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        q, _, indices = model.quantize(model.encode(x))
        error += (model.decode(q).clamp(-1, 1) - x).square().sum().item()
        tokens.append(indices.flatten(1))
np.save(out / "tokens.npy", torch.cat(tokens).numpy().astype(np.int64))
mse = error / images.numel() / 4
print(f"done: {step} steps, PSNR {-10 * np.log10(mse):.2f} dB, codes in use {len(torch.cat(tokens).unique())}")
