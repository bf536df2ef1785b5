// --- drawing ---

const SVG = "http://www.w3.org/2000/svg";
const shape = (parent, name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  if (text !== undefined) {
    element.textContent = text;
  }
  parent.append(element);
  return element;
};
const CHARACTER = 6.3;
const write = (parent, texts, kind, x, width, y) => {
  const fitting = texts.find((text) => text && text.length * CHARACTER < width - 6);
  if (fitting) {
    shape(parent, "text", { class: `label ${kind}`, "text-anchor": "middle", x: x + width / 2, y }, fitting);
  }
};
const colours = () => document.body.dataset.colours;
const classOf = (cell) => {
  if (cell.k !== "leaf") {
    return cell.k;
  }
  return colours() === "sizes" ? data.sizes[cell.size] : data.looks[cell.look][colours()];
};
// Which of several cells is shown where there is room for one.
const strength = (cell) => 10 * (cell.mark ?? 0) + ["empty", "unseen", "other", "folded", "shared", "table", "leaf", "blocked"].indexOf(cell.k);
const markName = (mark) => (mark === 3 ? "error" : mark === 2 ? "warning" : undefined);

// What is shown: a part of the whole, from 0 to 1.
let view = { x: 0, width: 1 };
let inside = data.tables[0];
let pinned;
let pinnedExtent;
let bands = [];
let drawnCells = new Map();

const drawTree = () => {
  const width = tree.clientWidth;
  tree.replaceChildren();
  tree.style.height = `${(top + 1) * ROW}px`;
  drawnCells = new Map();
  const below = shape(tree, "g", {});
  const over = shape(tree, "g", {});
  const screen = (x) => ((x - view.x) / view.width) * width;
  const titles = [];
  for (const [level, { item_lg2, tables }] of data.levels.entries()) {
    const item = bytes(1n << BigInt(item_lg2));
    const text = `level ${level}: ${count(tables, "table")}, an item is ${item}`;
    titles[level] = shape(below, "text", { class: "soft", x: 0, y: (top - level) * ROW + 11 }, text);
  }
  const block = (cell, x, y, wide) => {
    const thin = wide < THIN ? " thin" : "";
    const rect = shape(below, "rect", { class: `cell ${classOf(cell)}${thin}`, x, y, width: wide, height: STRIP });
    rect.cell = cell;
    drawnCells.set(cell, rect);
  };
  // Levels of tables that are drawn, and of those that there is no room for.
  const [drawn, narrow] = [new Set(), new Set()];
  const leaveOut = (table) => {
    narrow.add(table.level);
    for (const cell of table.cells) {
      if (cell.k === "table") {
        leaveOut(data.tables[cell.to]);
      }
    }
  };
  const strip = (table) => {
    drawn.add(table.level);
    const y = (top - table.level) * ROW + HEAD;
    // The frame of what is marked. Where that ends with the drawing, its edge is not cut off; where it goes on, there is none.
    const frame = (mark, left, right, y, height) => {
      const x = left > -1.5 ? Math.max(left, 1) : left;
      const end = right < width + 1.5 ? Math.min(right, width - 1) : right;
      shape(over, "rect", { class: `mark-${mark}`, x, y, width: Math.max(end - x, 1), height });
    };
    // Cells that are too narrow to be seen are drawn together, as the one of them that matters most.
    let column;
    const flush = () => {
      if (column) {
        block(column.cell, column.x, y, Math.max(column.end - column.x, 0.5));
      }
      column = undefined;
    };
    for (const cell of table.cells) {
      const [left, right] = [Math.max(screen(cell.x), -2), Math.min(screen(cell.x + cell.width), width + 2)];
      if (right <= 0 || left >= width) {
        continue;
      }
      const wide = right - left;
      if (wide < NARROW) {
        column ??= { cell, x: left };
        column.end = right;
        column.cell = strength(cell) > strength(column.cell) ? cell : column.cell;
        if (column.end - column.x >= NARROW) {
          flush();
        }
      } else {
        flush();
        block(cell, left, y, wide);
        write(below, label(cell), cell.k, Math.max(left, 0), Math.min(right, width) - Math.max(left, 0), y + STRIP / 2 + 4);
      }
      if (cell.k === "table") {
        const lower = data.tables[cell.to];
        if (wide >= 1.5) {
          strip(lower);
        } else {
          leaveOut(lower);
        }
      }
      const mark = markName(cell.mark);
      if (mark) {
        const middle = (Math.max(left, 0) + Math.min(right, width)) / 2;
        if (cell.findings) {
          const shown = Math.max(wide, 5);
          frame(mark, (left + right - shown) / 2, (left + right + shown) / 2, y, STRIP);
        }
        shape(over, "path", { class: `flag-${mark}`, d: `M${middle},${y + STRIP}l-5,9h10z` });
      }
    }
    flush();
    const severities = table.findings.map((n) => data.findings[n].severity);
    const worst = ["error", "warning"].find((severity) => severities.includes(severity));
    if (worst) {
      const [left, right] = [screen(table.x), screen(table.x + table.span)];
      frame(worst, left - 1, left + Math.max(right - left, 4) + 1, y - 2, STRIP + 4);
    }
  };
  strip(data.tables[0]);
  for (const level of narrow) {
    if (!drawn.has(level)) {
      titles[level].textContent += ": too narrow here";
    }
  }
  drawBands();
  drawnCells.get(pinned)?.classList.add("pinned");
  drawPath();
  byId("out").disabled = inside.id === 0 && view.width === 1;
};

// Over the tables, where something lies that belongs to what is under the pointer.
const drawBands = () => {
  for (const rect of tree.querySelectorAll(".band")) {
    rect.remove();
  }
  const width = tree.clientWidth;
  for (const [from, to] of bands) {
    const [left, right] = [from, to].map((x) => ((x - view.x) / view.width) * width);
    if (right > 0 && left < width) {
      shape(tree, "rect", { class: "band", x: left, y: HEAD, width: Math.max(right - left, 2), height: (top + 1) * ROW - HEAD });
    }
  }
};

const drawMap = (svg, extents, kind) => {
  const width = svg.clientWidth;
  svg.replaceChildren();
  const holes = extents.map((extent, n) => (n > 0 ? extent.range[0] - extents[n - 1].range[1] - 1n : 0n));
  const gaps = holes.filter((hole) => hole > 0n).length * data.gap_width;
  const unit = width / Math.max(1, extents.reduce((sum, extent) => sum + extent.w, gaps));
  const [y, height] = [4, STRIP + 4];
  let x = 0;
  for (const [n, extent] of extents.entries()) {
    if (holes[n] > 0n) {
      const wide = data.gap_width * unit;
      const rect = shape(svg, "rect", { class: "cell empty", x, y, width: wide, height });
      rect.gap = holes[n];
      write(svg, [bytes(holes[n])], "empty", x, wide, y + height / 2 + 4);
      x += wide;
    }
    const wide = extent.w * unit;
    const look = data.looks[extent.look];
    // An extent can have pages of many sizes.
    const colour = colours() === "sizes" ? "a0" : look[colours()];
    const mixed = (extent.is_mixed ? " mixed" : "") + (extent === pinnedExtent ? " pinned" : "");
    extent.rect = shape(svg, "rect", { class: `cell ${colour}${mixed}`, x, y, width: wide, height });
    extent.rect.extent = extent;
    if (extent.uses > 1) {
      shape(svg, "rect", { class: "again", x, y, width: wide, height: 4 });
    }
    extent.x = x;
    extent.wide = wide;
    const text = kind === "va" ? vaText : paText;
    write(svg, [`${text(extent.range[0])} · ${extent.used}`, extent.used], "", x, wide, y + height / 2 + 4);
    x += wide;
  }
  if (kind === "pa") {
    for (const [first, last] of data.table_memory) {
      const [left, right] = [onMap(extents, big(first)), onMap(extents, big(last))];
      if (left !== undefined && right !== undefined) {
        shape(svg, "rect", { class: "tick", x: left, y: y + height + 3, width: Math.max(2, right - left), height: 8 });
      }
    }
    shape(svg, "text", { class: "soft", x: 0, y: y + height + 21 }, data.table_memory.length > 0 ? "ticks: memory of tables" : "");
  } else {
    drawWindow();
  }
};
// Where an address is on a map.
const onMap = (extents, address) => {
  const extent = extents.find(({ range }) => address <= range[1]);
  if (!extent) {
    const last = extents.at(-1);
    return last && last.x + last.wide;
  }
  const [first, last] = extent.range;
  return address < first ? extent.x : extent.x + (extent.wide * Number(address - first)) / Number(last - first + 1n);
};
// What of VA space the tables show.
const drawWindow = () => {
  vaMap.querySelector(".edge")?.remove();
  const [first, last] = tableRange(inside);
  const [left, right] = [onMap(data.va, first), onMap(data.va, last)];
  if (left !== undefined && right !== undefined) {
    shape(vaMap, "path", { class: "edge", d: `M${left + 1},46v6H${Math.max(right - 1, left + 4)}v-6` });
  }
};
const drawPath = () => {
  const path = [];
  for (let table = inside; table; table = data.tables[table.above]) {
    path.unshift(table);
  }
  byId("path").replaceChildren(
    ...path.map((table) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = table.above === null ? "top" : `[${table.slot}] level ${table.level}`;
      button.title = `table at ${paText(table.pa)}, VA ${rangeText(tableRange(table), vaText)}`;
      if (table === inside) {
        button.setAttribute("aria-current", "location");
      }
      button.addEventListener("click", () => goInto(table));
      return button;
    }),
  );
};
const drawAll = () => {
  drawMap(vaMap, data.va, "va");
  drawMap(paMap, data.pa, "pa");
  drawTree();
};

// --- moving ---

const show = (x, width) => {
  const shown = Math.min(1, Math.max(width, 1e-12));
  view = { x: Math.min(Math.max(0, x), 1 - shown), width: shown };
  // The lowest table that holds all that is shown.
  let table = data.tables[0];
  for (let next = table; next; ) {
    table = next;
    const cell = table.cells.find((cell) => cell.k === "table" && cell.x <= view.x + 1e-9 * view.width && cell.x + cell.width >= view.x + view.width * (1 - 1e-9));
    next = cell && data.tables[cell.to];
  }
  inside = table;
  drawTree();
  drawWindow();
};
const goInto = (table) => {
  view = { x: table.x, width: table.span };
  inside = table;
  drawTree();
  drawWindow();
};
const goUp = () => goInto(view.width > inside.span * 1.0001 || inside.above === null ? data.tables[0] : view.width < inside.span * 0.9999 ? inside : data.tables[inside.above]);
const zoom = (factor, centre = 0.5) => show(view.x + view.width * centre * (1 - factor), view.width * factor);
const reveal = (cell) => {
  goInto(cell.k === "table" ? data.tables[cell.to] : cell.table);
  pin(cell);
};
const goTo = (va) => {
  const cell = pathTo(va).at(-1);
  if (cell) {
    reveal(cell);
  }
  return cell;
};
