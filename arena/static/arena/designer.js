// The summary follows the form: asked for a moment after the last change, the latest answer wins.

const QUIET = 400;
const form = document.querySelector("#design");
if (form) start(form);

function start(form) {
  const aside = form.querySelector(".design-summary");
  const place = form.querySelector("#summary");
  const baseline = form.querySelector("#id_baseline");
  form.querySelector("#update-summary").hidden = true;
  let timer;
  let asked = 0;

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, QUIET);
    aside.classList.add("is-stale");
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);

  async function ask() {
    const mine = ++asked;
    const body = new FormData(form);
    if (form.dataset.draft) body.append("draft", form.dataset.draft);
    const response = await fetch(form.dataset.summary, { method: "POST", body }).catch(() => null);
    if (mine !== asked) return;
    if (!response?.ok) return show(place, { problems: ["The summary cannot be had just now; the form can still be saved."] });
    const said = await response.json();
    show(place, said);
    aside.classList.remove("is-stale");
    if (said.names) offer(baseline, said.names);
  }
}

// What was chosen stays chosen, also where no contender is called so any more: the summary says that.
function offer(select, names) {
  const chosen = select.value;
  const offered = [["", names.length ? "none" : "choose contenders first"], ...names.map((name) => [name, name])];
  if (chosen && !names.includes(chosen)) offered.push([chosen, `${chosen} (no contender now)`]);
  select.replaceChildren(...offered.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
}

function show(place, said) {
  const parts = [];
  if (said.problems?.length) parts.push(element("ul", { className: "summary-problems" }, ...said.problems.map((one) => element("li", {}, one))));
  if (said.contenders) parts.push(facts(said), images(said), power(said), needed(said));
  place.replaceChildren(...parts.filter(Boolean));
}

function facts(said) {
  const rows = [
    ["contenders", count(said.contenders.length)],
    ["pairs", count(said.pairs)],
    ["prompts", count(said.prompts)],
    ["images to make", count(said.images_missing)],
    ["ballots", count(said.ballots)],
    ["hours of raters", said.rater_hours.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })],
  ];
  return element("dl", { className: "facts" }, ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function images(said) {
  const each = said.ballots_a_rater ? ` ${count(said.ballots_a_rater)} ballots a rater.` : "";
  const words = `${count(said.images_wanted)} images in all, ${count(said.images_existing)} exist; ${said.images_in_words}.${each}`;
  return element("p", { className: "muted small" }, words);
}

function power(said) {
  if (!said.power.length) return null;
  const head = ["question", "votes", "design effect", "wins from"];
  const cells = (one) => [count(one.votes), one.design_effect.toFixed(2), one.win_probability ? `${percent(one.win_probability)} %` : one.why];
  const row = (one) => element("tr", {}, element("th", { scope: "row" }, one.question), ...cells(one).map((text) => element("td", { className: "number" }, text)));
  return element(
    "table",
    { className: "power" },
    element("caption", {}, "What two contenders must differ by to be told apart"),
    element("thead", {}, element("tr", {}, ...head.map((text, place) => element("th", { scope: "col", className: place ? "number" : "" }, text)))),
    element("tbody", {}, ...said.power.map(row)),
  );
}

function needed(said) {
  if (!said.needed.length) return null;
  const one = (row) => `${percent(row.win_rate)} % ${row.ballots ? count(row.ballots) : "cannot be told with these raters and prompts"}`;
  const words = `Ballots that it takes for “${said.needed_for}”: ${said.needed.map(one).join("; ")} (win rate among votes that decide).`;
  return element("p", { className: "muted small" }, words);
}

const count = (number) => Math.round(number).toLocaleString("en");
const percent = (share) => String(Math.round(share * 1000) / 10);

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
