// The exact risk of least squares on p of d Gaussian features (Belkin, Hsu and Xu, arXiv 1903.07571, Theorem 1).
import { chart } from "./plot.js";
import { fill, scaffold, select, session, slider } from "./controls.js";

// Share of the squared weights, |w|² = 1, that lies on the first p of d features.
export function captured(p, d, spectrum) {
  if (spectrum === "even") return p / d;
  let [inside, total] = [0, 0];
  for (let j = 1; j <= d; j += 1) {
    total += 1 / j ** 2;
    if (j <= p) inside += 1 / j ** 2;
  }
  return inside / total;
}

// Expected squared error on a noisy target with p of d features, n samples and noise standard deviation `noise`.
export function risk({ n, d, p, noise, spectrum = "even" }) {
  const used = captured(p, d, spectrum);
  const unexplained = 1 - used + noise ** 2;
  if (p <= n - 2) return unexplained * (1 + p / (n - p - 1));
  if (p <= n + 1) return Infinity;
  return used * (1 - n / p) + unexplained * (1 + n / (p - n - 1));
}

const SENTENCE = "At p = {p}: risk {risk}. Best below the threshold: {below} at p = {below_p}; best above it: {above} at p = {above_p}. Predicting 0 costs {zero}.";
const SENTENCE_NONE = "At p = {p}: risk {risk}. Best below the threshold: {below} at p = {below_p}; no model here lies above it. Predicting 0 costs {zero}.";

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const state = { n: data.samples.initial, d: data.features.initial, noise: data.noise.initial, spectrum: data.spectrum || "even", p: data.p ?? data.samples.initial };
  let view = null;
  const draw = () => {
    state.p = Math.min(state.p, state.d);
    const ps = Array.from({ length: state.d + 1 }, (_, p) => p);
    const risks = ps.map((p) => risk({ ...state, p }));
    const best = (from, to) => ps.filter((p) => p >= from && p <= to && Number.isFinite(risks[p])).reduce((a, p) => (a === null || risks[p] < risks[a] ? p : a), null);
    const [below, above] = [best(0, state.n - 2), best(state.n + 2, state.d)];
    const sentence = fill(above === null ? SENTENCE_NONE : SENTENCE, {
      p: { value: state.p, format: "," }, risk: Number.isFinite(risks[state.p]) ? risks[state.p] : "infinite", below: risks[below], below_p: { value: below, format: "," },
      above: risks[above], above_p: { value: above, format: "," }, zero: 1 + state.noise ** 2,
    });
    const next = {
      alt: `${model.get("alt")} ${sentence}`,
      x: { label: "number of features used, p", symbol: "p", scale: "linear", range: [0, state.d], format: "," },
      y: { label: "risk (expected squared error)", scale: "log", range: data.range || [0.1, 100] },
      lines: [{ name: "risk", label: false, color: 0, x: ps, y: risks, width: 2.5 }],
      points: [{ x: state.p, y: risks[state.p], color: 0, r: 6, class: "hx-open" }],
      markers: [
        ...(state.n <= state.d ? [{ label: `p = n = ${state.n}`, value: state.n }] : []),
        { label: "", value: state.p, strong: true },
        { axis: "y", label: "predicting 0", value: 1 + state.noise ** 2 },
      ],
    };
    ui.live.textContent = sentence;
    if (view) view.update(next);
    else view = chart(ui.body, next);
  };
  const live = session(model, ui, state, draw);
  const range = (name, spec, label, format, after) => slider({ ...spec, name, label, step: spec.step ?? 1, initial: state[name], format }, (value) => { state[name] = value; after?.(value); live.commit(); });
  const probe = range("p", { min: 0, max: state.d }, "Features used, p", ",");
  const limit = (d) => { probe.input.max = d; state.p = Math.min(state.p, d); probe.set(state.p); };
  ui.controls.append(
    probe.node,
    range("n", data.samples, "Samples, n", ",").node,
    range("d", data.features, "Features in all, d", ",", limit).node,
    range("noise", { step: 0.05, ...data.noise }, "Noise, standard deviation", ".2f").node,
    select({ name: "spectrum", label: "Weights", values: ["even", "decaying"], labels: ["spread evenly", "decaying in order, 1/j²"], initial: state.spectrum }, (value) => { state.spectrum = value; live.commit(); }).node,
  );
  draw();
  return () => { live.stop(); view.stop(); };
}

export default { render };
