"use strict";
(() => {
  const source = document.getElementById("charts");
  const all = source ? JSON.parse(source.textContent) : {};
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const drawn = new Map();
  const PRINTED = 200;

  const number = (v, unit) => v == null ? "unknown" : `${Number(v.toPrecision(6))}${unit ? " " + unit : ""}`;
  const named = (labels, v) => v == null ? "unknown" : labels[v] ?? String(v);

  function table(panel) {
    const parts = panel.series.map(s => {
      const columns = [s.t, s.v];
      if (s.lo) columns.push(s.lo, s.hi);
      return columns;
    });
    const same = parts.every(p => p[0].length === parts[0][0].length && p[0].every((t, i) => t === parts[0][0][i]));
    return same ? [parts[0][0], ...parts.flatMap(p => p.slice(1))] : uPlot.join(parts);
  }

  function marks(chart) {
    return u => {
      const { ctx, bbox } = u, dpr = devicePixelRatio || 1;
      ctx.save();
      ctx.font = `${11 * dpr}px system-ui, sans-serif`;
      ctx.textBaseline = "top";
      let rows = [];
      for (const m of chart.marks) {
        const x = u.valToPos(m.t, "x", true);
        if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
        ctx.strokeStyle = ctx.fillStyle = css("--" + m.kind);
        ctx.lineWidth = (m.kind === "t0" ? 1.6 : 1.3) * dpr;
        ctx.setLineDash(m.kind === "deadline" ? [6 * dpr, 4 * dpr] : m.kind === "t0" ? [] : [2 * dpr, 3 * dpr]);
        ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
        if (!u._named) continue;
        const wide = ctx.measureText(m.label).width + 6 * dpr;
        const left = x + wide > bbox.left + bbox.width ? x - wide : x + 4 * dpr;
        let row = rows.findIndex(end => end < left);
        if (row < 0) row = rows.push(0) - 1;
        rows[row] = left + wide;
        ctx.fillText(m.label, left, bbox.top - (62 - 14 * Math.min(row, 3)) * dpr);
        ctx.setLineDash([]);
        ctx.lineWidth = dpr * .6;
        ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top - (50 - 14 * Math.min(row, 3)) * dpr); ctx.stroke();
      }
      ctx.restore();
    };
  }

  function options(chart, panel, index, width, last, key) {
    const ink = css("--soft"), grid = { stroke: css("--grid"), width: 1 };
    const across = chart.across ?? { name: "time", unit: "s" };
    const place = v => chart.across ? number(v, across.unit) : v.toFixed(4) + " s";
    const series = [{ label: across.name, value: (u, v) => v == null ? "" : place(v) }], bands = [];
    const states = panel.labels.length > 0;
    panel.series.forEach((s, i) => {
      const colour = css("--s" + (i + (states ? index : 0)) % 8);
      series.push({
        label: s.label, stroke: colour, width: 1.6, points: { show: false },
        value: (u, v, _, at) => at == null ? "" : states ? named(panel.labels, v) : number(v, panel.unit),
        paths: states ? uPlot.paths.stepped({ align: 1 }) : undefined,
      });
      if (s.lo) {
        const edge = { stroke: "transparent", width: 0, points: { show: false }, band: true };
        series.push({ ...edge, label: s.label + " lo" }, { ...edge, label: s.label + " hi" });
        bands.push({ series: [series.length - 1, series.length - 2], fill: colour + "33" });
      }
    });
    const top = index === 0 && chart.marks.length;
    const y = states
      ? { range: [-0.25, Math.max(panel.labels.length - 0.75, 1.25)] }
      : { range: (u, lo, hi) => lo == null ? [0, 1] : uPlot.rangeNum(lo, hi, 0.12, true) };
    return {
      width, height: (states ? 56 + 15 * Math.max(panel.labels.length, 2) : 190) + (top ? 56 : 0) + (last ? 22 : 0), series, bands,
      padding: [top ? 62 : 8, 14, 0, 0],
      legend: { live: true, markers: { width: 3 } },
      scales: { x: { time: false }, y },
      axes: [
        { stroke: ink, grid, ticks: { show: false }, size: 22, label: last ? across.name + (across.unit ? " in " + across.unit : "") : undefined, labelSize: 16, labelFont: "12px system-ui", font: "11px system-ui" },
        {
          stroke: ink, grid, ticks: { show: false }, size: states || !panel.unit ? 92 : 74, font: "11px system-ui", label: states ? undefined : panel.unit || undefined, labelSize: 18, labelFont: "12px system-ui",
          ...(states ? { splits: () => panel.labels.map((_, i) => i), values: (u, at) => at.map(v => panel.labels[v]) } : {}),
        },
      ],
      cursor: { sync: { key, scales: ["x", null] }, focus: { prox: 24 }, drag: { x: true, y: false } },
      hooks: { draw: [marks(chart)], setScale: [(u, scale) => scale === "x" && follow(u, key)] },
    };
  }

  function follow(from, key) {
    const { min, max } = from.scales.x;
    for (const u of drawn.get(key) ?? []) {
      if (u !== from && (u.scales.x.min !== min || u.scales.x.max !== max)) u.setScale("x", { min, max });
    }
  }

  function extent(chart) {
    const ends = chart.panels.flatMap(p => p.series.filter(s => s.t.length).flatMap(s => [s.t[0], s.t[s.t.length - 1]]));
    return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  }

  function inside(chart) {
    const [a, b] = extent(chart);
    if (!chart.focus) return [a, b];
    const from = Math.max(a, chart.focus[0]), to = Math.min(b, chart.focus[1]);
    return to > from ? [from, to] : [a, b];
  }

  function draw(box, range) {
    const key = box.dataset.chart, chart = all[key];
    if (!chart || !box.clientWidth) return;
    for (const u of drawn.get(key) ?? []) u.destroy();
    box.textContent = "";
    const tools = document.createElement("div"), plots = [];
    tools.className = "tools";
    tools.append("drag to zoom");
    const zoom = (text, to) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.onclick = () => plots[0]?.setScale("x", { min: to[0], max: to[1] });
      tools.append(button);
    };
    if (chart.focus) zoom("reaction", inside(chart));
    zoom(chart.across ? "all" : "whole run", extent(chart));
    box.append(tools);
    const seen = range ?? inside(chart);
    chart.panels.forEach((panel, index) => {
      const place = document.createElement("div");
      place.className = "panel";
      box.append(place);
      const last = index === chart.panels.length - 1;
      const plot = new uPlot(options(chart, panel, index, box.clientWidth, last, key), table(panel), place);
      plot._named = index === 0;
      plot.root.querySelectorAll(".u-legend .u-series").forEach((row, i) => {
        if (i === 0 && index > 0 || plot.series[i]?.band) row.style.display = "none";
      });
      plots.push(plot);
    });
    drawn.set(key, plots);
    plots.forEach(u => u.setScale("x", { min: seen[0], max: seen[1] }));
  }

  const boxes = () => [...document.querySelectorAll(".chart")];
  const eye = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target.dataset.chart)) draw(entry.target);
  }, { rootMargin: "400px" });
  boxes().forEach(box => eye.observe(box));

  const range = box => { const u = drawn.get(box.dataset.chart)?.[0]; return u && [u.scales.x.min, u.scales.x.max]; };
  const again = () => boxes().filter(box => drawn.has(box.dataset.chart)).forEach(box => draw(box, range(box)));
  let timer = 0, width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; clearTimeout(timer); timer = setTimeout(again, 120); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("print").addEventListener("change", again);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details.case:not([hidden])").forEach(d => { d.open = true; });
    boxes().slice(0, PRINTED).forEach(box => draw(box, range(box)));
  });

  const rows = [...document.querySelectorAll("tr[data-status]")], cases = [...document.querySelectorAll("details.case")];
  const chosen = new Set(), buttons = [...document.querySelectorAll(".filters button[data-status]")], search = document.querySelector(".filters input");
  function filter() {
    const text = (search?.value ?? "").toLowerCase();
    const fits = el => (!chosen.size || el.dataset.status.split(" ").some(s => chosen.has(s))) && (!text || el.dataset.text.includes(text));
    for (const el of rows) el.hidden = !fits(el);
    for (const el of cases) el.hidden = !fits(el);
  }
  buttons.forEach(button => button.addEventListener("click", () => {
    const s = button.dataset.status;
    if (chosen.has(s)) chosen.delete(s); else chosen.add(s);
    button.setAttribute("aria-pressed", chosen.has(s));
    filter();
  }));
  search?.addEventListener("input", filter);
  document.addEventListener("click", event => {
    const link = event.target.closest("a[href^='#']");
    const target = link && document.getElementById(link.getAttribute("href").slice(1));
    const holder = target?.closest("details");
    if (holder) { holder.open = true; holder.hidden = false; }
  });
})();
