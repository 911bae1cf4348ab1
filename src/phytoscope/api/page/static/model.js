// What the service answers with, and what it wants to know beside a picture.
import { find, make, show } from "./dom.js";
import { formatCount, formatList, readable, t, withUnit } from "./words.js";

export function showModel(model) {
  const isClass = model.task === "classification";
  const targets = Object.entries(model.units ?? {}).map(([name, unit]) => withUnit(name.replace(/_/g, " "), unit && `(${unit})`));
  find("lead").textContent = isClass ? t("lead_classes", { n: model.class_names.length }) : t("lead_number", { targets: formatList(targets, "conjunction") });
  const version = model.version ? `, ${t("version")} ${model.version}` : "";
  const licence = model.licence && model.licence !== "not stated" ? ` · ${t("licence")} ${model.licence}` : "";
  find("about").textContent = `${t("model")}: ${model.name}${version} (${model.model_id.slice(0, 8)})${licence}`;
  const { limits } = model;
  const most = limits ? ` ${t("drop_limits", { mb: formatCount(limits.max_mb), megapixels: formatCount(limits.max_megapixels) })}` : "";
  find("drop_hint").textContent = `${t("drop_hint")}.${most}`;
}

export function drawFields(model) {
  const known = readFields();
  const fields = (model.covariates ?? []).map(({ name, values }) => {
    const id = `given-${name}`;
    const field = values
      ? make("select", { id }, ["", ...values].map((value) => make("option", { value }, value || t("unknown"))))
      : make("input", { id, type: "number", step: "any", inputMode: "decimal", placeholder: t("unknown") });
    field.dataset.given = name;
    if (name in known) field.value = known[name];
    return make("label", {}, readable(name), field);
  });
  find("fields").replaceChildren(...fields);
  show(find("covariates"), fields.length > 0);
}

export function readFields() {
  const given = {};
  for (const field of find("fields").querySelectorAll("[data-given]")) {
    if (field.value === "") continue;
    given[field.dataset.given] = field.type === "number" ? field.valueAsNumber : field.value;
  }
  return given;
}
