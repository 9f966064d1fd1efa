// Which key means what on the vote page.

const CHOICES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", b: "both_bad", B: "both_bad" };
const ACTS = { ArrowUp: "back", u: "undo", U: "undo", s: "skip", S: "skip", r: "report", R: "report", z: "zoom", Z: "zoom", "?": "help", Escape: "close", Enter: "send" };

/** What a key press asks for: {act, choice?, number?}, or null where the browser should do what it always does. */
export function meaningOf(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.key === "Escape") return { act: "close" };
  // Inside an opened sheet the arrows walk through its own options.
  if (event.target.closest("details[open] .sheet")) return null;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return null;
  if (event.key in CHOICES) return { act: "choose", choice: CHOICES[event.key] };
  if (/^[1-4]$/.test(event.key)) return { act: "choose", number: Number(event.key) };
  return event.key in ACTS ? { act: ACTS[event.key] } : null;
}
