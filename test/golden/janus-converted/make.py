"""Writes model.safetensors, io.safetensors and config.json: a tiny random Janus as `transformers` saves it, and what it draws.

    python make.py        (torch 2.13, transformers 5.18, safetensors)

The model is JanusForConditionalGeneration itself, in float32 with values that float16 holds; they are stored as float16. Its
own `generate` draws the tokens (greedily, guidance 5) and `decode_image_tokens` the image. The logits are those of one
pass without a cache over both rows (conditional, then unconditional), the drawn tokens fed.
What only understanding or encoding needs is cut to its first row: it is there to be skipped by its name.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import JanusConfig, JanusForConditionalGeneration

HERE = Path(__file__).parent
SEED = 70
GRID = 4
PROMPT = 7
BEGIN, END, PAD, BEGIN_OF_IMAGE = 1, 2, 3, 89
TEXT = dict(hidden_size=48, intermediate_size=76, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=16, vocab_size=90, rms_norm_eps=1e-6, rope_theta=10000.0)
VQ = dict(embed_dim=8, num_embeddings=96, latent_channels=32, base_channels=32, channel_multiplier=[1, 2], num_res_blocks=1, projection_dim=48, image_token_embed_dim=48)
VISION = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=4 * GRID, patch_size=4, projection_dim=48, mlp_ratio=2, num_image_tokens=GRID * GRID)
SKIPPED = ("lm_head.", "model.vision_model.", "model.aligner.", "model.vqmodel.encoder.", "model.vqmodel.quant_conv.")


def randomise(model):
    for name, parameter in model.named_parameters():
        if "norm" in name:
            value = torch.randn_like(parameter) * 0.2 + (1 if name.endswith("weight") else 0)
        elif parameter.ndim == 1:
            value = torch.randn_like(parameter) * 0.1
        elif "embed" in name:
            value = torch.randn_like(parameter)
        else:
            value = torch.randn_like(parameter) * parameter[0].numel() ** -0.5
        parameter.copy_(value.half().float())


def gap(values):
    best = values.topk(2).values
    return (best[..., 0] - best[..., 1]).min().item()


@torch.no_grad()
def main():
    torch.manual_seed(SEED)
    text = dict(model_type="llama", tie_word_embeddings=False, bos_token_id=BEGIN, eos_token_id=END, pad_token_id=PAD, **TEXT)
    config = JanusConfig(text_config=text, vision_config=VISION, vq_config=VQ, tie_word_embeddings=False, attn_implementation="eager")
    model = JanusForConditionalGeneration(config).eval().float()
    randomise(model)

    ids = torch.tensor([[BEGIN, *torch.randint(4, BEGIN_OF_IMAGE, (PROMPT - 2,)).tolist(), BEGIN_OF_IMAGE]])
    settings = model.generation_config
    settings.bos_token_id, settings.pad_token_id, settings.eos_token_id = BEGIN, PAD, END
    settings.generation_kwargs = {"boi_token_id": BEGIN_OF_IMAGE}
    tokens = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_mode="image", do_sample=False, guidance_scale=5.0, num_return_sequences=1)

    unconditional = ids.clone()
    unconditional[:, 1:-1] = PAD
    rows = torch.cat([ids, unconditional])
    fed = model.prepare_embeddings_for_image_generation(tokens[:, :-1].repeat(2, 1))
    inputs = torch.cat([model.get_input_embeddings()(rows), fed], dim=1)
    hidden = model.model.language_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    logits = model.model.generation_head(hidden[:, PROMPT - 1 :])
    combined = logits[1] + 5 * (logits[0] - logits[1])
    assert combined.argmax(-1).tolist() == tokens[0].tolist()
    image = model.decode_image_tokens(tokens)

    model.save_pretrained(HERE)
    stored = load_file(HERE / "model.safetensors")
    kept = {name: (tensor[:1] if name.startswith(SKIPPED) else tensor).half().contiguous() for name, tensor in stored.items()}
    save_file(kept, HERE / "model.safetensors", metadata={"format": "pt"})
    (HERE / "generation_config.json").unlink()
    io = {"prompt_ids": ids[0].int(), "greedy_tokens": tokens.int(), "logits": logits, "image": image}
    save_file({name: tensor.contiguous() for name, tensor in io.items()}, HERE / "io.safetensors")
    sizes = {"seed": SEED, "grid": GRID, "pad_id": PAD, "text": TEXT, "vq": VQ, "smallest_gap": gap(combined)}
    (HERE / "config.json").write_text(json.dumps(sizes, indent=1) + "\n")
    print(sizes, logits.std(), image.min(), image.max(), len(set(tokens[0].tolist())))


main()
