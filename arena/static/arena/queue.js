// The ballots after this one, with their images fetched and decoded before they are needed.

const LOAD_AGAIN_AFTER = [500, 1500, 4000]; // milliseconds

export class BallotQueue {
  #address;
  #coming = []; // [{token, form, decoded}]

  constructor(address) {
    this.#address = address;
  }

  /** Ask the server what is open. The reply also says where to go when nothing is. */
  async look() {
    const response = await fetch(this.#address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    return response.json();
  }

  get tokens() {
    return this.#coming.map(({ token }) => token);
  }

  /** Make the queue what the server says is open, less what `isDone` says has been answered here. */
  hold(ballots, isDone) {
    const known = new Map(this.#coming.map((ballot) => [ballot.token, ballot]));
    this.#coming = ballots
      .filter(({ token, html }) => !isDone(token) && (html || known.has(token)))
      .map(({ token, html }) => known.get(token) ?? prepared(html));
  }

  /** Take back the ballot on the page, with what was answered on it so far; it is the next one again. */
  putBack(form) {
    this.#coming.unshift(watched(form));
  }

  /** The next ballot, or undefined. */
  next() {
    return this.#coming.shift();
  }
}

/** A ballot's form as a detached element; its images begin to load at once. */
function prepared(html) {
  const holder = document.createElement("div");
  holder.innerHTML = html; // our own server's template, escaped there
  return watched(holder.querySelector("form"));
}

/** A form with whether its images are decoded, and the promise of it. */
function watched(form) {
  const ballot = { token: form.dataset.ballot, form, isDecoded: false };
  ballot.decoded = decoded(form).then((isDecoded) => (ballot.isDecoded = isDecoded));
  return ballot;
}

/** True once every image below the element can be painted without a pause, false if one could not be had. */
export async function decoded(element) {
  const results = await Promise.all(Array.from(element.querySelectorAll(".pair img"), decodedImage));
  return results.every(Boolean);
}

async function decodedImage(image) {
  for (const delay of [0, ...LOAD_AGAIN_AFTER]) {
    if (delay) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      image.src = image.getAttribute("src");
    }
    try {
      await image.decode();
      return true;
    } catch (error) {
      if (error.name !== "EncodingError") throw error;
    }
  }
  return false;
}
