/** The history, its items lit by what they did. */

import { byId, drawn, el, spoken, times } from "./dom.js";

const SHOWN = 12;
let showAll = false;

/**
 * @param items [{item_id, title}], oldest first
 * @param influence Map of item id → influence; null before there is an answer
 * @param note what the light means
 * @param onRemove called with a position, or undefined where items cannot be removed
 */
export function drawHistory(items, influence, note, onRemove) {
  byId("history-note").textContent = items.length
    ? note
    : "Empty so far. Whoever has no history gets what is popular.";
  const strongest = influence ? Math.max(0.05, ...influence.values()) : 1;
  const newestFirst = items.map((item, place) => ({ item, place })).reverse();
  const shown = showAll ? newestFirst : newestFirst.slice(0, SHOWN);
  byId("history").replaceChildren(
    ...shown.map(({ item, place }) =>
      line(item, influence?.get(item.item_id), strongest, onRemove && (() => onRemove(place))),
    ),
  );
  const more = byId("history-more");
  more.hidden = items.length <= SHOWN;
  more.textContent = showAll ? "Show the newest only" : `Show all ${items.length}`;
  more.onclick = () => {
    showAll = !showAll;
    drawHistory(items, influence, note, onRemove);
  };
}

function line(item, influence, strongest, onRemove) {
  const light = Math.max(0, influence ?? 0) / strongest;
  const row = el("li", { class: light > 0.33 ? "lit" : "", "data-item": item.item_id });
  row.style.setProperty("--strength", light.toFixed(3));
  row.append(el("span", { class: "title" }, item.title));
  if (influence !== undefined) row.append(...effect(influence));
  if (onRemove) {
    row.append(
      el("button", { type: "button", class: "remove", onclick: onRemove }, drawn("×"), spoken(`Remove ${item.title}`)),
    );
  }
  return row;
}

function effect(influence) {
  const figure = times(influence);
  if (Math.abs(influence) < 0.05) return [drawn("·", "effect"), spoken(", hardly any influence")];
  const said = influence < 0 ? "held it back" : "made it likelier";
  return [drawn(figure, "effect"), spoken(`, ${said}: ${figure}`)];
}
