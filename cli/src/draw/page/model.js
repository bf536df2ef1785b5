const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const [tree, vaMap, paMap, tip, details] = ["tree", "va-map", "pa-map", "tip", "details"].map(byId);
const top = data.levels.length - 1;
// Below a strip there is room for the flags of what is marked.
const [STRIP, ROW, HEAD] = [32, 61, 16];
// Widths below which a cell has no edge, and is no block of its own.
const [THIN, NARROW] = [4, 1.5];

// --- numbers and words ---

const big = (text) => BigInt(text);
const hex = (value, digits) => value.toString(16).padStart(digits, "0");
const vaText = (va) => "0x" + hex(va, data.va_digits);
const paText = (pa) => "0x" + hex(pa, data.pa_digits);
const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const bytes = (value) => {
  let unit = 0;
  let scale = 1n;
  while (unit < units.length - 1 && value >= scale * 1024n) {
    unit += 1;
    scale *= 1024n;
  }
  return value % scale === 0n ? `${value / scale} ${units[unit]}` : `${(Number(value) / Number(scale)).toFixed(2)} ${units[unit]}`;
};
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const lowMask = (bits) => (1n << BigInt(bits)) - 1n;

// --- the tables: widths as parts of the whole, and what covers which VA ---

for (const [id, table] of data.tables.entries()) {
  table.id = id;
  table.pa = big(table.pa);
  table.va = big(table.va);
  let offset = 0;
  for (const cell of table.cells) {
    Object.assign(cell, { n: cell.n ?? 1, table, offset });
    offset += cell.w;
    cell.x = 0;
    cell.width = 0;
  }
  const above = data.tables[table.above];
  table.pointer = above && above.cells.find((cell) => cell.to === id && cell.k === "table");
}
// A table is behind the one above it.
for (const table of data.tables) {
  const [x, width] = table.pointer ? [table.pointer.x, table.pointer.width] : [0, 1];
  Object.assign(table, { x, span: width });
  for (const cell of table.cells) {
    cell.x = x + (width * cell.offset) / table.width;
    cell.width = (width * cell.w) / table.width;
  }
}
const vaOfItem = (table, index) => {
  const va = table.va | (BigInt(index) << BigInt(data.levels[table.level].item_lg2));
  if (table.level < top) {
    return va;
  }
  const isHigh = (va >> BigInt(data.va_lg2 - 1)) & 1n;
  return va | big(data.above_va[Number(isHigh)]);
};
const itemLast = (table) => lowMask(Math.min(data.levels[table.level].item_lg2, data.va_lg2));
const vaRange = (cell) => [vaOfItem(cell.table, cell.i), vaOfItem(cell.table, cell.i + cell.n - 1) | itemLast(cell.table)];
const tableRange = (table) => {
  const cells = table.cells;
  return [vaRange(cells[0])[0], vaRange(cells[cells.length - 1])[1]];
};
// The path of cells to a VA, from the top; empty if the top does not decode it.
const pathTo = (va) => {
  const path = [];
  let table = data.tables[0];
  while (table) {
    const { item_lg2, items_lg2 } = data.levels[table.level];
    const index = Number(((va & lowMask(data.va_lg2)) >> BigInt(item_lg2)) & lowMask(items_lg2));
    const cell = table.cells.findLast((cell) => cell.i <= index);
    const [first, last] = vaRange(cell);
    if (va < first || va > last) {
      return [];
    }
    path.push(cell);
    table = cell.k === "table" ? data.tables[cell.to] : undefined;
  }
  return path;
};
// Where a VA is drawn, as a part of the whole.
const place = (va) => {
  const cell = pathTo(va).at(-1);
  if (!cell) {
    return undefined;
  }
  const [first, last] = vaRange(cell);
  return cell.x + (cell.width * Number(va - first)) / Number(last - first + 1n);
};

const paRange = (cell) => {
  if (cell.k !== "leaf" || cell.pa === undefined) {
    return undefined;
  }
  const [first, last] = vaRange(cell);
  return [big(cell.pa), cell.last ? big(cell.last) : big(cell.pa) + (last - first)];
};
const links = data.links.map(([va, pa, len]) => ({ va: big(va), pa: big(pa), len: big(len) }));
const MOST_LINKS = 200;
// What of `to` belongs to a range of `from`, by the runs that are known.
const across = (from, to, [first, last]) => {
  const found = [];
  for (const link of links) {
    const skip = first > link[from] ? first - link[from] : 0n;
    const end = last < link[from] + link.len ? last - link[from] : link.len;
    if (skip <= end && found.length < MOST_LINKS) {
      found.push([link[to] + skip, link[to] + end]);
    }
  }
  return found;
};
for (const extent of [...data.va, ...data.pa]) {
  extent.range = [big(extent.first), big(extent.last)];
}
const overlaps = ([first, last], ranges) => ranges.some(([otherFirst, otherLast]) => first <= otherLast && otherFirst <= last);

// --- words for a cell ---

const pageCount = (cell) => Math.max(1, Math.floor(cell.n / 2 ** Math.max(0, cell.size - data.levels[cell.table.level].item_lg2)));
const sizeText = (cell) => bytes(1n << BigInt(cell.size));
const spanText = (cell) => {
  const [first, last] = vaRange(cell);
  return bytes(last - first + 1n);
};
const words = (cell) => {
  switch (cell.k) {
    case "leaf": {
      const pages = pageCount(cell);
      return pages > 1 ? `${pages} × ${sizeText(cell)}` : sizeText(cell);
    }
    case "table":
      return `table at ${paText(big(cell.pa))}`;
    case "shared":
      return `${cell.n > 1 ? `${cell.n} pointers to the` : ""} table at ${paText(big(cell.pa))}, shared`.trim();
    case "folded":
      return cell.below[0] > 0 ? `${cell.below[0].toLocaleString("en")} more ${cell.below[0] === 1 ? "table" : "tables"}` : "tables that are not drawn";
    case "blocked":
      return cell.why;
    case "other":
      return `${cell.n > 1 ? "pages" : "page"} left out`;
    case "unseen":
      return "not looked at";
    default:
      return `hole of ${spanText(cell)}`;
  }
};
const label = (cell) => {
  switch (cell.k) {
    case "leaf":
      return [`${words(cell)} · ${data.looks[cell.look].words}`, words(cell), pageCount(cell) > 1 ? `${pageCount(cell)}×` : ""];
    case "table": {
      const [first] = vaRange(cell);
      const { bytes: mapped } = data.tables[cell.to];
      return [`[${cell.i}] ${vaText(first)} · ${bytes(big(mapped))}`, `[${cell.i}] ${vaText(first)}`, `[${cell.i}] ${bytes(big(mapped))}`, `[${cell.i}]`];
    }
    case "blocked":
      return [`! ${cell.why}`, "!"];
    case "empty":
      return [spanText(cell)];
    case "shared":
      return [words(cell), "shared"];
    default:
      return [words(cell), cell.k === "folded" ? "+" : ""];
  }
};
const itemsText = (cell) => (cell.n > 1 ? `items ${cell.i} to ${cell.i + cell.n - 1}` : `item ${cell.i}`);
const rangeText = ([first, last], text) => `${text(first)} to ${text(last)}`;
