import { writeFile } from 'node:fs/promises';
import { encodePng, generate, loadModel, Runtime } from 'rasterline';

const runtime = await Runtime.open();
const model = await loadModel(runtime, 'emoji');
const images = await generate(model, {
  prompt: { classes: [187, 100] },
  cache: { budgetLines: 8 },
  onLine: ({ line, lines }) => console.log(`line ${line} of ${lines}`),
});
for (const [i, image] of images.entries()) await writeFile(`emoji-${i}.png`, encodePng(image));
model.dispose();
runtime.dispose();
