// Answers on their way to the server. An answer leaves only when the server said that it has it or will not take it.

const RETRY_AFTER = [1000, 2000, 4000, 8000, 15000]; // milliseconds; the last one repeats

export class Outbox {
  #address;
  #prefix;
  #waiting = new Map(); // token -> form body
  #isSending = false;
  #failures = 0;
  #timer = 0;

  /** `heard` is told {kind: "saving" | "saved" | "late" | "refused", ...}; `known` names ballots we need not be sent. */
  constructor(address, { heard, known }) {
    this.#address = address;
    this.#prefix = `winrate.answer.${address}.`;
    this.heard = heard;
    this.known = known;
    for (const [token, body] of this.#kept()) this.#waiting.set(token, body);
    addEventListener("online", () => this.send());
  }

  get size() {
    return this.#waiting.size;
  }

  has(token) {
    return this.#waiting.has(token);
  }

  add(token, body) {
    this.#waiting.set(token, body);
    this.#keep(token, body);
    return this.send();
  }

  async send() {
    if (this.#isSending) return;
    this.#isSending = true;
    clearTimeout(this.#timer);
    try {
      // One at a time and in order: the server numbers a rater's votes as they arrive.
      while (this.#waiting.size) {
        const [token, body] = this.#waiting.entries().next().value;
        if (!this.#failures) this.heard({ kind: "saving", count: this.size });
        const reply = await this.#post(body);
        if (!reply || reply.needsReload) return this.#tryLater(reply);
        this.#failures = 0;
        this.#waiting.delete(token);
        this.#forget(token);
        this.heard({ kind: reply.saved ? "saved" : "refused", token, ...reply });
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** The server's reply, or null where there was none and the same answer should be sent again. */
  async #post(body) {
    try {
      const response = await fetch(this.#address, {
        method: "POST",
        body: new URLSearchParams([...new URLSearchParams(body), ...this.known().map((token) => ["known", token])]),
        headers: jsonHeaders(),
        credentials: "same-origin",
        keepalive: true,
      });
      if (response.status === 429 || response.status >= 500) return null;
      if (response.headers.get("Content-Type")?.includes("json")) return await response.json();
      // Not from our view. A plain 403 means that the form's token is too old; a fresh page has a fresh one.
      return response.status === 403 ? { needsReload: true } : null;
    } catch (error) {
      if (error instanceof TypeError || error instanceof SyntaxError || error.name === "AbortError") return null;
      throw error;
    }
  }

  #tryLater(reply) {
    const delay = RETRY_AFTER[Math.min(this.#failures, RETRY_AFTER.length - 1)];
    this.#failures += 1;
    this.heard({ kind: "late", count: this.size, needsReload: reply?.needsReload });
    this.#timer = setTimeout(() => this.send(), delay);
  }

  // Storage can be switched off in a browser; answers then live as long as the page.
  #keep(token, body) {
    try {
      localStorage.setItem(this.#prefix + token, body);
    } catch {
      return;
    }
  }

  #forget(token) {
    try {
      localStorage.removeItem(this.#prefix + token);
    } catch {
      return;
    }
  }

  #kept() {
    try {
      return Object.entries(localStorage)
        .filter(([key]) => key.startsWith(this.#prefix))
        .map(([key, body]) => [key.slice(this.#prefix.length), body]);
    } catch {
      return [];
    }
  }
}

/** Headers of a request of ours that asks for JSON. */
export function jsonHeaders() {
  const token = document.querySelector("form.ballot [name=csrfmiddlewaretoken]")?.value ?? "";
  return { Accept: "application/json", "X-CSRFToken": token };
}
