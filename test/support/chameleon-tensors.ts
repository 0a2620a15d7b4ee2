/** Names and shapes of the tensors that drawing takes from Lumina-mGPT's checkpoints, written down from the official files. */

type Shapes = Map<string, readonly number[]>;

/** `normRows`: rows of the gains of queries and keys: 1 in the original, 32 in the conversion for `transformers`. */
export function luminaTensors(normRows = 1): Shapes {
  const shapes: Shapes = new Map();
  shapes.set('model.embed_tokens.weight', [65536, 4096]);
  for (let i = 0; i < 32; i++) {
    const at = `model.layers.${i}`;
    for (const part of ['q', 'k', 'v', 'o']) shapes.set(`${at}.self_attn.${part}_proj.weight`, [4096, 4096]);
    for (const part of ['q', 'k']) {
      shapes.set(`${at}.self_attn.${part}_norm.weight`, [normRows, 128]);
      shapes.set(`${at}.self_attn.${part}_norm.bias`, [normRows, 128]);
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

/** Chameleon's vqgan.ckpt without what encodes; channels of the levels, the finest first: 128, 128, 256, 256, 512. */
export function vqganTensors(): Shapes {
  const shapes: Shapes = new Map();
  const norm = (name: string, channels: number) => {
    shapes.set(`${name}.weight`, [channels]);
    shapes.set(`${name}.bias`, [channels]);
  };
  const convolution = (name: string, outputs: number, inputs: number, side: number) => {
    shapes.set(`${name}.weight`, [outputs, inputs, side, side]);
    shapes.set(`${name}.bias`, [outputs]);
  };
  const resnet = (name: string, inputs: number, outputs: number) => {
    norm(`${name}.norm1`, inputs);
    convolution(`${name}.conv1`, outputs, inputs, 3);
    norm(`${name}.norm2`, outputs);
    convolution(`${name}.conv2`, outputs, outputs, 3);
    if (inputs !== outputs) convolution(`${name}.nin_shortcut`, outputs, inputs, 1);
  };
  shapes.set('quantize.embedding.weight', [8192, 256]);
  convolution('post_quant_conv', 256, 256, 1);
  convolution('decoder.conv_in', 512, 256, 3);
  resnet('decoder.mid.block_1', 512, 512);
  norm('decoder.mid.attn_1.norm', 512);
  for (const part of ['q', 'k', 'v', 'proj_out']) convolution(`decoder.mid.attn_1.${part}`, 512, 512, 1);
  resnet('decoder.mid.block_2', 512, 512);
  const inputs = [128, 256, 256, 512, 512];
  for (const [level, outputs] of [128, 128, 256, 256, 512].entries()) {
    resnet(`decoder.up.${level}.block.0`, inputs[level]!, outputs);
    for (const block of [1, 2]) resnet(`decoder.up.${level}.block.${block}`, outputs, outputs);
    if (level > 0) convolution(`decoder.up.${level}.upsample.conv`, outputs, outputs, 3);
  }
  norm('decoder.norm_out', 128);
  convolution('decoder.conv_out', 3, 128, 3);
  return shapes;
}
