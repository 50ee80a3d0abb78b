// What does the page know?  The index, and chunks of solutions that load when they are looked at.
"use strict";

window.rprmShow = (() => {
  const KEPT_CHUNKS = 12;
  const LOCAL_CHUNK = /^data\/\d{5,}\.js$/;

  // Only files of this folder become scripts, by the page's policy as well.
  const toUrl = (url) => {
    if (!LOCAL_CHUNK.test(url)) throw new TypeError(`${url} is no chunk`);
    return url;
  };
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("rprm-chunks", { createScriptURL: toUrl })
    : { createScriptURL: toUrl };

  const chunks = new Map(); // number -> promise of its solutions, in the order of last use
  const arrived = new Map(); // number -> solutions, between a script's call and its load event
  const show = { data: null };

  show.index = (data) => {
    show.data = data;
  };
  show.chunk = (number, solutions) => {
    arrived.set(number, solutions);
  };

  const load = (number) =>
    new Promise((resolve, reject) => {
      const name = `data/${String(number).padStart(5, "0")}.js`;
      const script = document.createElement("script");
      script.src = policy.createScriptURL(name);
      const settle = () => {
        script.remove();
        const solutions = arrived.get(number);
        arrived.delete(number);
        if (solutions) resolve(solutions);
        else reject(new Error(`${name} could not be loaded. Is the folder complete?`));
      };
      script.onload = settle;
      script.onerror = settle;
      document.head.append(script);
    });

  const chunkOf = (index) => {
    const starts = show.data.chunkStarts;
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= index) low = middle;
      else high = middle;
    }
    return low;
  };

  // A promise of the steps and critiques of one solution.
  show.solution = (index) => {
    const number = chunkOf(index);
    const loading = chunks.get(number) ?? load(number);
    chunks.delete(number);
    chunks.set(number, loading);
    loading.catch(() => chunks.delete(number));
    for (const oldest of chunks.keys()) {
      if (chunks.size <= KEPT_CHUNKS) break;
      chunks.delete(oldest);
    }
    return loading.then((solutions) => solutions[index - show.data.chunkStarts[number]]);
  };

  // An element with text, attributes and children.  Text is only ever a text node.
  show.element = (tag, { text, on = {}, ...attributes } = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, String(value));
    }
    for (const [name, act] of Object.entries(on)) made.addEventListener(name, act);
    if (text != null) made.append(String(text));
    made.append(...children.filter((child) => child != null));
    return made;
  };

  show.words = {
    "missed-error": [
      "missed error",
      "missed errors",
      "A step is wrong by the label; the judge calls none wrong.",
    ],
    "false-alarm": [
      "false alarm",
      "false alarms",
      "Every step is right by the label; the judge calls one wrong.",
    ],
    "wrong-place": [
      "wrong place",
      "wrong place",
      "Label and judge call different steps the first wrong one.",
    ],
    unparsed: [
      "unparsed",
      "unparsed",
      "Unknown: a step without a score comes before any that the judge calls wrong.",
    ],
    right: ["right", "right", "Label and judge agree."],
    flagged: ["error found", "error found", "There is no label; the judge calls a step wrong."],
    passed: [
      "no error found",
      "no error found",
      "There is no label; the judge calls no step wrong.",
    ],
  };

  show.count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // How far a score is believed, with the threshold in the middle: what colours are made of.
  show.belief = (score, threshold) => {
    const below = score < threshold;
    const part = below ? score / threshold : (score - threshold) / Math.max(1 - threshold, 1e-9);
    return Math.round(below ? 50 * part * 0.9 : 55 + 45 * part);
  };

  show.colour = (belief) =>
    belief == null ? "var(--none)" : `color-mix(in oklab, var(--right) ${belief}%, var(--wrong))`;

  // Of every step of a solution, from its short form in the index.
  show.beliefs = (strip) =>
    [...strip].map((letter) => {
      if (letter === "-") return null;
      return letter === "x" ? 0 : Number(letter) * 10 + 5;
    });

  // A row of cells as one background, so that it costs one node however many there are.
  show.cells = (colours) => {
    const width = 100 / colours.length;
    const stops = colours.map((colour, at) => {
      const [from, gap, to] = [at, at + 0.86, at + 1].map(
        (place) => `${(place * width).toFixed(2)}%`,
      );
      return `${colour} ${from} ${gap}, transparent ${gap} ${to}`;
    });
    return `linear-gradient(to right, ${stops.join(", ")})`;
  };

  return show;
})();
