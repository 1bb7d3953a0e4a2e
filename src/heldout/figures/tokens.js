// A text token by token: each with its loss below it, and for the chosen one what the model expected instead.
import { format, h } from "./plot.js";
import { scaffold, select, session, slider } from "./controls.js";

const shown = (text) => text.replace(/\n/g, "↵").replace(/^\s+|\s+$/g, "") || "space";
const quoted = (text) => `“${shown(text)}”`;
const percent = (value) => (value < 0.001 ? "under 0.1%" : format(value, value < 0.1 ? ".1%" : ".0%"));
const ordinal = (n) => {
  const end = n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] || "th";
  return `${format(n, ",")}${end}`;
};

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const names = data.texts.map((text) => text.name);
  const state = { text: names[0], reading: data.texts[0].readings[0].name, place: -1 };
  const chosen = () => data.texts[names.indexOf(state.text)];
  const costliest = (losses) => losses.indexOf(Math.max(...losses));
  const words = h("p", { class: "hx-tokens" });
  const summary = h("p", { class: "hx-prompt" });
  const legend = h("p", { class: "hx-caption" }, `Below each token its loss in nats; the stronger the tint, the larger. Underlined: a loss below ${format(data.hit, ".2g")} nats, a hit.`);
  const walk = h("div", { class: "hx-controls" });
  let place = null;

  const draw = () => {
    const { tokens, readings } = chosen();
    const { loss, rank, best, probability } = readings.find((each) => each.name === state.reading) || readings[0];
    if (state.place < 0 || state.place >= tokens.length) state.place = costliest(loss);
    const hits = loss.filter((value) => value < data.hit).length;
    summary.textContent = `${tokens.length} tokens, ${format(loss.reduce((a, b) => a + b, 0) / loss.length, ".2f")} nats on average; hits: ${hits}; first choices: ${rank.filter((r) => r === 0).length}.`;
    words.replaceChildren(...tokens.map((token, i) => {
      const classes = `hx-token${/^\s/.test(token) ? " hx-word" : ""}${loss[i] < data.hit ? " hx-hit" : ""}${i === state.place ? " hx-chosen" : ""}`;
      const node = h("span", { class: classes, style: `--tint:${Math.round(40 * Math.min(1, Math.sqrt(loss[i] / 8)))}%` }, h("span", {}, shown(token)), h("small", {}, format(loss[i], loss[i] < 0.095 ? ".2f" : ".1f")));
      node.addEventListener("click", () => { state.place = i; place.set(i); live.commit(); });
      return node;
    }));
    const i = state.place;
    const given = Math.exp(-loss[i]);
    const others = best[i].map((text, k) => `${quoted(text)} ${percent(probability[i][k])}`).join(", ");
    ui.live.textContent = `${quoted(tokens[i])} costs ${format(loss[i], ".2f")} nats: the model gave it ${percent(given)}, as its ${ordinal(rank[i] + 1)} choice. Its first choices: ${others}.`;
    place.set(i);
  };
  const live = session(model, ui, state, () => {
    if (place === null) fresh();
    draw();
  });
  // A new verse has another number of tokens, so it gets another slider.
  function fresh() {
    const { tokens } = chosen();
    place = slider({ name: "place", label: "Token", values: tokens.map((_, i) => i), initial: Math.max(0, state.place), text: (i) => `${i + 1} of ${tokens.length}: ${shown(tokens[i])}` }, (i) => { state.place = i; live.commit(); });
    walk.replaceChildren(place.node);
  }
  ui.controls.append(
    select({ name: "text", label: data.label || "Text", values: names, initial: state.text }, (name) => { state.text = name; state.place = -1; fresh(); live.commit(); }).node,
    select({ name: "reading", label: "Reading", values: data.texts[0].readings.map((each) => each.name), initial: state.reading }, (name) => { state.reading = name; live.commit(); }).node,
  );
  ui.body.append(summary, words, walk, legend);
  fresh();
  draw();
  return live.stop;
}

export default { render };
