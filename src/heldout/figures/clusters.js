// Clusters of tokens: pick how many, then leaf through them, the largest first, and read each token in its context.
import { format, h } from "./plot.js";
import { scaffold, select, session, slider } from "./controls.js";

const shown = (text) => text.replace(/\n/g, "↵") || "space";

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const state = { count: data.initial ?? data.counts[0], cluster: 1 };
  const list = h("ul", { class: "hx-contexts", tabindex: 0, "aria-label": "Tokens of the cluster" });
  const walk = h("div", { class: "hx-controls" });
  let place = null;
  const groups = () => {
    const labels = data.labels[data.counts.indexOf(state.count)];
    return counted(labels).map(([label]) => data.tokens.filter((_, i) => labels[i] === label));
  };

  const draw = () => {
    const all = groups();
    state.cluster = Math.min(state.cluster, all.length);
    place.set(state.cluster);
    const mine = all[state.cluster - 1];
    list.replaceChildren(...mine.map((each) => h("li", {}, h("small", {}, each.source), h("span", {}, shown(each.before)), h("mark", {}, shown(each.token)))));
    const [target, times] = counted(mine.map((each) => each.token))[0];
    const sources = counted(mine.map((each) => each.source)).map(([source, n]) => `${source} ${n}`).join(", ");
    ui.live.textContent = `Cluster ${state.cluster} of ${all.length} holds ${mine.length} of ${format(data.tokens.length, ",")} tokens. Its most frequent target is “${shown(target)}”, ${times} of ${mine.length}; by kind of text: ${sources}.`;
  };
  const live = session(model, ui, state, () => {
    if (place === null) fresh();
    draw();
  });
  // Another number of clusters gets another slider.
  function fresh() {
    place = slider({ name: "cluster", label: "Cluster, by size", values: groups().map((_, i) => i + 1), initial: state.cluster, text: (i) => `${i}` }, (i) => { state.cluster = i; live.commit(); });
    walk.replaceChildren(place.node);
  }
  ui.controls.append(select({ name: "count", label: "Number of clusters", values: data.counts, initial: state.count }, (count) => { state.count = count; state.cluster = 1; fresh(); live.commit(); }).node);
  ui.body.append(walk, list);
  fresh();
  draw();
  return live.stop;
}

export default { render };
