// No ballot yet: ask again every few seconds, and open the vote page once there is one.

const AGAIN_AFTER = 3000; // milliseconds
const box = document.querySelector("[data-queue]");
const words = JSON.parse(document.getElementById("words").textContent);
const line = document.querySelector("[data-waiting]");

async function look() {
  try {
    const response = await fetch(box.dataset.queue, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    const reply = await response.json();
    if (!response.ok || reply.ballots.length || !reply.waiting) return location.reload();
    line.textContent = words.waiting;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    line.textContent = words.unreachable;
  }
  setTimeout(look, AGAIN_AFTER);
}

setTimeout(look, AGAIN_AFTER);
