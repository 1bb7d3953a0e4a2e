// A question with several answers: the reader commits to one, then sees which is right and why.
import { h } from "./plot.js";
import { scaffold } from "./controls.js";

function unlock(id) {
  const hidden = id ? document.getElementById(id) : null;
  if (!hidden) return;
  hidden.removeAttribute("hidden");
  if (hidden.tagName === "DETAILS") hidden.open = true;
}

function render({ model, el }) {
  const ui = scaffold(model, el);
  const data = model.get("data");
  const saved = model.get("controls") || {};
  let chosen = saved.chosen ?? null;
  let committed = Boolean(saved.committed);
  const group = `choice-${Math.random().toString(36).slice(2)}`;
  const options = data.options.map((option, i) => {
    const input = h("input", { type: "radio", name: group, value: i, checked: chosen === i, onchange: () => { chosen = i; draw(); } });
    const text = h("span", {}, h("span", {}, option.label));
    return { option, input, text, node: h("label", { class: "hx-option" }, input, text) };
  });
  const commit = h("button", { type: "button", class: "hx-main" }, "Commit to this answer");
  commit.addEventListener("click", () => {
    committed = true;
    model.set("controls", { chosen, committed });
    model.save_changes();
    draw();
    ui.live.focus();
  });

  function draw() {
    commit.disabled = chosen === null || committed;
    commit.hidden = committed;
    for (const [i, { option, input, text, node }] of options.entries()) {
      input.disabled = committed && i !== chosen;
      if (!committed) continue;
      const mine = i === chosen ? "Your answer. " : "";
      node.classList.toggle("hx-right", Boolean(option.correct));
      text.replaceChildren(h("span", {}, option.label), h("span", { class: "hx-verdict" }, `${option.correct ? "✓" : "✗"} ${mine}${option.correct ? "Right." : "No."}`), h("span", {}, option.feedback));
    }
    if (!committed) return;
    const right = data.options.filter((option) => option.correct).map((option) => `“${option.label}”`);
    const verdict = data.options[chosen].correct ? "Your answer is right." : `Your answer does not hold; ${right.join(" and ")} does.`;
    ui.live.textContent = `${verdict} ${data.closing || ""}`.trim();
    unlock(data.reveal);
  }
  ui.body.append(h("fieldset", {}, h("legend", {}, data.question), ...options.map((each) => each.node)), h("div", { class: "hx-actions" }, commit));
  draw();
}

export default { render };
