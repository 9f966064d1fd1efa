// Both images enlarged, filling the window, looked at in step: the same place of both under one pointer.

const STEP = 10; // per cent of the image an arrow key moves
export const HELD = 250; // milliseconds from which a press is held
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

export class Zoom {
  #pair = null;
  #place = [50, 50];
  #openedAt = 0;

  get isOpen() {
    return this.#pair !== null;
  }

  toggle(pair, event) {
    if (this.isOpen) return this.close();
    this.open(pair, event);
  }

  open(pair, event) {
    if (this.isOpen) return;
    this.#openedAt = performance.now();
    this.#pair = pair;
    pair.classList.add("zoomed");
    this.#lookAt(50, 50);
    if (event?.clientX) this.follow(event);
  }

  close() {
    this.#pair?.classList.remove("zoomed");
    this.#pair = null;
  }

  /** A key or finger was lifted: what was held longer than a tap closes now, after a tap the zoom stays. */
  release() {
    if (this.isOpen && performance.now() - this.#openedAt > HELD) this.close();
  }

  /** Move to where the pointer is within the image it is over. A finger keeps its first target, so it is looked up. */
  follow(event) {
    if (!this.isOpen) return;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const box = under?.closest(".look")?.getBoundingClientRect();
    if (!box) return;
    this.#lookAt((100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height);
  }

  /** Whether an arrow key was for the zoom. */
  step(key) {
    if (!this.isOpen || !(key in ARROWS)) return false;
    const [x, y] = this.#place;
    this.#lookAt(x + ARROWS[key][0], y + ARROWS[key][1]);
    return true;
  }

  #lookAt(...place) {
    this.#place = place.map((value) => Math.min(100, Math.max(0, value)));
    this.#pair.style.setProperty("--x", `${this.#place[0]}%`);
    this.#pair.style.setProperty("--y", `${this.#place[1]}%`);
  }
}
