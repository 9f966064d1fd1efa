// A file dropped anywhere on the form is the chosen one, and is sent.

const form = document.querySelector("[data-drop]");
if (form) {
  const input = form.querySelector("input[type=file]");
  form.querySelector(".drop-hint").hidden = false;
  const light = (event, isOver) => {
    event.preventDefault();
    form.classList.toggle("is-over", isOver);
  };
  form.addEventListener("dragover", (event) => light(event, true));
  form.addEventListener("dragleave", (event) => light(event, false));
  form.addEventListener("drop", (event) => {
    light(event, false);
    if (event.dataTransfer.files.length !== 1) return;
    input.files = event.dataTransfer.files;
    form.requestSubmit();
  });
}
