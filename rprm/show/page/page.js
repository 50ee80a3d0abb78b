// What happens when a person does something?  Joins filters, list, solution, keys and address.
"use strict";

(() => {
  const { data, element, words, count } = rprmShow;
  const byId = (id) => document.getElementById(id);
  if (!data) {
    byId("solution").append(
      element("p", {
        class: "trouble",
        role: "alert",
        text: "data/index.js is missing or broken. Copy the whole folder.",
      }),
    );
    return;
  }

  const places = new Map(data.ids.map((id, index) => [id, index]));
  const shown = rprmShow.makeSolution();
  const list = rprmShow.makeList({
    onMove: (at) => choose(at),
    onPick: (at) => {
      choose(at);
      if (!document.body.classList.contains("listing")) return;
      listing(false);
      byId("solution").focus();
    },
  });
  let address = null; // the hash that was last set or read here

  // --- which solution

  const choose = (at, step) => {
    const index = list.matching[at];
    list.go(at);
    address = `#${encodeURIComponent(data.ids[index])}`;
    if (location.hash !== address) location.replace(address);
    const kind = words[data.categories[data.category[index]]][0];
    byId("place").textContent =
      `${(at + 1).toLocaleString("en")} of ${list.matching.length.toLocaleString("en")}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === list.matching.length - 1;
    rprmShow.solution(index).then(
      (solution) => {
        if (list.matching[list.at] !== index) return; // somebody was faster
        shown.draw(index, solution, step);
        say(`${data.ids[index]}, ${kind}, ${at + 1} of ${list.matching.length}`);
        const after = list.matching[at + 1];
        if (after !== undefined) rprmShow.solution(after).catch(() => {}); // it is told when it is looked at
      },
      (error) => shown.trouble(error.message),
    );
  };

  const move = (by) => {
    const at = list.at + by;
    if (at >= 0 && at < list.matching.length) choose(at);
  };

  const say = (text) => {
    byId("said").textContent = text;
  };

  // --- filters

  const radio = (value, text, number) => {
    const id = `category-${value}`;
    return [
      element("input", { type: "radio", name: "category", id, value, checked: value === -1 }),
      element(
        "label",
        { for: id, class: value < 0 ? null : data.categories[value] },
        text,
        " ",
        element("span", { class: "number", text: number.toLocaleString("en") }),
      ),
    ];
  };

  const numbers = data.categories.map(() => 0);
  for (const code of data.category) numbers[code] += 1;
  byId("categories").append(
    ...radio(-1, "all", data.ids.length),
    ...data.categories.flatMap((name, code) =>
      numbers[code] ? radio(code, words[name][1], numbers[code]) : [],
    ),
  );
  if (data.subsets.length > 1) {
    byId("subset-label").hidden = false;
    byId("subset").append(
      element("option", { value: -1, text: "all" }),
      ...data.subsets.map((name, code) =>
        element("option", { value: code, text: name || "(none)" }),
      ),
    );
  }

  const filter = () => {
    const chosen = document.querySelector("input[name=category]:checked");
    list.filter({
      search: byId("search").value,
      category: Number(chosen.value),
      subset: Number(byId("subset").value || -1),
      sort: byId("sort").value,
    });
    const number = list.matching.length;
    byId("found").textContent =
      number === data.ids.length
        ? count(number, "solution")
        : `${number.toLocaleString("en")} of ${count(data.ids.length, "solution")}`;
    byId("listing").textContent = `List (${number.toLocaleString("en")})`;
  };

  const refilter = () => {
    filter();
    if (list.matching.length) {
      choose(0);
      return;
    }
    list.at = -1;
    byId("place").textContent = "0 of 0";
    byId("previous").disabled = byId("next").disabled = true;
    byId("solution").replaceChildren(
      element("p", { class: "nothing", text: "No solution matches these filters." }),
      element("button", {
        type: "button",
        text: "Clear the filters",
        on: {
          click: () => {
            clear();
            refilter();
          },
        },
      }),
    );
  };

  const clear = () => {
    byId("search").value = "";
    byId("category--1").checked = true;
    byId("subset").value = "-1";
  };

  let typing = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(refilter, 120);
  });
  byId("filters").addEventListener("change", (event) => {
    if (event.target.id !== "search") refilter();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());

  // --- address: #id, or #id:step as in the id of a case

  const target = () => {
    let wanted;
    try {
      wanted = decodeURIComponent(location.hash.slice(1));
    } catch {
      return null;
    }
    if (!wanted) return null;
    if (places.has(wanted)) return { index: places.get(wanted) };
    const [, id, step] = wanted.match(/^(.*):(\d+)$/s) ?? [];
    if (places.has(id)) return { index: places.get(id), step: Number(step) };
    return { missing: wanted };
  };

  const follow = () => {
    const wanted = target();
    if (wanted?.index === undefined) {
      choose(Math.max(list.at, 0));
      if (wanted) {
        byId("found").textContent = `This page has no solution ${wanted.missing}.`;
      }
      return;
    }
    let at = list.matching.indexOf(wanted.index);
    if (at < 0) {
      clear();
      filter();
      at = list.matching.indexOf(wanted.index);
    }
    choose(at, wanted.step);
  };
  addEventListener("hashchange", () => {
    if (location.hash !== address) follow();
  });

  // --- keys

  const keys = {
    j: () => move(1),
    ArrowRight: () => move(1),
    k: () => move(-1),
    ArrowLeft: () => move(-1),
    n: () => step(1),
    p: () => step(-1),
    e: () => shown.toggleAll(),
    "/": () => {
      listing(true);
      byId("search").focus();
      byId("search").select();
    },
    "?": () => byId("help").showModal(),
  };
  const step = (by) => {
    const told = shown.move(by);
    if (told) say(told);
  };
  addEventListener("keydown", (event) => {
    if (event.target.id === "search" && event.key === "Escape") byId("list").focus();
    else if (event.key === "Escape") listing(false);
    const busy = event.target.closest("input, select, textarea, dialog[open]");
    if (
      busy ||
      !byId("keys-on").checked ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      !(event.key in keys)
    )
      return;
    event.preventDefault();
    keys[event.key]();
  });

  // --- buttons

  const listing = (open) => {
    document.body.classList.toggle("listing", open);
    byId("listing").setAttribute("aria-expanded", String(open));
    if (open) list.go(Math.max(list.at, 0));
  };
  byId("listing").addEventListener("click", () => {
    listing(true);
    byId("list").focus();
  });
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("about-open").addEventListener("click", () => byId("about").showModal());
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("solution").focus();
  });

  // What a person chose once; a browser may keep nothing for files.
  const remembered = (name) => {
    try {
      return localStorage.getItem(`rprm-${name}`);
    } catch {
      return null;
    }
  };
  const remember = (name, value) => {
    try {
      localStorage.setItem(`rprm-${name}`, value);
    } catch {
      /* then it is asked again */
    }
  };

  byId("keys-on").checked = remembered("keys") !== "off";
  byId("keys-on").addEventListener("change", (event) =>
    remember("keys", event.target.checked ? "on" : "off"),
  );

  const themes = ["auto", "light", "dark"];
  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = `Theme: ${name}`;
  };
  theme(themes.includes(remembered("theme")) ? remembered("theme") : "auto");
  byId("theme").addEventListener("click", () => {
    const next =
      themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    remember("theme", next);
    theme(next);
  });

  // --- begin

  document.title = `${data.title}: judgements`;
  byId("title").textContent = data.title;
  const share = (wanted, verb, what) => {
    const labelled = data.label.flatMap((label, index) =>
      label != null && wanted(label) ? [index] : [],
    );
    const met = labelled.filter((index) => data.prediction[index] === data.label[index]).length;
    return labelled.length && data.whole
      ? `${verb} ${met.toLocaleString("en")} of ${count(labelled.length, what)}`
      : null;
  };
  byId("counts").textContent = [
    count(data.ids.length, "solution"),
    data.numSteps ? count(data.numSteps, "judged step") : null,
    data.numCritiques ? count(data.numCritiques, "critique") : null,
    share((label) => label >= 0, "finds", "error"),
    share((label) => label < 0, "passes", "right solution"),
  ]
    .filter(Boolean)
    .join(" · ");
  byId("facts").append(
    ...data.facts.flatMap(([name, value]) => [
      element("dt", { text: name }),
      element("dd", { text: value }),
    ]),
  );
  byId("kinds").append(
    ...data.categories.flatMap((name, code) =>
      numbers[code]
        ? [element("dt", { text: words[name][0] }), element("dd", { text: words[name][2] })]
        : [],
    ),
  );
  filter();
  follow();
})();
