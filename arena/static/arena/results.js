// The results are replaced while one reads them: what was folded open, scrolled and focused must stay as it was.

const all = (selector) => [...document.querySelectorAll(`#results ${selector}`)];
const focusable = () => all(":is(a, button, summary, [tabindex])");

let kept = { folds: new Map(), scrolled: new Map(), focused: -1 };

document.addEventListener("htmx:beforeSwap", () => {
  kept = {
    folds: new Map(all("details").map((each) => [each.id, each.open])),
    scrolled: new Map(all(".table-scroll").map((each) => [each.ariaLabel, each.scrollLeft])),
    focused: focusable().indexOf(document.activeElement),
  };
});

document.addEventListener("htmx:afterSwap", () => {
  for (const each of all("details")) each.open = kept.folds.get(each.id) ?? each.open;
  for (const each of all(".table-scroll")) each.scrollLeft = kept.scrolled.get(each.ariaLabel) ?? 0;
  focusable()[kept.focused]?.focus({ preventScroll: true });
});
