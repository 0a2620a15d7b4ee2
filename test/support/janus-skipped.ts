/**
 * Names and shapes of what Janus-Pro's official checkpoints hold and drawing does not take, so that a synthetic one is as
 * large and as full as they are. Sources: siglip_vit.py, projector.py, vq_model.py of deepseek-ai/Janus.
 */

type Shapes = Map<string, readonly number[]>;

const WIDTHS: Readonly<Record<string, number>> = { 'janus-pro-1b': 2048, 'janus-pro-7b': 4096 };

/** SigLIP large, patches of 16 of 384 pixels. */
const TOWER = { layers: 24, width: 1024, intermediateSize: 4096, patches: 576, patch: 16 } as const;

export function janusSkipped(model: string): Shapes {
  const width = WIDTHS[model]!;
  const shapes: Shapes = new Map();
  shapes.set('language_model.lm_head.weight', [102400, width]);
  addTower(shapes);
  dense(shapes, 'aligner.layers.0', width, TOWER.width);
  dense(shapes, 'aligner.layers.2', width, width);
  addEncoder(shapes, 'gen_vision_model.');
  return shapes;
}

function addTower(shapes: Shapes): void {
  const at = 'vision_model.vision_tower';
  const { layers, width, intermediateSize, patches, patch } = TOWER;
  const mlp = (name: string) => {
    dense(shapes, `${name}.fc1`, intermediateSize, width);
    dense(shapes, `${name}.fc2`, width, intermediateSize);
  };
  shapes.set(`${at}.pos_embed`, [1, patches, width]);
  convolution(shapes, `${at}.patch_embed.proj`, [width, 3, patch, patch]);
  for (let block = 0; block < layers; block++) {
    const place = `${at}.blocks.${block}`;
    vectors(shapes, `${place}.norm1`, width);
    dense(shapes, `${place}.attn.qkv`, 3 * width, width);
    dense(shapes, `${place}.attn.proj`, width, width);
    vectors(shapes, `${place}.norm2`, width);
    mlp(`${place}.mlp`);
  }
  vectors(shapes, `${at}.norm`, width);
  shapes.set(`${at}.attn_pool.latent`, [1, 1, width]);
  dense(shapes, `${at}.attn_pool.q`, width, width);
  dense(shapes, `${at}.attn_pool.kv`, 2 * width, width);
  dense(shapes, `${at}.attn_pool.proj`, width, width);
  vectors(shapes, `${at}.attn_pool.norm`, width);
  mlp(`${at}.attn_pool.mlp`);
}

/** VQ-16's encoder: channels 128, 128, 256, 256, 512, two blocks a level, attention in the last. */
function addEncoder(shapes: Shapes, prefix: string): void {
  const at = `${prefix}encoder`;
  const resnet = (name: string, inputs: number, outputs: number) => {
    vectors(shapes, `${name}.norm1`, inputs);
    convolution(shapes, `${name}.conv1`, [outputs, inputs, 3, 3]);
    vectors(shapes, `${name}.norm2`, outputs);
    convolution(shapes, `${name}.conv2`, [outputs, outputs, 3, 3]);
    if (inputs !== outputs) convolution(shapes, `${name}.nin_shortcut`, [outputs, inputs, 1, 1]);
  };
  const attention = (name: string, channels: number) => {
    vectors(shapes, `${name}.norm`, channels);
    for (const part of ['q', 'k', 'v', 'proj_out']) convolution(shapes, `${name}.${part}`, [channels, channels, 1, 1]);
  };
  convolution(shapes, `${at}.conv_in`, [128, 3, 3, 3]);
  let inputs = 128;
  for (const [level, outputs] of [128, 128, 256, 256, 512].entries()) {
    for (let block = 0; block < 2; block++) {
      resnet(`${at}.conv_blocks.${level}.res.${block}`, inputs, outputs);
      if (level === 4) attention(`${at}.conv_blocks.4.attn.${block}`, outputs);
      inputs = outputs;
    }
    if (level < 4) convolution(shapes, `${at}.conv_blocks.${level}.downsample.conv`, [outputs, outputs, 3, 3]);
  }
  resnet(`${at}.mid.0`, 512, 512);
  attention(`${at}.mid.1`, 512);
  resnet(`${at}.mid.2`, 512, 512);
  vectors(shapes, `${at}.norm_out`, 512);
  convolution(shapes, `${at}.conv_out`, [256, 512, 3, 3]);
  convolution(shapes, `${prefix}quant_conv`, [8, 256, 1, 1]);
  shapes.set(`${prefix}quantize.codebook_used`, [65536]);
}

function dense(shapes: Shapes, name: string, outputs: number, inputs: number): void {
  shapes.set(`${name}.weight`, [outputs, inputs]);
  shapes.set(`${name}.bias`, [outputs]);
}

function convolution(shapes: Shapes, name: string, shape: readonly [number, number, number, number]): void {
  shapes.set(`${name}.weight`, shape);
  shapes.set(`${name}.bias`, [shape[0]]);
}

function vectors(shapes: Shapes, name: string, width: number): void {
  shapes.set(`${name}.weight`, [width]);
  shapes.set(`${name}.bias`, [width]);
}
