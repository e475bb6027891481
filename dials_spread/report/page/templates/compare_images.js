"use strict";
// Plots are drawn when they come into view: a page of twenty pairs opens at once.
(function () {
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
    toImageButtonOptions: { format: "svg" },
  };

  function draw(place) {
    if (place.dataset.drawn) return;
    place.dataset.drawn = "1";
    const plot = JSON.parse(document.getElementById(place.dataset.json).textContent);
    const name = { filename: place.id };
    const image = Object.assign({}, config.toImageButtonOptions, name);
    const own = Object.assign({}, config, { toImageButtonOptions: image });
    Plotly.newPlot(place, plot.data, plot.layout, own);
  }

  const places = Array.from(document.querySelectorAll(".plot"));
  if ("IntersectionObserver" in window) {
    const watcher = new IntersectionObserver(function (entries) {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }, { rootMargin: "500px" });
    places.forEach(function (place) { watcher.observe(place); });
  } else {
    places.forEach(draw);
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
