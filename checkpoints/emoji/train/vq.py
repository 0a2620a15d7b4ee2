"""The VQ tokenizer, laid out and named as LlamaGen's (tokenizer/tokenizer_image/vq_model.py), written for training here."""

import torch
import torch.nn.functional as F
from torch import nn

BASE, MULTIPLIERS, BLOCKS, Z, CODES, CODE_WIDTH = 32, (1, 2, 2), 1, 64, 512, 8


def norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-6)


class Resnet(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.norm1, self.conv1 = norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = norm(c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if self.nin_shortcut is not None else x)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = norm(c)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (f(h).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Resample(nn.Module):
    def __init__(self, c, up):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(c, c, 3, padding=1) if up else nn.Conv2d(c, c, 3, stride=2)

    def forward(self, x):
        if self.up:
            return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Level(nn.Module):
    def __init__(self, c_in, c_out, blocks, attention, resample, up):
        super().__init__()
        self.res = nn.ModuleList(Resnet(c_in if i == 0 else c_out, c_out) for i in range(blocks))
        self.attn = nn.ModuleList(Attention(c_out) for _ in range(blocks if attention else 0))
        if resample:
            setattr(self, "upsample" if up else "downsample", Resample(c_out, up))

    def forward(self, x):
        for i, block in enumerate(self.res):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        for name in ("upsample", "downsample"):
            if hasattr(self, name):
                x = getattr(self, name)(x)
        return x


class Trunk(nn.Module):
    """Encoder or decoder: the same pieces in opposite order."""

    def __init__(self, decoder):
        super().__init__()
        widths = [BASE * m for m in MULTIPLIERS]
        self.decoder = decoder
        deepest = widths[-1]
        self.mid = nn.ModuleList([Resnet(deepest, deepest), Attention(deepest), Resnet(deepest, deepest)])
        levels, last = [], len(widths) - 1
        c = deepest if decoder else BASE
        for i in range(len(widths)):
            level = last - i if decoder else i
            levels.append(Level(c, widths[level], BLOCKS + decoder, level == last, level != (0 if decoder else last), decoder))
            c = widths[level]
        self.conv_blocks = nn.ModuleList(levels)
        self.conv_in = nn.Conv2d(Z if decoder else 3, deepest if decoder else BASE, 3, padding=1)
        self.norm_out = norm(c)
        self.conv_out = nn.Conv2d(c, 3 if decoder else Z, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for stage in [*self.mid, *self.conv_blocks] if self.decoder else [*self.conv_blocks, *self.mid]:
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Quantizer(nn.Module):
    def __init__(self, codes):
        super().__init__()
        self.embedding = nn.Embedding(codes, CODE_WIDTH)
        nn.init.uniform_(self.embedding.weight, -1, 1)
        self.register_buffer("used", torch.zeros(codes), persistent=False)

    def forward(self, z):
        """z [B, 8, h, w] -> straight-through codes, commitment loss, indices [B, h, w]. Both sides are of unit length."""
        z = F.normalize(z.permute(0, 2, 3, 1), dim=-1)
        book = F.normalize(self.embedding.weight, dim=-1)
        indices = (z.flatten(0, 2) @ book.T).argmax(-1)
        self.used += torch.bincount(indices, minlength=len(book))
        q = book[indices].view(z.shape)
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        q = z + (q - z).detach()
        return q.permute(0, 3, 1, 2), loss, indices.view(z.shape[:3])

    @torch.no_grad()
    def revive(self, z):
        """Codes no vector chose since the last call move onto vectors of this batch."""
        dead = (self.used < 2).nonzero().flatten()
        vectors = F.normalize(z.permute(0, 2, 3, 1), dim=-1).flatten(0, 2)
        self.embedding.weight[dead] = vectors[torch.randint(len(vectors), (len(dead),))]
        self.used.zero_()
        return len(dead)


class VQ(nn.Module):
    def __init__(self, codes=CODES):
        super().__init__()
        self.encoder, self.decoder = Trunk(False), Trunk(True)
        self.quantize = Quantizer(codes)
        self.quant_conv = nn.Conv2d(Z, CODE_WIDTH, 1)
        self.post_quant_conv = nn.Conv2d(CODE_WIDTH, Z, 1)

    def encode(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, q):
        return self.decoder(self.post_quant_conv(q))
