"use strict";
// How each chart looks. Every function takes what is chosen and draws into the element of the given name.
const charts = (() => {
  const config = { responsive: true, displayModeBar: false };
  // The grounds are those of the style sheet; a page on paper is light.
  const light = { ink: "#1f2328", soft: "#57606a", line: "#e4e7eb", edge: "#8b949e", ground: "#ffffff", tone: 0 };
  const dark = { ink: "#e6e9ed", soft: "#a3acb8", line: "#2b323b", edge: "#6b7683", ground: "#12161b", tone: 1 };
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  const isNarrow = matchMedia("(max-width: 600px)");
  // A drag on a touch screen scrolls the page; elsewhere it zooms, and a double click goes back.
  const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  const units = {
    epochs: "Epochs", steps: "Steps", backpropagated: "Examples backward",
    examples: "Examples forward + backward", seconds: "Seconds",
  };
  let paper = false;

  const theme = () => (wantsDark.matches && !paper ? dark : light);
  const narrow = () => isNarrow.matches && !paper;
  const font = (size) => ({ family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size, color: theme().ink });
  const axis = (text, more) => ({
    title: { text, standoff: 10, font: { ...font(13), color: theme().soft } }, gridcolor: theme().line,
    linecolor: theme().edge, tickcolor: theme().edge, zeroline: false, automargin: true, ...more,
  });
  const layout = (height, more) => ({
    font: font(narrow() ? 12 : 13), height, dragmode, hovermode: "closest", paper_bgcolor: theme().ground,
    plot_bgcolor: theme().ground, showlegend: false, margin: { l: 8, r: 14, t: 14, b: 8 },
    hoverlabel: { bgcolor: theme().ground, bordercolor: theme().edge, font: font(13), align: "left" },
    ...(paper ? { width: 680 } : { autosize: true }), ...more,
  });
  const react = (name, traces, shape) => Plotly.react(document.getElementById(name), traces, shape, config);
  const color = (arm) => arm.colors[theme().tone];
  const dash = (arm) => arm.dash.map((length) => `${length}px`).join() || "solid";
  // Both ends of a long name: settings, which tell a method's variants apart, are at its end.
  const short = (name) => (narrow() && name.length > 18 && !name.includes("&") ? `${name.slice(0, 8)}\u2026${name.slice(-9)}` : name);

  function tint(hex, alpha) {
    const part = (from) => parseInt(hex.slice(from, from + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  }

  function write(value, percent) {
    if (value === null || value === undefined) return "\u2013";
    return percent ? `${(value * 100).toFixed(2)} %` : Number(value.toPrecision(4)).toString();
  }

  // Where each point of an arm's curves lies, in the chosen unit; null where that was not measured.
  function progress(task, arm, { unit, prepared }) {
    if (!arm.progress[unit]) return null;
    const [track, factor] = arm.progress[unit];
    return task.tracks[track].map((at) => at * factor + (prepared ? arm.preparation[unit] : 0));
  }

  // The ends of a curve's intervals, no further than the metric goes.
  const ends = (curve, [least, most]) => curve.mean.map((mean, i) => [
    Math.max(mean - curve.half[i], least ?? -Infinity), Math.min(mean + curve.half[i], most ?? Infinity),
  ]);

  function band(arm, x, curve, range, log) {
    // A logarithmic scale has no place for what is not above 0: there the band runs out at the lower edge.
    const edge = log ? Math.min(...curve.mean.concat(...ends(curve, range)).filter((y) => y > 0)) / 2 : -Infinity;
    const shared = { x, type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip", name: arm.name };
    const [low, high] = [0, 1].map((end) => ends(curve, range).map((pair, i) => (curve.mean[i] === null ? null : Math.max(pair[end], edge))));
    return [
      { ...shared, y: low, meta: "low" },
      { ...shared, y: high, meta: "high", fill: "tonexty", fillcolor: tint(color(arm), theme().tone ? 0.2 : 0.14) },
    ];
  }

  function line(arm, x, curve, percent) {
    const width = { focus: 3, reference: 2.4 }[arm.role] || 1.7;
    return {
      x, y: curve.mean, name: arm.name, meta: "mean", type: "scatter", mode: x.length > 1 ? "lines" : "markers",
      line: { color: color(arm), dash: dash(arm), width }, marker: { color: color(arm) },
      customdata: curve.mean.map((mean, i) => write(mean, percent) + (curve.half ? ` \u00b1 ${write(curve.half[i], percent)}` : "")),
      hovertemplate: "<b>%{fullData.name}</b><br>%{x:,.4~g}: %{customdata}<extra></extra>",
    };
  }

  // A level across the plot, with its name at the right end.
  const level = (name, y, until, dash) => ({
    x: [0, until], y: [y, y], name, meta: "level", type: "scatter", mode: "lines+text", text: ["", name], hoverinfo: "skip",
    textposition: "top left", textfont: { ...font(12), color: theme().soft }, line: { color: theme().edge, width: 1.3, dash },
  });

  function curves(name, task, chosen) {
    const { percent, label, range } = task.quantities.find((quantity) => quantity.name === chosen.quantity);
    const shown = task.arms.filter((arm, i) => chosen.arms.has(i) && arm.progress[chosen.unit]);
    const parts = shown.map((arm) => ({ arm, x: progress(task, arm, chosen), curve: arm.curves[chosen.quantity] }));
    const until = Math.max(...parts.map((part) => part.x[part.x.length - 1]), 0);
    const levels = chosen.quantity !== task.quantities[0].name || !parts.length ? [] : [
      level("constant prediction", task.constant, until, "dash"),
      ...(task.target ? [level("target", task.target.level, until, "dot")] : []),
    ];
    const bands = parts.filter((part) => chosen.bands && part.curve.half).flatMap((part) => band(part.arm, part.x, part.curve, range, chosen.log));
    const lines = parts.map((part) => line(part.arm, part.x, part.curve, percent)).reverse(); // the first lies on top
    react(name, [...levels, ...bands, ...lines], layout(narrow() ? 340 : 440, {
      xaxis: axis(units[chosen.unit] + (chosen.prepared ? ", with preparation" : ""), { range: [0, until || 1] }),
      yaxis: axis(label, {
        tickformat: percent ? ".2~%" : ".4~g", type: chosen.log ? "log" : "linear",
        ...(chosen.log ? { dtick: "D2" } : { rangemode: "tozero" }),
      }),
    }));
  }

  function target(name, task, chosen) {
    const times = task.target[chosen.prepared ? "to_target_prepared" : "to_target"][chosen.unit];
    const bars = task.arms.map((arm, i) => {
      const at = progress(task, arm, chosen);
      return { arm, time: times[i], count: task.target.counts[i], end: at && at[at.length - 1], on: chosen.arms.has(i) };
    }).filter((bar) => bar.on && bar.end !== null);
    const round = { maximumSignificantDigits: 4, maximumFractionDigits: 0, roundingPriority: "morePrecision" };
    const reached = bars.map((bar) => bar.time !== null);
    const texts = bars.map((bar, i) => (reached[i] ? `${bar.time.toLocaleString("en", round)} (${bar.count})` : `not reached (${bar.count})`));
    const length = bars.map((bar) => (bar.time === null ? bar.end : bar.time));
    react(name, [{
      type: "bar", orientation: "h", name: "to target", y: bars.map((_, i) => i), x: length, customdata: reached,
      hovertext: bars.map((bar, i) => `<b>${bar.arm.name}</b><br>${texts[i]}`), hovertemplate: "%{hovertext}<extra></extra>",
      marker: {
        color: bars.map((bar, i) => tint(color(bar.arm), reached[i] ? 1 : 0.12)), line: { color: bars.map((bar) => color(bar.arm)), width: 1 },
        pattern: { shape: reached.map((yes) => (yes ? "" : "/")), fillmode: "overlay", fgcolor: bars.map((bar) => color(bar.arm)), fgopacity: 0.4, size: 8, solidity: 0.2 },
      },
    }], layout(80 + 30 * bars.length, {
      xaxis: axis(units[chosen.unit] + (chosen.prepared ? ", with preparation" : ""), { range: [0, Math.max(...length, 0) * (narrow() ? 2.1 : 1.22) || 1] }),
      yaxis: names(bars.map((bar) => bar.arm.name)), bargap: 0.35,
      annotations: bars.map((_, i) => ({
        x: length[i], y: i, text: texts[i], showarrow: false, xanchor: "left", xshift: 5, font: { ...font(12), color: theme().ink },
      })),
    }));
  }

  const names = (all) => axis("", {
    tickvals: all.map((_, i) => i), ticktext: all.map(short), range: [all.length - 0.5, -0.5], showgrid: false, ticks: "", fixedrange: true,
  });

  // Viridis: as light or dark as the ground only at its ends, where the white lines between areas still part them.
  const ramp = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725"];
  const shade = (i, count) => ramp[count > 1 ? Math.round((i / (count - 1)) * (ramp.length - 1)) : 0];
  const bySize = (task) => task.groups.map((_, i) => i).sort((a, b) => task.shares[b] - task.shares[a] || a - b);

  function proportions(name, task, number) {
    const { epochs, shares } = task.arms[number].proportions;
    const order = bySize(task);
    const labelled = order.length <= 20;
    const rows = labelled && narrow() ? Math.ceil(order.length / 4) : 0;
    react(name, order.map((group, i) => ({
      x: task.tracks[epochs], y: shares[group], name: task.groups[group], type: "scatter", mode: "lines", stackgroup: "shares",
      line: { color: theme().ground, width: labelled ? 1 : 0 }, fillcolor: shade(i, order.length),
      hovertemplate: labelled ? "%{y:.1%}" : "<b>%{fullData.name}</b><br>epoch %{x}: %{y:.2%}<extra></extra>",
    })), layout((narrow() ? 320 : 400) + 22 * rows, {
      hovermode: labelled ? "x unified" : "closest", showlegend: labelled,
      legend: { traceorder: "reversed", ...(narrow() ? { orientation: "h", x: 0, y: -0.22, yanchor: "top" } : { x: 1.01, y: 1 }) },
      xaxis: axis("Epochs", { range: [0, Math.max(...task.tracks[epochs])], unifiedhovertitle: { text: "epoch %{x}" } }),
      yaxis: axis("Share of the batches", { tickformat: ".0%", range: [0, 1] }),
    }));
  }

  function groups(name, task, chosen) {
    const { percent, range } = task.metric;
    const order = bySize(task);
    const few = order.length <= 30;
    const x = order.map((_, i) => i);
    const share = (group) => `${Number((task.shares[group] * 100).toPrecision(2))} %`;
    const traces = task.arms.filter((_, i) => chosen.has(i)).flatMap((arm) => {
      const mean = order.map((group) => arm.group_metric.mean[group]);
      const half = arm.group_metric.half && order.map((group) => arm.group_metric.half[group]);
      const trace = {
        x, y: mean, name: arm.name, meta: "mean",
        customdata: order.map((group, i) => `${task.groups[group]} (${share(group)} of the training set)<br>${write(mean[i], percent)}${half ? ` \u00b1 ${write(half[i], percent)}` : ""}`),
        hovertemplate: "<b>%{fullData.name}</b><br>%{customdata}<extra></extra>",
      };
      const curve = { mean, half };
      const reach = (end) => ends(curve, range).map((pair, i) => Math.abs(pair[end] - mean[i]));
      const bars = half && { type: "data", symmetric: false, array: reach(1), arrayminus: reach(0), color: theme().ink, thickness: 1.1, width: narrow() ? 1.5 : 3 };
      if (few) return [{ ...trace, type: "bar", marker: { color: tint(color(arm), 0.78), pattern: { shape: arm.pattern, fillmode: "overlay", fgcolor: theme().ground, size: 6, solidity: 0.2 } }, ...(bars ? { error_y: bars } : {}) }];
      const dots = { ...trace, type: "scatter", mode: "lines+markers", line: { color: color(arm), width: 1.2, dash: dash(arm) }, marker: { color: color(arm), size: 4 } };
      return [...(half ? band(arm, x, curve, range, false) : []), dots];
    });
    const small = (text) => `<br><span style="font-size:11px">${text}</span>`;
    const labels = order.map((group) => task.groups[group] + ((few ? order.length <= 12 && !narrow() : true) ? small(share(group)) : ""));
    const parts = narrow() ? 2 : 5; // of many groups only a few are named, evenly spaced from the largest to the smallest
    const named = few ? x : Array.from({ length: parts + 1 }, (_, i) => Math.round((i / parts) * (order.length - 1)));
    const ticks = { tickvals: named, ticktext: named.map((i) => labels[i]) };
    react(name, traces, layout(narrow() ? 320 : 380, {
      xaxis: axis("Groups, the largest in training first", { showgrid: false, range: [-0.6, order.length - 0.4], ...ticks }),
      yaxis: axis(task.metric.label, { tickformat: percent ? ".2~%" : ".4~g", rangemode: "tozero" }),
      bargap: 0.25, bargroupgap: 0.05, ...(few ? {} : { margin: { l: 8, r: 36, t: 14, b: 8 } }),
    }));
  }

  function dots(name, standings, key, at, hollow) {
    const means = standings.map((one) => one[key][0]);
    const reach = (end) => standings.map((one) => (one[key][end] === null ? 0 : Math.abs(one[key][end] - one[key][0])));
    const marks = standings.map(color);
    const says = standings.map((one) => {
      const [mean, low, high] = one[key].map((value) => (value === null ? null : value.toFixed(3)));
      return `<b>${one.name}</b><br>${mean}${low === null ? "" : ` (${low} to ${high})`}<br>${one.over}`;
    });
    const y = standings.map((_, i) => i);
    const own = {
      x: means, y, name: key, type: "scatter", mode: "markers", marker: { color: marks, size: 10 }, text: says,
      hovertemplate: "%{text}<extra></extra>",
    };
    const intervals = standings.map((one, i) => ({
      x: [one[key][1], one[key][2]], y: [i, i], type: "scatter", mode: "lines", line: { color: marks[i], width: 2 }, hoverinfo: "skip", meta: "interval",
    }));
    const other = hollow ? [{
      x: standings.map((one) => one.opponent), y, name: hollow, type: "scatter", mode: "markers",
      marker: { symbol: "diamond-open", size: 9, color: theme().soft, line: { width: 1.5 } }, hovertemplate: `${hollow}, same runs: %{x:.3f}<extra></extra>`,
    }] : [];
    const all = [...means, ...means.map((mean, i) => mean - reach(1)[i]), ...means.map((mean, i) => mean + reach(2)[i]), ...(hollow ? standings.map((one) => one.opponent) : [])].filter(Number.isFinite);
    const [low, high] = hollow ? [Math.min(...all), Math.max(...all)] : [0, 1];
    const room = (high - low) * 0.05 || 0.05;
    react(name, [...intervals, ...other, own], layout(80 + 30 * standings.length, {
      xaxis: axis(key === "improvement" ? "Probability" : "Relative to the constant", { range: [low - room, high + room] }), yaxis: names(standings.map((one) => one.name)),
      shapes: [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: theme().edge, width: 1.3, dash: "dash" } }],
    }));
  }

  function standings(all, opponent) {
    dots("improvement", all, "improvement", 0.5, "");
    dots("relative", all, "relative", 1, opponent);
  }

  // Calls back whenever all charts have to be drawn anew: other colours, another width, or paper.
  function onNewLook(draw) {
    wantsDark.addEventListener("change", draw);
    isNarrow.addEventListener("change", draw);
    const print = (on) => () => {
      paper = on;
      draw();
    };
    addEventListener("beforeprint", print(true));
    addEventListener("afterprint", print(false));
  }

  return { curves, target, proportions, groups, standings, onNewLook };
})();
