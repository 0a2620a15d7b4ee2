/** Names and shapes of the tensors that drawing takes from Lumina-mGPT's checkpoints, written down from the official files. */

export function luminaTensors(): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  shapes.set('model.embed_tokens.weight', [65536, 4096]);
  for (let i = 0; i < 32; i++) {
    const at = `model.layers.${i}`;
    for (const part of ['q', 'k', 'v', 'o']) shapes.set(`${at}.self_attn.${part}_proj.weight`, [4096, 4096]);
    for (const part of ['q', 'k']) {
      shapes.set(`${at}.self_attn.${part}_norm.weight`, [1, 128]);
      shapes.set(`${at}.self_attn.${part}_norm.bias`, [1, 128]);
    }
    for (const part of ['gate', 'up']) shapes.set(`${at}.mlp.${part}_proj.weight`, [11008, 4096]);
    shapes.set(`${at}.mlp.down_proj.weight`, [4096, 11008]);
    shapes.set(`${at}.input_layernorm.weight`, [4096]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [4096]);
  }
  shapes.set('model.norm.weight', [4096]);
  shapes.set('lm_head.weight', [65536, 4096]);
  return shapes;
}
