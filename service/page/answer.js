/** The recommended items, each with why it is there and how it moved since the last answer. */

import { byId, drawn, el, moved, spoken, times } from "./dom.js";

/**
 * @param answer {explanation, items, took_ms?}; `items` may be missing for a recorded answer
 * @param before Map of item id → rank in the answer before; null where there was none
 * @param focus the item that is looked at, or null
 * @param onFocus called with an item's number
 * @param onAdd called with {item_id, title}, or undefined where nothing can be added
 */
export function drawAnswer(answer, before, focus, onFocus, onAdd) {
  const { explanation } = answer;
  const about = new Map(answer.items?.map((item) => [item.item_id, item.properties]));
  const section = byId("answer");
  section.hidden = false;
  section.replaceChildren(
    el("h2", { id: "answer-title" }, "Recommended"),
    el("p", { class: "lead" }, explanation.summary),
    el(
      "ol",
      { class: "items" },
      ...explanation.items.map((item, number) =>
        card(item, number, { about: about.get(item.item_id), before, focus, onFocus, onAdd }),
      ),
    ),
    footer(answer),
  );
}

function card(item, number, { about, before, focus, onFocus, onAdd }) {
  const chosen = focus === number;
  return el(
    "li",
    { class: chosen ? "item chosen" : "item", "data-item": item.item_id },
    drawn(String(item.rank), "rank"),
    el(
      "div",
      { class: "what" },
      el("h3", {}, item.title, badge(item, before)),
      about?.categories.length ? el("p", { class: "about" }, about.categories.join(" › ")) : null,
      el("p", { class: "why" }, item.summary),
      chosen ? closer(item) : null,
    ),
    el(
      "div",
      { class: "do" },
      el(
        "button",
        { type: "button", class: "why-button", "aria-pressed": String(chosen), onclick: () => onFocus(number) },
        "Why?",
        spoken(` ${item.title}`),
      ),
      onAdd &&
        el(
          "button",
          { type: "button", class: "add-button", onclick: () => onAdd(item) },
          "Add to history",
          spoken(`: ${item.title}`),
        ),
    ),
  );
}

/** What is shown of the item that is looked at: what it rests on, and every reason. */
function closer({ influences, reasons }) {
  const strongest = influences
    .filter((entry) => entry.influence > 0.05)
    .sort((a, b) => b.influence - a.influence)
    .slice(0, 3);
  return el(
    "div",
    { class: "closer" },
    el(
      "ul",
      { class: "rests" },
      ...strongest.map((entry) =>
        el("li", {}, el("strong", {}, times(entry.influence)), ` as likely with “${entry.title}”; without it at rank ${entry.rank_without}`),
      ),
    ),
    el("ul", { class: "reasons" }, ...reasons.map((reason) => el("li", {}, reason.text))),
  );
}

/** How the item moved since another answer; nothing where there is none. */
export const badge = (item, before) => before && moved(before.get(item.item_id), item.rank);

function footer({ explanation, took_ms }) {
  const made = took_ms === undefined ? new Date(explanation.created_at).toLocaleString() : `${Math.round(took_ms)} ms with the explanation`;
  return el(
    "p",
    { class: "foot" },
    `Model ${explanation.model_version} · ${made} · `,
    el("a", { href: `/explain/${encodeURIComponent(explanation.recommendation_id)}` }, "link to this answer"),
  );
}
