"use strict";
// Plots are drawn when they come into view: a page of twenty pairs opens at once.
(function () {
  const NARROW = 520; // Pixels below which a plot is laid out for a phone.
  const GAP = 0.07; // Between frames that stand below one another, of all height.
  const CHARACTER = 6.6; // Width of a letter of an axis title [pixels].

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d"],
    toImageButtonOptions: { format: "svg" },
  };

  function axisNames(layout, letter) {
    return Object.keys(layout).filter(function (k) { return k.startsWith(letter + "axis"); });
  }

  // A text in lines of at most so many letters.
  function wrap(text, most) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length + 1 > most) lines.push(word);
      else lines[lines.length - 1] = last ? last + " " + word : word;
    }
    return lines.join("<br>");
  }

  function wrapTitles(layout, letter, pixels) {
    for (const name of axisNames(layout, letter)) {
      const title = layout[name].title;
      if (title && title.text) title.text = wrap(title.text, Math.max(12, Math.floor(pixels / CHARACTER)));
    }
  }

  // Frames that stand side by side stand below one another.
  function stack(layout, count) {
    const high = (1 - GAP * (count - 1)) / count;
    for (let i = 0; i < count; i++) {
      const suffix = i ? String(i + 1) : "";
      const top = 1 - i * (high + GAP);
      layout["xaxis" + suffix].domain = [0, 1];
      layout["yaxis" + suffix].domain = [Math.max(top - high, 0), top];
    }
  }

  // Of labels that stand turned, as many as there is room for.
  function thinOut(axis, pixels) {
    if (!axis.tickvals || axis.tickangle === undefined) return;
    const step = Math.ceil(axis.tickvals.length * 13 / pixels);
    if (step < 2) return;
    const kept = function (_, i) { return i % step === 0; };
    axis.tickvals = axis.tickvals.filter(kept);
    axis.ticktext = axis.ticktext.filter(kept);
  }

  // How high the frames of a plot to scale are, where they are so wide together.
  function squareHeight(layout, across) {
    const frames = (layout.meta || {}).frames || 1;
    const stacked = across < NARROW && frames > 1;
    const x = layout.xaxis.range, y = layout.yaxis.range;
    const ratio = x && y ? Math.abs((y[1] - y[0]) / (x[1] - x[0])) : 1;
    const side = stacked || frames === 1 ? across : (across - 40 * (frames - 1)) / frames;
    const high = Math.min(side * ratio, 560);
    return stacked ? frames * high / (1 - GAP * (frames - 1)) : high;
  }

  // Legends and colour bars take room that is only known once they are drawn.
  function settle(place) {
    const full = place._fullLayout;
    if (!full || !(full.meta || {}).square) return null;
    const height = Math.round(full.height + squareHeight(full, full._size.w) - full._size.h);
    if (Math.abs(height - full.height) < 3) return null;
    place.style.minHeight = height + "px";
    return Plotly.relayout(place, { height: height });
  }

  // What a layout is on a place of this width.
  function fit(plot, width) {
    const layout = JSON.parse(JSON.stringify(plot.layout));
    const meta = layout.meta || {};
    const margin = layout.margin;
    const narrow = width < NARROW;
    delete layout.updatemenus;
    if (narrow) {
      layout.font.size = 11;
      layout.dragmode = false; // A finger scrolls the page.
      margin.l = Math.min(margin.l, 52);
      margin.r = Math.min(margin.r, 10);
      for (const name of axisNames(layout, "x").concat(axisNames(layout, "y"))) {
        layout[name].nticks = layout[name].nticks || 6;
      }
    }
    const frames = meta.frames || 1;
    const across = width - margin.l - margin.r;
    for (const name of axisNames(layout, "x")) {
      // Turned labels end below their tick, not beyond the plot.
      if (layout[name].tickangle === undefined) layout[name].autotickangles = [0, -35, -90];
      thinOut(layout[name], across / frames);
    }
    if (meta.square) {
      layout.height = Math.round(squareHeight(layout, across) + margin.t + margin.b);
      if (narrow && frames > 1) stack(layout, frames);
    }
    wrapTitles(layout, "x", narrow || frames === 1 ? across : across / frames);
    wrapTitles(layout, "y", (layout.height - margin.t - margin.b) / (narrow ? frames : 1) * 0.9);
    return layout;
  }

  const drawn = new Map();

  function addSwitch(place, plot) {
    const menus = plot.layout.updatemenus || [];
    for (const menu of menus) {
      const row = document.createElement("div");
      row.className = "switch";
      row.textContent = menu.name || "";
      for (const button of menu.buttons) {
        const element = document.createElement("button");
        element.type = "button";
        element.textContent = button.label;
        element.addEventListener("click", function () { Plotly.relayout(place, button.args[0]); });
        row.appendChild(element);
      }
      place.before(row);
    }
  }

  function draw(place) {
    if (place.dataset.drawn) return;
    place.dataset.drawn = "1";
    const plot = JSON.parse(document.getElementById(place.dataset.json).textContent);
    addSwitch(place, plot);
    const width = place.clientWidth;
    const layout = fit(plot, width);
    const image = Object.assign({}, config.toImageButtonOptions, { filename: place.id });
    const own = Object.assign({}, config, { toImageButtonOptions: image });
    own.displayModeBar = width < NARROW ? false : "hover";
    place.style.minHeight = layout.height + "px";
    drawn.set(place, { plot: plot, config: own, width: width });
    Plotly.newPlot(place, plot.data, layout, own).then(settle);
  }

  // A telephone that is turned, a window made narrow.
  let waiting = 0;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      drawn.forEach(function (one, place) {
        if (one.width === place.clientWidth) return;
        one.width = place.clientWidth;
        const layout = fit(one.plot, one.width);
        one.config.displayModeBar = one.width < NARROW ? false : "hover";
        place.style.minHeight = layout.height + "px";
        Plotly.react(place, one.plot.data, layout, one.config).then(settle);
      });
    }, 200);
  });

  const places = Array.from(document.querySelectorAll(".plot"));
  const AHEAD = 500; // Pixels beyond the window in which plots are drawn already.

  function drawWhatIsNear() {
    for (const place of places) {
      if (place.dataset.drawn) continue;
      const where = place.getBoundingClientRect();
      if (where.top < window.innerHeight + AHEAD && where.bottom > -AHEAD) draw(place);
    }
  }

  drawWhatIsNear();
  for (const event of ["scroll", "resize", "hashchange"]) {
    window.addEventListener(event, drawWhatIsNear, { passive: true });
  }
  window.addEventListener("beforeprint", function () { places.forEach(draw); });

  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const headings = Array.from(table.tHead.rows[0].cells);
  const rows = Array.from(body.rows);

  function key(row, column, isNumber) {
    const cell = row.cells[column];
    if (!isNumber) return cell.textContent.trim();
    return cell.dataset.key === "" ? NaN : Number(cell.dataset.key);
  }

  function sort(column) {
    const heading = headings[column];
    const isNumber = heading.dataset.number === "1";
    const up = heading.getAttribute("aria-sort") !== "ascending";
    const sign = up ? 1 : -1;
    rows.sort(function (p, q) {
      const x = key(p, column, isNumber);
      const y = key(q, column, isNumber);
      if (!isNumber) return sign * x.localeCompare(y, undefined, { numeric: true });
      // What is undefined stays at the end either way.
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return sign * (x - y);
    });
    headings.forEach(function (h) { h.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    rows.forEach(function (row) { body.appendChild(row); });
  }

  const text = document.getElementById("filter");
  const least = document.getElementById("least");

  function filter() {
    const wanted = text.value.trim();
    const count = Number(least.value);
    let shown = 0;
    for (const row of rows) {
      const names = [row.cells[1].textContent, row.cells[2].textContent];
      const fits = names.some(function (n) { return n.startsWith(wanted) || n.endsWith(wanted); });
      row.hidden = !fits || Number(row.cells[3].dataset.key) < count;
      shown += !row.hidden;
    }
    document.getElementById("shown").textContent = shown + " of " + rows.length + " rows";
  }

  headings.forEach(function (heading, column) {
    heading.addEventListener("click", function () { sort(column); });
  });
  text.addEventListener("input", filter);
  least.addEventListener("input", filter);
  filter();
  body.addEventListener("click", function (event) {
    const row = event.target.closest("tr[data-anchor]");
    if (row) location.hash = row.dataset.anchor;
  });
})();
