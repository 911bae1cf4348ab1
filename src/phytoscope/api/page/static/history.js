// Earlier answers, in this browser only. Where a browser keeps nothing (private windows may not), the page works without.
const NAME = "phytoscope";
const STORE = "answers";
export const MOST_KEPT = 1000;
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run(mode, work) {
  try {
    const base = await open();
    return await new Promise((resolve, reject) => {
      const deal = base.transaction(STORE, mode);
      const request = work(deal.objectStore(STORE));
      deal.oncomplete = () => resolve(request?.result);
      deal.onerror = () => reject(deal.error);
      deal.onabort = () => reject(deal.error);
    });
  } catch {
    return undefined;
  }
}

// Gives the key of the entry; undefined when nothing is kept.
export async function keep(entry) {
  const key = await run("readwrite", (store) => store.put(entry));
  if (key !== undefined && key % 50 === 0) await trim();
  return key;
}

export async function readAll() {
  return (await run("readonly", (store) => store.getAll())) ?? [];
}

export function forgetAll() {
  return run("readwrite", (store) => store.clear());
}

async function trim() {
  const keys = (await run("readonly", (store) => store.getAllKeys())) ?? [];
  const surplus = keys.slice(0, Math.max(0, keys.length - MOST_KEPT));
  if (surplus.length) await run("readwrite", (store) => store.delete(IDBKeyRange.upperBound(surplus.at(-1))));
}
