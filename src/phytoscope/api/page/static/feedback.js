// What a person knows better than the model: the true class, or what the scale says.
import { make, makeButton } from "./dom.js";
import { sendFeedback } from "./service.js";
import { readable, t } from "./words.js";

// onsent(text): the truth was taken by the service.
export function offerFeedback({ actions, card }, entry, model, onsent) {
  const said = make("p", { className: "note", role: "status" });
  if (entry.feedback) {
    said.textContent = t("feedback_said", { truth: entry.feedback });
    card.querySelector(".facts").before(said);
    return;
  }
  // Only the model that answered knows which classes there are.
  if (model?.model_id !== entry.model.model_id) return;
  const isClass = model.task === "classification";
  const send = async (truth, shown, parts) => {
    parts.forEach((part) => { part.disabled = true; });
    said.textContent = t("feedback_wait");
    try {
      await sendFeedback({ id: entry.prediction.id, ...truth });
      said.textContent = t("feedback_thanks");
      onsent(shown);
    } catch (error) {
      parts.forEach((part) => { part.disabled = false; });
      said.textContent = error.status === 503 ? t("feedback_off") : error.status === 422 ? error.said : error.words ?? String(error);
    }
  };
  const right = isClass && entry.prediction.verdict !== "reject"
    ? makeButton(t("feedback_right"), () => send({ label: entry.prediction.label }, entry.prediction.label, [right]))
    : "";
  actions.append(right);
  card.querySelector(".facts").before(make("details", { className: "feedback" }, make("summary", {}, t(isClass ? "feedback_wrong" : "feedback_weighed")), drawForm(entry, model, isClass, send)), said);
}

function drawForm(entry, model, isClass, send) {
  const comment = make("input", { type: "text", maxLength: 2000, autocomplete: "off" });
  const button = make("button", { type: "submit", className: "main" }, t("feedback_send"));
  const names = Object.keys(model.units ?? {});
  const target = !isClass && names.length > 1 ? drawChoice(names) : null;
  const truth = isClass
    ? drawChoice(["", ...model.class_names])
    : make("input", { type: "number", step: "any", inputMode: "decimal", required: true });
  const form = make(
    "form",
    {},
    target ? make("label", {}, t("feedback_target"), target) : null,
    make("label", {}, isClass ? t("feedback_class") : wordValue(model.units?.[names[0]]), truth),
    make("label", {}, t("feedback_comment"), comment),
    button,
  );
  if (isClass) truth.required = true;
  target?.addEventListener("change", () => { truth.previousSibling.textContent = wordValue(model.units[target.value]); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = isClass ? { label: truth.value } : { value: truth.valueAsNumber, ...(target ? { target: target.value } : {}) };
    if (comment.value.trim()) body.comment = comment.value.trim();
    send(body, truth.value, [truth, comment, button, ...(target ? [target] : [])]);
  });
  return form;
}

function wordValue(unit) {
  return unit ? t("feedback_value", { unit }) : t("feedback_plain");
}

function drawChoice(names) {
  const words = names.map(readable);
  // Two names that read alike keep their own spelling.
  const shown = names.map((name, place) => (name && words.filter((word) => word === words[place]).length > 1 ? name : words[place]));
  return make("select", {}, names.map((name, place) => make("option", { value: name }, name === "" ? t("feedback_choose") : shown[place])));
}
