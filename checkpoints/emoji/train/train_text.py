"""Teach the trained GPT to draw from names as well. python train_text.py NODE_MODULES OUT MINUTES

Goes on from OUT/gpt.pt, or from OUT/both.pt where an earlier run left one. Every other step is conditioned on a text instead of a class: a small T5 encoder and LlamaGen's
caption projection, trained together with the GPT, under the names of flan-t5 and of LlamaGen's text-conditional models.
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import T5Config, T5EncoderModel

from data import SETS, classes, drawn
from schedule import Clock
from train_gpt import GPT, SIDE, WIDTH, damaged

PLACES, TEXT_WIDTH, PIECES, NOISE = 24, 96, 1000, 0.35


def captions(packages):
    """What each class may be called: its name, and its short names with spaces."""
    return [sorted({e["name"].lower()} | {s.replace("_", " ").replace("-", " ") for s in e["short_names"]}) for e in classes(packages)]


def train_tokenizer(texts):
    """Unigram pieces as T5 has them: pad 0, end 1, unknown 2, words marked by a leading bar, the end put after the text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=PIECES, special_tokens=special, unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


class Text(nn.Module):
    """T5 encoder, caption projection and unconditional rows."""

    def __init__(self, vocabulary):
        super().__init__()
        self.t5 = T5EncoderModel(
            T5Config(
                vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=24, d_ff=256, num_layers=2, num_heads=4, dropout_rate=0.0,
                feed_forward_proj="gated-gelu", tie_word_embeddings=False,
            )
        )  # fmt: skip
        self.fc1, self.fc2 = nn.Linear(TEXT_WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.unconditional = nn.Parameter(torch.randn(PLACES, TEXT_WIDTH) / TEXT_WIDTH**0.5)

    def forward(self, ids, visible, dropped):
        """ids, visible [B, P], padded on the left; dropped [B] -> condition [B, P, C]"""
        features = self.t5(input_ids=ids, attention_mask=visible).last_hidden_state * visible[..., None]
        features = torch.where(dropped[:, None, None], self.unconditional, features)
        return self.fc2(F.gelu(self.fc1(features), approximate="tanh"))


def attention_mask(visible, tokens):
    """[B, 1, P + T, P + T]: causal, padding hidden from all but itself."""
    keys = F.pad(visible.bool(), (0, tokens), value=True)
    t = keys.shape[1]
    return (keys[:, None, None] & torch.ones(t, t, dtype=torch.bool).tril()) | torch.eye(t, dtype=torch.bool)


def padded(tokenizer, texts):
    rows = [tokenizer.encode(text).ids[-PLACES:] for text in texts]
    ids = torch.tensor([[0] * (PLACES - len(row)) + row for row in rows])
    return ids, torch.tensor([[0] * (PLACES - len(row)) + [1] * len(row) for row in rows])


if __name__ == "__main__":
    packages, out, minutes = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    goes_on = (out / "both.pt").exists()
    torch.manual_seed(torch.seed() if goes_on else 0)  # a run that goes on must not see the same damage again
    random.seed(torch.initial_seed())
    torch.set_num_threads(2)
    tokens = torch.from_numpy(np.load(out / "tokens.npy"))
    tokens = tokens[: len(tokens) // len(SETS)][drawn(packages)]
    names = captions(packages)
    tokenizer = train_tokenizer([text for row in names for text in row])
    tokenizer.save(str(out / "tokenizer.json"))
    count = len(tokens)
    model, text = GPT(count), Text(tokenizer.get_vocab_size())
    if goes_on:
        both = torch.load(out / "both.pt")
        model.load_state_dict(both["gpt"])
        text.load_state_dict(both["text"])
    else:
        model.load_state_dict(torch.load(out / "gpt.pt"))
    parameters = [*model.parameters(), *text.parameters()]
    print(sum(p.numel() for p in text.parameters()), "parameters of text,", tokenizer.get_vocab_size(), "pieces", flush=True)
    hidden = [p for p in model.layers.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() == 1 or all(p is not q for q in hidden)]
    optimizers = [
        torch.optim.Muon([{"params": hidden, "peak": 4e-4}], weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": rest, "peak": 2e-4}, {"params": list(text.parameters()), "peak": 6e-4}],
            betas=(0.9, 0.95), weight_decay=0.01, fused=True,
        ),
    ]  # fmt: skip
    clock, step, totals = Clock(out, minutes), 0, [0.0, 0.0]
    while clock.progress() < 1:
        for chosen in torch.randperm(count).split(16):
            inputs = damaged(tokens[chosen, :-1], tokens, NOISE)
            dropped = torch.rand(len(chosen)) < 0.1
            with torch.autocast("cpu", torch.bfloat16):
                if step % 2:
                    ids, visible = padded(tokenizer, [random.choice(names[i]) for i in chosen])
                    logits = model.after(text(ids, visible, dropped), inputs, attention_mask(visible, SIDE * SIDE - 1))
                else:
                    logits = model(torch.where(dropped, count, chosen), inputs)
            loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[chosen].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = clock.rate(group["peak"], step, 100)
                optimizer.step()
                optimizer.zero_grad()
            totals[step % 2] += loss.item()
            step += 1
            if step % 50 == 0:
                print(f"{step} {clock.progress():.3f} loss of classes {totals[0] / 25:.4f}, of texts {totals[1] / 25:.4f}", flush=True)
                totals = [0.0, 0.0]
            if step % 100 == 0 or clock.progress() >= 1:
                torch.save({"gpt": model.state_dict(), "text": text.state_dict()}, out / "both.tmp")
                (out / "both.tmp").rename(out / "both.pt")
            if clock.progress() >= 1:
                break
    print(f"done: {step} steps")
