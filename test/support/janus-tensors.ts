/** Names and shapes of the tensors that drawing takes from Janus-Pro's checkpoints, written down from the official files. */

type Shapes = Map<string, readonly number[]>;

const SIZES = {
  'janus-pro-1b': { layers: 24, width: 2048, intermediateSize: 5632 },
  'janus-pro-7b': { layers: 30, width: 4096, intermediateSize: 11008 },
} as const;

export function janusTensors(model: string): Shapes {
  const { layers, width, intermediateSize } = SIZES[model as keyof typeof SIZES];
  const shapes: Shapes = new Map();
  const dense = (name: string, outputs: number, inputs: number) => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    shapes.set(`${name}.bias`, [outputs]);
  };
  shapes.set('language_model.model.embed_tokens.weight', [102400, width]);
  for (let i = 0; i < layers; i++) {
    const at = `language_model.model.layers.${i}`;
    for (const part of ['q', 'k', 'v', 'o']) shapes.set(`${at}.self_attn.${part}_proj.weight`, [width, width]);
    for (const part of ['gate', 'up']) shapes.set(`${at}.mlp.${part}_proj.weight`, [intermediateSize, width]);
    shapes.set(`${at}.mlp.down_proj.weight`, [width, intermediateSize]);
    shapes.set(`${at}.input_layernorm.weight`, [width]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [width]);
  }
  shapes.set('language_model.model.norm.weight', [width]);
  shapes.set('gen_embed.weight', [16384, 8]);
  dense('gen_aligner.layers.0', width, 8);
  dense('gen_aligner.layers.2', width, width);
  dense('gen_head.output_mlp_projector', width, width);
  dense('gen_head.vision_head', 16384, width);
  addVq16(shapes, 'gen_vision_model.');
  return shapes;
}

/** LlamaGen's VQ-16 without what encodes: from `tokenizer_image/vq_model.py`, channels 512, 256, 256, 128, 128. */
function addVq16(shapes: Shapes, prefix: string): void {
  const convolution = (name: string, outputs: number, inputs: number, side: number) => {
    shapes.set(`${prefix}${name}.weight`, [outputs, inputs, side, side]);
    shapes.set(`${prefix}${name}.bias`, [outputs]);
  };
  const norm = (name: string, channels: number) => {
    shapes.set(`${prefix}${name}.weight`, [channels]);
    shapes.set(`${prefix}${name}.bias`, [channels]);
  };
  const resnet = (name: string, inputs: number, outputs: number) => {
    norm(`${name}.norm1`, inputs);
    convolution(`${name}.conv1`, outputs, inputs, 3);
    norm(`${name}.norm2`, outputs);
    convolution(`${name}.conv2`, outputs, outputs, 3);
    if (inputs !== outputs) convolution(`${name}.nin_shortcut`, outputs, inputs, 1);
  };
  const attention = (name: string, channels: number) => {
    norm(`${name}.norm`, channels);
    for (const part of ['q', 'k', 'v', 'proj_out']) convolution(`${name}.${part}`, channels, channels, 1);
  };
  shapes.set(`${prefix}quantize.embedding.weight`, [16384, 8]);
  convolution('post_quant_conv', 256, 8, 1);
  convolution('decoder.conv_in', 512, 256, 3);
  resnet('decoder.mid.0', 512, 512);
  attention('decoder.mid.1', 512);
  resnet('decoder.mid.2', 512, 512);
  const channels = [512, 256, 256, 128, 128];
  for (const [level, outputs] of channels.entries()) {
    for (let block = 0; block < 3; block++) {
      const inputs = block === 0 ? (channels[level - 1] ?? 512) : outputs;
      resnet(`decoder.conv_blocks.${level}.res.${block}`, inputs, outputs);
      if (level === 0) attention(`decoder.conv_blocks.0.attn.${block}`, 512);
    }
    if (level < 4) convolution(`decoder.conv_blocks.${level}.upsample.conv`, outputs, outputs, 3);
  }
  norm('decoder.norm_out', 128);
  convolution('decoder.conv_out', 3, 128, 3);
}
