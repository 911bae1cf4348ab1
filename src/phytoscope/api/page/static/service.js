// What is asked of the service, and what can go wrong on the way, in words.
import { has, t } from "./words.js";

const KEY = "phytoscope.key";
const PATIENCE_MS = 180_000;

export class ServiceError extends Error {
  constructor(code, { status = 0, message = "", wait_s = null, request = "" } = {}) {
    super(message || code);
    Object.assign(this, { code, status, said: message, wait_s, request });
  }

  // Our words where we have some, else those of the service.
  get words() {
    return has(`error_${this.code}`) ? t(`error_${this.code}`) : this.said || t("error_internal");
  }

  get passes() {
    return [429, 503, 504].includes(this.status) && this.code !== "records_off";
  }
}

export function readKey() {
  try { return sessionStorage.getItem(KEY) ?? ""; } catch { return ""; }
}

export function keepKey(key) {
  try { sessionStorage.setItem(KEY, key); } catch { /* asked for again after a reload */ }
}

// Addresses are relative, so that the page works below any path of a proxy.
function addressOf(path) {
  return new URL(path, document.baseURI).href;
}

// XMLHttpRequest, because fetch does not tell how much of a picture has been sent.
export function ask(path, { method = "GET", body = null, json = false, onprogress = null, signal = null } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, addressOf(path));
    request.timeout = PATIENCE_MS;
    const key = readKey();
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    if (json) request.setRequestHeader("Content-Type", "application/json");
    if (onprogress) request.upload.onprogress = (event) => event.lengthComputable && onprogress(event.loaded / event.total);
    request.onload = () => finish(request, resolve, reject);
    request.onerror = () => reject(new ServiceError("offline"));
    request.ontimeout = () => reject(new ServiceError("timeout", { status: 504 }));
    request.onabort = () => reject(new ServiceError("cancelled"));
    if (signal?.aborted) return reject(new ServiceError("cancelled"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(json ? JSON.stringify(body) : body);
  });
}

function finish(request, resolve, reject) {
  const content = parse(request.responseText);
  if (request.status >= 200 && request.status < 300 && content !== null) return resolve(content);
  // A picture that cannot be read is an answer too.
  if (request.status === 422 && content?.predictions) return resolve(content);
  const error = content?.error ?? {};
  const wait_s = Number.parseFloat(request.getResponseHeader("Retry-After") ?? "");
  reject(new ServiceError(error.code ?? codeOf(request.status), {
    status: request.status,
    message: error.message ?? "",
    wait_s: Number.isFinite(wait_s) ? wait_s : null,
    request: error.request_id ?? request.getResponseHeader("X-Request-ID") ?? "",
  }));
}

function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

// For a proxy in between, which says no more than its number.
function codeOf(status) {
  const codes = { 400: "bad_request", 401: "unauthorised", 403: "unauthorised", 404: "not_found", 408: "timeout", 413: "too_large",
    415: "unsupported_media_type", 429: "too_busy", 502: "not_ready", 503: "not_ready", 504: "timeout" };
  return codes[status] ?? "internal";
}

export async function askModels() {
  const answer = await ask("v1/models");
  if (!answer.models?.length) throw new ServiceError("not_ready", { status: 503 });
  return answer.models[0];
}

export async function askPicture(path, picture, name, covariates, how = {}) {
  const form = new FormData();
  form.append("files", picture, name);
  if (Object.keys(covariates).length) form.append("covariates", JSON.stringify(covariates));
  const answer = await ask(path, { method: "POST", body: form, ...how });
  const [prediction] = answer.predictions;
  if (!prediction) throw new ServiceError("internal");
  return { prediction, model: answer.model, took_ms: answer.took_ms };
}

export function sendFeedback(feedback) {
  return ask("v1/feedback", { method: "POST", body: feedback, json: true });
}
