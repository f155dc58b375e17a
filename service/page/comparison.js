/** Two answers to the same question, side by side. */

import { badge } from "./answer.js";
import { byId, drawn, el } from "./dom.js";

/** @param fast, deep recommendations with their explanations */
export function drawComparison(fast, deep) {
  const ranks = new Map(fast.explanation.items.map((item) => [item.item_id, item.rank]));
  const shared = deep.explanation.items.filter((item) => ranks.has(item.item_id)).length;
  const count = deep.explanation.items.length;
  const section = byId("comparison");
  section.hidden = false;
  section.replaceChildren(
    el("h2", { id: "comparison-title" }, "Fast beside deep"),
    el("p", { class: "lead" }, `${shared} of ${count} items are in both answers; thinking brought ${count - shared} that first sight had not.`),
    el("div", { class: "columns" }, column("Fast", fast, null), column("Deep", deep, ranks)),
  );
}

function column(name, answer, before) {
  const { explanation } = answer;
  return el(
    "section",
    { "aria-label": name },
    el("h3", {}, name),
    el("p", { class: "note" }, `${explanation.reasoning_steps} steps`),
    el(
      "ol",
      { class: "plain" },
      ...explanation.items.map((item) =>
        el("li", {}, drawn(String(item.rank), "rank"), el("span", { class: "title" }, item.title, badge(item, before))),
      ),
    ),
  );
}
