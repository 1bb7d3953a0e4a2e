// Points to drag, and four curves through all of them, computed here: polynomial, two splines, and a minimum-norm fit.
import { chart, color, format, h } from "./plot.js";
import { checkbox, scaffold, session, slider } from "./controls.js";

export const CURVES = ["polynomial", "minimum norm", "cubic spline", "linear spline"];
const COLORS = [1, 0, 3, 2];
const GAP = 0.02; // the least distance between two points
const SHAKE = 0.05; // how far a shake moves a value at most
const REACH = 0.13; // how near to a point, in shares of the chart, a drag takes hold of it
const NAMES = { even: "even points", chebyshev: "Chebyshev points", moved: "points moved by hand" };

export const places = (kind, n) => Array.from({ length: n }, (_, i) => (kind === "chebyshev" ? -Math.cos((Math.PI * i) / (n - 1)) : -1 + (2 * i) / (n - 1)));

const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

// Rows of cardinal functions: the curve's value at each place as a weighted sum of the values at the points.
function polynomialRows(xs, at) {
  const weights = xs.map((x, i) => 1 / xs.reduce((product, other, j) => (i === j ? product : product * (x - other)), 1));
  return at.map((x) => {
    const hit = xs.indexOf(x);
    if (hit >= 0) return xs.map((_, i) => Number(i === hit));
    const all = xs.reduce((product, other) => product * (x - other), 1);
    return xs.map((other, i) => (all * weights[i]) / (x - other));
  });
}

const piece = (xs, x) => Math.max(0, Math.min(xs.length - 2, xs.findLastIndex((v) => v <= x)));

function linearRows(xs, at) {
  return at.map((x) => {
    const k = piece(xs, x);
    const share = (x - xs[k]) / (xs[k + 1] - xs[k]);
    return xs.map((_, i) => (i === k ? 1 - share : i === k + 1 ? share : 0));
  });
}

// Second derivatives of the natural spline at the points: a tridiagonal system, dominated by its diagonal.
function curvatures(xs, ys) {
  const n = xs.length;
  const [upper, right] = [Array(n).fill(0), Array(n).fill(0)];
  for (let i = 1; i < n - 1; i += 1) {
    const [before, after] = [xs[i] - xs[i - 1], xs[i + 1] - xs[i]];
    const pivot = 2 * (before + after) - before * upper[i - 1];
    upper[i] = after / pivot;
    right[i] = (6 * ((ys[i + 1] - ys[i]) / after - (ys[i] - ys[i - 1]) / before) - before * right[i - 1]) / pivot;
  }
  for (let i = n - 2; i > 0; i -= 1) right[i] -= upper[i] * right[i + 1];
  return right;
}

function cubicRows(xs, at) {
  const unit = xs.map((_, i) => xs.map((__, j) => Number(i === j)));
  const bends = unit.map((ys) => curvatures(xs, ys));
  return at.map((x) => {
    const k = piece(xs, x);
    const width = xs[k + 1] - xs[k];
    const [a, b] = [(xs[k + 1] - x) / width, (x - xs[k]) / width];
    return unit.map((ys, i) => a * ys[k] + b * ys[k + 1] + (((a ** 3 - a) * bends[i][k] + (b ** 3 - b) * bends[i][k + 1]) * width ** 2) / 6);
  });
}

// The first p features at x: Legendre polynomials P_k, divided by k + 1 so that a short vector prefers low degrees.
function features(x, p) {
  const values = [1, x];
  for (let k = 1; k < p - 1; k += 1) values.push(((2 * k + 1) * x * values[k] - k * values[k - 1]) / (k + 1));
  return values.slice(0, p).map((v, k) => v / (k + 1));
}

// Through the thin QR factors of the transposed design, by Gram-Schmidt done twice: squaring nothing, it keeps its digits.
function minimumNormRows(xs, at, p) {
  const columns = [];
  const triangle = xs.map(() => xs.map(() => 0));
  xs.forEach((x, j) => {
    let column = features(x, p);
    for (let pass = 0; pass < 2; pass += 1) {
      columns.forEach((q, i) => {
        const along = dot(q, column);
        triangle[i][j] += along;
        column = column.map((v, k) => v - along * q[k]);
      });
    }
    triangle[j][j] = Math.sqrt(dot(column, column));
    columns.push(column.map((v) => v / triangle[j][j]));
  });
  return at.map((x) => {
    const phi = features(x, p);
    const row = columns.map((q) => dot(q, phi));
    for (let i = row.length - 1; i >= 0; i -= 1) {
      for (let j = i + 1; j < row.length; j += 1) row[i] -= triangle[i][j] * row[j];
      row[i] /= triangle[i][i];
    }
    return row;
  });
}

export function cardinals(curve, xs, at, p) {
  if (curve === "polynomial") return polynomialRows(xs, at);
  if (curve === "minimum norm") return minimumNormRows(xs, at, p);
  return curve === "cubic spline" ? cubicRows(xs, at) : linearRows(xs, at);
}

// Each curve on the grid, its largest miss at the points, its largest swing beyond them, and its Lebesgue constant.
export function measure(curve, xs, ys, grid, p) {
  const rows = cardinals(curve, xs, grid, p);
  const values = rows.map((row) => dot(row, ys));
  const misses = cardinals(curve, xs, xs, p).map((row, i) => Math.abs(dot(row, ys) - ys[i]));
  const sums = rows.map((row) => row.reduce((sum, v) => sum + Math.abs(v), 0));
  const worst = sums.indexOf(Math.max(...sums));
  return {
    values, worst: rows[worst].map(Math.sign), miss: Math.max(...misses), magnification: sums[worst],
    swing: Math.max(0, Math.max(...values) - Math.max(...ys), Math.min(...ys) - Math.min(...values)),
  };
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const [low, high] = data.y.range;
  const pole = data.pole ?? 0.2;
  const target = (x) => 1 / (1 + (x / pole) ** 2);
  const grid = Array.from({ length: 401 }, (_, i) => -1 + i / 200);
  const state = { n: data.count.initial, extra: data.extra.initial, kind: data.nodes || "even", placed: data.nodes || "even", flat: false, xs: [], ys: [], chosen: Math.floor(data.count.initial / 2), hidden: [], whole: false };
  const value = (x) => (state.flat ? 0 : target(x));
  let view = null;
  let held = null;
  let noise = 1;
  let found = [];

  function place(kind) {
    state.kind = kind;
    state.placed = kind;
    state.xs = places(kind, state.n);
    state.ys = state.xs.map(value);
    state.chosen = Math.min(state.chosen, state.n - 1);
  }
  const random = () => { noise = (noise * 48271) % 2147483647; return (2 * noise) / 2147483647 - 1; };
  const shake = (by) => { state.ys = state.ys.map((y, i) => Math.max(low, Math.min(high, y + SHAKE * by(i)))); };
  const inside = () => state.chosen > 0 && state.chosen < state.n - 1;
  const limits = (i) => (i > 0 && i < state.n - 1 ? [state.xs[i - 1] + GAP, state.xs[i + 1] - GAP] : [state.xs[i], state.xs[i]]);

  function moveTo(x, y) {
    const i = state.chosen;
    const [from, to] = limits(i);
    const next = Math.max(from, Math.min(to, x));
    if (Math.abs(next - state.xs[i]) > 1e-12) state.kind = "moved";
    state.xs[i] = next;
    state.ys[i] = Math.max(low, Math.min(high, y));
    live.commit();
  }

  function drag(x, y, phase) {
    const [bottom, top] = view.range;
    const far = (i) => Math.hypot((state.xs[i] - x) / 2, (0.6 * (state.ys[i] - y)) / (top - bottom));
    if (phase === "start") {
      const nearest = state.xs.reduce((best, _, i) => (far(i) < far(best) ? i : best), 0);
      held = far(nearest) < REACH ? nearest : null;
      if (held !== null) { state.chosen = held; live.commit(); }
      return;
    }
    if (held === null) return;
    moveTo(Math.round(100 * x) / 100, Math.round(100 * y) / 100);
    if (phase === "end") held = null;
  }

  function sentence(shown) {
    if (!shown.length) return `${state.n} ${NAMES[state.kind]}. Show a curve to measure it.`;
    const miss = Math.max(...shown.map((c) => c.miss));
    const swings = shown.map((c) => `${c.name} ${format(c.swing, ".2f")}`);
    return `${state.n} ${NAMES[state.kind]}; point ${state.chosen + 1} at x = ${format(state.xs[state.chosen], ".2f")}, y = ${format(state.ys[state.chosen], ".2f")}. `
      + `Largest miss at the points: ${format(miss, ".0e")}. Largest swing beyond them: ${swings.join(", ")}.`;
  }

  const draw = () => {
    const p = state.n + state.extra;
    found = CURVES.map((name, i) => ({ name, color: COLORS[i], ...measure(name, state.xs, state.ys, grid, p) }));
    const shown = found.filter((c) => !state.hidden.includes(c.name));
    const all = shown.flatMap((c) => c.values);
    const range = state.whole ? [Math.min(low, ...all), Math.max(high, ...all)] : [low, high];
    const text = sentence(shown);
    const next = {
      alt: `${model.get("alt")} ${text}`,
      x: { ...data.x, range: [-1, 1] },
      y: { ...data.y, range },
      lines: [
        { name: "target", label: false, color: "var(--hx-muted)", dash: true, width: 1.5, x: grid, y: grid.map(value) },
        ...shown.toReversed().map((c) => ({ name: c.name, label: false, color: c.color, width: 2.5, x: grid, y: c.values })),
      ],
      points: state.xs.map((x, i) => ({ x, y: state.ys[i], r: i === state.chosen ? 8 : 6, color: "var(--hx-ink)", class: i === state.chosen ? "hx-open" : "" })),
    };
    ui.live.textContent = text;
    found.forEach((c, i) => {
      const cells = state.hidden.includes(c.name) ? ["–", "–", "–"] : [format(c.miss, ".0e"), format(c.swing, ".2f"), format(c.magnification, ".3g")];
      cells.forEach((cell, k) => { table[i].cells[k].textContent = cell; });
    });
    if (view) view.update(next);
    else view = chart(ui.body, { ...next, readout: false, legend: false, onDrag: drag, drag: "xy", height: 380 });
    view.range = range;
    show();
  };

  const live = session(model, ui, state, draw);
  const count = slider({ ...data.count, name: "count", label: "Points n", step: 1, format: "," }, (n) => { state.n = n; place(state.placed); live.commit(); });
  const extra = slider({ ...data.extra, name: "extra", label: "Functions p, minimum norm", step: 1, text: (k) => (k ? `${state.n + k} = n + ${k}` : `${state.n} = n`) }, (k) => { state.extra = k; live.commit(); });
  const point = slider({ name: "point", label: "Chosen point", min: 1, max: data.count.initial, step: 1, initial: 1, format: "," }, (i) => { state.chosen = i - 1; live.commit(); });
  const across = slider({ name: "place", label: "Its place x", min: -1, max: 1, step: 0.01, initial: 0, format: ".2f" }, (x) => moveTo(x, state.ys[state.chosen]));
  const height = slider({ name: "height", label: "Its height y", min: low, max: high, step: 0.01, initial: 0, format: ".2f" }, (y) => moveTo(state.xs[state.chosen], y));

  // Brings every control in line with the state.
  function show() {
    const [from, to] = limits(state.chosen);
    Object.assign(point.input, { max: state.n });
    Object.assign(across.input, { min: Math.ceil(100 * from - 1e-9) / 100, max: Math.floor(100 * to + 1e-9) / 100, disabled: !inside() });
    count.set(state.n);
    extra.set(state.extra);
    point.set(state.chosen + 1);
    across.set(state.xs[state.chosen]);
    height.set(state.ys[state.chosen]);
  }

  const button = (text, act) => h("button", { type: "button", onclick: () => { act(); live.commit(); } }, text);
  const table = CURVES.map((name, i) => {
    const input = h("input", { type: "checkbox", name, checked: !state.hidden.includes(name), onchange: (event) => {
      state.hidden = event.target.checked ? state.hidden.filter((other) => other !== name) : [...state.hidden, name];
      live.commit();
    } });
    const cells = [h("td"), h("td"), h("td")];
    const label = h("label", { class: "hx-check" }, input, h("span", { class: "hx-swatch", style: `--tone:${color(COLORS[i])}` }, name));
    return { cells, row: h("tr", {}, h("th", { scope: "row" }, label), ...cells) };
  });
  const heads = ["Curve", "Miss", "Swing", "Gain"].map((text) => h("th", { scope: "col" }, text));
  ui.controls.append(count.node, extra.node);
  ui.body.append(h("div", { class: "hx-actions" },
    button("Even points", () => place("even")),
    button("Chebyshev points", () => place("chebyshev"))), h("div", { class: "hx-actions" },
    button("Runge’s function", () => { state.flat = false; place(state.placed); }),
    button("Flat line", () => { state.flat = true; place(state.placed); }),
    button("Shake the values", () => shake(random)),
    button("Worst shake", () => shake((i) => found[0].worst[i]))));
  if (!state.xs.length) place(state.placed);
  draw();
  Object.assign(view.box, { tabIndex: 0 });
  view.box.setAttribute("role", "group");
  view.box.setAttribute("aria-label", "The points. Left and right arrow keys choose one, up and down raise or lower it, with Shift left and right move it sideways.");
  view.box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const i = state.chosen;
    if (step[1] || event.shiftKey) moveTo(state.xs[i] + 0.02 * step[0], state.ys[i] + 0.05 * step[1]);
    else { state.chosen = Math.max(0, Math.min(state.n - 1, i + step[0])); live.commit(); }
  });
  ui.body.append(
    checkbox("Show the whole height of the curves", state.whole, (on) => { state.whole = on; live.commit(); }),
    h("details", {}, h("summary", {}, "Move a point with sliders instead"), h("div", { class: "hx-controls" }, point.node, across.node, height.node)),
  );
  ui.live.after(h("div", { class: "hx-scroll" }, h("table", { class: "hx-table" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...table.map((each) => each.row)))));
  return () => { live.stop(); view.stop(); };
}

export default { render };
