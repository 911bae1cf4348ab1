// The heat map over the picture that the network sees, faded in by hand.
import { make, makeButton } from "./dom.js";
import { askPicture } from "./service.js";
import { t } from "./words.js";

const START = 60;

// ondrawn(explanation): it is there, and can be drawn again.
export function offerHeat({ photo, actions }, { blob, name, covariates }, ondrawn) {
  const said = make("p", { className: "note", role: "status" });
  const button = makeButton(t("heat_show"), async () => {
    button.disabled = true;
    said.textContent = t("heat_wait");
    try {
      const { prediction } = await askPicture("v1/explain", blob, name, covariates);
      if (!prediction.explanation) throw new Error(prediction.error?.message || "none");
      ondrawn(prediction.explanation);
      said.remove();
      const slider = drawHeat(photo, prediction.explanation);
      button.remove();
      slider.focus();
    } catch (error) {
      button.disabled = false;
      said.textContent = error.words ?? t("heat_none");
    }
  });
  actions.append(button, said);
}

// Gives the slider.
export function drawHeat(photo, explanation) {
  const heat = make("img", { src: explanation.heat, alt: "", className: "over" });
  const slider = make("input", { type: "range", min: 0, max: 100, step: 5, value: START });
  const fade = () => {
    heat.style.opacity = slider.value / 100;
    slider.setAttribute("aria-valuetext", `${slider.value} %`);
  };
  slider.addEventListener("input", fade);
  fade();
  photo.classList.add("hot");
  photo.replaceChildren(
    make("div", { className: "stack" }, make("img", { src: explanation.picture, alt: t("heat_alt") }), heat),
    make("label", { className: "fade" }, t("heat_fade"), slider),
    make("div", { className: "scale", "aria-hidden": "true" }, make("span", {}, t("heat_little")), make("i"), make("span", {}, t("heat_much"))),
    make("p", { className: "note" }, t("heat_hint")),
    explanation.words ? make("p", { className: "note", lang: "en" }, explanation.words) : "",
  );
  return slider;
}
