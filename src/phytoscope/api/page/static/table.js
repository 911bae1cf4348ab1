// Answers as a table that a spreadsheet opens as it should: a text is never read as a formula.
const FORMULA = /^[=+\-@\t\r\n|]/;

// In German a spreadsheet expects a semicolon between cells and a comma in numbers.
export function writeTable(entries, language) {
  const isGerman = language === "de";
  const names = [...new Set(entries.flatMap((entry) => Object.keys(entry.prediction.values ?? {})))];
  const known = [...new Set(entries.flatMap((entry) => Object.keys(entry.covariates ?? {})))];
  const rows = entries.map((entry) => makeRow(entry, names, known));
  const heads = Object.keys(makeRow({ prediction: {}, model: {} }, names, known));
  const cell = (value) => writeCell(value, isGerman);
  const lines = [heads.map((head) => cell(head)), ...rows.map((row) => heads.map((head) => cell(row[head])))];
  // The mark at the start tells a spreadsheet that this is UTF-8.
  return `\ufeff${lines.map((line) => line.join(isGerman ? ";" : ",")).join("\r\n")}\r\n`;
}

function makeRow(entry, names, known) {
  const { prediction, model } = entry;
  const row = {
    time: entry.at ? new Date(entry.at).toISOString() : null,
    file: entry.name,
    verdict: prediction.verdict,
    reasons: (prediction.reasons ?? []).map((reason) => reason.code).join(" "),
    label: prediction.label,
    probability: prediction.probability,
    label_set: (prediction.label_set ?? []).join(" | "),
  };
  for (const name of names) {
    Object.assign(row, {
      [`value_${name}`]: prediction.values?.[name],
      [`lower_${name}`]: prediction.lowers?.[name],
      [`upper_${name}`]: prediction.uppers?.[name],
      [`unit_${name}`]: prediction.units?.[name],
    });
  }
  for (const name of known) row[`given_${name}`] = entry.covariates?.[name];
  return {
    ...row,
    novelty: prediction.novelty,
    width_px: prediction.width_px,
    height_px: prediction.height_px,
    sent_as_copy: entry.copied ?? "",
    your_answer: entry.feedback ?? "",
    model: model.name,
    model_id: model.model_id,
    id: prediction.id,
  };
}

export function writeCell(value, isGerman = false) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value).replace(".", isGerman ? "," : ".") : "";
  const text = String(value);
  const safe = FORMULA.test(text.trimStart()) || FORMULA.test(text) ? `'${text}` : text;
  return /[",;\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function saveFile(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
