"use strict";
// What is chosen on the page, and what is shown because of it.
(() => {
  const { tasks, rankings } = JSON.parse(document.getElementById("data").textContent);
  const byId = (name, number) => document.getElementById(`${name}-${number}`);
  const views = [...document.querySelectorAll(".view")];
  const viewChoice = document.getElementById("view");

  function valueOf(chooser) {
    const radio = document.querySelector(`input[name="${chooser}"]:checked`);
    return radio ? radio.value : document.getElementById(chooser).value;
  }

  const ticked = (legend) => new Set([...legend.querySelectorAll("input:checked")].map((box) => Number(box.value)));

  const chosenCurves = (number) => ({
    quantity: valueOf(`quantity-${number}`), unit: valueOf(`axis-${number}`),
    prepared: byId("prepared", number).checked, log: byId("log", number).checked,
    bands: byId("bands", number).checked, arms: ticked(byId("legend", number)),
  });

  function drawProgress(number) {
    const chosen = chosenCurves(number);
    charts.curves(`curves-${number}`, tasks[number], chosen);
    if (tasks[number].target) charts.target(`target-${number}`, tasks[number], chosen);
  }
  const drawPath = (number) => charts.proportions(`proportions-${number}`, tasks[number], Number(valueOf(`method-${number}`)));
  const drawGroups = (number) => charts.groups(`groups-${number}`, tasks[number], ticked(byId("chosen", number)));
  function drawRanking() {
    if (!document.getElementById("improvement")) return;
    const opponent = valueOf("opponent");
    charts.standings(rankings[opponent], opponent);
  }

  // Which charts follow from which chooser.
  const followers = {
    quantity: drawProgress, axis: drawProgress, prepared: drawProgress, log: drawProgress, bands: drawProgress, legend: drawProgress,
    method: drawPath, chosen: drawGroups, opponent: drawRanking,
  };

  const isShown = (element) => !element.closest(".view") || !element.closest(".view").hidden;

  function drawAll() {
    tasks.forEach((_, number) => {
      if (!isShown(byId("curves", number))) return;
      drawProgress(number);
      drawPath(number);
      drawGroups(number);
    });
    const ranking = document.getElementById("improvement");
    if (ranking && isShown(ranking)) drawRanking();
  }

  function showPanels() {
    for (const panel of document.querySelectorAll(".panel")) panel.hidden = panel.dataset.value !== valueOf(panel.dataset.of);
  }

  // One task at a time, where there are several; the address says which, so that it can be kept and the way back works.
  function showView() {
    const name = location.hash.slice(1) || "overview";
    if (!views.some((view) => view.id === name)) return;
    for (const view of views) view.hidden = view.id !== name;
    viewChoice.value = name;
  }

  function follow(chooser) {
    const [, name, number] = chooser.match(/^([a-z]+)(?:-(\d+))?$/);
    if (followers[name]) followers[name](Number(number));
  }

  document.addEventListener("change", ({ target }) => {
    if (target === viewChoice) {
      location.hash = target.value;
      return;
    }
    showPanels();
    const group = target.closest("fieldset");
    follow(group ? group.id : target.id);
  });

  for (const legend of document.querySelectorAll(".legend")) {
    legend.addEventListener("click", ({ target }) => {
      if (target.type !== "button") return;
      for (const box of legend.querySelectorAll("input")) box.checked = target.value === "all";
      follow(legend.id);
    });
  }

  // A table's rows follow the heading that is pressed: upwards, downwards, then as they came. What is no figure comes last.
  function sortValue(cell) {
    const text = cell.textContent.trim();
    if (!cell.classList.contains("number")) return text;
    const figure = Number.parseFloat(text.replace("\u2212", "-").replace("<", "").replaceAll(",", ""));
    return Number.isNaN(figure) ? null : figure;
  }
  const inOrder = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

  function sortBy(heading) {
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const order = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort];
    for (const other of heading.parentNode.cells) other.ariaSort = "none";
    const rows = [...body.rows].map((row) => ({ row, value: sortValue(row.cells[column]), place: Number(row.dataset.place) }));
    const sign = order === "descending" ? -1 : 1;
    rows.sort((a, b) => {
      if (order === "none" || a.value === b.value) return a.place - b.place;
      if (a.value === null || b.value === null) return a.value === null ? 1 : -1;
      return sign * inOrder(a.value, b.value) || a.place - b.place;
    });
    heading.ariaSort = order;
    body.append(...rows.map(({ row }) => row));
  }

  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || table.tBodies[0].rows.length < 3) continue;
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sortBy(heading));
      heading.append(button);
      heading.ariaSort = "none";
    }
  }

  if (viewChoice) addEventListener("hashchange", () => {
    showView();
    drawAll();
    const shown = views.find((view) => !view.hidden);
    if (location.hash.slice(1) === shown.id) shown.scrollIntoView();
  });

  charts.onNewLook(drawAll);
  showPanels();
  if (viewChoice) showView();
  drawAll();
})();
