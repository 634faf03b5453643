// Charts: curves and points that can be pointed at, or gone through with the arrow keys. No name is given to the
// library that draws, since it reads some HTML in its texts: names stand in the legend and the tip, as text.
"use strict";

// Dashes tell the lines apart without colour; the colours stand in the style, for light and for dark.
const DASHES = ["solid", "9px,5px", "2px,3px", "9px,3px,2px,3px", "16px,4px", "16px,3px,2px,3px", "5px,2px", "2px,7px"];
const NAMED = DASHES.length;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const count = (number) => number.toLocaleString("en");
const digits = (value) => {
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
};
const color = (i) => style(`--c${i % NAMED}`);
const line = (i, width = 2) => ({ color: color(i), dash: DASHES[i % NAMED], width });
const vertical = (x, dash, color) =>
  ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color, width: 1, dash } });
const band = (x0, x1, opacity) => ({
  type: "rect", x0, x1, yref: "paper", y0: 0, y1: 1, layer: "below",
  fillcolor: style("--quiet"), opacity, line: { width: 0 },
});

// The height of a step curve: that of the last point that is not beyond x. Left of the first, at one false positive,
// these pairs say nothing.
function stepAt({ fpr, tpr }, x) {
  const after = fpr.findIndex((one) => one > x);
  return (after < 0 ? tpr.at(-1) : tpr[after - 1]) ?? null;
}
const rateText = (tpr, x) => (tpr === null ? `FPR ${digits(x)} is not resolvable` : `TPR ${digits(tpr)} at FPR ${digits(x)}`);

// What is counted, where a chart does not say it.
const PAIRS = { negative: "impostor pairs", positive: "genuine pairs", score: "score (cosine)", unit: "pairs" };

// What is drawn of each kind: traces, axes, shapes; `legend`, pairs of a name and the number of its style; `items`,
// what can be pointed at, each with its place and a sentence; `heads` and `rows`, the same as a table.
const KINDS = {
  roc({ curves: models, n_impostor, targets, shown, words = PAIRS }, { chosen, marked }) {
    const here = Number(String(chosen).replace("FPR ", "")) || shown || targets[0];
    // The best at the chosen rate are named; of equal ones, those that the leaderboard has first.
    const known = (curve) => curve.at[targets.indexOf(here)] ?? -1;
    const curves = [...models].sort((a, b) => known(b) - known(a));
    const grey = { x: [], y: [] };
    for (const { fpr, tpr } of curves.slice(NAMED)) {
      grey.x.push(...fpr, null);
      grey.y.push(...tpr, null);
    }
    const steps = (x, y, pen) => ({ mode: "lines", x, y, line: { ...pen, shape: "hv" } });
    const left = Math.min(...targets, ...curves.map(({ fpr }) => fpr.find((x) => x > 0) ?? 1));
    const open = curves.filter(({ name }) => name === marked);
    // At a target it is the number of the tables, which is known where the data cannot resolve the target, too.
    const heightOf = (curve, x) => (x === undefined ? curve.at[targets.indexOf(here)] : stepAt(curve, x)) ?? null;
    return {
      traces: [
        ...open.map(({ fpr, tpr }) => ({ ...steps(fpr, tpr, { color: style("--text"), width: 9 }), opacity: 0.25 })),
        steps(grey.x, grey.y, { color: style("--line"), width: 1 }),
        ...curves.slice(0, NAMED).map(({ fpr, tpr }, i) => steps(fpr, tpr, line(i))).reverse(),
      ],
      x: {
        title: `false-positive rate (share of ${count(n_impostor)} ${words.negative})`,
        type: "log", range: [Math.log10(left), 0], dtick: 1,
      },
      y: { title: "true-positive rate", range: [0, 1.01] },
      shapes: [
        band(left, Math.max(left, Math.min(1, 30 / n_impostor)), 0.1),
        ...targets.map((x) => vertical(x, x === here ? "solid" : "dot", style(x === here ? "--text" : "--line"))),
      ],
      legend: curves.slice(0, NAMED).map(({ name }, i) => [name, i]),
      more: curves.length - NAMED,
      items: curves.map((curve) => ({
        at: (x) => [x ?? here, heightOf(curve, x) ?? 0],
        tell: (x) => `${curve.name}: ${rateText(heightOf(curve, x), x ?? here)}`,
      })),
      along: true,
      heads: ["model", ...targets.map((x) => `TPR at FPR ${digits(x)}`)],
      rows: curves.map(({ name, at }) => [name, ...at.map((tpr) => (tpr === null ? "–" : digits(tpr)))]),
    };
  },

  front({ points, x_title, y_title, log_x }, { marked }) {
    const on = points.filter((point) => point.on_front).sort((a, b) => a.x - b.x);
    const place = (some) => ({ x: some.map(({ x }) => x), y: some.map(({ y }) => y) });
    const reach = (end) => on.map((point) => Math.abs((point[end] ?? point.y) - point.y));
    const error_y = { symmetric: false, array: reach("high"), arrayminus: reach("low"), color: color(0), thickness: 1 };
    const front = { mode: "lines+markers", line: { ...line(0, 1), shape: "hv" }, error_y };
    const dots = (some, symbol, size, color) => ({ ...place(some), mode: "markers", marker: { symbol, size, color } });
    return {
      traces: [
        dots(points.filter((point) => !point.on_front), "circle-open", 7, style("--quiet")),
        { ...dots(on, "diamond", 10, color(0)), ...front },
        dots(points.filter(({ name }) => name === marked), "circle-open", 18, style("--text")),
      ],
      x: { title: x_title, ...(log_x && { type: "log", dtick: "D2" }) },
      y: { title: y_title },
      items: points.map(({ name, x, y, on_front }) => ({
        at: () => [x, y],
        tell: () => `${name}: ${digits(y)} at ${digits(x)}${on_front ? ", on the front" : ""}`,
      })),
      heads: ["model", x_title, y_title, "on the front"],
      rows: points.map(({ name, x, y, on_front }) => [name, digits(x), digits(y), on_front ? "yes" : "no"]),
    };
  },

  scores({ edges: [from, to], genuine, impostor, thresholds, words = PAIRS }) {
    const bins = genuine.map((_, i) => i);
    const edges = [...bins, bins.length].map((i) => from + (i * (to - from)) / bins.length);
    const used = bins.filter((i) => genuine[i] || impostor[i]);
    const shown = bins.slice(Math.max(0, used[0] - 1), used.at(-1) + 2);
    // Each bin is a step from its lower to its upper edge; an empty one is a gap of the logarithmic axis.
    const counts = (of, i) => ({
      mode: "lines", line: { ...line(i), shape: "hv" },
      x: shown.map((bin) => edges[bin]), y: shown.map((bin) => of[bin] || null),
    });
    const marks = Object.entries(thresholds);
    return {
      traces: [counts(impostor, 1), counts(genuine, 0)],
      x: { title: words.score },
      y: { title: `${words.unit} in a bin (logarithmic)`, type: "log", dtick: 1 },
      shapes: marks.map(([, x]) => vertical(x, "dash", style("--quiet"))),
      annotations: marks.map(([text, x]) => ({
        text: plain(text), x, y: 1, yref: "paper", yanchor: "bottom", xanchor: "left", textangle: -45, showarrow: false,
      })),
      legend: [[words.negative, 1], [words.positive, 0]],
      items: used.map((i) => ({
        at: () => [(edges[i] + edges[i + 1]) / 2, Math.max(genuine[i], impostor[i])],
        tell: () => `score ${digits(edges[i])} to ${digits(edges[i + 1])}: `
          + `${count(genuine[i])} ${words.positive}, ${count(impostor[i])} ${words.negative}`,
      })),
      heads: ["score from", "to", words.positive, words.negative],
      rows: used.map((i) => [digits(edges[i]), digits(edges[i + 1]), count(genuine[i]), count(impostor[i])]),
    };
  },

  lines({ lines, x_title, y_title, ticks }) {
    const known = (each, end) => each.x.map((_, i) => i).filter((i) => each[end]?.[i] != null);
    const around = (each, i) => {
      const there = known(each, "low");
      const back = [...there].reverse();
      return {
        mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: `${color(i)}22`,
        x: [...there, ...back].map((k) => each.x[k]),
        y: [...there.map((k) => each.low[k]), ...back.map((k) => each.high[k])],
      };
    };
    const points = lines.flatMap((each) => known(each, "y").map((k) => [each.name, each.x[k], each.y[k]]));
    return {
      traces: [
        ...lines.slice(0, NAMED).map(around),
        ...lines.map(({ x, y }, i) => ({
          mode: "lines+markers", x, y, marker: { size: 6, symbol: i % NAMED },
          line: i < NAMED ? line(i) : { color: style("--line"), width: 1 },
        })),
      ],
      x: { title: x_title, ...(ticks && { tickvals: ticks.map((_, i) => i), ticktext: ticks.map(plain) }) },
      y: { title: y_title },
      legend: lines.slice(0, NAMED).map(({ name }, i) => [name, i]),
      more: lines.length - NAMED,
      items: points.map(([name, x, y]) => ({ at: () => [x, y], tell: () => `${name}: ${digits(y)} at ${x}` })),
      heads: ["name", x_title, y_title],
      rows: points.map(([name, x, y]) => [name, String(x), digits(y)]),
    };
  },
};

function layoutOf({ x, y, shapes = [], annotations = [] }, width) {
  // A narrow chart has no room for what stands in brackets.
  const fitting = (title) => (title.length * 7 > width ? title.replace(/ \(.*\)$/, "") : title);
  const axis = ({ title, ...rest }) => ({
    title: { text: plain(fitting(title)), standoff: 8 }, gridcolor: style("--grid"), zeroline: false, automargin: true,
    exponentformat: "e", ...rest,
  });
  return {
    xaxis: axis(x), yaxis: axis(y), shapes, annotations,
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: style("--text"), size: 12 },
    margin: { l: 48, r: 12, t: annotations.length ? 44 : 12, b: 48 }, height: 420,
    showlegend: false, hovermode: false,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
  };
}

// A short piece of a line, as it is drawn.
function sampleOf(i) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  const set = (element, attributes) =>
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  set(svg, { width: 32, height: 12, "aria-hidden": true, class: `c${i}` });
  set(path, { d: "M0 6H32", "stroke-width": 3, "stroke-dasharray": DASHES[i].replace(/px/g, "") });
  svg.append(path);
  return svg;
}

function legendOf({ legend = [], more = 0 }) {
  const item = ([name, i]) => make("li", {}, sampleOf(i), " ", numberOf(name) < 0 ? name : linkTo(numberOf(name)));
  const rest = more > 0 ? [make("li", {}, `${count(more)} more in grey`)] : [];
  return make("ul", { class: "legend" }, ...legend.map(item), ...rest);
}

// Name what is nearest to the pointer, or the next with the arrow keys.
function pointing(plot, tip, holder) {
  let now = -1;
  const tell = (item, x) => {
    const { xaxis, yaxis } = plot._fullLayout;
    const [px, py] = item.at(x);
    tip.textContent = item.tell(x);
    tip.hidden = false;
    const left = xaxis._offset + xaxis.d2p(px);
    const width = plot.clientWidth;
    tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, yaxis._offset + yaxis.d2p(py) - tip.offsetHeight - 10)}px`;
  };
  plot.addEventListener("pointermove", (event) => {
    const { xaxis, yaxis } = plot._fullLayout;
    const box = plot.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left - xaxis._offset, event.clientY - box.top - yaxis._offset];
    if (left < 0 || left > xaxis._length || top < 0 || top > yaxis._length) { tip.hidden = true; return; }
    // Curves are met at the pointer's x, points wherever they are.
    const { items, along } = holder.drawn;
    const x = along ? xaxis.p2d(left) : undefined;
    const away = items.map((item) => {
      const [px, py] = item.at(x);
      return Math.hypot(along ? 0 : xaxis.d2p(px) - left, yaxis.d2p(py) - top) || 0;
    });
    now = away.indexOf(Math.min(...away));
    if (now >= 0) tell(items[now], x);
  });
  plot.addEventListener("pointerleave", () => { tip.hidden = true; });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const { items } = holder.drawn;
    if (!step || !items.length) return;
    event.preventDefault();
    now = (now + step + items.length) % items.length;
    tell(items[now]);
    say(tip.textContent);
  });
}

function numbersOf({ heads, rows }) {
  const details = make("details", {}, make("summary", {}, "The numbers of this chart"));
  details.addEventListener("toggle", () => {
    if (find("table", details)) return;
    const cell = (text, i) => (i ? make("td", { class: "n" }, text) : make("th", { scope: "row" }, text));
    const row = (texts) => make("tr", {}, ...texts.map(cell));
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map(row)));
    details.append(make("div", { class: "scroll", tabindex: "0" }, table));
  });
  return details;
}

// Charts are drawn when they come near the screen: 300 curves that nobody looks at take no time.
const nearby = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) { nearby.unobserve(target); target.draw(); }
}, { rootMargin: "400px" });

function watch(holder, chart, section) {
  const hint = `${chart.alt} Arrow keys go through it; its numbers follow as a table.`;
  const plot = make("div", { class: "plot", tabindex: "0", role: "group", "aria-label": hint });
  const tip = make("p", { class: "tip", hidden: "" });
  const legend = make("div");
  const below = make("div");
  holder.append(make("div", { class: "frame" }, plot, tip), legend, below);
  holder.draw = () => {
    const drawn = KINDS[chart.kind](chart.data, section);
    const traces = drawn.traces.map((trace) => ({ type: "scatter", ...trace }));
    const options = { displayModeBar: false, responsive: true, doubleClick: "reset" };
    Plotly.react(plot, traces, layoutOf(drawn, plot.clientWidth), options);
    legend.replaceChildren(legendOf(drawn)); // a choice may name others
    if (!holder.drawn) {
      below.append(numbersOf(drawn));
      pointing(plot, tip, holder);
    }
    holder.drawn = drawn;
  };
  nearby.observe(holder);
}

function redraw(root) {
  all(".chart", root).forEach((holder) => holder.drawn && holder.draw());
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(document));
// On paper everything is open and drawn.
addEventListener("beforeprint", () => {
  all("details").forEach((details) => { details.open = true; });
  all(".chart").forEach((holder) => holder.draw());
});
