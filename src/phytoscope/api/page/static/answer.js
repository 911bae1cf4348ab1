// One answer in words: first what to do, then what it is, then how sure, then everything else.
import { make, makeIcon } from "./dom.js";
import { formatList, formatNumber, formatShare, formatTime, has, readable, t, withUnit } from "./words.js";

const SHOWN = 3;
let count = 0;

export function verdictOf(entry) {
  return entry.prediction.error ? "error" : entry.prediction.verdict ?? "none";
}

export function headlineOf({ prediction, model }) {
  if (prediction.error) return t("no_picture");
  if (prediction.verdict === "reject") return t("no_answer");
  return isClass(model) ? readable(prediction.label) : describeValue(prediction);
}

function isClass(model) {
  return model.task === "classification";
}

function describeValue({ value, unit, lower, upper }) {
  return withUnit(formatNumber(value, widthOf(lower, upper)), unit);
}

function widthOf(lower, upper) {
  return lower === null || upper === null || lower === undefined || upper === undefined ? null : upper - lower;
}

// Gives the card and the places where heat map and feedback go.
export function drawAnswer(entry, { level = "h3" } = {}) {
  count += 1;
  const ids = [`file-${count}`, `head-${count}`];
  const verdict = verdictOf(entry);
  const actions = make("div", { className: "actions" });
  const photo = make("div", { className: "photo" }, entry.thumb ? make("img", { src: entry.thumb, alt: t("photo_alt", { name: entry.name }) }) : makeIcon("picture"));
  const said = make(
    "div",
    { className: "said" },
    make("p", { className: "file", id: ids[0] }, entry.name),
    make("p", { className: "verdict" }, makeIcon(verdict), make("strong", {}, t(`verdict_${verdict}`))),
    make(level, { id: ids[1], tabIndex: -1, className: "headline" }, headlineOf(entry)),
    isClass(entry.model) || entry.prediction.error || verdict === "reject" ? null : make("p", { className: "what" }, readable(entry.model.target_name)),
    entry.prediction.error ? describeFault(entry.prediction.error) : describe(entry),
    actions,
    entry.prediction.error ? null : drawDetails(entry),
  );
  const card = make("article", { className: `card answer ${verdict}`, "aria-labelledby": ids.join(" ") }, photo, said);
  return { card, photo, actions };
}

export function describeFault({ code, message }) {
  const known = has(`fault_${code}`);
  return [
    make("p", {}, known ? t(`fault_${code}`) : message || t("fault_unreadable")),
    known && message ? make("p", { className: "note", lang: "en" }, message) : null,
  ];
}

function describe(entry) {
  const { prediction, model, copied } = entry;
  const reasons = prediction.reasons ?? [];
  const belief = isClass(model) ? describeClasses(entry) : describeNumbers(entry);
  const isRejected = prediction.verdict === "reject";
  return [
    prediction.verdict === "review" ? make("p", { className: "meaning" }, t("meaning_review")) : null,
    reasons.length ? describeReasons(reasons, isRejected) : null,
    isRejected ? make("details", { className: "guess" }, make("summary", {}, t("guess")), make("p", { className: "note" }, t("guess_hint")), belief) : belief,
    copied ? make("p", { className: "note" }, t(`copied_${copied}`)) : null,
    ...(prediction.remarks ?? []).map((remark) => make("p", { className: "note", lang: "en" }, remark)),
  ];
}

function describeReasons(reasons, isRejected) {
  const items = reasons.map(({ code, text }) => {
    const why = has(`reason_${code}`) ? t(`reason_${code}`) : text;
    const what = has(`do_${code}`) ? t(`do_${code}`) : "";
    return make("li", {}, make("strong", {}, why), what ? ` ${what}` : "");
  });
  return make("div", { className: "reasons" }, make("h4", {}, t(isRejected ? "why_reject" : "why_review")), make("ul", {}, items));
}

function describeClasses({ prediction, coverage }) {
  const ranked = rank(prediction.probabilities);
  const set = prediction.label_set ?? [];
  const number = Math.min(ranked.length, Math.max(SHOWN, Math.min(set.length, 6)));
  const bars = ranked.slice(0, number).map(([name, share]) => drawBar(name, share, set.includes(name)));
  const rest = ranked.slice(number);
  if (rest.length) bars.push(make("li", { className: "rest" }, t("rest", { n: rest.length, share: formatShare(rest.reduce((sum, [, share]) => sum + share, 0)) })));
  return [make("ul", { className: "bars" }, bars), set.length ? make("p", { className: "set" }, wordSet(set, prediction.verdict), " ", promise(coverage, "set")) : null];
}

function rank(probabilities) {
  return Object.entries(probabilities ?? {}).sort((one, other) => other[1] - one[1]);
}

function drawBar(name, share, isInSet) {
  const fill = make("i");
  fill.style.width = `${100 * share}%`;
  return make("li", { className: isInSet ? "inside" : "", title: name }, make("span", { className: "name" }, readable(name)), make("span", { className: "num" }, formatShare(share)), make("span", { className: "track", "aria-hidden": "true" }, fill));
}

function wordSet(set, verdict) {
  // "Only this" beside "let somebody look" would read like a contradiction.
  return set.length === 1 ? t(verdict === "accept" ? "set_one" : "set_one_unsure", { label: readable(set[0]) }) : t("set_many", { labels: formatList(set.map(readable)) });
}

function promise(coverage, kind) {
  return Number.isFinite(coverage) ? t(`promise_${kind}`, { share: formatNumber(100 * coverage, 10 ** 1.5) }) : t(`promise_${kind}_plain`);
}

function describeNumbers({ prediction, model, coverage }) {
  const parts = [];
  if (widthOf(prediction.lower, prediction.upper) !== null) parts.push(drawInterval(prediction), make("p", { className: "set" }, wordRange(prediction), " ", promise(coverage, "range")));
  else parts.push(make("p", { className: "set" }, t("no_range")));
  const more = Object.keys(prediction.values).filter((name) => name !== model.target_name);
  if (prediction.verdict === "reject") more.unshift(model.target_name);
  if (more.length) parts.push(make("dl", { className: "more" }, more.flatMap((name) => describeTarget(prediction, name))));
  return parts;
}

function describeTarget({ values, units, lowers, uppers }, name) {
  const one = { value: values[name], unit: units[name], lower: lowers?.[name], upper: uppers?.[name] };
  const hasRange = widthOf(one.lower, one.upper) !== null;
  return [make("dt", {}, readable(name)), make("dd", {}, make("strong", {}, describeValue(one)), hasRange ? ` ${wordRange(one)}` : "")];
}

function wordRange({ lower, upper, unit }) {
  const width = widthOf(lower, upper);
  return t("range", { lower: formatNumber(lower, width), upper: withUnit(formatNumber(upper, width), unit) });
}

// From 0, so that a bar shows how wide the interval is beside the number itself.
function drawInterval({ value, lower, upper }) {
  const start = Math.min(0, lower);
  const length = Math.max(upper * 1.15, 0) - start || 1;
  const place = (number) => `${(100 * (number - start)) / length}%`;
  const [bar, dot] = [make("i"), make("b")];
  bar.style.left = place(lower);
  bar.style.width = `${(100 * (upper - lower)) / length}%`;
  dot.style.left = place(value);
  return make("div", { className: "interval", "aria-hidden": "true" }, bar, dot);
}

function drawDetails(entry) {
  const { prediction, model } = entry;
  const given = Object.entries(entry.covariates ?? {}).map(([name, value]) => `${name}: ${value}`).join(", ");
  const all = rank(prediction.probabilities).map(([name, share]) => `${name}: ${formatShare(share)}`).join("\n");
  const size = prediction.width_px ? `${prediction.width_px} × ${prediction.height_px} px` : null;
  const rows = [
    ["raw_label", prediction.label],
    ["all", all],
    ["size", size],
    ["given", given],
    ["novelty", prediction.novelty === null ? null : formatNumber(prediction.novelty)],
    ["time", formatTime(entry.at)],
    ["took", Number.isFinite(entry.took_ms) ? `${formatNumber(entry.took_ms, 100)}\u00a0ms` : null],
    ["model", model.version ? `${model.name}, ${t("version")} ${model.version}` : model.name],
    ["model_id", model.model_id],
    ["answer_id", prediction.id],
  ];
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("details", { className: "facts" }, make("summary", {}, t("details")), make("dl", {}, shown.flatMap(([key, value]) => [make("dt", {}, t(`fact_${key}`)), make("dd", {}, value)])));
}
