"""Train a LlamaGen of photographs, to measure on: 24 x 24 tokens of 1,024 codes. python train.py PHOTOGRAPHS OUT VQ_MINUTES GPT_MINUTES

Its images depend on their neighbourhood and not on memory, as those of models trained on ImageNet do: what a policy or a
window loses there, the emoji model does not show. README.md says where the photographs come from. The runs end by the clock.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parents[2] / "checkpoints/emoji/train"))
from schedule import Clock  # noqa: E402
from train_gpt import GPT  # noqa: E402
from vq import VQ  # noqa: E402

SIDE, PIXELS, CODES, LAYERS = 24, 96, 1024, 5
CROPS, HELD_OUT_CROPS = 120, 40  # of each photograph; the held-out ones are never trained on
LEVELS = 4  # classes: quarters of brightness times quarters of detail

TRAINED = """china flower Bridge_by Dragonfly_by Kleiber_by Picture_0B Picture_1A Wine_by aitzgorri free_by friends_by greentock
Aqua Blinds Dune GreenMeadow RainDrops Storm TwoWings Wood YellowFlower seeding_by sunset_by BytheWater ColdRipple DarkestHour
EveningGlow FallenLeaf Grey OneStandsOut Path summer_1am""".split()
HELD_OUT = "Garden LadyBird life_by picosdeeuropa Shell/".split()


def photograph(folder, name):
    """The largest file of that name, its short side brought to at most 512 pixels."""
    found = [path for path in folder.rglob("*") if name in str(path) and path.suffix in (".jpg", ".png")]
    image = Image.open(max(found, key=lambda path: path.stat().st_size)).convert("RGB")
    scale = 512 / min(image.size)
    return image.resize([round(side * scale) for side in image.size], Image.LANCZOS) if scale < 1 else image


def crops(folder, names, count, seed):
    """uint8 [names * count, PIXELS, PIXELS, 3]: squares of an eighth up to all of the short side, every other one mirrored."""
    random = np.random.default_rng(seed)
    out = []
    for name in names:
        image = photograph(folder, name)
        for i in range(count):
            side = round(min(image.size) * random.uniform(0.25, 1))
            left, top = (random.integers(0, size - side + 1) for size in image.size)
            crop = image.resize((PIXELS, PIXELS), Image.LANCZOS, (left, top, left + side, top + side))
            out.append(np.asarray(crop)[:, :: 1 - 2 * (i % 2)])
    return np.stack(out)


def quarters(values, borders):
    return np.searchsorted(borders, values)


def look(images):
    """Brightness and detail of each image."""
    gray = images.astype(np.float32).mean(-1)
    return gray.mean((1, 2)), np.abs(np.diff(gray, axis=2)).mean((1, 2))


def unit(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def gradients(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def update(optimizer, model, loss, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def train_vq(images, out, minutes):
    model = VQ(CODES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    clock, step = Clock(out, minutes), 0
    while clock.progress() < 1:
        x = unit(images[np.random.randint(len(images), size=16)])
        top, left = torch.randint(PIXELS - 47, (2,))
        x = x[..., top : top + 48, left : left + 48]  # a quarter of the picture: four times the steps
        z = model.encode(x)
        q, commitment, _ = model.quantize(z)
        y = model.decode(q)
        edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(y), gradients(x)))
        update(optimizer, model, F.l1_loss(y, x) + F.mse_loss(y, x) + edges + commitment, clock.rate(1e-3, step, 50))
        step += 1
        if step % 50 == 0:
            dead = model.quantize.revive(z) if clock.progress() < 0.6 else 0
            print(f"vq {step} {clock.progress():.3f} l1 {F.l1_loss(y, x).item():.4f} dead {dead}", flush=True)
    torch.save(model.state_dict(), out / "vq.pt")
    return model.eval()


@torch.no_grad()
def tokens(model, images):
    """int64 [images, SIDE²], and the mean squared error of their pictures."""
    indices, error = [], 0.0
    for i in range(0, len(images), 64):
        x = unit(images[i : i + 64])
        q, _, ids = model.quantize(model.encode(x))
        error += (model.decode(q).clamp(-1, 1) - x).square().sum().item()
        indices.append(ids.flatten(1))
    return torch.cat(indices), error / images.size


@torch.no_grad()
def nats(model, labels, data):
    """Mean loss a token of data that the model has not seen."""
    losses = [F.cross_entropy(model(a, b[:, :-1]).transpose(1, 2), b) for a, b in zip(labels.split(20), data.split(20))]
    return torch.stack(losses).mean().item()


def train_gpt(data, labels, unseen, out, minutes):
    classes = LEVELS * LEVELS
    model = GPT(classes, CODES, SIDE, LAYERS)
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    clock, step, total = Clock(out, minutes), 0, 0.0
    while clock.progress() < 1:
        chosen = torch.randint(len(data), (8,))
        label = torch.where(torch.rand(8) < 0.1, classes, labels[chosen])
        loss = F.cross_entropy(model(label, data[chosen, :-1]).flatten(0, 1), data[chosen].flatten())
        update(optimizer, model, loss, clock.rate(1.5e-3, step, 50))
        step += 1
        total += loss.item()
        if step % 25 == 0:
            print(f"gpt {step} {clock.progress():.3f} loss {total / 25:.4f}", flush=True)
            total = 0.0
        if step % 200 == 0:
            print(f"gpt {step} unseen {nats(model, *unseen):.4f}", flush=True)
            torch.save(model.state_dict(), out / "gpt.pt")
    print(f"gpt {step} done, unseen {nats(model, *unseen):.4f}", flush=True)
    torch.save(model.state_dict(), out / "gpt.pt")
    return model


def export(state, file, what):
    half = {name: value.half().contiguous() for name, value in state.items() if not name.startswith(("encoder.", "quant_conv."))}
    save_file(half, file, {"model": f"photographs, {what}, LlamaGen layout"})


def main(folder, out, vq_minutes, gpt_minutes):
    torch.manual_seed(0)
    np.random.seed(0)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    images, held = crops(folder, TRAINED, CROPS, 0), crops(folder, HELD_OUT, HELD_OUT_CROPS, 1)
    borders = [np.quantile(values, [0.25, 0.5, 0.75]) for values in look(images)]
    labels, unseen = (
        torch.from_numpy(LEVELS * quarters(bright, borders[0]) + quarters(detail, borders[1]))
        for bright, detail in (look(images), look(held))
    )
    vq = train_vq(images, out, vq_minutes)
    (data, error), (held_data, held_error) = tokens(vq, images), tokens(vq, held)
    psnr = [-10 * np.log10(e / 4) for e in (error, held_error)]
    print(f"PSNR {psnr[0]:.2f} dB, unseen {psnr[1]:.2f} dB, codes in use {len(data.unique())}", flush=True)
    np.savez(out / "unseen.npz", tokens=held_data.numpy().astype(np.uint16), classes=unseen.numpy().astype(np.uint16))
    export(vq.state_dict(), out / "vq.safetensors", "VQ decoder")
    # a mirrored picture has tokens of its own
    mirrored, _ = tokens(vq, images[:, :, ::-1].copy())
    gpt = train_gpt(torch.cat([data, mirrored]), labels.repeat(2), (unseen, held_data), out, gpt_minutes)
    export(gpt.state_dict(), out / "gpt.safetensors", "class-conditional GPT")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
