// One resource, asked for again and again while somebody looks.

import { Problem } from "./api.js";

const LONGEST_PAUSE = 30_000;

/** Loads every `every` ms; slower after failures; not while the tab is hidden. */
export class Feed {
  /** When the last answer came, in ms; null before the first. */
  answered = null;
  /** What went wrong since then. */
  problem = null;
  /** When it is tried again, in ms. */
  next = null;

  #every;
  #load;
  #show;
  #fail;
  #failures = 0;
  #timer;
  #abort = new AbortController();
  #running = false;

  constructor({ every, load, show, fail = () => {} }) {
    this.#every = every;
    this.#load = load;
    this.#show = show;
    this.#fail = fail;
  }

  start() {
    this.#running = true;
    document.addEventListener("visibilitychange", this.#wake);
    this.now();
    return this;
  }

  stop() {
    this.#running = false;
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  /** Loads at once, in place of a request that is under way. */
  now() {
    if (!this.#running) return;
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#run(this.#abort.signal);
  }

  /** Whether the last answer is older than it should be. */
  get late() {
    return this.answered !== null && Date.now() - this.answered > 2 * this.#every + 3000;
  }

  #wake = () => {
    if (document.hidden) clearTimeout(this.#timer);
    else this.now();
  };

  async #run(signal) {
    let value;
    try {
      value = await this.#load(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#failures += 1;
      this.problem = error instanceof Problem ? error : new Problem("server", "The answer makes no sense", error.message);
      this.#schedule();
      this.#fail(this.problem);
      return;
    }
    if (signal.aborted) return;
    this.#failures = 0;
    this.answered = Date.now();
    this.problem = null;
    this.#schedule();
    this.#show(value);
  }

  #schedule() {
    if (!this.#running || document.hidden) return;
    // Pages that lost the operator together must not come back together.
    const backoff = Math.min(this.#every * 2 ** this.#failures, LONGEST_PAUSE) * (0.75 + Math.random() / 2);
    const pause = this.#failures === 0 ? this.#every : backoff;
    this.next = Date.now() + pause;
    this.#timer = setTimeout(() => this.now(), pause);
  }
}
