// A small SVG chart: axes, bands, lines, points, markers, direct labels, readout. No dependency.
const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "line", "circle", "text", "rect"]);
export const INK = "var(--hx-ink)";
export const color = (index) => (typeof index === "number" ? `var(--hx-c${index % 7})` : index || INK);

export function h(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const superscript = (power) => String(power).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
const scientific = (value, digits) => {
  const [mantissa, power] = value.toExponential(digits).split("e").map(Number);
  return (mantissa === 1 ? "" : `${mantissa} × `) + `10${superscript(power)}`;
};

// Python-like formats: "," or "d" (integer with separators), ".2f", ".3g", ".1e", ".0%".
export function format(value, spec = ".3g") {
  if (value === null || value === undefined || Number.isNaN(value)) return "no value";
  if (typeof value !== "number") return String(value);
  const [, places, kind] = /^,?(?:\.(\d+))?([dfge%])?$/.exec(spec) || [null, "3", "g"];
  const group = (v, d) => v.toLocaleString("en-US", { minimumFractionDigits: d, maximumFractionDigits: d });
  const size = Math.abs(value);
  let text;
  if (kind === "f") text = group(size, Number(places ?? 2));
  else if (kind === "%") text = `${group(100 * size, Number(places ?? 0))}%`;
  else if (kind === "e") text = size === 0 ? "0" : scientific(size, Number(places ?? 1));
  else if (kind === "g") {
    const digits = Math.max(1, Number(places ?? 3));
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) text = scientific(size, digits - 1);
    else text = Number(size.toPrecision(digits)).toLocaleString("en-US", { maximumSignificantDigits: 15 });
  } else text = group(size, 0);
  return (value < 0 && /[1-9]/.test(text) ? "−" : "") + text;
}

export function scale(axis, from, to) {
  const log = axis.scale === "log";
  const [low, high] = axis.range.map((v) => (log ? Math.log10(v) : v));
  const span = high - low || 1;
  return {
    // An exact zero has no place on a log axis; a curve that reaches it runs down to the foot.
    to: (v) => (log && v === 0 ? from : v === null || v === undefined || (log && v < 0) ? NaN : from + (((log ? Math.log10(v) : v) - low) / span) * (to - from)),
    from: (pixel) => {
      const v = low + ((pixel - from) / (to - from)) * span;
      return log ? 10 ** v : v;
    },
  };
}

// The range that holds every finite value given; positive values only on a log axis.
export function extent(axis, values, pad = 0.04) {
  const log = axis.scale === "log";
  const finite = values.flat(Infinity).filter((v) => Number.isFinite(v) && (!log || v > 0));
  if (axis.range) return axis.range;
  if (!finite.length) return log ? [0.1, 1] : [0, 1];
  let [low, high] = finite.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  if (log) return low === high ? [low / 2, high * 2] : [low * (low / high) ** pad, high * (high / low) ** pad];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const floor = low >= 0 && low < 0.3 * high && pad > 0 ? 0 : low - pad * (high - low);
  return [floor, high + pad * (high - low)];
}

function ticks(axis, room) {
  const [low, high] = axis.range;
  if (axis.ticks) return axis.ticks.filter((v) => v >= low && v <= high).map((v) => [v, format(v)]);
  if (axis.scale !== "log") {
    const rough = (high - low) / Math.max(2, room);
    const base = 10 ** Math.floor(Math.log10(rough));
    const step = base * [1, 2, 5, 10].find((m) => m * base >= rough * 0.999);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const result = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) result.push([k * step, format(k * step, `.${digits}f`)]);
    return result;
  }
  const [first, last] = [Math.floor(Math.log10(low) + 1e-9), Math.ceil(Math.log10(high) - 1e-9)];
  const inside = (v) => v >= low * 0.9999 && v <= high * 1.0001;
  const decades = Math.log10(high / low);
  const count = (set) => set.length * (last - first + 1) - set.filter((m) => !inside(m * 10 ** first)).length - set.filter((m) => !inside(m * 10 ** last)).length;
  const labelled = [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].find((set) => count(set) <= Math.max(2, room)) || [1];
  const stride = Math.max(1, Math.ceil(decades / room));
  const powers = low < 0.001 || high > 1e5;
  const result = [];
  for (let k = first; k <= last; k += 1) {
    for (let m = 1; m < (decades > 5 ? 2 : 10); m += 1) {
      const v = m * 10 ** k;
      if (!inside(v)) continue;
      const named = labelled.includes(m) && (((k % stride) + stride) % stride === 0);
      result.push([v, !named ? "" : powers && (k < -2 || k > 3) ? (m === 1 ? `10${superscript(k)}` : "") : format(v)]);
    }
  }
  return result;
}

const named = ({ label, scale: kind }) => (kind !== "log" ? label : label.endsWith(")") ? `${label.slice(0, -1)}, log scale)` : `${label} (log scale)`);

const pen = document.createElement("canvas").getContext("2d");
const textWidth = (text, font) => Object.assign(pen, { font }).measureText(text).width;

function path(xs, ys, sx, sy) {
  let open = false;
  let out = "";
  xs.forEach((x, i) => {
    const [a, b] = [sx.to(x), sy.to(ys[i])];
    if (Number.isFinite(a) && Number.isFinite(b)) out += `${open ? "L" : "M"}${a.toFixed(1)} ${Math.max(-4000, Math.min(4000, b)).toFixed(1)}`;
    open = Number.isFinite(a) && Number.isFinite(b);
  });
  return out;
}

function bandPath(band, sx, sy) {
  const runs = [[]];
  band.x.forEach((x, i) => {
    const ends = [sx.to(x), sy.to(band.low[i]), sy.to(band.high[i])];
    if (ends.every(Number.isFinite)) runs.at(-1).push(ends);
    else runs.push([]);
  });
  const point = (a, b) => `${a.toFixed(1)} ${Math.max(-4000, Math.min(4000, b)).toFixed(1)}`;
  return runs.filter((run) => run.length > 1)
    .map((run) => `M${run.map(([a, , c]) => point(a, c)).join("L")}L${run.reverse().map(([a, b]) => point(a, b)).join("L")}Z`).join("");
}

// Moves label heights apart by `gap`, keeping their order and, where there is room, the frame.
function spread(items, top, bottom, gap) {
  items.sort((a, b) => a.y - b.y);
  items.forEach((item, i) => { item.at = Math.max(item.y, top, i ? items[i - 1].at + gap : top); });
  for (let i = items.length - 1, limit = bottom; i >= 0; i -= 1, limit -= gap) {
    items[i].at = Math.min(items[i].at, i === items.length - 1 ? bottom : items[i + 1].at - gap);
  }
}

// spec: {alt, x, y, lines, bands, points, markers, height?, readout?, legend?, onDrag?, drag?: "x" | "xy"}
export function chart(parent, first) {
  let spec = first;
  let at = null;
  let frame = null;
  const legend = h("div", { class: "hx-legend", hidden: true });
  const svg = h("svg", { role: "img" });
  const readout = h("div", { class: "hx-readout", hidden: true });
  const reads = first.readout !== false;
  const box = h("div", reads ? { class: "hx-chart", tabindex: 0, role: "group" } : { class: "hx-chart" }, svg, readout);
  parent.append(legend, box);

  const lastIndex = (line) => line.y.findLastIndex((v, i) => Number.isFinite(v) && (spec.y.scale !== "log" || v >= 0) && line.x[i] <= spec.x.range[1] * (1 + 1e-9));

  function layout() {
    const width = Math.max(240, box.clientWidth || 640);
    const height = spec.height || Math.round(Math.max(280, Math.min(400, width * 0.56)));
    const size = width < 520 ? 12 : 13;
    const font = `${size}px ${getComputedStyle(box).fontFamily}`;
    const named = spec.lines.filter((line) => line.name && line.label !== false && line.y.some(Number.isFinite));
    // A curve that ends early is named where it ends, so that no leader crosses the chart.
    const late = named.filter((line) => scale(spec.x, 0, 1).to(line.x[lastIndex(line)]) > 0.95);
    const widest = Math.max(0, ...late.map((line) => textWidth(line.name, `600 ${font}`)));
    const direct = named.length > 0 && spec.legend !== true && width >= 520 && widest < width * 0.27;
    const rows = [];
    const yTicks = ticks(spec.y, height / 60);
    const left = Math.max(...yTicks.map(([, text]) => textWidth(text, font)), 12) + 14;
    const right = width - Math.max(direct && late.length ? widest + 18 : 0, size * 1.4);
    const sx = scale(spec.x, left, right);
    const markers = (spec.markers || []).filter((m) => m.axis !== "y" && Number.isFinite(sx.to(m.value)) && sx.to(m.value) >= left - 1 && sx.to(m.value) <= right + 1)
      .map((m) => ({ ...m, at: sx.to(m.value), wide: m.label ? textWidth(m.label, font) : 0 })).sort((a, b) => a.at - b.at);
    for (const marker of markers) {
      marker.text = Math.max(left + marker.wide / 2 - 10, Math.min(width - marker.wide / 2 - 2, marker.at));
      marker.row = marker.label ? [0, 1, 2].find((r) => (rows[r] ?? -Infinity) < marker.text - marker.wide / 2 - 8) ?? 2 : 0;
      if (marker.label) rows[marker.row] = marker.text + marker.wide / 2;
    }
    const top = size + 14 + rows.length * (size + 4);
    const bottom = height - size * 2 - 20;
    return { width, height, size, font, named, late, direct, left, right, top, bottom, sx, sy: scale(spec.y, bottom, top), yTicks, markers };
  }

  function axes(f) {
    const parts = [];
    for (const [v, text] of f.yTicks) {
      const y = f.sy.to(v);
      if (!text) { parts.push(h("line", { x1: f.left - 3, x2: f.left, y1: y, y2: y, class: "hx-tick" })); continue; }
      parts.push(h("line", { x1: f.left, x2: f.right, y1: y, y2: y, class: "hx-grid" }));
      parts.push(h("text", { x: f.left - 7, y: y + f.size * 0.35, "text-anchor": "end" }, text));
    }
    let edge = -Infinity;
    for (const [v, text] of ticks(spec.x, (f.right - f.left) / 70)) {
      const x = f.sx.to(v);
      parts.push(h("line", { x1: x, x2: x, y1: f.bottom, y2: f.bottom + (text ? 6 : 3), class: "hx-tick" }));
      const half = textWidth(text, f.font) / 2;
      if (!text || x - half < edge + 6) continue;
      edge = x + half;
      parts.push(h("text", { x, y: f.bottom + f.size + 8, "text-anchor": "middle" }, text));
    }
    parts.push(h("line", { x1: f.left, x2: f.right, y1: f.bottom, y2: f.bottom, class: "hx-axis" }));
    parts.push(h("text", { x: (f.left + f.right) / 2, y: f.height - 5, "text-anchor": "middle", class: "hx-label" }, named(spec.x)));
    parts.push(h("text", { x: 2, y: f.size + 1, class: "hx-label" }, named(spec.y)));
    return parts;
  }

  function labels(f) {
    const items = f.named.map((line) => {
      const last = lastIndex(line);
      return { line, x: f.sx.to(line.x[last]), y: Math.max(f.top, Math.min(f.bottom, f.sy.to(line.y[last]))) };
    }).filter((item) => Number.isFinite(item.y));
    const [late, early] = [true, false].map((is) => items.filter((item) => f.late.includes(item.line) === is));
    spread(late, f.top + 4, f.bottom - 2, f.size + 4);
    return [...early.map(({ line, x, y }) => {
      const fits = x + 8 + textWidth(line.name, `600 ${f.font}`) < f.right;
      return h("text", { x: fits ? x + 8 : x, y: y - (fits ? 4 : 10), "text-anchor": fits ? "start" : "end", class: "hx-name", style: `--tone:${color(line.color)}` }, line.name);
    }), ...late.flatMap(({ line, x, y, at: height }) => [
      Math.abs(height - y) > 3 || f.right - x > 4 ? h("path", { d: `M${x + 2} ${y}L${f.right + 6} ${height}`, class: "hx-leader", stroke: color(line.color) }) : null,
      h("text", { x: f.right + 10, y: height + f.size * 0.35, class: "hx-name", style: `--tone:${color(line.color)}` }, line.name),
    ].filter(Boolean))];
  }

  function draw() {
    frame = layout();
    const f = frame;
    const inner = h("svg", { x: f.left, y: f.top - 3, width: f.right - f.left, height: f.bottom - f.top + 6, viewBox: `${f.left} ${f.top - 3} ${f.right - f.left} ${f.bottom - f.top + 6}`, overflow: "hidden" });
    for (const band of spec.bands || []) inner.append(h("path", { d: bandPath(band, f.sx, f.sy), fill: color(band.color), class: `hx-band ${band.class || ""}` }));
    for (const line of spec.lines) inner.append(h("path", { d: path(line.x, line.y, f.sx, f.sy), stroke: color(line.color), class: `hx-line ${line.class || ""}`, "stroke-dasharray": line.dash ? "6 5" : null, "stroke-width": line.width || 2.25 }));
    const outer = [];
    for (const m of f.markers) {
      outer.push(h("line", { x1: m.at, x2: m.at, y1: f.top - 3, y2: f.bottom, class: m.strong ? "hx-cursor" : "hx-marker" }));
      if (m.label) outer.push(h("text", { x: m.text, y: f.top - 8 - m.row * (f.size + 4), "text-anchor": "middle", class: m.strong ? "hx-strong" : "" }, m.label));
    }
    for (const m of (spec.markers || []).filter((each) => each.axis === "y" && Number.isFinite(f.sy.to(each.value)))) {
      const y = f.sy.to(m.value);
      if (y < f.top - 3 || y > f.bottom + 1) continue;
      outer.push(h("line", { x1: f.left, x2: f.right, y1: y, y2: y, class: "hx-marker" }));
      if (m.label) outer.push(h("text", { x: f.right - 4, y: y - 5, "text-anchor": "end", class: "hx-halo" }, m.label));
    }
    const dots = (spec.points || []).filter((p) => Number.isFinite(f.sx.to(p.x)) && f.sy.to(p.y) >= f.top - 3 && f.sy.to(p.y) <= f.bottom + 3)
      .map((p) => h("circle", { cx: f.sx.to(p.x), cy: f.sy.to(p.y), r: p.r || 4, class: `hx-dot ${p.class || ""}`, style: `--tone:${color(p.color)}` }));
    svg.setAttribute("viewBox", `0 0 ${f.width} ${f.height}`);
    svg.setAttribute("height", f.height);
    svg.setAttribute("font-size", f.size);
    svg.setAttribute("aria-label", spec.alt);
    if (reads) box.setAttribute("aria-label", "Chart. The left and right arrow keys read its values.");
    svg.replaceChildren(...axes(f), inner, ...outer, ...(f.direct ? labels(f) : []), ...dots, h("g", { class: "hx-cross" }));
    legend.hidden = f.direct || f.named.length === 0 || spec.legend === false;
    legend.replaceChildren(...(legend.hidden ? [] : f.named.map((line) => h("span", { class: line.dash ? "hx-dashed" : "", style: `--tone:${color(line.color)}` }, line.name))));
    if (at !== null) read(at);
  }

  function read(value) {
    at = value;
    const cross = svg.querySelector(".hx-cross");
    const near = (xs) => xs.reduce((best, x, i) => (Math.abs(frame.sx.to(x) - frame.sx.to(value)) < Math.abs(frame.sx.to(xs[best]) - frame.sx.to(value)) ? i : best), 0);
    readout.hidden = value === null || !spec.lines.length;
    if (readout.hidden) { cross.replaceChildren(); return; }
    const x = spec.lines[0].x[near(spec.lines[0].x)];
    const pixel = frame.sx.to(x);
    const rows = spec.lines.filter((line) => line.name).map((line) => ({ line, y: line.y[near(line.x)] }));
    cross.replaceChildren(h("line", { x1: pixel, x2: pixel, y1: frame.top, y2: frame.bottom, class: "hx-marker" }),
      ...rows.filter(({ y }) => Number.isFinite(frame.sy.to(y))).map(({ line, y }) => h("circle", { cx: pixel, cy: frame.sy.to(y), r: 4, class: "hx-dot", style: `--tone:${color(line.color)}` })));
    readout.replaceChildren(h("b", {}, `${spec.x.symbol || spec.x.label} = ${format(x, spec.x.format)}`),
      ...rows.map(({ line, y }) => h("span", { style: `--tone:${color(line.color)}` }, `${line.name}: ${format(y, spec.y.format)}`)));
    const flip = pixel > frame.width / 2;
    readout.style.left = flip ? "auto" : `${pixel + 12}px`;
    readout.style.right = flip ? `${frame.width - pixel + 12}px` : "auto";
    readout.style.top = `${frame.top}px`;
  }

  const place = (event) => {
    const edge = svg.getBoundingClientRect();
    const [px, py] = [((event.clientX - edge.left) / edge.width) * frame.width, ((event.clientY - edge.top) / edge.height) * frame.height];
    return [frame.sx.from(Math.max(frame.left, Math.min(frame.right, px))), frame.sy.from(Math.max(frame.top, Math.min(frame.bottom, py)))];
  };
  if (reads) {
    box.addEventListener("pointermove", (event) => { readout.setAttribute("aria-live", "off"); read(place(event)[0]); });
    box.addEventListener("pointerleave", () => read(null));
    box.addEventListener("blur", () => read(null));
    box.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move || !spec.lines.length) return;
      event.preventDefault();
      const xs = spec.lines[0].x;
      const now = at === null ? -1 : xs.reduce((best, x, i) => (Math.abs(x - at) < Math.abs(xs[best] - at) ? i : best), 0);
      readout.setAttribute("aria-live", "polite");
      read(xs[at === null ? 0 : Math.max(0, Math.min(xs.length - 1, now + move))]);
    });
  }
  if (first.onDrag) {
    svg.classList.add("hx-drag", `hx-drag-${first.drag || "x"}`);
    let held = false;
    const send = (event, phase) => spec.onDrag(...place(event), phase);
    svg.addEventListener("pointerdown", (event) => { held = true; svg.setPointerCapture(event.pointerId); event.preventDefault(); send(event, "start"); });
    svg.addEventListener("pointermove", (event) => { if (held) send(event, "move"); });
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, (event) => { if (held) send(event, "end"); held = false; });
  }
  let known = 0;
  const watcher = new ResizeObserver(() => { if (Math.abs(box.clientWidth - known) > 1) { known = box.clientWidth; draw(); } });
  watcher.observe(box);
  draw();
  return { update(next) { spec = { ...spec, ...next }; draw(); }, stop: () => watcher.disconnect(), box, svg };
}
