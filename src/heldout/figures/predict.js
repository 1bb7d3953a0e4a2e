// Predict, then reveal: the reader draws a curve, commits, and only then sees the measured one and the distance to it.
import { chart, extent, format, h } from "./plot.js";
import { fill, interpolate, scaffold, slider } from "./controls.js";

// Few enough that one step changes the two digits that a slider shows.
const STEPS = 50;
const SCORE_LOG = "On average your curve is a factor of {factor} away from what was measured ({score:.2f} in log10 units). The largest miss is at {symbol} = {where}: you drew {drawn}, measured {measured}.";
const SCORE_LINEAR = "On average your curve is {score} away from what was measured. The largest miss is at {symbol} = {where}: you drew {drawn}, measured {measured}.";

function compare(data, guess) {
  const log = data.y.scale === "log";
  const gaps = data.anchors.map((x, i) => {
    const measured = interpolate(data.x.values, data.truth.values, x);
    const usable = Number.isFinite(measured) && (!log || measured > 0);
    return { x, drawn: guess[i], measured, gap: usable ? Math.abs(log ? Math.log10(guess[i] / measured) : guess[i] - measured) : null };
  }).filter((each) => each.gap !== null);
  const score = gaps.reduce((sum, each) => sum + each.gap, 0) / gaps.length;
  const worst = gaps.reduce((a, b) => (b.gap > a.gap ? b : a));
  return fill(data.sentence || (log ? SCORE_LOG : SCORE_LINEAR), {
    score, factor: { value: 10 ** score, format: ".2g" }, symbol: data.x.symbol || data.x.label,
    where: { value: worst.x, format: data.x.format }, drawn: { value: worst.drawn, format: data.y.format || ".2g" }, measured: { value: worst.measured, format: data.y.format || ".2g" },
  });
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const log = data.y.scale === "log";
  const [low, high] = data.y.range;
  const toUnit = (y) => (log ? Math.log(y / low) / Math.log(high / low) : (y - low) / (high - low));
  const fromUnit = (u) => (log ? low * (high / low) ** u : low + u * (high - low));
  const start = data.start ?? fromUnit(0.5);
  const saved = model.get("controls") || {};
  let guess = saved.guess || data.anchors.map(() => start);
  let touched = Boolean(saved.guess);
  let committed = Boolean(saved.committed);
  let last = null;

  const publish = () => { model.set("controls", { guess: [...guess], committed }); model.save_changes(); };
  const move = (index, y) => {
    guess[index] = Math.max(low, Math.min(high, y));
    touched = true;
    sliders[index].set(Math.round(STEPS * toUnit(guess[index])));
  };
  const nearest = (x) => data.anchors.reduce((best, a, i) => {
    const far = (v) => Math.abs(data.x.scale === "log" ? Math.log(v / x) : v - x);
    return far(a) < far(data.anchors[best]) ? i : best;
  }, 0);

  // A fast drag may skip anchors between two events; they get the heights on the line between.
  const drag = (x, y, phase) => {
    if (committed) return;
    const now = [nearest(x), y];
    const [from, height] = phase === "start" || !last ? now : last;
    const steps = Math.max(1, Math.abs(now[0] - from));
    for (let k = 0; k <= steps; k += 1) {
      const share = k / steps;
      move(Math.round(from + (now[0] - from) * share), fromUnit(toUnit(height) + (toUnit(y) - toUnit(height)) * share));
    }
    last = phase === "end" ? null : now;
    draw();
    if (phase === "end") publish();
  };

  const picture = () => ({
    alt: committed ? `${model.get("alt")} ${compare(data, guess)}` : `${data.prompt} Your curve so far: ${data.anchors.map((x, i) => `${format(guess[i], data.y.format || ".2g")} at ${format(x, data.x.format)}`).join(", ")}.`,
    x: { ...data.x, range: extent(data.x, data.x.values, 0) },
    y: data.y,
    lines: [
      ...(data.known || []).map((k, i) => ({ ...k, color: k.color ?? i + 2, x: data.x.values, y: k.values })),
      { name: "your curve", color: 1, x: data.anchors, y: guess, dash: committed || !touched },
      ...(committed ? [{ name: data.truth.name, color: 0, x: data.x.values, y: data.truth.values, width: 3, class: "hx-reveal" }] : []),
    ],
    bands: committed && data.truth.low ? [{ color: 0, x: data.x.values, low: data.truth.low, high: data.truth.high, class: "hx-reveal" }] : [],
    points: data.anchors.map((x, i) => ({ x, y: guess[i], color: 1, r: committed ? 3 : 7, class: committed ? "" : "hx-open" })),
    markers: data.markers || [],
  });
  const draw = () => {
    ui.live.textContent = committed ? compare(data, guess) : touched ? "Commit when the curve is what you expect." : "Drag across the chart to draw, or open the sliders below it.";
    commit.disabled = !touched;
    commit.hidden = committed;
    reset.disabled = !touched;
    for (const each of sliders) each.input.disabled = committed;
    view.update(picture());
  };

  const sliders = data.anchors.map((x, i) => {
    const one = slider({
      name: `at ${format(x, data.x.format)}`, label: `at ${data.x.symbol || data.x.label} = ${format(x, data.x.format)}`, min: 0, max: STEPS, step: 1,
      initial: Math.round(STEPS * toUnit(guess[i])), text: (u) => format(fromUnit(u / STEPS), data.y.format || ".2g"),
    }, (u) => { guess[i] = fromUnit(u / STEPS); touched = true; draw(); });
    one.input.addEventListener("change", publish);
    return one;
  });
  const commit = h("button", { type: "button", class: "hx-main", onclick: () => { committed = true; publish(); draw(); ui.live.focus(); } }, "Commit and compare");
  const reset = h("button", { type: "button", onclick: () => { guess = data.anchors.map(() => start); touched = false; committed = false; last = null; sliders.forEach((each) => each.set(Math.round(STEPS * toUnit(start)))); publish(); draw(); } }, "Start again");
  ui.body.append(h("p", { class: "hx-prompt" }, data.prompt));
  const view = chart(ui.body, { ...picture(), readout: false, onDrag: drag, drag: "xy" });
  ui.body.append(
    h("div", { class: "hx-actions" }, commit, reset),
    h("details", {}, h("summary", {}, `Set the curve with ${data.anchors.length} sliders instead`), h("div", { class: "hx-controls" }, ...sliders.map((each) => each.node))),
  );
  draw();
  return () => view.stop();
}

export default { render };
