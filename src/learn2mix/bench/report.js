"use strict";
(() => {
  const tasks = JSON.parse(document.getElementById("data").textContent);
  const config = { responsive: true, displayModeBar: false };
  // A drag on a touch screen scrolls the page; elsewhere it zooms, and a double click goes back.
  const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  const narrow = () => innerWidth < 600;
  const byId = (name, number) => document.getElementById(`${name}-${number}`);
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 13, color: "#1f2328" };
  const titles = {
    epochs: "Epochs",
    backpropagated: "Examples backward",
    examples: "Examples forward + backward",
    seconds: "Seconds",
  };

  const axis = (text, more) => ({
    title: { text, standoff: 8 }, gridcolor: "#e6e8eb", linecolor: "#8b949e", zeroline: false, automargin: true, ...more,
  });
  const layout = (height, more) => ({
    font, height, dragmode, hovermode: "closest", paper_bgcolor: "#fff", plot_bgcolor: "#fff",
    margin: { l: 8, r: 12, t: 12, b: 8 }, hoverlabel: { bgcolor: "#fff", font }, ...more,
  });
  // Below the plot, where a long list of names takes nothing from its width.
  const legend = { orientation: "h", x: 0, y: -0.2, yanchor: "top", itemsizing: "constant" };
  const legendRows = (count) => Math.ceil(count / (narrow() ? 2 : 6));

  function choice(number) {
    return {
      unit: document.querySelector(`input[name="axis-${number}"]:checked`).value,
      prepared: byId("prepared", number).checked,
      log: byId("log", number).checked,
    };
  }

  const progress = (arm, { unit, prepared }) =>
    arm.progress[unit] && arm.progress[unit].map((x) => x + (prepared ? arm.preparation[unit] : 0));

  function tint(color, alpha) {
    const part = (from) => parseInt(color.slice(from, from + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  }

  function band(arm, x) {
    const shared = { x, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: arm.name };
    return [
      { ...shared, name: arm.name, y: arm.low, meta: "low" },
      { ...shared, name: arm.name, y: arm.high, meta: "high", fill: "tonexty", fillcolor: tint(arm.color, 0.14) },
    ];
  }

  function drawCurves(task, number) {
    const chosen = choice(number);
    const shown = task.arms.filter((arm) => arm.progress[chosen.unit]);
    const bands = shown.filter((arm) => arm.low).flatMap((arm) => band(arm, progress(arm, chosen)));
    const lines = shown.map((arm) => ({
      x: progress(arm, chosen), y: arm.mean, name: arm.name, meta: "mean", legendgroup: arm.name,
      type: "scatter", mode: "lines", line: { color: arm.color, dash: arm.dash, width: 2 },
      hovertemplate: `%{fullData.name}<br>%{x:,.4~g}: %{y:${task.metric.percent ? ".2%" : ".4~g"}}<extra></extra>`,
    }));
    const target = task.target && {
      type: "line", xref: "paper", x0: 0, x1: 1, y0: task.target.level, y1: task.target.level,
      line: { color: "#57606a", width: 1, dash: "dot" },
    };
    const rows = legendRows(lines.length);
    Plotly.react(byId("curves", number), [...bands, ...lines], layout(400 + 22 * rows, {
      xaxis: axis(titles[chosen.unit] + (chosen.prepared ? ", with preparation" : ""), { rangemode: "tozero" }),
      yaxis: axis(task.metric.label, { tickformat: task.metric.format, type: chosen.log ? "log" : "linear", ...(chosen.log ? { dtick: "D2" } : { rangemode: "tozero" }) }),
      legend, showlegend: true, shapes: target ? [target] : [],
    }), config);
  }

  function drawTarget(task, number) {
    const chosen = choice(number);
    const times = task.target[chosen.prepared ? "to_target_prepared" : "to_target"][chosen.unit];
    const bars = task.arms.map((arm, i) => {
      const ends = progress(arm, chosen);
      return { arm, time: times[i], count: task.target.counts[i], end: ends && ends[ends.length - 1] };
    }).filter((bar) => bar.end !== null && bar.end !== undefined);
    const reached = bars.map((bar) => bar.time !== null);
    const write = (value) => value.toLocaleString("en", { maximumSignificantDigits: value < 1000 ? 4 : 21, maximumFractionDigits: 0, roundingPriority: "morePrecision" });
    Plotly.react(byId("target", number), [{
      type: "bar", orientation: "h", name: "to target", y: bars.map((bar) => bar.arm.name),
      x: bars.map((bar) => (bar.time === null ? bar.end : bar.time)),
      customdata: reached,
      text: bars.map((bar) => (bar.time === null ? `not reached (${bar.count})` : `${write(bar.time)} (${bar.count})`)),
      textposition: "auto", insidetextanchor: "end", cliponaxis: false, hoverinfo: "y+text",
      marker: {
        color: bars.map((bar, i) => (reached[i] ? bar.arm.color : "#ffffff")),
        line: { color: bars.map((bar) => bar.arm.color), width: 1 },
        pattern: { shape: reached.map((yes) => (yes ? "" : "/")), fillmode: "overlay", fgcolor: bars.map((bar) => bar.arm.color), fgopacity: 0.35, size: 8, solidity: 0.2 },
      },
    }], layout(90 + 30 * bars.length, {
      xaxis: axis(titles[chosen.unit] + (chosen.prepared ? ", with preparation" : ""), { rangemode: "tozero" }),
      yaxis: axis("", { type: "category", autorange: "reversed", showgrid: false }),
      showlegend: false, bargap: 0.3,
    }), config);
  }

  // Viridis without its lightest end, which is too faint on white: dark for the first group, light for the last.
  const ramp = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59", "#a5cc2f", "#d2c200"];
  function shade(i, count) {
    const at = count > 1 ? (i / (count - 1)) * (ramp.length - 1) : 0;
    return ramp[Math.round(at)];
  }

  function drawProportions(task, number) {
    const arm = task.arms[Number(byId("method", number).value)];
    const count = task.groups.length;
    const labelled = count <= 20;
    Plotly.react(byId("proportions", number), task.groups.map((group, i) => ({
      x: arm.progress.epochs, y: arm.proportions[i], name: group, type: "scatter", mode: "lines",
      line: { color: shade(i, count), width: labelled ? 2 : 1, dash: labelled && count > 10 && i % 2 ? "dash" : "solid" },
      hovertemplate: "%{fullData.name}<br>epoch %{x}: %{y:.2%}<extra></extra>",
    })), layout(360 + (labelled ? 22 * legendRows(count) : 0), {
      xaxis: axis("Epochs", { rangemode: "tozero" }),
      yaxis: axis("Share of the batches", { tickformat: ".2~p", rangemode: "tozero" }),
      legend, showlegend: labelled,
    }), config);
  }

  function drawGroups(task, number) {
    const names = task.arms.map((arm) => arm.name);
    const values = task.arms.map((arm) => arm.group_metric);
    const write = (value) =>
      value === null ? "" : task.metric.percent ? (value * 100).toFixed(1) : Number(value.toPrecision(3)).toString();
    const written = task.groups.length <= (narrow() ? 10 : 24);
    const shares = task.groups.map((group, i) => `${(task.shares[i] * 100).toPrecision(2)} %`);
    Plotly.react(byId("groups", number), [{
      type: "heatmap", x: task.groups, y: names, z: values, customdata: names.map(() => shares), xgap: 2, ygap: 2,
      colorscale: [[0, "#ffffff"], [1, "#6baed6"]], zmin: 0,
      text: values.map((row) => row.map(write)), texttemplate: written ? "%{text}" : "", textfont: { size: narrow() ? 9 : 12, color: font.color },
      hovertemplate: `%{y}, group %{x}<br>%{z:${task.metric.percent ? ".2%" : ".4~g"}}<br>share of the training set %{customdata}<extra></extra>`,
      showscale: !written, colorbar: { thickness: 10, tickformat: task.metric.format },
    }], layout(110 + 32 * names.length, {
      xaxis: axis("Group", { type: "category", showgrid: false, fixedrange: written }),
      yaxis: axis("", { type: "category", autorange: "reversed", showgrid: false, fixedrange: true }),
    }), config);
  }

  tasks.forEach((task, number) => {
    const progressCharts = () => {
      drawCurves(task, number);
      if (task.target) drawTarget(task, number);
    };
    document.querySelector(`.controls[data-task="${number}"]`).addEventListener("change", progressCharts);
    byId("method", number).addEventListener("change", () => drawProportions(task, number));
    progressCharts();
    drawProportions(task, number);
    drawGroups(task, number);
  });
})();
