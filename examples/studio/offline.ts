/** The service worker, which keeps the page and what it fetched for a visit without a network. */

/** Longest wait for it: it has to fetch the page's files once more. */
const PATIENCE_MS = 10_000;

const registered: Promise<ServiceWorkerRegistration | undefined> =
  navigator.serviceWorker?.register('service-worker.js').catch(() => undefined) ?? Promise.resolve(undefined); // without it the page works online

/** Waits until it is there, on a first visit: a worker that is made before is not heard by it, and its checkpoint not kept. */
export async function controlled(): Promise<void> {
  const registration = await registered;
  const { serviceWorker } = navigator;
  if (!registration || serviceWorker.controller || registration.active?.state === 'activated') return;
  const taken = new Promise((resolve) => serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
  await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
}
