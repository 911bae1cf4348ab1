// Pictures on their way: two at a time, waiting quietly while the service is busy, each of them to be cancelled.
import { ServiceError, askPicture } from "./service.js";
import { drawThumb, prepare } from "./pictures.js";

const AT_ONCE = 2;
const MOST_TRIES = 12;
const LONGEST_WAIT_S = 30;

export class Queue {
  // onchange(job): its state is another one; onidle(): nothing waits.
  constructor({ onchange, limits }) {
    Object.assign(this, { onchange, limits, waiting: [], running: new Set(), total: 0, done: 0, notBefore: 0 });
  }

  add(jobs) {
    for (const job of jobs) {
      Object.assign(job, { state: "waiting", share: 0, tries: 0, stop: new AbortController() });
      this.waiting.push(job);
      this.total += 1;
      this.onchange(job);
    }
    this.#fill();
  }

  cancel(job) {
    job.stop.abort();
    const place = this.waiting.indexOf(job);
    if (place < 0) return;
    this.waiting.splice(place, 1);
    this.#end(job, "cancelled");
  }

  cancelAll() {
    for (const job of [...this.waiting, ...this.running]) this.cancel(job);
  }

  get isIdle() {
    return this.waiting.length === 0 && this.running.size === 0;
  }

  #fill() {
    while (this.running.size < AT_ONCE && this.waiting.length) {
      const job = this.waiting.shift();
      this.running.add(job);
      this.#run(job);
    }
  }

  async #run(job) {
    let state = "done";
    try {
      this.#tell(job, "preparing");
      job.sent ??= await prepare(job.file, this.limits());
      job.thumb ??= await drawThumb(job.file, job.sent.size);
      job.answer = await this.#send(job);
    } catch (error) {
      job.error = error;
      state = error.code === "cancelled" ? "cancelled" : "failed";
    }
    this.running.delete(job);
    this.#end(job, state);
    this.#fill();
  }

  async #send(job) {
    for (;;) {
      await this.#pause(job, this.notBefore - Date.now());
      job.share = 0;
      this.#tell(job, "sending");
      const onprogress = (share) => { job.share = share; this.#tell(job, share < 1 ? "sending" : "answering"); };
      try {
        return await askPicture("v1/predict", job.sent.blob, job.sent.name, job.covariates, { onprogress, signal: job.stop.signal });
      } catch (error) {
        job.tries += 1;
        if (!error.passes || job.tries >= MOST_TRIES) throw error;
        const wait_s = Math.min(LONGEST_WAIT_S, error.wait_s ?? 2 ** Math.min(job.tries, 4));
        // All others wait too: the service has no room for them either. Not all come back at the same moment.
        this.notBefore = Date.now() + wait_s * 1000 * (1 + 0.3 * Math.random());
      }
    }
  }

  async #pause(job, milliseconds) {
    if (milliseconds > 0) {
      this.#tell(job, "busy");
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        job.stop.signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
      });
    }
    if (job.stop.signal.aborted) throw new ServiceError("cancelled");
  }

  #tell(job, state) {
    job.state = state;
    this.onchange(job);
  }

  #end(job, state) {
    this.done += 1;
    this.#tell(job, state);
    if (this.isIdle) Object.assign(this, { total: 0, done: 0 });
  }
}
