"use strict";
// Lists what overlaps or is cut off on a page whose plots are all drawn.
(function () {
  const faults = [];

  function box(element) {
    const r = element.getBoundingClientRect();
    return { left: r.left, right: r.right, top: r.top, bottom: r.bottom };
  }

  function textBox(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    return box(range);
  }

  function overlap(a, b) {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    return wide > 1.5 && high > 1.5;
  }

  function inside(a, b) {
    return a.left > b.left - 1.5 && a.right < b.right + 1.5 && a.top > b.top - 1.5 && a.bottom < b.bottom + 1.5;
  }

  function frames(place) {
    const full = place._fullLayout;
    const svg = box(place.querySelector(".main-svg"));
    return Object.values(full._plots).map(function (plot) {
      const left = svg.left + plot.xaxis._offset, top = svg.top + plot.yaxis._offset;
      return { left: left, right: left + plot.xaxis._length, top: top, bottom: top + plot.yaxis._length };
    });
  }

  function parts(place) {
    const figure = place.closest("figure");
    const found = [["title", textBox(figure.querySelector("figcaption"))]];
    const add = function (name, selector, root) {
      for (const element of (root || place).querySelectorAll(selector)) {
        const r = box(element);
        if (r.right > r.left) found.push([name, r]);
      }
    };
    add("tool bar", ".modebar");
    add("legend", "g.legend");
    add("colour bar", "g.colorbar");
    add("axis title", ".infolayer .g-xtitle, .infolayer .g-ytitle, .infolayer .g-y2title");
    add("switch", ".switch button", figure);
    add("note", "g.annotation");
    frames(place).forEach(function (f) { found.push(["frame", f]); });
    return found;
  }

  function ticks(place) {
    const sets = [];
    for (const name of ["xtick", "ytick", "y2tick"]) {
      const texts = Array.from(place.querySelectorAll("g." + name + " > text"));
      const shown = texts.filter(function (t) { return t.textContent && getComputedStyle(t).opacity !== "0"; });
      sets.push({ name: name, texts: shown });
    }
    return sets;
  }

  function check(place) {
    const say = function (what) { faults.push(place.id + ": " + what); };
    const svg = box(place.querySelector(".main-svg"));
    const all = parts(place);
    for (let i = 0; i < all.length; i++) {
      for (let j = 0; j < i; j++) {
        const two = [all[i], all[j]];
        if (two.every(function (p) { return p[0] === "frame"; })) continue;
        if (overlap(all[i][1], all[j][1])) say(all[j][0] + " on " + all[i][0]);
      }
      const outer = ["title", "tool bar", "switch"].includes(all[i][0]);
      if (!outer && !inside(all[i][1], svg)) say(all[i][0] + " cut off");
    }
    for (const set of ticks(place)) {
      const turned = set.texts.some(function (t) { return /rotate\((?!0)/.test(t.getAttribute("transform") || ""); });
      set.texts.forEach(function (text, i) {
        const own = box(text);
        if (!inside(own, svg)) say(set.name + " " + text.textContent + " cut off");
        for (const part of all) {
          if (part[0] !== "frame" && overlap(own, part[1])) say(set.name + " " + text.textContent + " on " + part[0]);
        }
        if (i && !turned && overlap(own, box(set.texts[i - 1]))) say(set.name + " " + text.textContent + " on its neighbour");
      });
      const axis = set.name === "xtick" ? "xaxis" : set.name === "ytick" ? "yaxis" : "yaxis2";
      const full = place._fullLayout[axis];
      if (full && full.visible !== false && set.texts.length < (full.ticktext ? 1 : 2)) say("no ticks on " + axis);
    }
    const source = JSON.parse(document.getElementById(place.dataset.json).textContent);
    for (const wrong of Plotly.validate(source.data, source.layout) || []) {
      // Settings that are known but have no effect here are no faults.
      if (["object", "array", "schema", "value"].includes(wrong.code)) say(wrong.msg);
    }
  }

  function finish() {
    const places = Array.from(document.querySelectorAll(".plot"));
    places.forEach(check);
    const root = document.documentElement;
    if (root.scrollWidth > window.innerWidth + 1) faults.push("the page is " + root.scrollWidth + " pixels wide");
    const answer = { width: window.innerWidth, plots: places.length, faults: faults };
    (window.parent || window).postMessage(JSON.stringify(answer), "*");
  }

  window.dispatchEvent(new Event("beforeprint"));
  setTimeout(finish, 5000);
})();
