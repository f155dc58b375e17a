/** What the page knows, and what happens when. */

import { addEvent, explanation, recommend } from "./api.js";
import { drawAnswer } from "./answer.js";
import { drawComparison } from "./comparison.js";
import { byId } from "./dom.js";
import { drawHistory } from "./history.js";
import { question } from "./question.js";
import { drawThinking } from "./thinking.js";

/** answer: the last one; before: ranks in the one before it; focus: the item or step looked at. */
const now = { own: [], answer: null, before: null, focus: {} };
const recorded = location.pathname.match(/^\/explain\/([^/]+)$/);

const form = recorded ? null : question({ onAdd: add, onAsk: ask, onCompare: compare, onMode: restart });
if (recorded) showRecorded(decodeURIComponent(recorded[1]));
else draw();

let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(draw, 120);
});

function visitor() {
  if (form.mode() === "history") return { history: now.own.map((item) => item.item_id) };
  if (!form.user()) throw new Error("Name a user first.");
  return { user_id: form.user() };
}

/** A new question: what was answered before no longer compares with it. */
function restart() {
  Object.assign(now, { answer: null, before: null, focus: {} });
  for (const id of ["answer", "thinking", "comparison"]) byId(id).hidden = true;
  byId("welcome").hidden = false;
  draw();
}

function ask() {
  return busy("Thinking…", async () => {
    const asked = JSON.stringify(visitor().user_id ?? "");
    const same = now.answer && now.asked === asked;
    const answer = await recommend(visitor(), form.effort());
    const ranks = new Map(now.answer?.explanation.items.map((item) => [item.item_id, item.rank]));
    Object.assign(now, { before: same ? ranks : null, answer, asked, focus: {} });
    byId("welcome").hidden = true;
    byId("comparison").hidden = true;
    draw();
    return said(answer);
  });
}

function said({ explanation: { items }, unknown_items: unknown }) {
  const ignored = unknown.length ? ` ${unknown.length} unknown items of the history were ignored.` : "";
  return `${items.length} items recommended.${ignored}`;
}

function compare() {
  return busy("Thinking twice…", async () => {
    const [fast, deep] = await Promise.all(["fast", "deep"].map((effort) => recommend(visitor(), effort)));
    if (!deep.explanation.history.length) {
      byId("comparison").hidden = true;
      throw new Error("Without a history, fast and deep give the same popular items. Add an item first, or name a user who has a history.");
    }
    drawComparison(fast, deep);
    byId("welcome").hidden = true;
    byId("comparison").scrollIntoView({ block: "start" });
    return "Fast and deep are compared.";
  });
}

/** Put an item into the history: of the user, or of this page. An answer on show follows. */
async function add(item) {
  if (form.mode() === "history") {
    now.own.push({ item_id: item.item_id, title: item.title });
    draw();
    return now.answer ? ask() : say(`${item.title} added to the history.`);
  }
  const stored = await busy("Storing the event…", async () => {
    await addEvent(form.user(), item.item_id, now.answer?.explanation.recommendation_id);
    return "The event is stored.";
  });
  return stored && ask();
}

function remove(place) {
  now.own.splice(place, 1);
  draw();
  return now.answer && ask();
}

async function showRecorded(id) {
  byId("ask").hidden = true;
  byId("welcome").hidden = true;
  await busy("Looking it up…", async () => {
    now.answer = { explanation: await explanation(id) };
    document.title = "Why · STREAM-Rec";
    draw();
    return "";
  });
}

function draw() {
  const explained = now.answer?.explanation;
  const own = form?.mode() === "history";
  const items = own ? now.own : (explained?.history ?? []);
  const [light, note] = explained ? lighting(explained) : [null, "Newest first."];
  drawHistory(items, light, note, own ? remove : undefined);
  if (!explained) return;
  drawAnswer(now.answer, now.before, now.focus.item, (item) => look({ item }), form ? add : undefined);
  drawThinking(explained, now.focus, (item) => look({ item }), (step) => look({ step }));
}

/** Which items of the history are lit, and what that means. */
function lighting({ history, items, steps }) {
  const { item, step } = now.focus;
  const measured = (entries, value) =>
    new Map(entries.map((entry) => [entry.item_id, value(entry)]).filter(([, figure]) => figure !== null));
  if (item !== undefined) {
    return [measured(items[item].influences, (entry) => entry.influence), `Newest first. Lit: what makes “${items[item].title}” more likely.`];
  }
  if (step !== undefined) {
    return step === 0
      ? [measured(steps[0].influences, (entry) => entry.on_ranking), "Newest first. Lit: what the first impression rests on."]
      : [measured(steps[step].influences, (entry) => entry.on_code), `Newest first. Lit: what made step ${step} write “${steps[step].written.label}”.`];
  }
  return [measured(history, (entry) => entry.influence), "Newest first. Lit: what the whole answer rests on."];
}

/** Look at an item or a step; looking again looks away. Keeps the keyboard where it was. */
function look(focus) {
  const away = focus.item === now.focus.item && focus.step === now.focus.step;
  now.focus = away ? {} : focus;
  const [kind, number] = Object.entries(focus)[0];
  draw();
  const buttons = document.querySelectorAll(kind === "item" ? ".why-button" : ".light-button");
  buttons[number]?.focus({ preventScroll: true });
}

async function busy(message, work) {
  byId("results").setAttribute("aria-busy", "true");
  say(message);
  try {
    say(await work());
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  } finally {
    byId("results").removeAttribute("aria-busy");
  }
}

function say(message, wrong = false) {
  const status = byId("status");
  status.textContent = message;
  status.classList.toggle("wrong", wrong);
}
