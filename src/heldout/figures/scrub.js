// Step through model capacities: the fitted function on one chart, its test error on a second, linked one.
import { chart, extent, h } from "./plot.js";
import { control, fill, scaffold, select, session } from "./controls.js";

const SENTENCE = "At {symbol} = {capacity} ({basis}): test error {test_error}.";
const SENTENCE_TRAIN = "At {symbol} = {capacity} ({basis}): training error {train_error}, test error {test_error}.";

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const sizes = data.capacity.values;
  const state = { capacity: data.capacity.initial ?? sizes[0], basis: data.bases[0].name };
  const [left, right] = [h("div"), h("div")];
  ui.body.append(h("div", { class: "hx-pair" }, left, right));
  const symbol = data.capacity.symbol || data.capacity.label;
  let views = null;

  const draw = (now) => {
    const basis = now.bases.find((b) => b.name === state.basis);
    const place = sizes.indexOf(state.capacity);
    const values = {
      symbol, basis: basis.name, capacity: { value: state.capacity, format: now.capacity.format || "," },
      test_error: { value: basis.test_error[place], format: now.error.format }, train_error: { value: basis.train_error ? basis.train_error[place] : null, format: now.error.format },
    };
    const sentence = fill(now.sentence || (basis.train_error ? SENTENCE_TRAIN : SENTENCE), values);
    const errors = now.bases.flatMap((b) => [b.test_error, b.train_error || []]);
    const fit = {
      alt: `Fitted function. ${sentence}`,
      x: { ...now.x, range: extent(now.x, now.x.values, 0) },
      y: now.y,
      lines: [
        ...(now.target ? [{ name: "target", color: "var(--hx-muted)", dash: true, width: 1.75, x: now.x.values, y: now.target }] : []),
        { name: "fit", color: 0, width: 2.5, x: now.x.values, y: basis.fits[place] },
      ],
      points: now.points.x.map((x, i) => ({ x, y: now.points.y[i], r: 5, color: "var(--hx-ink)" })),
    };
    const test = {
      alt: `${model.get("alt")} ${sentence}`,
      x: { ...now.capacity, range: extent(now.capacity, sizes, 0) },
      y: { ...now.error, range: extent(now.error, errors) },
      lines: [
        { name: "test error", color: 1, x: sizes, y: basis.test_error },
        ...(basis.train_error ? [{ name: "training error", color: 2, width: 1.75, x: sizes, y: basis.train_error }] : []),
      ],
      points: [{ x: state.capacity, y: basis.test_error[place], r: 6, color: 1, class: "hx-open" }],
      markers: [...(now.markers || []), { label: "", value: state.capacity, strong: true }],
    };
    ui.live.textContent = sentence;
    if (views) { views[0].update(fit); views[1].update(test); }
    else views = [chart(left, { ...fit, readout: false, legend: true, height: 330 }), chart(right, { ...test, readout: false, legend: true, height: 330, onDrag: drag })];
  };
  const live = session(model, ui, state, draw);
  const size = control({ ...data.capacity, name: data.capacity.name || "capacity", label: data.capacity.label, values: sizes, initial: state.capacity, format: data.capacity.format || "," }, (value) => { state.capacity = value; live.commit(); });
  const far = (a, b) => Math.abs(data.capacity.scale === "log" ? Math.log(a / b) : a - b);
  function drag(x) {
    state.capacity = sizes.reduce((best, v) => (far(v, x) < far(best, x) ? v : best));
    size.set(state.capacity);
    live.commit();
  }
  if (data.bases.length > 1) {
    ui.controls.append(select({ name: "basis", label: data.basis_label || "Basis", values: data.bases.map((b) => b.name), initial: state.basis }, (value) => { state.basis = value; live.commit(); }).node);
  }
  ui.controls.append(size.node);
  draw(data);
  return () => { live.stop(); views.forEach((view) => view.stop()); };
}

export default { render };
