/** The service as this page uses it. */

/** Items in each answer of the page. */
const COUNT = 8;

/** Where the API key lies for as long as the tab is open, where the service needs one. */
const KEY = "api-key";

async function ask(path, options = {}) {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch(path, {
    ...options,
    headers: { Accept: "application/json", ...(key && { "X-API-Key": key }), ...options.headers },
  });
  if (response.status === 401) {
    const given = window.prompt("This service needs an API key:");
    if (given) {
      sessionStorage.setItem(KEY, given.trim());
      return ask(path, options);
    }
    sessionStorage.removeItem(KEY);
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail || `The service answered ${response.status}.`);
  return body;
}

const post = (path, body) =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** @param visitor {user_id} or {history: [item ids]} */
export const recommend = (visitor, effort) =>
  post("/recommend", { ...visitor, effort, count: COUNT, explain: true, include_properties: true });

export const explanation = (id) => ask(`/explain/${encodeURIComponent(id)}`);

export const search = (query, signal) =>
  ask(`/items?${new URLSearchParams({ query, limit: 8 })}`, { signal });

export const users = () => ask("/page/users.json");

export async function addEvent(userId, itemId, recommendationId) {
  const event = { user_id: userId, item_id: itemId, event_id: crypto.randomUUID?.() };
  const receipt = await post("/events", {
    events: [{ ...event, ...(recommendationId && { recommendation_id: recommendationId }) }],
  });
  if (receipt.rejected.length) throw new Error(receipt.rejected[0].problem);
}
