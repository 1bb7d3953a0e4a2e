// A small network that is trained on sums in the reader's browser, in a worker, from the weights and the split of a record's seed.
import { chart, format, h } from "./plot.js";
import { scaffold, session, slider } from "./controls.js";
import { pairTraining, pairWorker } from "./pair_training.js";

const LEARNED = 0.99;
const CELL = 4; // pixels of the picture a pair
const NAMES = ["training sums", "held-out sums"];
const COLORS = [2, 1];

function decode(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function startWorker(onLook, onProblem) {
  const address = URL.createObjectURL(new Blob([`(${pairWorker})(${pairTraining}, self);`], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.onmessage = ({ data }) => onLook(data);
  worker.onerror = (event) => onProblem(event.message || "the browser refused a worker");
  return { send: (message) => worker.postMessage(message), stop: () => { worker.terminate(); URL.revokeObjectURL(address); } };
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const pairs = data.modulus ** 2;
  const fixed = { modulus: data.modulus, hidden: data.hidden, weights: decode(data.weights, Float32Array), order: decode(data.order, Uint16Array), learningRate: data.learning_rate };
  const state = { decay: data.decay.initial, fraction: data.fraction.initial };
  const count = () => Math.floor(state.fraction * pairs);
  const setup = () => ({ ...fixed, count: count(), weightDecay: state.decay });
  let worker = null;
  let phase = "ready"; // ready, running, paused, done
  let looks = [];
  let views = null;
  let frame = null;
  let problem = "";

  const now = () => looks.at(-1);
  const learned = (set) => looks.find((look) => look.accuracy[set] >= LEARNED)?.done;
  const number = (value) => format(value, ",");
  const tau = () => (state.decay > 0 ? 1 / (data.learning_rate * state.decay) : null);

  // Heard at every change of phase and at the two events, not at every step.
  function sentence() {
    const { accuracy, loss, done } = now();
    const recipe = `${number(count())} of ${number(pairs)} sums to train on, ${state.decay > 0 ? `weight decay ${format(state.decay)}: unused weights shrink to 1/e in ${number(tau())} steps` : "no weight decay"}.`;
    if (problem) return `${recipe} Training stopped: ${problem}.`;
    if (phase === "ready") return `${recipe} Before training, ${format(accuracy[0], ".1%")} of the training sums are right. Press “Start”.`;
    const events = [learned(0), learned(1)].map((step, i) => (step === undefined ? "" : `${i ? "Held-out" : "Training"} sums known at step ${number(step)}.`));
    const end = `At step ${number(done)} training sums are ${format(accuracy[0], ".0%")} right, held-out sums ${format(accuracy[1], ".0%")}, at ${format(loss[0], ".1e")} and ${format(loss[1], ".2g")} nats.`;
    const status = { running: "Training.", paused: `Paused. ${end}`, done: `Finished. ${end}` }[phase];
    return [recipe, ...events, status].filter(Boolean).join(" ");
  }

  const xs = () => looks.map((look) => Math.max(1, look.done));
  const markers = () => (tau() && tau() >= 1 && tau() <= data.steps ? [{ label: "decay time", value: tau() }] : []);
  const curves = (what) => NAMES.map((name, set) => ({ name, color: COLORS[set], x: xs(), y: looks.map((look) => look[what][set]), width: 2.5 }));
  const ends = (what) => NAMES.map((_, set) => ({ x: xs().at(-1), y: now()[what][set], color: COLORS[set], r: 5 }));
  const steps = { label: "training step", symbol: "step", scale: "log", range: [1, data.steps], format: "," };

  function specs() {
    const said = `${model.get("alt")} ${sentence()}`;
    const losses = looks.flatMap((look) => look.loss).filter((value) => value > 0);
    const keys = now().spectrum.map((_, i) => i + 1);
    return [
      { alt: `Accuracy. ${said}`, x: steps, y: { label: "share answered correctly", range: [-0.02, 1.03], format: ".2f" }, lines: curves("accuracy"), points: ends("accuracy"), markers: markers() },
      { alt: `Loss. ${said}`, x: steps, y: { label: "loss in nats", scale: "log", range: [Math.min(0.01, ...losses), 2 * Math.max(5, ...losses)], format: ".2g" }, lines: curves("loss"), points: ends("loss"), markers: [{ axis: "y", label: "guessing", value: Math.log(data.modulus) }] },
      { alt: `Spectrum of a hidden unit: its strongest frequency holds ${format(now().spectrum[0], ".0%")} on average. ${said}`, x: { label: "frequencies of a hidden unit, strongest first", range: [0, keys.length + 1], format: "," }, y: { label: "share of its squared weights", range: [0, 1], format: ".2f" },
        lines: keys.map((k, i) => ({ name: "", label: false, color: 0, width: 4, x: [k, k], y: [0, now().spectrum[i]] })), points: [], markers: [] },
    ];
  }

  const canvas = h("canvas", { width: CELL * data.modulus, height: CELL * data.modulus, role: "img", class: "hx-pixels" });
  function paint() {
    const style = getComputedStyle(canvas);
    const tones = COLORS.map((index) => style.getPropertyValue(`--hx-c${index}`));
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    fixed.order.forEach((pair, place) => {
      if (!now().right[pair]) return;
      pen.fillStyle = tones[Number(place >= count())];
      pen.fillRect(CELL * (pair % data.modulus), CELL * Math.floor(pair / data.modulus), CELL, CELL);
    });
    canvas.setAttribute("aria-label", `The addition table: ${format(now().accuracy[0], ".0%")} of the training sums and ${format(now().accuracy[1], ".0%")} of the held-out sums are filled in.`);
  }

  function paintAll() {
    const text = sentence();
    if (ui.live.textContent !== text) ui.live.textContent = text;
    bar.value = now().done;
    progress.textContent = `Step ${number(now().done)} of ${number(data.steps)}. Right: training sums ${format(now().accuracy[0], ".0%")}, held-out sums ${format(now().accuracy[1], ".0%")}.`;
    run.textContent = { ready: "Start", running: "Pause", paused: "Go on", done: "Finished" }[phase];
    run.disabled = phase === "done";
    specs().forEach((spec, i) => views[i].update(spec));
    paint();
  }

  function reset() {
    worker?.stop();
    worker = null;
    phase = "ready";
    problem = "";
    looks = [pairTraining(setup()).look()];
  }

  // A small network answers faster than a page is drawn: at most one drawing a frame.
  function arrived(look) {
    if (!worker) return;
    looks.push(look);
    if (look.done >= data.steps) phase = "done";
    frame ??= requestAnimationFrame(() => { frame = null; paintAll(); });
  }

  function toggle() {
    if (phase === "running") {
      phase = "paused";
      worker.send({ run: false });
    } else {
      const fresh = worker === null;
      worker ??= startWorker(arrived, (message) => { problem = message; phase = "done"; paintAll(); });
      worker.send(fresh ? { setup: setup(), until: data.steps, run: true } : { run: true });
      phase = "running";
    }
    paintAll();
  }

  const live = session(model, ui, state, () => { reset(); if (views) paintAll(); });
  const run = h("button", { type: "button", class: "hx-main", onclick: toggle }, "Start");
  const again = h("button", { type: "button", onclick: () => { reset(); paintAll(); } }, "Reset");
  const bar = h("progress", { max: data.steps, value: 0, "aria-label": "Training steps done" });
  const progress = h("p", { class: "hx-prompt" });
  const range = (name, label, more) => slider({ name, label, values: data[name].values, initial: state[name], ...more }, (value) => { state[name] = value; live.commit(); });
  ui.controls.append(
    range("decay", "Weight decay λ", { format: ".3g" }).node,
    range("fraction", "Share of sums to train on", { text: (value) => `${format(value, ".0%")}` }).node,
  );
  const [top, bottom] = [h("div", { class: "hx-pair" }), h("div", { class: "hx-pair" })];
  const places = [h("div"), h("div"), h("div"), h("div")];
  top.append(places[0], places[1]);
  bottom.append(places[2], places[3]);
  ui.body.append(h("div", { class: "hx-actions" }, run, again, bar), progress, top, bottom);
  places[3].append(h("p", { class: "hx-caption" }, "The addition table, a downward and b across: what is answered correctly now. Green: sums trained on. Orange: held out."), canvas);
  reset();
  views = specs().map((spec, i) => chart(places[i], { ...spec, height: 270, legend: i !== 2, readout: i !== 2 }));
  paintAll();
  return () => { worker?.stop(); cancelAnimationFrame(frame); live.stop(); views.forEach((view) => view.stop()); };
}

export default { render };
