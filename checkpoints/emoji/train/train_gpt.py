"""Train the class-conditional GPT on the tokens of train_vq.py. python train_gpt.py NODE_MODULES OUT MINUTES [START]

With START, a state dict to go on from, some input tokens are replaced by those of another picture at the same place: the
model then learns to recover from a wrong draw of its own, which it never met while every input was right.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from data import SETS, drawn
from schedule import Clock
from vq import CODES

WIDTH, LAYERS, HEADS, SIDE = 256, 6, 4, 16
HIDDEN = -(-(8 * WIDTH // 3) // 256) * 256


def rotation_table(side):
    """LlamaGen's 2D RoPE: [side², head dim / 2] cos and sin. Condition positions are all zeros."""
    half = WIDTH // HEADS // 2
    f = 10000.0 ** (-torch.arange(0, half, 2).float() / half)
    y, x = torch.meshgrid(torch.arange(side).float(), torch.arange(side).float(), indexing="ij")
    angles = torch.cat([y.flatten()[:, None] * f, x.flatten()[:, None] * f], -1)
    return angles.cos(), angles.sin()


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        f = x.float()
        return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5)).type_as(x) * self.weight


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.wqkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.wo = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        q, k, v = self.wqkv(x).view(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)

        def rotate(u):
            even, odd = u[..., 0::2].float(), u[..., 1::2].float()
            return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2).type_as(u)

        h = F.scaled_dot_product_attention(rotate(q).to(v.dtype), rotate(k).to(v.dtype), v, attn_mask=mask, is_causal=mask is None)
        return self.wo(h.transpose(1, 2).reshape(b, t, -1))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w3 = nn.Linear(WIDTH, HIDDEN, bias=False), nn.Linear(WIDTH, HIDDEN, bias=False)
        self.w2 = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward, self.attention_norm, self.ffn_norm = Attention(), FeedForward(), Norm(), Norm()

    def forward(self, x, cos, sin, mask):
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        return x + self.feed_forward(self.ffn_norm(x))


class ClassEmbedding(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, WIDTH)


class GPT(nn.Module):
    def __init__(self, classes, codes=CODES, side=SIDE, layers=LAYERS):
        super().__init__()
        self.tok_embeddings = nn.Embedding(codes, WIDTH)
        self.cls_embedding = ClassEmbedding(classes)
        self.layers = nn.ModuleList(Block() for _ in range(layers))
        self.norm, self.output = Norm(), nn.Linear(WIDTH, codes, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
        for block in self.layers:
            for w in (block.attention.wo.weight, block.feed_forward.w2.weight):
                nn.init.normal_(w, std=0.02 / (2 * layers) ** 0.5)
        cos, sin = rotation_table(side)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, labels, tokens):
        """labels [B], tokens [B, T] -> logits [B, T + 1, codes]; row i predicts token i."""
        return self.after(self.cls_embedding.embedding_table(labels)[:, None], tokens)

    def after(self, condition, tokens, mask=None):
        """condition [B, P, C], tokens [B, T] -> logits [B, T + 1, codes], of the last condition position and the tokens."""
        x = torch.cat([condition, self.tok_embeddings(tokens)], 1)
        places, t = condition.shape[1], tokens.shape[1]
        cos, sin = (F.pad(table[:t], (0, 0, places, 0)) for table in (self.cos, self.sin))
        for block in self.layers:
            x = block(x, cos, sin, mask)
        return self.output(self.norm(x[:, places - 1 :]))


def damaged(inputs, tokens, noise):
    """inputs [B, T] with a part of each row, up to `noise`, replaced by another picture's tokens at the same places."""
    other = tokens[torch.randint(len(tokens), (len(inputs),)), : inputs.shape[1]]
    return torch.where(torch.rand(inputs.shape) < noise * torch.rand(len(inputs), 1), other, inputs)


if __name__ == "__main__":
    packages, out, minutes = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    torch.manual_seed(len(sys.argv))  # a run with START must not see the same order again
    torch.set_num_threads(2)
    tokens = torch.from_numpy(np.load(out / "tokens.npy"))
    tokens = tokens[: len(tokens) // len(SETS)][drawn(packages)]  # the first set alone: one style, one picture a class
    classes = len(tokens)
    labels = torch.arange(classes)
    model = GPT(classes)
    noise = 0.0
    if len(sys.argv) > 4:
        start = torch.load(sys.argv[4])
        table = "cls_embedding.embedding_table.weight"
        if len(start[table]) != classes + 1:  # a run over all pictured classes: keep those drawn, and the null class
            start[table] = start[table][[*drawn(packages), -1]]
        model.load_state_dict(start)
        noise = 0.35
    print(sum(p.numel() for p in model.parameters()), "parameters", classes, "classes", flush=True)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.03}, {"params": rest, "weight_decay": 0.0}], betas=(0.9, 0.95), fused=True)
    clock, batch, step, epoch, total = Clock(out, minutes), 16, 0, 0, 0.0
    while clock.progress() < 1:
        for chosen in torch.randperm(len(tokens)).split(batch):
            label = torch.where(torch.rand(len(chosen)) < 0.1, classes, labels[chosen])
            inputs = damaged(tokens[chosen, :-1], tokens, noise)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(label, inputs)
            loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[chosen].flatten())
            for group in optimizer.param_groups:
                group["lr"] = clock.rate(5e-4 if noise else 1.2e-3, step)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            total += loss.item()
            if step % 25 == 0:
                print(f"{step} epoch {epoch} {clock.progress():.3f} loss {total / 25:.4f}", flush=True)
                total = 0.0
            if clock.progress() >= 1:
                break
        epoch += 1
        if epoch % 5 == 0:
            torch.save(model.state_dict(), out / "gpt.tmp")
            (out / "gpt.tmp").rename(out / "gpt.pt")
    torch.save(model.state_dict(), out / "gpt.pt")
    print(f"done: {step} steps, {epoch} epochs")
