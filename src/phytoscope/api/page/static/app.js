// The page: from pictures that are chosen, dropped, pasted or photographed to cards with answers.
import { Cards } from "./cards.js";
import { find, make, makeButton, show } from "./dom.js";
import { keep, readAll } from "./history.js";
import { drawFields, readFields, showModel } from "./model.js";
import { Past } from "./past.js";
import { askModels, keepKey, readKey } from "./service.js";
import { saveFile, writeTable } from "./table.js";
import { chooseLanguage, keepLanguage, language, t, useLanguage } from "./words.js";

const RETRY_S = 4;
let model = null;
let trouble = null;
let timer = 0;
const unkept = [];

const past = new Past(() => model);
const cards = new Cards({ model: () => model, onanswer: keepAnswer, onfault: noteFault });

async function loadModel() {
  clearTimeout(timer);
  try {
    model = await askModels();
    trouble = null;
    show(find("key"), false);
    showModel(model);
    drawFields(model);
    cards.retry();
  } catch (error) {
    noteTrouble(error);
  }
  showTrouble();
}

function noteTrouble(error) {
  if (error.code === "unauthorised") {
    trouble = null;
    askKey();
    return;
  }
  trouble = error;
  timer = setTimeout(loadModel, 1000 * (error.wait_s ?? RETRY_S));
}

function showTrouble() {
  const words = trouble && (trouble.words ?? String(trouble));
  if (find("notice").dataset.said === (words ?? "")) return;
  find("notice").dataset.said = words ?? "";
  find("notice").replaceChildren(...(words ? [make("p", { className: "notice bad" }, words, " ", makeButton(t("retry"), loadModel))] : []));
}

function askKey() {
  const isOpen = !find("key").hidden;
  find("key_text").dataset.t = readKey() ? "key_wrong" : "key_text";
  find("key_text").textContent = t(find("key_text").dataset.t);
  find("lead").textContent = t("lead_key");
  show(find("key"), true);
  if (!isOpen || readKey()) find("key_field").focus();
}

function noteFault({ error }) {
  if (error.code === "unauthorised") askKey();
  if (error.code === "offline" && trouble === null) {
    noteTrouble(error);
    showTrouble();
  }
}

async function keepAnswer({ entry }) {
  if (entry.prediction.error) return;
  showStore(true);
  if (entry.model.model_id !== model?.model_id) await loadModel();
  const key = await keep(entry);
  if (key !== undefined) entry.key = key;
  else if (!unkept.includes(entry)) unkept.push(entry);
}

function showStore(visible) {
  show(find("store"), visible);
}

function choose(files) {
  if (files.length) cards.add(files, readFields());
}

function bindPictures() {
  const files = find("files");
  const camera = find("camera");
  find("drop").addEventListener("click", () => files.click());
  find("shoot").addEventListener("click", () => camera.click());
  show(find("shoot"), matchMedia("(pointer: coarse)").matches);
  for (const input of [files, camera]) {
    input.addEventListener("change", () => {
      choose([...input.files]);
      // The same file can be chosen again.
      input.value = "";
    });
  }
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      find("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") choose([...event.dataTransfer.files]);
    });
  }
  addEventListener("paste", (event) => choose([...(event.clipboardData?.files ?? [])]));
}

function bindKey() {
  find("key").addEventListener("submit", (event) => {
    event.preventDefault();
    keepKey(find("key_field").value.trim());
    find("key_field").value = "";
    loadModel();
  });
}

function bindStore() {
  find("export").addEventListener("click", async () => {
    const entries = [...(await readAll()), ...unkept];
    saveFile(writeTable(entries, language), `phytoscope-${new Date().toISOString().slice(0, 10)}.csv`);
  });
  const sure = find("sure");
  find("forget").addEventListener("click", () => sure.showModal());
  find("sure_no").addEventListener("click", () => sure.close());
  find("sure_yes").addEventListener("click", async () => {
    sure.close();
    cards.clear();
    unkept.length = 0;
    await past.clear();
    showStore(false);
    find("status").textContent = t("forgotten");
    find("drop").focus();
  });
}

function bindLanguages() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", async () => {
      keepLanguage(button.dataset.language);
      await speak(button.dataset.language);
    });
  }
}

async function speak(wanted) {
  await useLanguage(wanted);
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === language));
  if (model) {
    showModel(model);
    drawFields(model);
  } else if (!find("key").hidden) {
    find("lead").textContent = t("lead_key");
  }
  showTrouble();
  cards.redraw();
  past.redraw();
}

async function start() {
  bindPictures();
  bindKey();
  bindStore();
  bindLanguages();
  addEventListener("online", loadModel);
  await speak(chooseLanguage());
  await Promise.all([loadModel(), past.load()]);
  if (past.entries.length) showStore(true);
  document.documentElement.dataset.ready = "yes";
}

start();
