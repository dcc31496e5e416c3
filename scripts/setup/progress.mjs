/** What set-up shows: one line per step when it is done, on a terminal a live one meanwhile. All on standard error. */
import { tilde } from './paths.mjs';

const LIVE_MS = 250;
/** Without a terminal a long step says every so often that it is alive. */
const PLAIN_MS = 15_000;

/** 123456789 → '123 MB'. */
export function formatBytes(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

export class Progress {
  #stream;
  #live;
  #cache;
  #started = false;

  constructor(cache, stream = process.stderr) {
    this.#stream = stream;
    this.#live = stream.isTTY === true && process.env.TERM !== 'dumb';
    this.#cache = cache;
  }

  /** A line of its own. */
  say(text) {
    this.#header();
    this.#stream.write(`  ${text}\n`);
  }

  /**
   * Runs one step and shows it.
   *
   * @param {string} title
   * @param {(update: (doing: string, bytes?: number | (() => Promise<number>), total?: number) => void) => Promise<string>} work
   *   calls `update` with what it is doing and how far it is (a function is polled); resolves to a summary
   */
  async step(title, work) {
    this.#header();
    const startedMs = performance.now();
    const state = { doing: '', bytes: undefined, total: undefined };
    const update = (doing, bytes, total) => Object.assign(state, { doing, bytes, total });
    if (!this.#live) this.#stream.write(`  ${title} …\n`);
    const show = async () => {
      const text = `${title}: ${await describe(state)}, ${seconds(startedMs)}`;
      if (ended) return;
      this.#stream.write(this.#live ? `\r\x1b[2K  ${text.slice(0, (this.#stream.columns ?? 80) - 3)}` : `  ${text}\n`);
    };
    let ended = false;
    // A failed poll of a size is no reason to fail the step; the next one shows again.
    const timer = setInterval(() => show().catch(() => undefined), this.#live ? LIVE_MS : PLAIN_MS);
    try {
      const summary = await work(update);
      ended = true;
      this.#clear();
      this.#stream.write(`  ${title}: ${summary}, ${seconds(startedMs)}\n`);
    } finally {
      ended = true;
      clearInterval(timer);
      this.#clear();
    }
  }

  #clear() {
    if (this.#live) this.#stream.write('\r\x1b[2K');
  }

  #header() {
    if (this.#started) return;
    this.#started = true;
    this.#stream.write(`stillhouse set-up (once; kept in ${tilde(this.#cache)})\n`);
  }
}

async function describe({ doing, bytes, total }) {
  const done = typeof bytes === 'function' ? await bytes() : bytes;
  if (done === undefined) return doing || 'working';
  // A poll sees temporary copies too; more than everything would only confuse.
  const shown = total === undefined ? done : Math.min(done, total);
  return `${doing} ${formatBytes(shown)}${total === undefined ? '' : ` of ${formatBytes(total)}`}`;
}

function seconds(startedMs) {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}
