// A few points, several curves through all of them, and a probe: equal training loss, different functions.
import { chart, color, extent, format, h } from "./plot.js";
import { fill, interpolate, scaffold, session, slider } from "./controls.js";

const SENTENCE = "Training loss {losses}; at {symbol} = {x} the {shown} curves differ by up to {spread}.";

// The middle of the widest gap between neighboring points: there the data say least.
function widestGap(xs) {
  const sorted = [...xs].sort((a, b) => a - b);
  const i = sorted.slice(1).reduce((best, x, k) => (x - sorted[k] > sorted[best + 1] - sorted[best] ? k : best), 0);
  return (sorted[i] + sorted[i + 1]) / 2;
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const range = extent(data.x, data.x.values, 0);
  const step = (range[1] - range[0]) / 100;
  const state = { x: range[0] + Math.round(((data.probe ?? widestGap(data.points.x)) - range[0]) / step) * step, hidden: [] };
  const loss = (value) => (value !== null && value < (data.zero ?? 1e-9) ? "0" : format(value, ".2g"));
  let view = null;

  const probe = slider({ name: "probe", label: `Probe: ${data.x.label}`, min: range[0], max: range[1], step, initial: state.x, format: data.x.format || ".2f" }, (x) => { state.x = x; live.commit(); });
  const drag = (x) => {
    state.x = Math.round((x - range[0]) / step) * step + range[0];
    probe.set(state.x);
    live.commit();
  };
  const rows = h("tbody");
  const cells = [];
  const table = h("table", { class: "hx-table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Curve"), h("th", { scope: "col" }, "Training loss"), h("th", { scope: "col" }, "Value at the probe"))), rows);

  const draw = (now) => {
    const values = now.curves.map((c) => interpolate(now.x.values, c.values, state.x));
    const shown = now.curves.map((c, i) => ({ ...c, color: c.color ?? i, at: values[i] })).filter((c) => !state.hidden.includes(c.name));
    const finite = shown.map((c) => c.at).filter(Number.isFinite);
    const spread = finite.length > 1 ? Math.max(...finite) - Math.min(...finite) : 0;
    const template = shown.length > 1 ? now.sentence || SENTENCE : "Show at least two curves to compare them.";
    const sentence = fill(template, {
      losses: shown.map((c) => loss(c.training_loss)).join(" = "), shown: shown.length, symbol: now.x.symbol || "x",
      x: { value: state.x, format: now.x.format || ".2f" }, spread: { value: spread, format: now.y.format || ".2f" },
    });
    const next = {
      alt: `${model.get("alt")} ${sentence}`,
      x: { ...now.x, range },
      y: { ...now.y, range: extent(now.y, [now.curves.map((c) => c.values), now.points.y], 0.08) },
      lines: [
        ...shown.map((c) => ({ ...c, label: false, x: now.x.values, y: c.values })),
        ...(finite.length > 1 ? [{ label: false, class: "hx-spread", color: "var(--hx-ink)", width: 9, x: [state.x, state.x], y: [Math.min(...finite), Math.max(...finite)] }] : []),
      ],
      points: [
        ...now.points.x.map((x, i) => ({ x, y: now.points.y[i], r: 6, color: "var(--hx-ink)" })),
        ...shown.map((c) => ({ x: state.x, y: c.at, r: 6, color: c.color, class: "hx-open" })),
      ],
      markers: [{ label: `${now.x.symbol || "x"} = ${format(state.x, now.x.format || ".2f")}`, value: state.x, strong: true }],
    };
    ui.live.textContent = sentence;
    cells.forEach((cell, i) => { cell.textContent = state.hidden.includes(now.curves[i].name) ? "–" : format(values[i], now.y.format || ".2f"); });
    if (view) view.update(next);
    else view = chart(ui.body, { ...next, readout: false, legend: false, onDrag: drag });
  };
  const live = session(model, ui, state, draw);
  data.curves.forEach((curve, i) => {
    const cell = h("td");
    cells.push(cell);
    const input = h("input", { type: "checkbox", name: curve.name, checked: !state.hidden.includes(curve.name), onchange: (event) => {
      state.hidden = event.target.checked ? state.hidden.filter((n) => n !== curve.name) : [...state.hidden, curve.name];
      live.commit();
    } });
    rows.append(h("tr", {}, h("th", { scope: "row" }, h("label", { class: "hx-check" }, input, h("span", { class: "hx-swatch", style: `--tone:${color(curve.color ?? i)}` }, curve.name))), h("td", {}, loss(curve.training_loss)), cell));
  });
  draw(data);
  probe.node.style.maxWidth = "none";
  ui.body.append(h("div", { class: "hx-controls" }, probe.node));
  ui.live.after(h("div", { class: "hx-scroll" }, table));
  return () => { live.stop(); view.stop(); };
}

export default { render };
