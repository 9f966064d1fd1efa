// How long a ballot could be seen: the clock stands still while the tab is hidden.

export class SeenTime {
  #sum = 0;
  #since = null;

  constructor() {
    document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? this.#run() : this.#stop()));
    this.restart();
  }

  restart() {
    this.#sum = 0;
    this.#since = null;
    if (document.visibilityState === "visible") this.#run();
  }

  get milliseconds() {
    return this.#sum + (this.#since === null ? 0 : performance.now() - this.#since);
  }

  #run() {
    this.#since ??= performance.now();
  }

  #stop() {
    this.#sum = this.milliseconds;
    this.#since = null;
  }
}
