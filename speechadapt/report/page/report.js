"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Theme: what the system says, until the reader says otherwise.
  const theme = byId("theme");
  const THEMES = ["system", "light", "dark"];
  const remembered = (() => { try { return localStorage.getItem("speechadapt-theme"); } catch { return null; } })();
  const setTheme = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    theme.querySelector("span").textContent = name;
    try { localStorage.setItem("speechadapt-theme", name); } catch { /* a page of a file may not remember */ }
  };
  setTheme(THEMES.includes(remembered) ? remembered : "system");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "system";
    setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
  });

  // Paper shows what is folded.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.more:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  const source = byId("data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const PAGE = 25;
  const [SET, ID, REFERENCE, GROUPS, SYSTEMS, CLIP, WORDS] = [0, 1, 2, 3, 4, 5, 6];
  const rows = data.rows;
  const paired = data.sets.some((one) => one.systems.length === 2);
  const errors = (row) => row[SYSTEMS][row[SYSTEMS].length - 1][2];
  const change = (row) => errors(row) - row[SYSTEMS][0][2];
  const runaway = (row) => row[SYSTEMS].some((one) => one[3]);
  const rate = (row) => errors(row) / Math.max(1, row[WORDS]);

  const SHOWS = [
    ["all", "all", () => true],
    ["wrong", "with errors", (row) => errors(row) > 0],
    ...(paired ? [["better", "got better", (row) => change(row) < 0], ["worse", "got worse", (row) => change(row) > 0]] : []),
    ["runaway", "loops or invented text", runaway],
    ["heard", "with sound", (row) => row[CLIP] !== 0],
  ];
  const SORTS = [
    ...(paired ? [
      ["worse", "change: worst first", (a, b) => change(b) - change(a)],
      ["better", "change: best first", (a, b) => change(a) - change(b)],
    ] : []),
    ["errors", "errors: most first", (a, b) => errors(b) - errors(a)],
    ["rate", "error rate: highest first", (a, b) => rate(b) - rate(a)],
    ["long", "length: longest first", (a, b) => b[WORDS] - a[WORDS]],
    ["short", "length: shortest first", (a, b) => a[WORDS] - b[WORDS]],
    ["order", "order of the manifest", () => 0],
  ];

  const element = (name, kind, text) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;  // the only way a transcript gets into the page
    return made;
  };
  const option = (value, text) => { const made = element("option", "", text); made.value = value; return made; };

  const controls = byId("controls");
  const [find, set, group, show, sort, aligned] = ["find", "set", "group", "show", "sort", "aligned"].map(byId);
  for (const [value, text] of SHOWS) show.append(option(value, text));
  for (const [value, text] of SORTS) sort.append(option(value, text));
  data.sets.forEach((one, place) => set.append(option(place, one.name)));
  if (data.sets.length < 2) document.querySelector('[data-for="set"]').hidden = true;
  data.fields.forEach((field, place) => {
    const values = data.values[place].map((value, number) => [value, number]).sort((a, b) => a[0].localeCompare(b[0]));
    if (values.length < 2 || values.length > 1000) return;
    const box = element("optgroup");
    box.label = field;
    for (const [value, number] of values) box.append(option(`${place}:${number}`, value));
    group.append(box);
  });
  if (group.options.length < 2) document.querySelector('[data-for="group"]').hidden = true;

  const haystacks = [];
  const haystack = (number) => {
    if (haystacks[number] === undefined) {
      const row = rows[number];
      const names = row[GROUPS].map((value, place) => (value < 0 ? "" : data.values[place][value]));
      haystacks[number] = [row[ID], row[REFERENCE], ...row[SYSTEMS].map((one) => one[0]), ...names].join("\n").toLowerCase();
    }
    return haystacks[number];
  };

  let found = [];
  let page = 0;
  const choose = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const passes = SHOWS.find((one) => one[0] === show.value)[2];
    const order = SORTS.find((one) => one[0] === sort.value)[2];
    const [field, value] = group.value === "" ? [-1, -1] : group.value.split(":").map(Number);
    found = [];
    for (let number = 0; number < rows.length; number += 1) {
      const row = rows[number];
      if (set.value !== "" && row[SET] !== Number(set.value)) continue;
      if (field >= 0 && row[GROUPS][field] !== value) continue;
      if (!passes(row)) continue;
      if (words.length && !words.every((word) => haystack(number).includes(word))) continue;
      found.push(number);
    }
    found.sort((a, b) => order(rows[a], rows[b]) || a - b);
    page = 0;
    draw();
  };

  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // `e3s1d2`: three equal, one substituted, two deleted.
  const steps = (reference, heard, text) => {
    const pieces = [];
    let [r, h] = [0, 0];
    for (const [, kind, many] of text.matchAll(/([esdi])(\d+)/g)) {
      for (let each = 0; each < Number(many); each += 1) {
        pieces.push([kind, kind === "i" ? "" : reference[r], kind === "d" ? "" : heard[h], r]);
        if (kind !== "i") r += 1;
        if (kind !== "d") h += 1;
      }
    }
    return pieces;
  };
  const split = (text) => (text === "" ? [] : text.split(" "));
  const SPOKEN = { s: (said) => ` (instead of ${said})`, d: () => " (missing)", i: () => " (extra)" };
  const word = ([kind, said, heard]) => {
    const text = kind === "d" ? said : heard;
    if (kind === "e") return document.createTextNode(text);
    const made = element("span", `w ${kind}`);
    made.append(element("bdi", "", text), element("span", "hidden", SPOKEN[kind](said)));
    if (kind === "s") made.title = `instead of ${said}`;
    return made;
  };
  const line = (row, system) => {
    const made = element("dd");
    made.dir = "auto";
    const pieces = steps(split(system[4] ?? row[REFERENCE]), split(system[0]), system[1]);
    pieces.forEach((piece, place) => { if (place) made.append(" "); made.append(word(piece)); });
    if (system[4] !== undefined) made.append(element("span", "none", ` (counted against another reading: ${system[4]})`));
    if (!pieces.length) made.append(element("span", "none", "nothing"));
    return made;
  };
  const columns = (row) => {
    const made = element("div", "slots");
    made.dir = "auto";
    const reference = split(row[REFERENCE]);
    const sides = row[SYSTEMS].map((system) => steps(reference, split(system[0]), system[1]));
    const slot = (said, cells) => {
      const box = element("span", "slot");
      box.append(said === null ? element("span", "void") : element("span", "", said));
      for (const piece of cells) {
        if (!piece) box.append(element("span", "void"));
        else if (piece[0] === "e") box.append(element("span", "same", piece[2]));
        else { const cell = element("span"); cell.append(word(piece)); box.append(cell); }
      }
      made.append(box);
    };
    for (let place = 0; place <= reference.length; place += 1) {
      const extra = sides.map((pieces) => pieces.filter((piece) => piece[0] === "i" && piece[3] === place));
      for (let each = 0; each < Math.max(...extra.map((one) => one.length)); each += 1) slot(null, extra.map((one) => one[each]));
      if (place < reference.length) slot(reference[place], sides.map((pieces) => pieces.find((piece) => piece[0] !== "i" && piece[3] === place)));
    }
    return made;
  };

  const player = (row, made, play) => {
    const box = element("div", "sound");
    const sound = element("audio");
    sound.controls = true;
    sound.setAttribute("aria-label", `Recording of ${row[ID]}`);
    sound.addEventListener("error", () => {
      const place = row[CLIP].startsWith("data:") ? "in this page" : decodeURIComponent(row[CLIP].replace(/#.*/, ""));
      box.replaceChildren(element("span", "", `The recording could not be played; it was looked for at ${place}`));
      box.setAttribute("role", "status");
    }, { once: true });
    for (const other of document.querySelectorAll("audio")) other.pause();
    sound.src = row[CLIP];
    box.append(sound);
    made.append(box);
    play.remove();
    sound.focus();
    sound.play().catch(() => { /* the error event tells */ });
  };
  const playButton = (row, made) => {
    const play = element("button", "", "Play");
    play.type = "button";
    play.setAttribute("aria-label", `Play ${row[ID]}`);
    play.addEventListener("click", () => player(row, made, play));
    return play;
  };

  const SIGNED = (number) => (number > 0 ? `+${number}` : number < 0 ? `−${-number}` : "±0");
  const item = (number) => {
    const row = rows[number];
    const made = element("li");
    const head = element("div", "head");
    const name = element("h3");
    name.append(element("bdi", "", row[ID]));
    head.append(name);
    const labels = data.sets[row[SET]].systems;
    if (row[SYSTEMS].length === 2) {
      const by = change(row);
      head.append(element("span", "", `${row[SYSTEMS][0][2]} → ${count(errors(row), "error")} in ${count(row[WORDS], "word")}`));
      if (by) head.append(element("span", `mark ${by < 0 ? "good" : "bad"}`, SIGNED(by)));
    } else head.append(element("span", "", `${count(errors(row), "error")} in ${count(row[WORDS], "word")}`));
    if (runaway(row)) head.append(element("span", "mark bad", "loop?"));
    if (data.sets.length > 1) head.append(element("bdi", "", data.sets[row[SET]].name));
    row[GROUPS].forEach((value, place) => { if (value >= 0) { const one = element("bdi", "", data.values[place][value]); one.title = data.fields[place]; head.append(one); } });
    if (row[CLIP] !== 0) head.append(playButton(row, made));
    else if (data.sets[row[SET]].sound) head.append(element("span", "", "no recording found"));
    made.append(head);
    const texts = element("dl", "texts");
    if (aligned.checked && row[SYSTEMS].every((system) => system[4] === undefined)) {
      const names = element("dt", "stack");
      for (const label of ["reference", ...labels]) names.append(element("span", "", label), " ");
      texts.append(names);
      const cell = element("dd");
      cell.append(columns(row));
      texts.append(cell);
    } else {
      const shown = split(row[REFERENCE]).length;
      const cut = row[WORDS] > shown ? ` … (the first ${shown} of ${row[WORDS].toLocaleString("en")} words)` : "";
      const said = element("dd", "", row[REFERENCE] + cut);
      said.dir = "auto";
      texts.append(element("dt", "", "reference"), said);
      row[SYSTEMS].forEach((system, place) => texts.append(element("dt", "", labels[place]), line(row, system)));
    }
    made.append(texts);
    return made;
  };

  const list = byId("list");
  const draw = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    const first = page * PAGE;
    const shown = found.slice(first, first + PAGE);
    list.start = first + 1;
    list.replaceChildren(...shown.map(item));
    const range = found.length > PAGE ? `; ${first + 1} to ${first + shown.length} shown` : "";
    byId("status").textContent = `${count(found.length, "utterance")} of ${data.all.toLocaleString("en")}${range}`;
    byId("page").textContent = `Page ${page + 1} of ${pages}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
    byId("pages").hidden = pages === 1;
  };
  const turn = (by) => {
    page += by;
    draw();
    byId("status").scrollIntoView({ block: "start" });
    const button = byId(by < 0 ? "previous" : "next");
    (button.disabled ? byId(by < 0 ? "next" : "previous") : button).focus({ preventScroll: true });
  };
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  let timer = 0;
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(choose, 120); });
  for (const one of [set, group, show, sort]) one.addEventListener("change", choose);
  aligned.addEventListener("change", draw);
  controls.addEventListener("submit", (event) => { event.preventDefault(); choose(); });
  controls.addEventListener("reset", () => setTimeout(choose));
  controls.hidden = false;
  byId("signs").hidden = false;
  choose();
  document.documentElement.dataset.ready = "yes";
})();
