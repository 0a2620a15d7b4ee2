import { encodePng, generate, loadModel, Runtime } from 'rasterline';

const runtime = await Runtime.open();
const model = await loadModel(runtime, 'emoji');
const [image] = await generate(model, {
  prompt: { classes: [187] },
  cache: { budgetLines: 8 },
  onLine: ({ line, lines }) => {
    document.title = `${line} of ${lines}`;
  },
});

const picture = new Image();
picture.src = URL.createObjectURL(new Blob([encodePng(image)], { type: 'image/png' }));
document.body.append(picture);
