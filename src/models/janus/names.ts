/**
 * Names of Janus-Pro's tensors. We use the official ones; names of the conversion for `transformers` are translated to them.
 *
 * Sources: deepseek-ai/Janus-Pro-1B, pytorch_model.bin; transformers, JanusForConditionalGeneration.
 */

/** Prefixes of the conversion's names and the official prefixes; the first rule that matches is applied. */
const CONVERTED: readonly (readonly [RegExp, string])[] = [
  [/^lm_head\./, 'language_model.lm_head.'],
  [/^model\.language_model\./, 'language_model.model.'],
  [/^model\.(vision_model|aligner)\./, '$1.'],
  [/^model\.generation_embeddings\./, 'gen_embed.'],
  [/^model\.generation_aligner\.fc1\./, 'gen_aligner.layers.0.'],
  [/^model\.generation_aligner\.hidden_layers\.0\./, 'gen_aligner.layers.2.'],
  [/^model\.generation_head\.proj_out\./, 'gen_head.output_mlp_projector.'],
  [/^model\.generation_head\.vision_head\./, 'gen_head.vision_head.'],
  [/^model\.vqmodel\.decoder\.mid\.block_1\./, 'gen_vision_model.decoder.mid.0.'],
  [/^model\.vqmodel\.decoder\.mid\.attn_1\./, 'gen_vision_model.decoder.mid.1.'],
  [/^model\.vqmodel\.decoder\.mid\.block_2\./, 'gen_vision_model.decoder.mid.2.'],
  [/^model\.vqmodel\.decoder\.up\.(\d+)\.block\./, 'gen_vision_model.decoder.conv_blocks.$1.res.'],
  [/^model\.vqmodel\.decoder\.up\.(\d+)\./, 'gen_vision_model.decoder.conv_blocks.$1.'],
  [/^model\.vqmodel\./, 'gen_vision_model.'],
];

/** The vision tower for understanding, the text head and the VQ encoder, none of which drawing needs. */
export const JANUS_IGNORED: readonly RegExp[] = [
  /^vision_model\./,
  /^aligner\./,
  /^language_model\.lm_head\./,
  /^language_model\..*\.rotary_emb\.inv_freq$/,
  /^gen_vision_model\.(encoder|quant_conv)\./,
  /^gen_vision_model\.quantize\.codebook_used$/,
];

/** The official name of a tensor, given its name in either layout. */
export function officialName(name: string): string {
  const rule = CONVERTED.find(([pattern]) => pattern.test(name));
  return rule ? name.replace(...rule) : name;
}
