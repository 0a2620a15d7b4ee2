// Keeps the studio for visits without a network. A checkpoint is fetched whole when its first range is asked for, once for all
// tabs, and ranges are cut from what is kept.
const KEPT = `studio-${BUILD}`;
const CHECKPOINTS = `studio-checkpoints-${WEIGHTS}`;
const underway = new Map();

addEventListener('install', (event) => {
  // asked for anew: an older file of the browser's own cache would not fit the others. A newer build waits until no page of
  // the older is open, which may still want its files.
  const files = FILES.map((path) => new Request(path, { cache: 'no-cache' }));
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(files)));
});

addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith('studio-') && name !== KEPT && name !== CHECKPOINTS).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  event.respondWith(url.pathname.includes('/checkpoints/') ? ranged(request) : kept(request));
});

async function kept(request) {
  const cache = await caches.open(KEPT);
  return (await cache.match(request, { ignoreSearch: true })) ?? (await fetch(request));
}

async function ranged(request) {
  const whole = await checkpoint(request.url);
  if (!whole) return await fetch(request);
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '') ?? [];
  if (first === undefined) return new Response(whole, { headers: { 'content-length': String(whole.size) } });
  const part = whole.slice(Number(first), last ? Number(last) + 1 : whole.size);
  const headers = { 'content-range': `bytes ${first}-${Number(first) + part.size - 1}/${whole.size}`, 'content-length': String(part.size) };
  return new Response(part, { status: 206, headers });
}

async function checkpoint(url) {
  const cache = await caches.open(CHECKPOINTS);
  const found = await cache.match(url);
  if (found) return await found.blob();
  if (!underway.has(url)) {
    const fetched = fetch(url, { cache: 'no-store' }).then(async (response) => {
      if (response.ok) await cache.put(url, response).catch(() => undefined); // a full disk: it is fetched each time
      return response.ok;
    });
    underway.set(url, fetched.finally(() => underway.delete(url)));
  }
  return (await underway.get(url)) ? await (await cache.match(url))?.blob() : undefined;
}
