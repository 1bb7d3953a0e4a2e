// A record with one or more control axes, shown one frame at a time: sliders pick the frame, chart and sentence follow.
import { chart, extent } from "./plot.js";
import { control, fill, scaffold, session } from "./controls.js";

// Picks from an array nested over the controls in `by`, in that order.
const pick = (nested, by, places) => (by || []).reduce((part, name) => part[places[name]], nested);

function reduce(lookup, series, xs, state, places) {
  if (lookup.values !== undefined) return pick(lookup.values, lookup.by, places);
  const one = series.find((each) => each.name === lookup.series);
  const ys = pick(one.values, one.by, places);
  const finite = ys.map((y, i) => [y, xs[i]]).filter(([y]) => Number.isFinite(y));
  if (!finite.length) return null;
  const best = (better) => finite.reduce((a, b) => (better(b[0], a[0]) ? b : a));
  const less = (a, b) => a < b;
  const more = (a, b) => a > b;
  if (lookup.stat === "at") {
    const goal = lookup.control ? state[lookup.control] : lookup.x;
    return finite.reduce((a, b) => (Math.abs(b[1] - goal) < Math.abs(a[1] - goal) ? b : a))[0];
  }
  return { min: () => best(less)[0], max: () => best(more)[0], argmin: () => best(less)[1], argmax: () => best(more)[1], first: () => finite[0][0], last: () => finite.at(-1)[0] }[lookup.stat]();
}

function frame(data, state, alt) {
  const places = Object.fromEntries(data.controls.map((c) => [c.name, Math.max(0, c.values.indexOf(state[c.name]))]));
  const xs = data.x.values;
  const all = data.series.flatMap((s) => [s.values, s.low || [], s.high || []]);
  const shown = data.series.flatMap((s) => [s.values, s.low || [], s.high || []].map((v) => (v.length ? pick(v, s.by, places) : [])));
  const at = (marker) => (marker.control ? state[marker.control] : marker.values ? pick(marker.values, marker.by, places) : marker.value);
  const values = Object.fromEntries(data.controls.map((c) => [c.name, { value: state[c.name], format: c.format }]));
  for (const [name, lookup] of Object.entries(data.lookups || {})) values[name] = { value: reduce(lookup, data.series, xs, state, places), format: lookup.format };
  const sentence = fill(data.sentence, values);
  return {
    sentence,
    alt: `${alt} ${sentence}`,
    x: { ...data.x, range: extent(data.x, xs, 0) },
    y: { ...data.y, range: extent(data.y, data.y.free ? shown : all) },
    lines: data.series.map((s, i) => ({ ...s, color: s.color ?? i, x: xs, y: pick(s.values, s.by, places) })),
    bands: data.series.flatMap((s, i) => (s.low && s.high ? [{ color: s.color ?? i, x: xs, low: pick(s.low, s.by, places), high: pick(s.high, s.by, places) }] : [])),
    points: data.series.flatMap((s, i) => {
      const ys = pick(s.values, s.by, places);
      return s.points ? xs.map((x, k) => ({ x, y: ys[k], color: s.color ?? i, r: 3 })) : [];
    }),
    markers: (data.markers || []).map((m) => ({ ...m, value: at(m), label: fill(m.label, values), strong: Boolean(m.control) })),
  };
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const state = Object.fromEntries(data.controls.map((c) => [c.name, c.initial ?? c.values[0]]));
  let view = null;
  const draw = (now) => {
    const next = frame(now, state, model.get("alt"));
    ui.live.textContent = next.sentence;
    if (view) view.update(next);
    else view = chart(ui.body, next);
  };
  const live = session(model, ui, state, draw, { wait: true });
  for (const spec of data.controls) {
    ui.controls.append(control({ ...spec, initial: state[spec.name] }, (value) => { state[spec.name] = value; live.commit(); }).node);
  }
  draw(data);
  return () => { live.stop(); view.stop(); };
}

export default { render };
