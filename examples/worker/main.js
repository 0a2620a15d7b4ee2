import { connectWorker } from 'rasterline/worker';

const [canvas, progress, button, output] = document.querySelectorAll('canvas, progress, button, output');
const stop = new AbortController();
button.onclick = () => stop.abort();
const { signal } = stop;

const worker = new Worker(new URL('./draws.js', import.meta.url), { type: 'module' });
let runtime;
try {
  runtime = await connectWorker(worker);
  const model = await runtime.loadModel('emoji', {
    signal,
    onProgress: ({ loadedBytes, totalBytes }) => {
      progress.value = loadedBytes / totalBytes;
    },
  });
  for await (const event of model.draw({ prompt: { classes: [187] }, cache: { budgetLines: 4 }, signal })) {
    const [picture] = event.kind === 'images' ? event.images : event.isPreviewDue ? await event.preview() : [];
    picture?.toCanvas(canvas);
    output.value = event.kind === 'line' ? `line ${event.line} of ${event.lines}` : 'drawn';
  }
} catch (error) {
  output.value = signal.aborted ? 'stopped' : error.message;
} finally {
  await runtime?.close();
}
