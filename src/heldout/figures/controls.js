// What every explorable shares: its frame, native controls, a live sentence, and the way to and from the kernel.
import { h, format } from "./plot.js";

// Draws title, places for controls, charts and sentence, and the caption. Returns these places.
export function scaffold(model, el) {
  if (!el.closest(".heldout-explorable")) el.classList.add("heldout-explorable");
  // In JupyterLab the arrow keys would otherwise move between cells; it looks at the focused element first.
  el.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  const controls = h("div", { class: "hx-controls" });
  const body = h("div", { class: "hx-body" });
  const live = h("p", { class: "hx-live", role: "status", "aria-live": "polite", tabindex: -1 });
  const status = h("p", { class: "hx-status", hidden: true });
  const caption = model.get("caption");
  el.replaceChildren(h("p", { class: "hx-title" }, model.get("title")), controls, body, live, status);
  if (caption) el.append(h("p", { class: "hx-caption" }, caption));
  return { controls, body, live, status };
}

// Calls `draw(data, state)` now and whenever the reader or the kernel changes something; returns `commit` and `stop`.
// Without a kernel (model.get("live") false) the data never change. With one, a commit is followed by a recomputation;
// with `wait` nothing is drawn before it, because the old data say nothing about the new controls.
export function session(model, ui, state, draw, { wait = false } = {}) {
  Object.assign(state, Object.fromEntries(Object.entries(model.get("controls") || {}).filter(([name]) => name in state)));
  let timer = 0;
  const arrived = () => {
    ui.status.textContent = model.get("error") || "";
    ui.status.hidden = !model.get("error");
    draw(model.get("data"), state);
  };
  const send = () => {
    model.set("controls", { ...state });
    model.save_changes();
  };
  model.on("change:revision", arrived);
  return {
    commit() {
      if (!wait || !model.get("live")) draw(model.get("data"), state);
      if (!model.get("live")) { send(); return; }
      ui.status.textContent = "Recomputing in Python …";
      ui.status.hidden = false;
      clearTimeout(timer);
      timer = setTimeout(send, 150);
    },
    stop() { clearTimeout(timer); model.off("change:revision", arrived); },
  };
}

// A native range over `values` (by index) or over min, max, step. `onInput` gets the value, never the index.
export function slider(spec, onInput) {
  const { label, values, unit = "", initial } = spec;
  const show = spec.text || ((value) => `${format(value, spec.format)}${unit ? ` ${unit}` : ""}`);
  const nearest = (value) => Math.max(0, values.findIndex((v) => v === value));
  const range = values ? { min: 0, max: values.length - 1, step: 1, value: nearest(initial) } : { min: spec.min, max: spec.max, step: spec.step, value: initial };
  const output = h("output", {});
  const input = h("input", { type: "range", name: spec.name, ...range });
  const value = () => (values ? values[Number(input.value)] : Number(input.value));
  const refresh = () => {
    output.textContent = show(value());
    input.setAttribute("aria-valuetext", show(value()));
  };
  input.addEventListener("input", () => { refresh(); onInput(value()); });
  refresh();
  const node = h("label", { class: "hx-control" }, h("span", {}, label), input, output);
  return { node, input, set(next) { input.value = values ? nearest(next) : next; refresh(); } };
}

export function select({ name, label, values, labels, initial }, onInput) {
  const input = h("select", { name }, ...values.map((v, i) => h("option", { value: i, selected: v === initial }, String(labels ? labels[i] : v))));
  input.addEventListener("change", () => onInput(values[Number(input.value)]));
  return { node: h("label", { class: "hx-control" }, h("span", {}, label), input), input, set(next) { input.value = values.indexOf(next); } };
}

// One control from its description: a range for numbers, a list for words.
export const control = (spec, onInput) => (spec.values.every((v) => typeof v === "number") ? slider : select)(spec, onInput);

export const checkbox = (text, checked, onInput, attributes = {}) => h("label", { class: "hx-check", ...attributes },
  h("input", { type: "checkbox", name: text, checked, onchange: (event) => onInput(event.target.checked) }), h("span", {}, text));

// Puts values into "{name}" and "{name:.2f}".
export const fill = (template, values) => template.replace(/\{(\w+)(?::([^}]+))?\}/g, (_, name, spec) => {
  const found = values[name];
  return found !== null && typeof found === "object" ? format(found.value, spec || found.format) : format(found, spec);
});

// The y of a curve at x, between grid points by straight lines; no value outside the grid.
export function interpolate(xs, ys, x) {
  const i = xs.findIndex((v, k) => k + 1 < xs.length && v <= x && x <= xs[k + 1]);
  if (i < 0) return xs.length && x === xs.at(-1) ? ys.at(-1) : null;
  if (!Number.isFinite(ys[i]) || !Number.isFinite(ys[i + 1])) return null;
  return ys[i] + ((ys[i + 1] - ys[i]) * (x - xs[i])) / (xs[i + 1] - xs[i] || 1);
}
