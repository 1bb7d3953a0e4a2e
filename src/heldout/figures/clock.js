// Two hands whose angles add, and the logits of every answer: what a network of waves computes from a and b.
import { chart, color, format, h } from "./plot.js";
import { checkbox, scaffold, session, slider } from "./controls.js";

const SIZE = 260; // of the clock face, in its own units
const [MIDDLE, RADIUS] = [SIZE / 2, 96];

// How far the hand of frequency k turns for the number n, in radians; whole turns are left out.
export const angle = (k, n, modulus) => (2 * Math.PI * ((((k * n) % modulus) + modulus) % modulus)) / modulus;

// The logit of every c: the sum over the frequencies of cos(2 pi k (a + b - c) / P).
export const logits = (a, b, frequencies, modulus) => Array.from({ length: modulus }, (_, c) =>
  frequencies.reduce((sum, k) => sum + Math.cos(angle(k, a + b - c, modulus)), 0));

// The answer with the highest logit, the best of the others, and how far it lies below.
export function decide(values) {
  const best = values.indexOf(Math.max(...values));
  const next = values.reduce((at, v, c) => (c !== best && (at === null || v > values[at]) ? c : at), null);
  return { best, next, gap: values[best] - values[next] };
}

const point = (turn, radius) => [MIDDLE + radius * Math.sin(turn), MIDDLE - radius * Math.cos(turn)];

function arc(from, to, radius, tone) {
  const steps = Math.max(2, Math.ceil(60 * Math.abs(to - from)));
  const places = Array.from({ length: steps + 1 }, (_, i) => point(from + ((to - from) * i) / steps, radius));
  return h("path", { d: `M${places.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}`, fill: "none", stroke: tone, "stroke-width": 4, opacity: 0.75 });
}

function hand(turn, length, tone, name, width) {
  const [x, y] = point(turn, length);
  const [tx, ty] = point(turn, name.length === 1 ? length + 10 : RADIUS + 18);
  return [
    h("line", { x1: MIDDLE, y1: MIDDLE, x2: x.toFixed(2), y2: y.toFixed(2), stroke: tone, "stroke-width": width, "stroke-linecap": "round" }),
    h("text", { x: tx.toFixed(2), y: (ty + 5).toFixed(2), "text-anchor": "middle", "font-size": 15, "font-weight": 650, class: "hx-name", style: `--tone:${tone}` }, name),
  ];
}

function face(svg, { k, a, b, modulus }) {
  const [first, second] = [angle(k, a, modulus), angle(k, b, modulus)];
  const ticks = Array.from({ length: modulus }, (_, c) => {
    const [[x1, y1], [x2, y2]] = [point(angle(k, c, modulus), RADIUS), point(angle(k, c, modulus), RADIUS - 5)];
    return h("line", { x1: x1.toFixed(2), y1: y1.toFixed(2), x2: x2.toFixed(2), y2: y2.toFixed(2), class: "hx-tick" });
  });
  svg.replaceChildren(
    h("circle", { cx: MIDDLE, cy: MIDDLE, r: RADIUS, fill: "none", class: "hx-axis" }), ...ticks,
    arc(0, first, 38, color(0)), arc(first, first + second, 48, color(1)),
    ...[...hand(first, 72, color(0), "a", 3), ...hand(second, 72, color(1), "b", 3), ...hand(first + second, 90, color(2), "a + b", 5)],
    h("circle", { cx: MIDDLE, cy: MIDDLE, r: 4, fill: "var(--hx-ink)" }),
  );
}

const degrees = (turn) => `${format((180 * turn) / Math.PI, ".0f")}°`;

function sentence({ k, a, b, modulus }, chosen, values) {
  const turns = [a, b, a + b].map((n) => degrees(angle(k, n, modulus)));
  const clock = `On the clock of frequency ${k} the number ${a} points to ${turns[0]} and ${b} to ${turns[1]}; together they turn to ${turns[2]}.`;
  if (!chosen.length) return `${clock} Choose a frequency to sum.`;
  const { best, next, gap } = decide(values);
  const verdict = best === (a + b) % modulus ? "which is right" : `but ${(a + b) % modulus} is right`;
  return `${clock} Summed over ${chosen.length === 1 ? "one frequency" : `${chosen.length} frequencies`}, the highest logit is at c = ${best}, ${verdict}; the next, at c = ${next}, lies ${format(gap, ".3f")} below.`;
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const { modulus, frequencies, initial = {} } = model.get("data");
  const state = { a: initial.a ?? 12, b: initial.b ?? 40, k: frequencies[0], left: [] };
  const clock = h("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", style: "width:100%;max-width:17rem;height:auto;display:block;margin:0 auto" });
  const side = h("div", { style: "flex:1 1 20rem;min-width:0" });
  ui.body.append(h("div", { style: "display:flex;flex-wrap:wrap;gap:1rem;align-items:center" }, h("div", { style: "flex:1 1 13rem;min-width:0" }, clock), side));
  let view = null;
  const draw = () => {
    const chosen = frequencies.filter((k) => !state.left.includes(k));
    const values = logits(state.a, state.b, chosen, modulus);
    const right = (state.a + state.b) % modulus;
    const text = sentence({ ...state, modulus }, chosen, values);
    const bars = (wanted) => {
      const kept = values.map((v, c) => [c, v]).filter(([c]) => wanted(c));
      return { x: kept.flatMap(([c]) => [c, c, NaN]), y: kept.flatMap(([, v]) => [0, v, NaN]) };
    };
    const next = {
      alt: `Logits of the answers. ${text}`,
      x: { label: "answer c", range: [-1, modulus], format: "," },
      y: { label: "logit", range: [-1.08 * frequencies.length, 1.08 * frequencies.length], format: ".2f" },
      lines: [{ name: "other answers", color: 5, width: 3, ...bars((c) => c !== right) }, { name: "a + b", color: 2, width: 5, ...bars((c) => c === right) }],
      markers: [{ label: `a + b = ${right}`, value: right }, { axis: "y", label: "", value: 0 }],
    };
    face(clock, { ...state, modulus });
    clock.setAttribute("aria-label", `A clock. ${text}`);
    ui.live.textContent = text;
    if (view) view.update(next);
    else view = chart(side, { ...next, readout: false, legend: false, height: 300 });
  };
  const live = session(model, ui, state, draw);
  const number = (name) => slider({ name, label: `Number ${name}`, min: 0, max: modulus - 1, step: 1, initial: state[name], format: "," }, (n) => { state[name] = n; live.commit(); }).node;
  ui.controls.append(
    number("a"), number("b"),
    slider({ name: "k", label: "Frequency on the clock", values: frequencies, initial: state.k, format: "," }, (k) => { state.k = k; live.commit(); }).node,
  );
  ui.body.append(h("div", { class: "hx-actions" }, h("span", {}, "Sum the frequencies"), ...frequencies.map((k) => checkbox(`${k}`, !state.left.includes(k), (on) => {
    state.left = on ? state.left.filter((other) => other !== k) : [...state.left, k];
    live.commit();
  }))));
  draw();
  return () => { live.stop(); view.stop(); };
}

export default { render };
