// Texts in the reader's language; numbers, dates and class names as people read them.
export const LANGUAGES = ["en", "de"];
const KEPT = "phytoscope.language";
let texts = {};
let plural = new Intl.PluralRules("en");
export let language = "en";

export async function useLanguage(wanted) {
  const answer = await fetch(new URL(`words.${wanted}.json`, import.meta.url));
  texts = await answer.json();
  language = wanted;
  plural = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted;
  for (const part of document.querySelectorAll("[data-t]")) part.textContent = t(part.dataset.t);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", t(part.dataset.label));
}

export function chooseLanguage() {
  const kept = readKept();
  if (LANGUAGES.includes(kept)) return kept;
  const known = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
  return known.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export function keepLanguage(wanted) {
  try { localStorage.setItem(KEPT, wanted); } catch { /* a browser that keeps nothing still shows the page */ }
}

function readKept() {
  try { return localStorage.getItem(KEPT); } catch { return null; }
}

export function has(key) {
  return key in texts;
}

export function t(key, values = {}) {
  const form = "n" in values ? `${key}.${plural.select(values.n)}` : key;
  const text = texts[form] ?? texts[`${key}.other`] ?? texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (name === "n" ? formatCount(values.n) : String(values[name] ?? "")));
}

export function formatCount(count) {
  return new Intl.NumberFormat(language).format(count);
}

// As fine as what is known of it: two digits of the interval's width, else three digits of the number.
export function formatNumber(value, width = null) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const isKnown = width !== null && Number.isFinite(width) && width > 0;
  const size = Math.floor(Math.log10(isKnown ? width : Math.abs(value) || 1));
  const digits = Math.min(8, Math.max(0, (isKnown ? 1 : 2) - size));
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function withUnit(number, unit) {
  return unit ? `${number}\u00a0${unit}` : number;
}

// Never "100 %" nor "0 %": no answer is that sure.
export function formatShare(share) {
  const format = (part) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(part);
  if (!Number.isFinite(share)) return "–";
  if (share > 0.99) return t("over", { share: format(0.99) });
  return share < 0.01 ? t("under", { share: format(0.01) }) : format(share);
}

export function formatTime(time) {
  // An English reader in Europe does not write the month first.
  const locale = (navigator.languages ?? []).find((tag) => tag.slice(0, 2).toLowerCase() === language) ?? language;
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}

export function formatSize(bytes) {
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(bytes / 1e6)}\u00a0MB`;
}

export function formatList(items, type = "disjunction") {
  return new Intl.ListFormat(language, { type }).format(items);
}

// `Corn_(maize)___Common_rust_` is read as "Corn (maize) – Common rust".
export function readable(name) {
  const parts = name.split("___").map((part) => part.replace(/[_\s]+/g, " ").trim()).filter(Boolean);
  return parts.map((part) => part[0].toUpperCase() + part.slice(1)).join(" – ") || name;
}
