// Runs one explorable on a page without a kernel: a model that lives in the page, and the module from a Blob.
const figure = document.querySelector('[data-heldout="__ID__"]:not([data-ready])');
figure.dataset.ready = "";
const root = figure.querySelector(".hx-root");
const state = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
const listeners = {};
const model = {
  get: (key) => state[key],
  set(key, value) {
    state[key] = value;
    (listeners[`change:${key}`] ?? []).forEach((call) => call());
  },
  on(event, call) { (listeners[event] ??= []).push(call); },
  off(event, call) { listeners[event] = (listeners[event] ?? []).filter((each) => each !== call); },
  save_changes() {},
};
const address = URL.createObjectURL(new Blob([__ESM__], { type: "text/javascript" }));
try {
  (await import(address)).default.render({ model, el: root });
} catch (problem) {
  root.textContent = state.alt;
  throw problem;
} finally {
  URL.revokeObjectURL(address);
}
