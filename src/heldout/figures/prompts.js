// Prompts to click, and what each of several models writes after the chosen one, with the probability of every token.
import { format, h } from "./plot.js";
import { scaffold, select, session, slider } from "./controls.js";

const percent = (value) => (value > 0.995 ? "1" : format(value, ".2f").replace(/^0/, ""));

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const state = { run: data.runs[0].name, model: data.models[0], prompt: data.initial ?? data.prompts[0] };
  const run = () => data.runs.find((each) => each.name === state.run) || data.runs[0];
  const written = (name) => run().written[data.models.indexOf(name)];
  const cells = data.prompts.map((prompt) => h("span", { title: prompt, onclick: () => choose(prompt) }));
  const columns = 2 ** Math.ceil(Math.log2(data.prompts.length) / 2);
  const grid = h("div", { class: `hx-prompts${data.groups.length === 3 ? " hx-three" : ""}`, "aria-hidden": "true", style: `--columns:${columns}` }, ...cells);
  const key = h("p", { class: "hx-caption" });
  const lines = h("div", { class: "hx-written" });
  const place = slider({ name: "prompt", label: "Prompt", values: data.prompts, initial: state.prompt, text: (prompt) => prompt }, (prompt) => choose(prompt));
  let live = null;
  const choose = (prompt) => { state.prompt = prompt; place.set(prompt); live.commit(); };

  const line = (name, i) => {
    const [text, chance, kept] = ["text", "chance", "kept"].map((what) => written(name)[what][i]);
    return h("div", {},
      h("p", {}, h("b", {}, name), ` ${kept ? data.rule.kept : data.rule.broken}`),
      h("p", { class: "hx-tokens" },
        ...[...state.prompt].map((letter) => h("span", { class: "hx-token hx-given" }, h("span", {}, letter))),
        ...[...text].map((letter, k) => h("span", { class: "hx-token", style: `--tint:${Math.round(40 * (1 - chance[k]))}%` }, h("span", {}, letter), h("small", {}, percent(chance[k]))))));
  };
  const draw = () => {
    const i = data.prompts.indexOf(state.prompt);
    const { groups } = run();
    const shown = written(state.model);
    cells.forEach((cell, k) => { cell.className = `${shown.kept[k] ? "hx-kept" : ""} ${k === i ? "hx-chosen" : ""} hx-group${groups[k]}`; });
    const kinds = data.groups.map((name, g) => {
      const mine = groups.map((group, k) => (group === g ? shown.kept[k] : null)).filter((value) => value !== null);
      const shape = data.groups.length === 3 ? ` (${["round", "small", "large"][g]})` : "";
      return `${mine.filter(Boolean).length} of ${mine.length} ${name}${shape}`;
    });
    key.textContent = `One square a prompt, filled where the ${state.model} model ${data.rule.says}: ${kinds.join("; ")}.`;
    lines.replaceChildren(...data.models.map((name) => line(name, i)));
    const found = data.models.map((name) => `${name} “${written(name).text[i]}”, ${written(name).kept[i] ? data.rule.kept : data.rule.broken}`);
    ui.live.textContent = `After ${state.prompt} (${data.groups[groups[i]]}): ${found.join("; ")}.`;
  };
  live = session(model, ui, state, () => { place.set(state.prompt); draw(); });
  ui.controls.append(
    place.node,
    select({ name: "model", label: "Squares show", values: data.models, initial: state.model }, (name) => { state.model = name; live.commit(); }).node,
    select({ name: "run", label: data.label || "Seed", values: data.runs.map((each) => each.name), initial: state.run }, (name) => { state.run = name; live.commit(); }).node,
  );
  ui.body.append(grid, key, lines);
  draw();
  return live.stop;
}

export default { render };
