// The practice pair by the keys of the vote page. Without this the buttons do the same.
const form = document.querySelector("[data-practice]");

if (form) {
  const buttonFor = new Map(Array.from(form.querySelectorAll("[aria-keyshortcuts]"), (button) => [button.getAttribute("aria-keyshortcuts"), button]));
  document.addEventListener("keydown", (event) => {
    const button = buttonFor.get(event.key);
    // Elsewhere the arrows scroll the page, as everywhere.
    const inSight = form.getBoundingClientRect().bottom <= window.innerHeight + 200 && form.getBoundingClientRect().top >= 0;
    if (!button || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !inSight) return;
    event.preventDefault();
    button.click();
  });
}
