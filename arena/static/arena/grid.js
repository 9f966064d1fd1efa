// The grid by keyboard, and one image large in a dialog. Without this script a cell is a link to its image.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const TINY = 256; // pixels up to which a picture is enlarged in squares
const grid = document.querySelector(".grid");
const zoom = document.querySelector("#zoom");
let shown = null;
let asked = new AbortController();

const part = (name) => zoom.querySelector(`[data-zoom-${name}]`);
const rows = () => [...grid.querySelectorAll(".grid-row:not(.grid-top)")];

/** Where an image stands: its row, and its place among all places of the row, gaps included. */
function placeOf(shot) {
  const row = shot.closest(".grid-row");
  return [rows().indexOf(row), [...row.querySelectorAll(".shot, .gap")].indexOf(shot)];
}

/** The next image in a direction, over gaps; undefined at the edge. */
function neighbour(shot, [down, right]) {
  const all = rows();
  let [row, place] = placeOf(shot);
  for (;;) {
    row += down;
    place += right;
    const found = all[row]?.querySelectorAll(".shot, .gap")[place];
    if (!found) return undefined;
    if (found.matches(".shot")) return found;
  }
}

function show(shot) {
  shown = shot;
  const cell = shot.closest(".grid-cell");
  const row = shot.closest(".grid-row");
  const column = [...row.querySelectorAll(".grid-cell")].indexOf(cell);
  const label = grid.querySelectorAll(".grid-label")[column]?.title ?? "";
  const sample = cell.querySelectorAll(".shot, .gap").length > 1 ? `, ${shot.querySelector("img").alt}` : "";
  part("label").textContent = label + sample;
  part("prompt").textContent = row.querySelector(".grid-prompt span").title;
  part("image").src = shot.href;
  part("image").alt = `${label}: ${part("prompt").textContent}`;
  part("link").href = shot.href;
  tell(shot);
  if (!zoom.open) zoom.showModal();
}

/** What is known of an image, from the server; of the last one only, however fast keys lead on. */
async function tell(shot) {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const about = part("about");
  about.setAttribute("aria-busy", "true");
  try {
    const reply = await fetch(shot.href.replace(/\.png$/, "/about/"), { signal });
    if (!reply.ok || reply.redirected) throw new Error(String(reply.status));
    about.innerHTML = await reply.text();
    // Back to this very view, with its filter.
    for (const field of about.querySelectorAll('input[name="next"]')) field.value = location.pathname + location.search;
  } catch (error) {
    if (signal.aborted) return;
    about.textContent = "What is known of this image could not be fetched.";
  }
  about.removeAttribute("aria-busy");
}

if (grid && zoom) {
  part("image").addEventListener("load", ({ target }) => target.classList.toggle("tiny", target.naturalWidth <= TINY));
  grid.addEventListener("click", (event) => {
    const shot = event.target.closest(".shot");
    if (!shot || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(shot);
  });
  grid.addEventListener("keydown", (event) => {
    const shot = event.target.closest(".shot");
    if (!shot || !(event.key in STEPS)) return;
    event.preventDefault();
    neighbour(shot, STEPS[event.key])?.focus();
  });
  zoom.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS) || event.target.closest("[data-zoom-about]")) return;
    event.preventDefault();
    const next = neighbour(shown, STEPS[event.key]);
    if (next) show(next);
  });
  zoom.addEventListener("close", () => {
    asked.abort();
    part("image").removeAttribute("src");
    part("about").replaceChildren();
    shown?.focus();
  });
}
