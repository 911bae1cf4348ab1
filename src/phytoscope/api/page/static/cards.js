// The cards of the pictures that were chosen since the page was opened, from waiting to answered.
import { describeFault, drawAnswer, headlineOf, verdictOf } from "./answer.js";
import { find, make, makeButton, makeIcon, show } from "./dom.js";
import { offerFeedback } from "./feedback.js";
import { drawHeat, offerHeat } from "./heat.js";
import { Queue } from "./queue.js";
import { formatCount, formatSize, t } from "./words.js";

const VERDICTS = ["accept", "review", "reject", "none", "error"];
const SAID_EACH = 2;
const MOST_AGAIN = 2;

export class Cards {
  // model(): what answers; onanswer(job): to be kept; onfault(job): the service asks for a key, or cannot be reached.
  constructor({ model, onanswer, onfault }) {
    this.model = model;
    this.jobs = [];
    this.onanswer = onanswer;
    this.onfault = onfault;
    this.queue = new Queue({ onchange: (job) => this.#change(job), limits: () => model()?.limits });
    find("cancel_all").addEventListener("click", () => this.queue.cancelAll());
  }

  add(files, covariates) {
    const jobs = [...files].map((file) => ({ file, covariates, name: file.name.slice(-255) || "image" }));
    for (const job of jobs) job.place = make("div");
    find("answers").prepend(...jobs.map((job) => job.place));
    this.jobs.unshift(...jobs);
    show(find("now"), true);
    this.queue.add(jobs);
    find("now").scrollIntoView({ block: "start" });
  }

  // After a key was given, or the service is there again; a picture that breaks the connection is not sent for ever.
  retry() {
    const meant = this.jobs.filter((job) => job.state === "failed" && (job.error.code === "unauthorised" || (job.error.code === "offline" && (job.again ?? 0) < MOST_AGAIN)));
    for (const job of meant) job.again = (job.again ?? 0) + 1;
    this.queue.add(meant);
  }

  redraw() {
    this.jobs.forEach((job) => this.#draw(job));
    this.#count();
  }

  clear() {
    this.queue.cancelAll();
    this.jobs = [];
    find("answers").replaceChildren();
    this.#count();
  }

  #change(job) {
    if (job.state === "done") this.#take(job);
    const isProgress = job.drawn === job.state && job.bar;
    if (isProgress) job.bar.value = job.share;
    else this.#draw(job);
    if (["done", "failed"].includes(job.state)) this.#say(job);
    if (job.state === "failed") this.onfault(job);
    this.#count();
  }

  #take(job) {
    const { prediction, model, took_ms } = job.answer;
    job.entry = {
      at: Date.now(),
      name: job.name,
      prediction: { ...prediction, explanation: null },
      model,
      covariates: job.covariates,
      thumb: job.thumb,
      copied: job.sent.copied,
      took_ms,
      coverage: this.model()?.coverage ?? null,
    };
    this.onanswer(job);
  }

  #draw(job) {
    const hadFocus = job.place.contains(document.activeElement);
    job.drawn = job.state;
    job.bar = null;
    if (job.state === "cancelled") {
      this.#remove(job, hadFocus);
      return;
    }
    const card = job.state === "done" ? this.#drawDone(job) : job.state === "failed" ? this.#drawFailed(job) : this.#drawWaiting(job);
    job.place.replaceChildren(card);
    if (hadFocus) (card.querySelector("button.cancel") ?? card.querySelector(".headline"))?.focus();
  }

  #drawDone(job) {
    const drawn = drawAnswer(job.entry);
    const model = this.model();
    if (job.entry.prediction.error) {
      drawn.actions.append(this.#offerRetry(job), this.#offerRemoval(job));
      return drawn.card;
    }
    const source = { blob: job.sent.blob, name: job.sent.name, covariates: job.covariates };
    if (job.explanation) drawHeat(drawn.photo, job.explanation);
    else if (model?.explains ?? true) offerHeat(drawn, source, (explanation) => { job.explanation = explanation; });
    offerFeedback(drawn, job.entry, model, (truth) => { job.entry.feedback = truth; this.onanswer(job); });
    return drawn.card;
  }

  #drawFailed(job) {
    const { error } = job;
    const isService = error.name !== "PictureError" && "words" in error;
    const size = error.code === "too_large" ? make("p", { className: "note" }, t("file_size", { size: formatSize(job.file.size) })) : "";
    const words = isService ? [make("p", {}, error.words), error.request ? make("p", { className: "note" }, t("request_id", { id: error.request })) : ""] : describeFault({ code: error.code });
    return this.#frame(job, "error", t("no_picture"), words, size, make("div", { className: "actions" }, isService ? this.#offerRetry(job) : "", this.#offerRemoval(job)));
  }

  #drawWaiting(job) {
    if (job.state === "sending") job.bar = make("progress", { max: 1, value: job.share, "aria-label": t("state_sending") });
    const bar = job.bar ?? (job.state === "waiting" || job.state === "busy" ? "" : make("progress", { "aria-label": t(`state_${job.state}`) }));
    const cancel = makeButton(t("cancel"), () => this.queue.cancel(job), "cancel");
    cancel.setAttribute("aria-label", t("cancel_name", { name: job.name }));
    return this.#frame(job, "waiting", t(`state_${job.state}`), bar, make("div", { className: "actions" }, cancel));
  }

  #frame(job, kind, headline, ...parts) {
    const photo = make("div", { className: "photo" }, job.thumb ? make("img", { src: job.thumb, alt: t("photo_alt", { name: job.name }) }) : makeIcon(kind === "error" ? "error" : "picture"));
    const verdict = kind === "error" ? make("p", { className: "verdict" }, makeIcon("error"), make("strong", {}, t("verdict_error"))) : "";
    const said = make("div", { className: "said" }, make("p", { className: "file" }, job.name), verdict, make("h3", { className: "headline", tabIndex: -1 }, headline), ...parts);
    return make("article", { className: `card answer ${kind}`, "aria-label": job.name }, photo, said);
  }

  #offerRetry(job) {
    return makeButton(t("retry"), () => this.queue.add([job]));
  }

  #offerRemoval(job) {
    return makeButton(t("remove"), () => this.#remove(job, true));
  }

  #remove(job, hadFocus) {
    job.place.remove();
    this.jobs = this.jobs.filter((other) => other !== job);
    if (hadFocus) find("drop").focus();
    this.#count();
  }

  #say(job) {
    const words = job.state === "failed" ? t("no_picture") : `${t(`verdict_${verdictOf(job.entry)}`)}. ${headlineOf(job.entry)}`;
    if (this.queue.total <= SAID_EACH) find("status").textContent = `${job.name}: ${words}`;
  }

  #count() {
    const { total, done, isIdle } = this.queue;
    const counts = Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0]));
    for (const job of this.jobs) {
      if (job.state === "failed") counts.error += 1;
      else if (job.state === "done") counts[verdictOf(job.entry)] += 1;
    }
    const shown = VERDICTS.filter((verdict) => counts[verdict]);
    const tally = shown.map((verdict) => make("li", { className: verdict }, makeIcon(verdict), `${formatCount(counts[verdict])} × ${t(`verdict_${verdict}`)}`));
    find("tally").replaceChildren(...(this.jobs.length > 1 ? tally : []));
    show(find("now"), this.jobs.length > 0);
    show(find("overall"), !isIdle && total > 1);
    show(find("cancel_all"), !isIdle && total > 1);
    const words = t("overall", { done: formatCount(done), total: formatCount(total) });
    find("overall_text").textContent = words;
    find("overall_bar").value = total ? done / total : 0;
    if (isIdle && this.wasBusy > SAID_EACH) find("status").textContent = t("all_done", { n: this.wasBusy });
    this.wasBusy = isIdle ? 0 : total;
  }
}
