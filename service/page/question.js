/** The form: a user or a history, the effort, and the search of the catalogue. */

import { search, users } from "./api.js";
import { byId, el, spoken } from "./dom.js";

const WAIT_MS = 150;

/**
 * @param onAdd called with {item_id, title} to put into the history
 * @param onAsk called when an answer is wanted
 * @param onCompare called when fast and deep are to be compared
 * @param onMode called when the kind of visitor changes
 */
export function question({ onAdd, onAsk, onCompare, onMode }) {
  const form = byId("ask");
  const user = byId("user");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onAsk();
  });
  byId("compare").addEventListener("click", onCompare);
  for (const radio of form.elements.mode) {
    radio.addEventListener("change", () => {
      byId("user-part").hidden = mode() !== "user";
      byId("history-part").hidden = mode() !== "history";
      onMode();
    });
  }
  offerUsers(user, onAsk);
  liveSearch(onAdd);

  function mode() {
    return form.elements.mode.value;
  }
  return { mode, user: () => user.value.trim(), effort: () => form.elements.effort.value };
}

async function offerUsers(input, onAsk) {
  const known = await users().catch(() => []);
  byId("users").replaceChildren(...known.map((id) => el("option", { value: id })));
  input.placeholder = known.length ? "Type or pick one" : "As in your events";
  const pick = (id) => () => {
    input.value = id;
    onAsk();
  };
  byId("user-picks").replaceChildren(
    ...known.slice(0, 4).map((id) => el("button", { type: "button", onclick: pick(id) }, id)),
  );
}

function liveSearch(onAdd) {
  const input = byId("search");
  let waiting;
  let running;

  async function look() {
    running?.abort();
    running = new AbortController();
    try {
      const { items } = await search(input.value, running.signal);
      byId("found").replaceChildren(...items.map((item) => hit(item, onAdd)));
      byId("found-count").textContent = input.value ? `${items.length} items found` : "";
    } catch (error) {
      if (error.name !== "AbortError") byId("found").replaceChildren(el("li", {}, error.message));
    }
  }
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, WAIT_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  look();
}

function hit(item, onAdd) {
  const title = item.title || item.item_id;
  const about = item.categories.at(-1);
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", onclick: () => onAdd({ item_id: item.item_id, title }) },
      spoken("Add "),
      el("span", { class: "title" }, title),
      about && el("span", { class: "about" }, about),
    ),
  );
}
