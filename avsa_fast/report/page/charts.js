"use strict";
// Charts by plotly.js, in the page's colours, light or dark.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const escaped = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
const CLASSES = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#8c8c8c", "#b5a800", "#7a5195", "#a65628"];

function traces(data) {
  if (data.kind === "lines") {
    return data.traces.map((trace, i) => ({
      x: trace.x, y: trace.y, name: escaped(trace.name), mode: "lines",
      line: { width: 2, color: colour(i % 2 ? "--series-2" : "--series-1") },
    }));
  }
  if (data.kind === "bars") {
    return [{ type: "bar", x: data.x.map((x) => (typeof x === "string" ? escaped(x) : x)), y: data.y, marker: { color: colour("--series-1") } }];
  }
  const { picture, sound, labels, names } = data.map;
  const classes = [...new Set(labels)].filter(Boolean).sort();
  return [...classes, ""].flatMap((label) => [["picture", picture, "circle"], ["sound", sound, "diamond-open"]].map(([what, points, symbol]) => {
    const chosen = labels.flatMap((l, i) => (l === label ? [i] : []));
    const shade = label ? CLASSES[classes.indexOf(label) % CLASSES.length] : colour("--soft");
    return {
      x: chosen.map((i) => points[i][0]), y: chosen.map((i) => points[i][1]), mode: "markers",
      name: label ? escaped(label) : "no object", legendgroup: label, showlegend: what === "picture" && chosen.length > 0,
      text: chosen.map((i) => `${what}: ${escaped(label || "no object")}<br>${escaped(names[i])}`), hoverinfo: "text",
      marker: { symbol, size: 8, color: shade, opacity: label ? 0.9 : 0.35, line: { width: 1.5, color: shade } },
    };
  }));
}

function draw(element) {
  const data = JSON.parse(element.dataset.chart);
  const axis = { gridcolor: colour("--grid"), zerolinecolor: colour("--grid"), linecolor: colour("--line"), automargin: true };
  const map = data.kind === "map";
  const many = data.kind === "lines" && data.traces.length > 1;
  const title = data.kind === "lines" ? "step" : data.axis;
  const layout = {
    margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", bargap: 0.12,
    font: { color: colour("--soft"), family: "system-ui, sans-serif", size: 12 }, hoverlabel: { font: { family: "system-ui, sans-serif" } },
    xaxis: { ...axis, autorange: data.reversed ? "reversed" : true, showticklabels: !map, title: title ? { text: title, standoff: 6 } : undefined },
    yaxis: { ...axis, showticklabels: !map, rangemode: data.kind === "bars" || data.kind === "lines" && data.title !== "Loss" ? "tozero" : "normal" },
    showlegend: map || many, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, dragmode: map ? "pan" : false,
  };
  return Plotly.react(element, traces(data), layout, { responsive: true, displayModeBar: false });
}

// Charts are drawn when they come near the screen, so that the page opens quickly.
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting && !target.data) draw(target);
}, { rootMargin: "200px" });
document.querySelectorAll(".plot").forEach((plot) => near.observe(plot));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  document.querySelectorAll(".js-plotly-plot").forEach(draw));
