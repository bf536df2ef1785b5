// --- what belongs together ---

const highlight = (vaRanges, paRanges) => {
  for (const [extents, ranges] of [[data.va, vaRanges], [data.pa, paRanges]]) {
    for (const extent of extents) {
      extent.rect?.classList.toggle("on", overlaps(extent.range, ranges));
    }
  }
};
const counterparts = (cell) => {
  const va = vaRange(cell);
  const pa = paRange(cell);
  if (cell.k === "leaf") {
    return [[va], cell.runs ? across("va", "pa", va) : [pa]];
  }
  const own = cell.k === "table" || cell.k === "shared" ? [[big(cell.pa), big(cell.pa)]] : [];
  return [[va], [...own, ...across("va", "pa", va)]];
};
const setBands = (ranges) => {
  const places = ranges.map(([first, last]) => [place(first), place(last)]).filter((ends) => !ends.includes(undefined));
  places.sort(([a], [b]) => a - b);
  bands = [];
  // What would lie on each other on the screen is one.
  const pixel = view.width / tree.clientWidth;
  for (const [from, to] of places) {
    const before = bands.at(-1);
    if (before && from <= before[1] + 2 * pixel) {
      before[1] = Math.max(before[1], to);
    } else {
      bands.push([from, to]);
    }
  }
  drawBands();
};
const unhighlight = () => {
  highlight([], []);
  setBands([]);
  for (const rect of tree.querySelectorAll(".on")) {
    rect.classList.remove("on");
  }
  tip.hidden = true;
};

// --- the tip ---

const tell = (event, lines) => {
  // Under a finger nobody sees it; a tap pins the same.
  if (event.pointerType === "touch") {
    return;
  }
  tip.textContent = lines.filter(Boolean).join("\n");
  tip.hidden = false;
  const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4))}px`;
};
const aboutExtent = (extent, text) => [
  `${rangeText(extent.range, text)}`,
  `${extent.used} in use, ${data.looks[extent.look].words}${extent.is_mixed ? ", and others" : ""}`,
  extent.uses > 1 ? `mapped ${extent.uses} times` : "",
];
const hoverTree = (event) => {
  const cell = event.target.cell;
  unhighlight();
  if (!cell) {
    return;
  }
  event.target.classList.add("on");
  highlight(...counterparts(cell));
  const pa = paRange(cell);
  const findings = (cell.findings ?? []).map((n) => `! ${data.findings[n].rule}`);
  tell(event, [
    `level ${cell.table.level}, ${itemsText(cell)}: ${words(cell)}`,
    cell.k === "leaf" ? data.looks[cell.look].words : "",
    `VA ${rangeText(vaRange(cell), vaText)}`,
    pa ? `PA ${rangeText(pa, paText)}${cell.runs ? `, ${cell.runs} runs` : ""}` : "",
    ...findings,
  ]);
};
// Lights what belongs to an extent of a map.
const light = (extent, kind) => {
  const others = kind === "va" ? across("va", "pa", extent.range) : across("pa", "va", extent.range);
  const [vaRanges, paRanges] = kind === "va" ? [[extent.range], others] : [others, [extent.range]];
  highlight(vaRanges, paRanges);
  setBands(vaRanges);
};
const hoverMap = (event, kind) => {
  const { extent, gap } = event.target;
  unhighlight();
  if (gap !== undefined) {
    tell(event, [`hole of ${bytes(gap)}`]);
  }
  if (!extent) {
    return;
  }
  light(extent, kind);
  tell(event, aboutExtent(extent, kind === "va" ? vaText : paText));
};

// --- details ---

const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) {
    made.textContent = text;
  }
  if (className) {
    made.className = className;
  }
  return made;
};
const rows = (pairs, className) => {
  const list = element("dl", undefined, className);
  for (const [name, value, about] of pairs.filter(([, value]) => value !== undefined)) {
    const dd = element("dd", value);
    if (about) {
      dd.append(element("small", about));
    }
    list.append(element("dt", name), dd);
  }
  return list;
};
const goButtons = (targets) => {
  const box = element("div", undefined, "goto");
  for (const [text, act] of targets) {
    const button = element("button", text);
    button.type = "button";
    button.addEventListener("click", act);
    box.append(button);
  }
  return box;
};
const findingBox = (n) => {
  const { severity, rule, text } = data.findings[n];
  const box = element("p", undefined, `finding ${severity}`);
  box.append(element("b", `${severity}: ${rule}`, severity), element("br"), text);
  return box;
};
const openDetails = (title, parts) => {
  const close = element("button", "×", "close");
  close.type = "button";
  close.setAttribute("aria-label", "close");
  close.addEventListener("click", unpin);
  details.replaceChildren(close, element("h3", title), ...parts);
  const wasHidden = details.hidden;
  details.hidden = false;
  details.scrollTop = 0;
  if (wasHidden) {
    drawAll();
  }
  // On a phone the details lie over the page.
  const isOver = getComputedStyle(details).position === "fixed";
  if (isOver && tree.getBoundingClientRect().bottom > details.getBoundingClientRect().top) {
    byId("path").scrollIntoView({ block: "start" });
  }
};
// The extent that the details are about.
const markExtent = (extent) => {
  pinnedExtent?.rect?.classList.remove("pinned");
  pinnedExtent = extent;
  pinnedExtent?.rect?.classList.add("pinned");
};
const unpin = () => {
  pinned = undefined;
  markExtent(undefined);
  details.hidden = true;
  drawAll();
};
const MOST_SHOWN = 8;
const rangeButtons = (ranges, text) => {
  const shown = ranges.slice(0, MOST_SHOWN).map(([first]) => [`VA ${text(first)}`, () => goTo(first)]);
  const more = ranges.length - shown.length;
  const parts = [goButtons(shown)];
  if (more > 0) {
    parts.push(element("p", `and ${more}${ranges.length >= MOST_LINKS ? " or more" : ""} others`, "soft-text"));
  }
  return parts;
};
const pin = (cell) => {
  drawnCells.get(pinned)?.classList.remove("pinned");
  pinned = cell;
  markExtent(undefined);
  const { table } = cell;
  const below = cell.k === "table" || cell.k === "shared" ? data.tables[cell.to] : undefined;
  const address = table.pa + BigInt(cell.i) * BigInt(data.item_bytes);
  const pa = paRange(cell);
  const values = [
    ["level", String(table.level)],
    [cell.n > 1 ? "items" : "item", itemsText(cell).replace(/^items? /, "")],
    ["at", paText(address)],
    [cell.n > 1 ? "first item" : "value", cell.raw && "0x" + hex(big(cell.raw), 2 * data.item_bytes)],
    ["VA", rangeText(vaRange(cell), vaText)],
    ["size", spanText(cell)],
    ["PA", pa && rangeText(pa, paText)],
    ["PA runs", cell.runs && `${cell.runs}, between these`],
    ["permits", cell.k === "leaf" ? data.looks[cell.look].words : undefined],
    ["leads to", below && `table at ${paText(below.pa)}${cell.k === "shared" ? `, drawn at VA ${vaText(tableRange(below)[0])}` : ""}`],
    ["leads to", cell.k === "blocked" && cell.pa ? paText(big(cell.pa)) : undefined],
    ["below", below ? `${count(below.tables, "table")}, ${bytes(big(below.bytes))} mapped` : cell.below && `${count(cell.below[0], "table")}, ${bytes(big(cell.below[1]))} mapped`],
    ["in table", `at ${paText(table.pa)}`],
  ];
  const parts = [rows(values)];
  for (const n of cell.findings ?? []) {
    parts.push(findingBox(n));
  }
  for (const n of below?.findings ?? []) {
    parts.push(findingBox(n));
  }
  if (cell.form !== undefined) {
    parts.push(rows(data.forms[cell.form].map(([name, value]) => [name, value, data.fields[name]]), "fields"));
  }
  const go = [];
  if (below) {
    go.push(["Go to this table", () => goInto(below)]);
  }
  if (table.pointer) {
    go.push(["The item above", () => reveal(table.pointer)]);
  }
  parts.push(goButtons(go));
  openDetails(words(cell), parts);
  drawnCells.get(cell)?.classList.add("pinned");
};
// What the page does not know of where memory is mapped.
const isToldOnce = data.tables.some(({ cells }) => cells.some(({ k, below }) => k === "shared" || (k === "folded" && below[0] === 0)));
const unknownLinks = () => {
  const lines = [];
  if (isToldOnce) {
    lines.push("Below a table that several pointers lead to, pages are told where it is drawn, and not once more for each pointer: `genpt dump --pa` tells all.");
  }
  if (data.dropped_links > 0) {
    lines.push(`What goes where is known of the ${links.length.toLocaleString("en")} longest runs; ${data.dropped_links.toLocaleString("en")} shorter ones are not listed.`);
  }
  return lines.map((line) => element("p", line, "soft-text"));
};
// From where a physical address is mapped; true if from somewhere, or if it is in use.
const goToPa = (address) => {
  const range = [address, address];
  const others = across("pa", "va", range);
  const extent = data.pa.find((extent) => overlaps(extent.range, [range]));
  if (others.length > 0) {
    pinned = undefined;
    openDetails(`PA ${paText(address)}`, [element("p", "mapped from"), ...rangeButtons(others, vaText), ...unknownLinks()]);
  } else if (extent) {
    pinExtent(extent, "pa");
  }
  return others.length > 0 || extent;
};
const pinExtent = (extent, kind) => {
  drawnCells.get(pinned)?.classList.remove("pinned");
  pinned = undefined;
  markExtent(extent);
  const others = kind === "va" ? across("va", "pa", extent.range) : across("pa", "va", extent.range);
  const values = [
    [kind === "va" ? "VA" : "PA", rangeText(extent.range, kind === "va" ? vaText : paText)],
    ["in use", extent.used],
    ["looks", data.looks[extent.look].words + (extent.is_mixed ? ", and others" : "")],
    ["mapped", extent.uses > 1 ? `${extent.uses} times` : undefined],
    ["goes to", kind === "va" ? others.slice(0, MOST_SHOWN).map((range) => rangeText(range, paText)).join("; ") + (others.length > MOST_SHOWN ? "; …" : "") : undefined],
  ];
  const parts = [rows(values)];
  if (kind === "va") {
    parts.push(goButtons([["Show its table", () => goTo(extent.range[0])]]));
  } else if (others.length > 0) {
    parts.push(element("p", "mapped from"), ...rangeButtons(others, vaText));
  }
  const tables = kind === "pa" ? data.tables.filter(({ pa }) => pa >= extent.range[0] && pa <= extent.range[1]) : [];
  if (tables.length > 0) {
    const shown = tables.slice(0, MOST_SHOWN).map((table) => [`level ${table.level} at ${paText(table.pa)}`, () => goInto(table)]);
    parts.push(element("p", `${count(tables.length, "drawn table")} here`), goButtons(shown));
  }
  parts.push(...unknownLinks());
  openDetails(kind === "va" ? "VA in use" : "Physical memory in use", parts);
};
