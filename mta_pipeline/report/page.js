"use strict";
// Draws the charts of the page in the colours of its style, and again where those change.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const style = () => getComputedStyle(document.documentElement);
  const coloured = (value, colours) => {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? colours.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((part) => coloured(part, colours));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, coloured(part, colours)]));
    }
    return value;
  };
  const layoutOf = (given, colours) => {
    const colour = (name) => colours.getPropertyValue(name).trim();
    const axis = { gridcolor: colour("--grid"), zeroline: false, ticks: "", fixedrange: true, automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--soft") },
      showlegend: false, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" },
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: colour("--rule"), font: { color: colour("--ink") } },
      dragmode: false, bargap: 0.2,
      ...given,
      margin: { l: 8, r: 8, t: 10, b: 8, ...given.margin },
      xaxis: { ...axis, ...given.xaxis }, yaxis: { ...axis, ...given.yaxis },
    };
  };
  const chosen = {};
  const draw = () => {
    const colours = style();
    for (const [id, chart] of Object.entries(charts)) {
      const data = coloured(chart.data, colours);
      if (id in chosen) data.forEach((trace, number) => { trace.visible = number === chosen[id]; });
      Plotly.react(id, data, layoutOf(coloured(chart.layout, colours), colours), { displayModeBar: false, responsive: true });
    }
  };
  draw();
  const fit = () => Object.keys(charts).forEach((id) => Plotly.Plots.resize(id));
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", draw);
  addEventListener("beforeprint", () => { draw(); fit(); });
  addEventListener("afterprint", () => { draw(); fit(); });
  for (const button of document.querySelectorAll("button[data-chart]")) {
    button.addEventListener("click", () => {
      chosen[button.dataset.chart] = Number(button.dataset.trace);
      for (const other of document.querySelectorAll(`button[data-chart="${button.dataset.chart}"]`)) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      draw();
    });
  }
})();
