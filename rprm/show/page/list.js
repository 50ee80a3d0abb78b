// Which solutions match, and which of them are on the screen?  Only those in view are in the page.
"use strict";

rprmShow.makeList = ({ onMove, onPick }) => {
  const { data, element, words, colour, cells, beliefs } = rprmShow;
  const ROW_PX = 64;
  const SPARE_ROWS = 6; // above and below what is visible
  const box = document.getElementById("list");
  const rows = document.getElementById("rows");
  const list = { matching: [], at: -1 };
  let lowered = null; // problems in lower case, made when somebody first searches

  list.filter = ({ search, category, subset, sort }) => {
    const wanted = search.trim().toLowerCase();
    if (wanted) lowered ??= data.problems.map((text) => text.toLowerCase());
    const hits = wanted ? lowered.map((text) => text.includes(wanted)) : null;
    const chosen = list.at >= 0 ? list.matching[list.at] : -1;
    list.matching = [];
    for (let index = 0; index < data.ids.length; index += 1) {
      if (category >= 0 && data.category[index] !== category) continue;
      if (subset >= 0 && data.subset[index] !== subset) continue;
      if (hits && !hits[data.problem[index]] && !data.ids[index].toLowerCase().includes(wanted))
        continue;
      list.matching.push(index);
    }
    order(list.matching, sort);
    list.at = list.matching.indexOf(chosen);
    rows.style.height = `${list.matching.length * ROW_PX}px`;
    box.scrollTop = 0;
    draw();
  };

  const orders = {
    certain: (index) => negative(data.certainty[index]),
    uncertain: (index) => data.certainty[index],
    lowest: (index) => data.lowest[index],
    unparsed: (index) => -data.unparsed[index],
  };
  const negative = (value) => (value == null ? null : -value);

  // By a key, the smallest first; solutions without one come last, equal ones as in the run.
  const order = (indices, sort) => {
    const key = orders[sort];
    if (!key) return;
    const keys = new Map(indices.map((index) => [index, key(index) ?? Infinity]));
    indices.sort((a, b) => {
      const [one, other] = [keys.get(a), keys.get(b)];
      return one === other ? a - b : one < other ? -1 : 1;
    });
  };

  list.go = (at) => {
    list.at = at;
    const [top, bottom] = [at * ROW_PX, (at + 1) * ROW_PX];
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    draw();
  };

  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_PX) - SPARE_ROWS);
    const visible = Math.ceil(box.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    const last = Math.min(list.matching.length, first + visible);
    rows.replaceChildren();
    for (let at = first; at < last; at += 1) rows.append(row(at));
    const current = list.at >= first && list.at < last;
    if (current) box.setAttribute("aria-activedescendant", `row-${list.at}`);
    else box.removeAttribute("aria-activedescendant");
  };

  const row = (at) => {
    const index = list.matching[at];
    const kind = data.categories[data.category[index]];
    const strip = element("span", { class: "strip", "aria-hidden": "true" });
    const steps = beliefs(data.strip[index]);
    strip.style.width = `min(${steps.length * 14}px, 100%)`;
    strip.style.backgroundImage = cells(steps.map(colour));
    const made = element(
      "div",
      {
        id: `row-${at}`,
        class: `item ${kind}`,
        role: "option",
        "aria-selected": at === list.at ? "true" : "false",
        "aria-posinset": at + 1,
        "aria-setsize": list.matching.length,
        on: { click: () => onPick(at) },
      },
      element("span", { class: "id", text: data.ids[index] }),
      element("span", { class: "kind", text: words[kind][0] }),
      element("span", { class: "snippet", text: data.problems[data.problem[index]].slice(0, 160) }),
      strip,
    );
    made.style.top = `${at * ROW_PX}px`;
    return made;
  };

  const moves = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: 8,
    PageUp: -8,
    Home: -Infinity,
    End: Infinity,
  };
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !list.matching.length) return;
    if (event.key === "Enter") {
      onPick(list.at);
      return;
    }
    if (!(event.key in moves)) return;
    event.preventDefault();
    onMove(Math.min(Math.max(list.at + moves[event.key], 0), list.matching.length - 1));
  });
  let waiting = 0;
  box.addEventListener(
    "scroll",
    () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(draw);
    },
    { passive: true },
  );
  new ResizeObserver(draw).observe(box);
  return list;
};
