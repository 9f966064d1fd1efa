// The vote page: answers from keys and clicks, the next pair at once, and what is saved said truthfully.
//
// The answers of a ballot are sent by Enter, Space or "Next", never by the last answer alone: votes are append-only, and
// one key more is cheap against an answer that can be undone only once.

import { meaningOf } from "./keys.js";
import { jsonHeaders, Outbox } from "./outbox.js";
import { BallotQueue, decoded } from "./queue.js";
import { SeenTime } from "./seen.js";
import { HELD, Zoom } from "./zoom.js";

const host = document.querySelector("[data-ballot-host]");
const words = JSON.parse(document.getElementById("words").textContent);
const savedLine = document.querySelector("[data-saved]");
const queue = new BallotQueue(host.dataset.queue);
const outbox = new Outbox(form().action, { heard, known: () => [form().dataset.ballot, ...queue.tokens] });
const zoom = new Zoom();
const answered = new Set();
const seen = new SeenTime();
let undoable = host.dataset.undoable; // token of the ballot that "undo" takes back, or ""
let isUndoing = false;
let isUndoWanted = false; // pressed while the answer was still on its way

function form() {
  return host.querySelector("form");
}

function rows() {
  return Array.from(form().querySelectorAll("[data-criterion]"));
}

const isAnswered = (row) => row.querySelector("input:checked") !== null;
const isDone = (token) => answered.has(token) || outbox.has(token) || token === form().dataset.ballot;

// Showing a ballot

function show(ballot) {
  zoom.close();
  host.replaceChildren(ballot.form);
  offerUndo(undoable);
  begin(ballot.isDecoded ? null : ballot.decoded);
}

/** Make the form on the page ready; it can be answered once its images are decoded. */
function begin(waitFor) {
  form().noValidate = true; // an unanswered question is shown by focus, not by the browser's bubble
  if (waitFor) {
    enable(false);
    const mine = form();
    waitFor.then((isDecoded) => {
      if (mine !== form()) return;
      if (!isDecoded) return say(words.notLoaded);
      enable(true);
    });
  } else {
    enable(true);
  }
}

function enable(isReady, { keepsTime = false } = {}) {
  form().querySelector("[data-criteria]").disabled = !isReady;
  form().querySelector("[data-pair]").dataset.state = isReady ? "ready" : "loading";
  if (isReady && !keepsTime) seen.restart();
  turnTo(rows().find((row) => !isAnswered(row)) ?? null, { focus: isReady });
}

/** Light a row and put the focus on it; no row means that all are answered and "Next" is in turn. */
function turnTo(row, { focus = true } = {}) {
  const next = form().querySelector("[data-next]");
  const isComplete = rows().every(isAnswered);
  next.setAttribute("aria-disabled", String(!isComplete));
  form().querySelector("[data-criteria]").classList.toggle("complete", isComplete && !row);
  // The last row stays lit on a phone, where only the lit row is to be seen.
  const lit = row ?? rows().at(-1);
  for (const each of rows()) each.classList.toggle("in-turn", each === lit);
  form().querySelector("[data-back]").disabled = lit === rows()[0];
  if (focus) (row ?? next).focus({ preventScroll: true, focusVisible: row ? undefined : true });
}

function say(problem) {
  form().querySelector("[data-problem]").textContent = problem;
}

// Answering

function choose({ choice, number }) {
  const row = form().querySelector("[data-criterion].in-turn");
  if (!row || form().querySelector("[data-criteria]").disabled) return;
  if (isAnswered(row) && document.activeElement === form().querySelector("[data-next]")) return; // all answered: Up goes back
  const option = number ? row.querySelectorAll("input")[number - 1] : row.querySelector(`input[value="${choice}"]`);
  if (!option) return;
  option.checked = true;
  goOn(row);
}

function goOn(row) {
  say("");
  const order = rows();
  const after = [...order.slice(order.indexOf(row) + 1), ...order].find((each) => !isAnswered(each));
  turnTo(after ?? null);
}

function back() {
  const order = rows();
  const at = order.findIndex((row) => row.classList.contains("in-turn"));
  // On a desk the last row is not lit once all are answered, so the first step back goes to it.
  const isAtEnd = document.activeElement === form().querySelector("[data-next]");
  turnTo(order[isAtEnd ? order.length - 1 : Math.max(0, at - 1)]);
}

function send(submitter) {
  const isSkip = submitter?.name === "skip" || submitter?.name === "report"; // either leaves the pair without answers
  const lacks = isSkip && !form().querySelector(`[name=${submitter.name}_reason]:checked`);
  if (lacks) return say(submitter.name === "skip" ? words.sayWhy : words.sayWhat);
  const open = rows().find((row) => !isAnswered(row));
  if (!isSkip && (open || form().querySelector("[data-criteria]").disabled)) return open && turnTo(open);
  if (!isSkip && "firstStep" in form().dataset) return sendFirst();
  const fields = new FormData(form(), submitter);
  fields.delete("csrfmiddlewaretoken");
  fields.set("page_milliseconds", String(Math.round(seen.milliseconds)));
  const token = form().dataset.ballot;
  answered.add(token);
  undoable = token;
  const ballot = queue.next();
  if (ballot) show(ballot);
  else enable(false);
  outbox.add(token, new URLSearchParams(fields).toString());
}

/** Answers that are given before the text is shown: the server keeps them, and its reply brings the text. */
async function sendFirst() {
  const mine = form();
  const fields = new FormData(mine);
  enable(false, { keepsTime: true });
  const reply = await replyTo(mine.action, fields);
  if (mine !== form()) return;
  if (reply?.kept) return replaceBy(reply.html);
  enable(true, { keepsTime: true });
  say(reply?.problem ?? words.firstFailed);
  if (reply) follow(reply);
}

/** The same ballot's next step; its images stay where they are. */
function replaceBy(html) {
  const holder = document.createElement("div");
  holder.innerHTML = html; // our own server's template, escaped there
  const next = holder.querySelector("form");
  next.querySelector("[data-pair]").replaceWith(form().querySelector("[data-pair]"));
  host.replaceChildren(next);
  next.noValidate = true;
  offerUndo(undoable);
  enable(true, { keepsTime: true });
}

/** The server's JSON, or null where there was none. */
async function replyTo(address, fields) {
  try {
    const options = { method: "POST", body: new URLSearchParams(fields), headers: jsonHeaders(), credentials: "same-origin" };
    return await (await fetch(address, options)).json();
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return null;
    throw error;
  }
}

// Undo

function offerUndo(token) {
  undoable = token;
  const button = form().querySelector("[data-undo]");
  button.value = token;
  button.disabled = !token;
}

/** The last ballot once more. An answer that is still on its way is saved first: it may have arrived already. */
async function undo() {
  if (isUndoing) return;
  if (!undoable) return status(words.nothingToUndo);
  isUndoWanted = outbox.size > 0;
  if (isUndoWanted) return status(words.undoLater, savedLine.dataset.state);
  isUndoing = true;
  status(words.undoing);
  const fields = [["undo", undoable], ...[form().dataset.ballot, ...queue.tokens].map((token) => ["known", token])];
  const reply = await replyTo(form().querySelector("[data-undo]").formAction, fields);
  isUndoing = false;
  if (!reply) return status(words.undoFailed, "late");
  if (!reply.undone) {
    status(reply.problem ?? words.undoFailed);
    return follow(reply);
  }
  queue.putBack(form());
  take(reply, (token) => answered.has(token) || outbox.has(token));
  const ballot = queue.next();
  if (!ballot) return location.assign(reply.next);
  show(ballot);
  status(words.undone);
}

// What the server says

function heard(news) {
  if (news.kind === "saving") return status(words.saving);
  if (news.kind === "late") {
    if (news.needsReload) return status(words.reload, "late");
    return status((news.count === 1 ? words.lateOne : words.lateMany).replace("{count}", news.count), "late");
  }
  answered.add(news.token);
  follow(news);
  if (news.kind === "saved") {
    status(news.already ? words.already : words.saved);
    if (isUndoWanted && outbox.size === 0) undo();
    return;
  }
  isUndoWanted = false;
  status(words.notSaved, "late");
  say(news.problem ?? words.notTaken);
}

function status(text, state = "") {
  savedLine.dataset.state = state;
  if (savedLine.textContent !== text) savedLine.textContent = text;
}

/** Take over progress, open ballots and what can be undone from a reply. */
function take(reply, isPast) {
  if (reply.progress) {
    document.querySelector("[data-progress]").textContent = reply.progress.text;
    document.querySelector("[data-progress-bar]")?.setAttribute("value", reply.progress.answered);
  }
  if ("undoable" in reply && outbox.size === 0) offerUndo(reply.undoable); // else a newer reply is to come
  if (reply.ballots) queue.hold(reply.ballots, isPast);
}

/** Take over a reply; go on if this page has nothing left to show. */
function follow(reply) {
  take(reply, isDone);
  if (!reply.ballots) return;
  const current = form().dataset.ballot;
  const isOpen = reply.ballots.some(({ token }) => token === current);
  if (isOpen && !answered.has(current)) return;
  // Answered, or taken back by the server while it lay here.
  const ballot = queue.next();
  if (ballot) show(ballot);
  else if (outbox.size === 0 && !isUndoWanted) location.assign(reply.next);
}

// Keys and clicks

function onKey(event) {
  if (zoom.step(event.key)) return event.preventDefault();
  const leaving = event.key === "Enter" && event.target.matches(".sheet input") ? event.target.closest("[data-pop]") : null;
  if (leaving) {
    event.preventDefault(); // the form's own default is "Next"
    return send(leaving.querySelector("button"));
  }
  const meaning = meaningOf(event);
  if (!meaning) return;
  if (event.repeat && meaning.act !== "close") return event.preventDefault(); // a held key is one answer
  if (meaning.act === "close") return closeAll();
  event.preventDefault();
  const acts = {
    choose: () => choose(meaning),
    back,
    undo,
    send: () => send(null),
    zoom: () => zoom.toggle(form().querySelector("[data-pair]")), // held, it closes when the key is let go
    skip: () => toggle("skip"),
    report: () => toggle("report"),
    help: () => toggle("help"),
  };
  if (!zoom.isOpen || meaning.act === "zoom") acts[meaning.act]();
}

function toggle(name) {
  const pop = form().querySelector(`[data-pop=${name}]`);
  const isOpening = !pop.open;
  closeAll();
  pop.open = isOpening;
  if (isOpening) (pop.querySelector("input") ?? pop.querySelector("summary")).focus();
}

function closeAll() {
  zoom.close();
  const open = form().querySelector("details[open]");
  if (!open) return;
  open.open = false;
  turnTo(rows().find((row) => !isAnswered(row)) ?? null);
}

document.addEventListener("keydown", onKey);
document.addEventListener("keyup", (event) => {
  if (event.key === "z" || event.key === "Z") zoom.release();
});

// Holding an image enlarges both for as long as it is held; a tap or click opens the zoom until the next one.
let holding = 0;
let hasHeld = false;
document.addEventListener("pointermove", (event) => zoom.follow(event));
host.addEventListener("pointerdown", (event) => {
  hasHeld = false;
  if (!event.target.closest(".look") || event.button !== 0 || zoom.isOpen) return;
  const open = () => {
    hasHeld = true;
    zoom.open(form().querySelector("[data-pair]"), event);
  };
  holding = setTimeout(open, HELD);
});
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, () => {
    clearTimeout(holding);
    if (hasHeld) zoom.close();
  });
}
// A finger that has opened the zoom looks around; it must neither scroll the page nor call up the browser's menu.
host.addEventListener("touchmove", (event) => hasHeld && zoom.isOpen && event.preventDefault(), { passive: false });
host.addEventListener("contextmenu", (event) => {
  if (event.target.closest(".look") && (hasHeld || event.pointerType === "touch")) event.preventDefault();
});
host.addEventListener("focusin", (event) => {
  const row = event.target.closest("[data-criterion]");
  if (row) turnTo(row, { focus: false });
});
host.addEventListener("change", (event) => {
  const row = event.target.closest("[data-criterion]");
  if (row) goOn(row);
});
host.addEventListener("click", (event) => {
  const pop = event.target.closest("details");
  for (const open of form().querySelectorAll("details[open]")) if (open !== pop) open.open = false;
  if (event.target.closest("[data-back]")) return back();
  if (event.target.closest("[data-undo]")) {
    event.preventDefault();
    return undo();
  }
  const isImage = event.target.closest(".look") !== null;
  if (!isImage && !event.target.closest("[data-zoom]")) return;
  event.preventDefault();
  if (isImage && hasHeld) return; // the end of a hold, which has closed the zoom
  zoom.toggle(form().querySelector("[data-pair]"), isImage ? event : null);
});
host.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.submitter);
});
addEventListener("beforeunload", (event) => {
  if (savedLine.dataset.state === "late" && outbox.size) event.preventDefault();
});

begin(decoded(form()));
await outbox.send();
const reply = await queue.look();
if (outbox.size === 0 && answered.size === 0) follow(reply); // else a newer reply has come or will
