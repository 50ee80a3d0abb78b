// How does one solution look?  The problem, its steps, and the critiques behind one of them.
"use strict";

rprmShow.makeSolution = () => {
  const { data, element, words, count, belief, beliefs, colour, cells } = rprmShow;
  const MAX_CELLS = 64;
  const CAUSES = {
    no_marker: "the verdict line never comes",
    no_word: "neither yes nor no follows",
    cut_off: "cut off before the verdict",
  };
  const SHORT_CHARACTERS = 6000; // critiques of a step that are all open at first
  const place = document.getElementById("solution");
  const shown = { index: -1, step: -1 };
  let solution = null;
  let allOpen = null; // what a person last asked for; null: what fits

  shown.draw = (index, loaded, step) => {
    solution = loaded;
    shown.index = index;
    shown.step = -1;
    place.replaceChildren(...heading(index), ...problem(index), steps(index), ...written());
    const first = step ?? decisive(index);
    if (first >= 0 && first < solution.steps.length) shown.open(first);
    document.getElementById("main").scrollTop = 0;
    if (step !== undefined && shown.step === step) {
      document.getElementById(`step-${step}`).scrollIntoView({ block: "start" });
    }
  };

  shown.trouble = (message) => {
    shown.index = -1;
    place.replaceChildren(element("p", { class: "trouble", role: "alert", text: message }));
  };

  // The step that explains the category: what the judge named, else what it missed.
  const decisive = (index) => {
    const [prediction, label] = [data.prediction[index], data.label[index]];
    if (prediction != null && prediction >= 0) return prediction;
    if (label != null && label >= 0) return label;
    const scores = solution.steps.map((one) => one.score);
    const unknown = solution.steps.findIndex((one) => one.score == null);
    if (prediction == null && unknown >= 0) return unknown;
    const known = scores.filter((score) => score != null);
    return known.length ? scores.indexOf(Math.min(...known)) : -1;
  };

  const heading = (index) => {
    const kind = data.categories[data.category[index]];
    const origin = [data.subsets[data.subset[index]], solution.generator]
      .filter(Boolean)
      .join(" · ");
    return [
      element(
        "h2",
        { id: "heading" },
        element("span", { text: data.ids[index] }),
        " ",
        element("span", { class: `badge ${kind}`, text: words[kind][0] }),
      ),
      origin ? element("p", { class: "origin", text: origin }) : null,
      element(
        "p",
        { class: "verdict" },
        element(
          "span",
          {},
          "Label: ",
          element("strong", { text: called(data.label[index], "unknown") }),
        ),
        element(
          "span",
          {},
          "Judge: ",
          element("strong", { text: called(data.prediction[index], unknown()) }),
        ),
      ),
      solution.answer ? element("p", { class: "origin", text: solution.answer }) : null,
    ].filter(Boolean);
  };

  const called = (step, otherwise) => {
    if (step == null) return otherwise;
    return step < 0 ? "no error" : `first error at step ${step + 1}`;
  };

  const scoreless = () => solution.steps.every((one) => one.score == null);

  const unknown = () => {
    if (solution.texts.length && scoreless())
      return "unknown, no step could be read from what it wrote";
    const at = solution.steps.findIndex((one) => one.score == null);
    return at < 0 ? "unknown" : `unknown, step ${at + 1} has no score`;
  };

  const problem = (index) => {
    const text = data.problems[data.problem[index]];
    if (!text) return [];
    return [element("h3", { text: "Problem" }), element("div", { class: "text problem", text })];
  };

  const steps = (index) =>
    element(
      "section",
      { "aria-labelledby": "steps-title" },
      element("h3", { id: "steps-title", text: count(solution.steps.length, "step") }),
      element("ol", { class: "steps" }, ...solution.steps.map((one, at) => step(index, one, at))),
    );

  const step = (index, one, at) => {
    const level =
      one.score == null ? beliefs(data.strip[index])[at] : belief(one.score, data.threshold);
    const toggle = () => (shown.step === at ? close() : shown.open(at));
    const line = element(
      "div",
      { class: "line" },
      element("span", { class: "number", "aria-hidden": "true", text: at + 1 }),
      element("div", { class: "text", text: one.text || "(its text is not in this run)" }),
      element(
        "div",
        { class: "meta" },
        score(one),
        ...tags(index, one, at),
        ...opener(one, at, toggle),
      ),
    );
    const critiques = one.critiques.length > 0;
    const clicked = (event) => {
      if (event.target.closest("button") || !getSelection().isCollapsed) return;
      toggle();
    };
    if (critiques) line.addEventListener("click", clicked);
    const made = element(
      "li",
      { id: `step-${at}`, class: critiques ? "step can-open" : "step" },
      line,
    );
    made.style.setProperty("--colour", colour(level));
    if (level == null) made.classList.add("unjudged");
    return made;
  };

  const score = (one) => {
    if (one.score != null) {
      const wrong = one.score < data.threshold;
      return element(
        "span",
        { class: "score" },
        element("b", { text: one.score.toFixed(2) }),
        wrong ? " wrong" : " right",
      );
    }
    if (one.refused) return element("span", { class: "score", text: `refused: ${one.refused}` });
    const named = data.prediction[shown.index] != null || solution.texts.length;
    return named && scoreless() && !one.critiques.length
      ? null
      : element("span", { class: "score", text: one.critiques.length ? "no score" : "not judged" });
  };

  const tags = (index, one, at) => {
    const found = [];
    if (at === data.prediction[index]) found.push(["judge", "first error by the judge"]);
    if (at === data.label[index]) found.push(["label", "first error by the label"]);
    else if (one.gold === false) found.push(["label", "wrong by the label"]);
    return found.map(([who, text]) => element("span", { class: `tag ${who}`, text }));
  };

  const opener = (one, at, toggle) => {
    if (!one.critiques.length) return [];
    const strip = element("span", { class: "strip", "aria-hidden": "true" });
    if (one.critiques.length <= MAX_CELLS) {
      strip.style.width = `${one.critiques.length * 9}px`;
      strip.style.backgroundImage = cells(
        one.critiques.map((critique) => colour(critiqueBelief(critique))),
      );
    }
    return [
      element(
        "button",
        {
          type: "button",
          class: "opener",
          id: `open-${at}`,
          "aria-expanded": "false",
          "aria-controls": `critiques-${at}`,
          "aria-label": `Step ${at + 1}: ${tally(one.critiques)}`,
          on: { click: toggle },
        },
        strip,
        element("span", { text: tally(one.critiques) }),
      ),
    ];
  };

  const critiqueBelief = ([verdict, pYes]) => {
    if (verdict == null) return null;
    return pYes == null ? verdict * 100 : belief(pYes, data.threshold);
  };

  const tally = (critiques) => {
    const number = (wanted) => critiques.filter(([verdict]) => verdict === wanted).length;
    const found = [`${number(1)} yes`, `${number(0)} no`];
    if (number(null)) found.push(`${number(null)} unparsed`);
    return found.join(", ");
  };

  shown.open = (at) => {
    close();
    const holder = document.getElementById(`step-${at}`);
    shown.step = at;
    holder.classList.add("open");
    const { critiques } = solution.steps[at];
    if (!critiques.length) return;
    document.getElementById(`open-${at}`).setAttribute("aria-expanded", "true");
    const groups = alike(critiques);
    const characters = groups.reduce((sum, group) => sum + group.text.length, 0);
    const open = allOpen ?? characters <= SHORT_CHARACTERS;
    holder.append(
      element(
        "div",
        {
          class: "critiques",
          id: `critiques-${at}`,
          role: "region",
          "aria-label": `Critiques of step ${at + 1}`,
        },
        element(
          "div",
          { class: "bar" },
          element("span", {
            text: `${count(critiques.length, "critique")}${groups.length < critiques.length ? `, ${groups.length} different` : ""}`,
          }),
          element("button", {
            type: "button",
            "aria-keyshortcuts": "e",
            text: "Open or close all",
            on: { click: shown.toggleAll },
          }),
        ),
        ...groups.map((group, number) =>
          critique(group, open || (allOpen === null && number === 0)),
        ),
      ),
    );
  };

  const close = () => {
    const holder = document.getElementById(`step-${shown.step}`);
    shown.step = -1;
    if (!holder) return;
    holder.classList.remove("open");
    holder.querySelector(".critiques")?.remove();
    holder.querySelector(".opener")?.setAttribute("aria-expanded", "false");
  };

  // Small judges write the same analysis many times; it is read once.
  const alike = (critiques) => {
    const groups = new Map();
    critiques.forEach(([verdict, pYes, tokens, text, cause], sample) => {
      const key = `${verdict} ${cause} ${text}`;
      const group = groups.get(key) ?? { verdict, tokens, text, cause, samples: [], pYes: [] };
      group.samples.push(sample + 1);
      if (pYes != null) group.pYes.push(pYes);
      groups.set(key, group);
    });
    return [...groups.values()];
  };

  const critique = (group, open) => {
    const { verdict, samples, tokens, text, cause } = group;
    const word =
      verdict == null
        ? `no verdict: ${CAUSES[cause] ?? cause.replaceAll("_", " ")}`
        : verdict
          ? "yes"
          : "no";
    const style = verdict == null ? "none" : verdict ? "yes" : "no";
    const times = samples.length > 1 ? `${samples.length} times: ` : "";
    return element(
      "details",
      { class: `critique ${style}`, open },
      element(
        "summary",
        {},
        element("b", { text: word }),
        group.pYes.length ? element("span", { text: `P(Yes) ${range(group.pYes)}` }) : null,
        element("span", {
          class: "small",
          text: `${times}${samples.map((sample) => `#${sample}`).join(" ")}`,
        }),
        element("span", { class: "small", text: count(tokens, "token") }),
        element("span", {
          class: "small ending",
          "aria-hidden": "true",
          text: text.trimEnd().slice(-90),
        }),
      ),
      element("div", { class: "text", text: text || "(it wrote nothing)" }),
    );
  };

  const range = (values) => {
    const [low, high] = [Math.min(...values).toFixed(2), Math.max(...values).toFixed(2)];
    return low === high ? low : `${low}–${high}`;
  };

  // What a judge wrote of the whole solution, such as a critic's answer.
  const written = () => {
    if (!solution.texts.length) return [];
    return [
      element("h3", { text: "What the judge wrote" }),
      ...solution.texts.map((text, number) =>
        element(
          "details",
          { class: "critique", open: number === 0 },
          element("summary", { text: `Answer ${number + 1} of ${solution.texts.length}` }),
          element("div", { class: "text", text }),
        ),
      ),
    ];
  };

  shown.move = (by) => {
    if (!solution || shown.index < 0) return;
    const last = solution.steps.length - 1;
    const at = shown.step < 0 ? (by > 0 ? 0 : last) : shown.step + by;
    if (at < 0 || at > last) return;
    shown.open(at);
    document.getElementById(`step-${at}`).scrollIntoView({ block: "nearest" });
    const one = solution.steps[at];
    return `Step ${at + 1}, ${one.score == null ? "no score" : one.score.toFixed(2)}. ${tally(one.critiques)}`;
  };

  shown.toggleAll = () => {
    const every = [...place.querySelectorAll(".critique")];
    allOpen = !every.every((one) => one.open);
    for (const one of every) one.open = allOpen;
  };

  return shown;
};
