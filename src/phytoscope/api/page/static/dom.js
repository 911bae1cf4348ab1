// Elements made without markup: a text stays a text, whatever a file or a class is called.
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  accept: "m5 12.5 4.5 4.5L19 7.5",
  review: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.3a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4z",
  reject: "M4 8.5h3.5l1.6-2.5h5.8l1.6 2.5H20v10H4zM12 10.4a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
  picture: "M4 8.5h3.5l1.6-2.5h5.8l1.6 2.5H20v10H4zM12 10.4a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
  none: "M9 9.3a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 2v.4m0 2.9v.2",
  error: "M12 6v8m0 3.4v.4",
};

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export function makeIcon(name) {
  const icon = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) icon.setAttribute(key, value);
  path.setAttribute("d", ICONS[name] ?? ICONS.none);
  icon.append(path);
  return icon;
}

export function makeButton(text, onclick, className = "") {
  return make("button", { type: "button", className, onclick }, text);
}

export function find(id) {
  return document.getElementById(id);
}

export function show(element, visible) {
  element.hidden = !visible;
}
