// Answers of earlier days, a line each that opens into the whole answer.
import { drawAnswer, headlineOf, verdictOf } from "./answer.js";
import { find, make, makeIcon, show } from "./dom.js";
import { offerFeedback } from "./feedback.js";
import { forgetAll, keep, readAll } from "./history.js";
import { formatTime, t } from "./words.js";

const AT_ONCE = 20;

export class Past {
  constructor(model) {
    Object.assign(this, { model, entries: [], shown: AT_ONCE });
    find("more").addEventListener("click", () => {
      const next = find("earlier").children.length;
      this.shown += AT_ONCE;
      this.redraw();
      find("earlier").children[next]?.querySelector("summary").focus();
    });
  }

  async load() {
    this.entries = (await readAll()).reverse();
    this.redraw();
  }

  async clear() {
    await forgetAll();
    this.entries = [];
    this.redraw();
  }

  redraw() {
    find("earlier").replaceChildren(...this.entries.slice(0, this.shown).map((entry) => this.#drawLine(entry)));
    show(find("past"), this.entries.length > 0);
    show(find("more"), this.entries.length > this.shown);
  }

  #drawLine(entry) {
    const verdict = verdictOf(entry);
    const words = make(
      "span",
      { className: "words" },
      make("strong", {}, headlineOf(entry)),
      make("span", { className: `mark ${verdict}` }, makeIcon(verdict), t(`verdict_${verdict}`)),
      make("span", { className: "note" }, `${entry.name} · ${formatTime(entry.at)}`),
    );
    const picture = entry.thumb ? make("img", { src: entry.thumb, alt: "" }) : makeIcon("picture");
    const line = make("details", { className: "line-of-past" }, make("summary", {}, picture, words));
    line.addEventListener("toggle", () => {
      if (!line.open || line.children.length > 1) return;
      const drawn = drawAnswer(entry);
      if (!entry.prediction.error) offerFeedback(drawn, entry, this.model(), (truth) => { entry.feedback = truth; keep(entry); });
      line.append(drawn.card);
    });
    return line;
  }
}
