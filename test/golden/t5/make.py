"""Writes model.safetensors, io.safetensors and config.json: a tiny random T5 encoder and what it makes of some captions.

    python make.py        (torch 2.13, transformers 5.18, safetensors)

The encoder is that of `transformers` in float32, its inputs are padded on the right and masked as LlamaGen pads captions;
the features are then moved behind their padding, which becomes zero, as LlamaGen's sample_t2i.py does.
The width is that of the fixture llamagen-t2i, the vocabulary holds that of tokenizers/t5.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

HERE = Path(__file__).parent
TOKENS = 120
SEED = 61
LENGTHS = [1, 7, 61, 120]
SIZES = dict(vocab_size=384, d_model=40, d_kv=12, d_ff=76, num_layers=2, num_heads=3, relative_attention_num_buckets=32, relative_attention_max_distance=128, layer_norm_epsilon=1e-6)


def buckets(count, distance):
    relative = torch.arange(-300, 301)
    return T5Attention._relative_position_bucket(relative, bidirectional=True, num_buckets=count, max_distance=distance).tolist()


@torch.no_grad()
def main():
    torch.manual_seed(SEED)
    config = T5Config(**SIZES, num_decoder_layers=1, feed_forward_proj="gated-gelu", tie_word_embeddings=False, dropout_rate=0.0)
    model = T5ForConditionalGeneration(config).eval().float()
    for name, parameter in model.named_parameters():
        gain = 0.3 if name.endswith("layer_norm.weight") else 0.8 if "relative" in name else 0.25
        parameter.copy_(torch.randn_like(parameter) * gain + (1 if name.endswith("layer_norm.weight") else 0))
    # the decoder is there to be skipped: a few of its tensors are enough
    kept = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if not name.startswith("decoder.") or "layer.0.SelfAttention" in name}
    kept["lm_head.weight"] = kept["lm_head.weight"][:8].contiguous()
    kept = {name: tensor.clone() for name, tensor in kept.items() if name != "decoder.embed_tokens.weight"}
    save_file(kept, HERE / "model.safetensors", metadata={"format": "pt"})

    ids = torch.zeros(len(LENGTHS), TOKENS, dtype=torch.int64)
    mask = torch.zeros(len(LENGTHS), TOKENS, dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, : length - 1] = torch.randint(3, SIZES["vocab_size"], (length - 1,))
        ids[row, length - 1] = 1
        mask[row, :length] = 1
    features = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    moved = torch.zeros_like(features)
    for row, length in enumerate(LENGTHS):
        moved[row, TOKENS - length :] = features[row, :length]
    save_file({"ids": ids, "mask": mask, "features": moved.contiguous()}, HERE / "io.safetensors")
    tables = {f"{count} {distance}": buckets(count, distance) for count, distance in [(32, 128), (16, 20), (8, 64), (64, 256), (32, 100)]}
    (HERE / "config.json").write_text(json.dumps({"seed": SEED, "tokens": TOKENS, "lengths": LENGTHS, "model_args": SIZES}, indent=1) + "\n")
    (HERE / "buckets.json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")
    print(features.abs().mean(), features.abs().max(), sorted(kept)[:60])


main()
