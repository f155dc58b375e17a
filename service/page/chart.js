/** The recommended items' ranks over the steps, as lines that cross, and the same as a table. */

import { el, svg } from "./dom.js";

const ROW = 38;
const TOP = 34;
const DOT = 13;
const COLOURS = 8;

/**
 * Height is the order among the recommended items; the number in a dot is the rank among all items.
 *
 * @param items explained items
 * @param width pixels to fill
 * @param focus {item?, step?} numbers of what is looked at
 * @param onItem called with an item's number
 */
export function bumpChart(items, width, focus, onItem) {
  const steps = items[0].ranks_by_step.length;
  const label = Math.min(250, width * 0.4);
  const x = (step) => DOT + 4 + (step * (width - label - 2 * DOT - 8)) / Math.max(1, steps - 1);
  const y = (place) => TOP + DOT + place * ROW;
  const crowded = x(1) - x(0) < 52;
  const tick = (step) => (step ? (crowded ? String(step) : `Step ${step}`) : "First");
  const places = Array.from({ length: steps }, (_, step) => order(items, step));
  const height = y(items.length - 1) + DOT + 6;

  const chart = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: "bump", role: "img",
    "aria-label": "Ranks of the recommended items after each step; the table below has the same figures.",
  });
  for (let step = 0; step < steps; step += 1) {
    chart.append(
      svg("line", { x1: x(step), x2: x(step), y1: TOP, y2: height - 4, class: step === focus.step ? "grid chosen" : "grid" }),
      svg("text", { x: x(step), y: 16, class: "tick", "text-anchor": step ? "middle" : "start", dx: step ? 0 : -DOT }, tick(step)),
    );
  }
  const drawnLast = items.map((_, number) => number).sort((a, b) => (a === focus.item) - (b === focus.item) || b - a);
  for (const number of drawnLast) {
    const item = items[number];
    const points = places.map((place, step) => [x(step), y(place[number])]);
    const dimmed = focus.item !== undefined && focus.item !== number;
    chart.append(
      svg(
        "g",
        { class: `path c${number % COLOURS}${dimmed ? " dimmed" : ""}`, onclick: () => onItem(number) },
        svg("title", {}, item.title),
        svg(
          "g",
          { class: "line" },
          svg("path", { d: curve(points) }),
          ...points.flatMap(([left, top], step) => [
            svg("circle", { cx: left, cy: top, r: DOT }),
            svg("text", { x: left, y: top, class: "dot" }, String(item.ranks_by_step[step])),
          ]),
        ),
        svg("text", { x: width - label + 10, y: points.at(-1)[1], class: "name" }, shortened(item.title, (label - 10) / 7.8)),
      ),
    );
  }
  return chart;
}

/** The same figures for those who read rather than look. */
export function rankTable(items) {
  const steps = items[0].ranks_by_step.map((_, step) => (step ? `Step ${step}` : "First"));
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Ranks as a table" },
    el(
      "table",
      {},
      el("caption", { class: "spoken" }, "Rank of each recommended item after each step"),
      el("thead", {}, el("tr", {}, ...["Item", ...steps].map((name) => el("th", { scope: "col" }, name)))),
      el(
        "tbody",
        {},
        ...items.map((item) =>
          el("tr", {}, el("th", { scope: "row" }, item.title), ...item.ranks_by_step.map((rank) => el("td", {}, String(rank)))),
        ),
      ),
    ),
  );
}

/** For each item, its place among the items after a step. */
function order(items, step) {
  const sorted = items.map((item, number) => [item.ranks_by_step[step], number]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const places = [];
  sorted.forEach(([, number], place) => (places[number] = place));
  return places;
}

function curve(points) {
  return points
    .map(([x, y], i) => {
      if (i === 0) return `M${x} ${y}`;
      const [before, level] = points[i - 1];
      const middle = (before + x) / 2;
      return `C${middle} ${level} ${middle} ${y} ${x} ${y}`;
    })
    .join("");
}

const shortened = (text, length) => (text.length > length ? `${text.slice(0, Math.max(1, length - 1)).trimEnd()}…` : text);
