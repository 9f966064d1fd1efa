// The vote page: answers from keys and clicks, the next pair at once, and what is saved said truthfully.
//
// The answers of a ballot are sent by Enter, Space or "Next", never by the last answer alone: votes are append-only, and
// one key more is cheap against an answer that cannot be taken back.

import { meaningOf } from "./keys.js";
import { Outbox } from "./outbox.js";
import { BallotQueue, decoded } from "./queue.js";
import { SeenTime } from "./seen.js";
import { Zoom } from "./zoom.js";

const host = document.querySelector("[data-ballot-host]");
const savedLine = document.querySelector("[data-saved]");
const queue = new BallotQueue(host.dataset.queue);
const outbox = new Outbox(form().action, { heard, known: () => [form().dataset.ballot, ...queue.tokens] });
const zoom = new Zoom();
const answered = new Set();
const seen = new SeenTime();

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
      if (!isDecoded) return say("An image did not load. Check the connection and reload this page, or skip this pair.");
      enable(true);
    });
  } else {
    enable(true);
  }
}

function enable(isReady) {
  form().querySelector("[data-criteria]").disabled = !isReady;
  form().querySelector("[data-pair]").dataset.state = isReady ? "ready" : "loading";
  if (isReady) seen.restart();
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

function choose(choice) {
  const row = form().querySelector("[data-criterion].in-turn");
  if (!row || form().querySelector("[data-criteria]").disabled) return;
  if (isAnswered(row) && document.activeElement === form().querySelector("[data-next]")) return; // all answered: Up goes back
  const option = row.querySelector(`input[value="${choice}"]`);
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
  const isSkip = submitter?.name === "skip";
  if (isSkip && !form().querySelector("[name=skip_reason]:checked")) return say("Choose why you skip this pair.");
  const open = rows().find((row) => !isAnswered(row));
  if (!isSkip && (open || form().querySelector("[data-criteria]").disabled)) return open && turnTo(open);
  const fields = new FormData(form(), submitter);
  fields.delete("csrfmiddlewaretoken");
  fields.set("page_milliseconds", String(Math.round(seen.milliseconds)));
  const token = form().dataset.ballot;
  answered.add(token);
  const ballot = queue.next();
  if (ballot) show(ballot);
  else enable(false);
  outbox.add(token, new URLSearchParams(fields).toString());
}

// What the server says

function heard(news) {
  if (news.kind === "saving") return status("Saving…");
  if (news.kind === "late") {
    if (news.needsReload) return status("Not saved yet: reload this page. Your answers are kept.", "late");
    const what = news.count === 1 ? "1 answer is" : `${news.count} answers are`;
    return status(`${what} not saved yet. Kept here and tried again.`, "late");
  }
  answered.add(news.token);
  follow(news);
  if (news.kind === "saved") return status(news.already ? "✓ Already recorded" : "✓ Saved");
  status("Not saved", "late");
  say(news.problem ?? "The server did not take this answer. Reload the page.");
}

function status(text, state = "") {
  savedLine.dataset.state = state;
  if (savedLine.textContent !== text) savedLine.textContent = text;
}

/** Take over progress and open ballots from a reply; go on if this page has nothing left to show. */
function follow(reply) {
  if (reply.progress) {
    document.querySelector("[data-progress]").textContent = reply.progress.text;
    document.querySelector("[data-progress-bar]")?.setAttribute("value", reply.progress.answered);
  }
  if (!reply.ballots) return;
  const current = form().dataset.ballot;
  const isOpen = reply.ballots.some(({ token }) => token === current);
  queue.hold(reply.ballots, isDone);
  if (isOpen && !answered.has(current)) return;
  // Answered, or taken back by the server while it lay here.
  const ballot = queue.next();
  if (ballot) show(ballot);
  else if (outbox.size === 0) location.assign(reply.next);
}

// Keys and clicks

function onKey(event) {
  if (zoom.step(event.key)) return event.preventDefault();
  if (event.key === "Enter" && event.target.matches("[name=skip_reason]")) {
    event.preventDefault(); // the form's own default is "Next"
    return send(form().querySelector("[name=skip]"));
  }
  const meaning = meaningOf(event);
  if (!meaning) return;
  if (event.repeat && meaning.act !== "close") return event.preventDefault(); // a held key is one answer
  if (meaning.act === "close") return closeAll();
  event.preventDefault();
  const acts = {
    choose: () => choose(meaning.choice),
    back,
    send: () => send(null),
    zoom: () => zoom.toggle(form().querySelector("[data-pair]")),
    skip: () => toggle("skip"),
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
document.addEventListener("pointermove", (event) => zoom.follow(event));
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
  const isImage = event.target.closest(".look") !== null;
  if (!isImage && !event.target.closest("[data-zoom]")) return;
  event.preventDefault();
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
