// --- events ---

tree.addEventListener("pointermove", hoverTree);
tree.addEventListener("pointerleave", unhighlight);
tree.addEventListener("click", (event) => {
  const cell = event.target.cell;
  if (cell) {
    unhighlight();
    if (cell.k === "table") {
      goInto(data.tables[cell.to]);
    }
    pin(cell);
  }
});
tree.addEventListener(
  "wheel",
  (event) => {
    // Two fingers on a touchpad are a wheel with Ctrl; the plain wheel scrolls the page.
    if (event.ctrlKey) {
      event.preventDefault();
      const box = tree.getBoundingClientRect();
      zoom(Math.exp(event.deltaY / 200), (event.clientX - box.left) / box.width);
    }
  },
  { passive: false },
);
tree.addEventListener("keydown", (event) => {
  const table = pinned?.table ?? inside;
  const at = pinned ? table.cells.indexOf(pinned) : -1;
  const choose = (n) => {
    const cell = table.cells[Math.min(Math.max(n, 0), table.cells.length - 1)];
    if (cell.x < view.x || cell.x + cell.width > view.x + view.width) {
      goInto(table);
    }
    pin(cell);
  };
  const act = {
    ArrowRight: () => choose(at + 1),
    ArrowLeft: () => choose(at - 1),
    Home: () => choose(0),
    End: () => choose(table.cells.length),
    ArrowDown: () => pinned?.k === "table" && pin(data.tables[pinned.to].cells[0]),
    ArrowUp: () => table.pointer && reveal(table.pointer),
    Enter: () => pinned && reveal(pinned),
    Escape: () => (pinned ? unpin() : goUp()),
    "+": () => zoom(0.5),
    "-": () => zoom(2),
  }[event.key];
  if (act && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    act();
  }
});
for (const [svg, kind] of [[vaMap, "va"], [paMap, "pa"]]) {
  svg.addEventListener("pointermove", (event) => hoverMap(event, kind));
  svg.addEventListener("pointerleave", unhighlight);
  svg.addEventListener("click", (event) => {
    const { extent } = event.target;
    if (extent) {
      unhighlight();
      pinExtent(extent, kind);
    }
  });
  svg.addEventListener("blur", unhighlight);
  svg.addEventListener("keydown", (event) => {
    const extents = data[kind];
    const at = extents.indexOf(pinnedExtent);
    const choose = (n) => {
      const extent = extents[Math.min(Math.max(n, 0), extents.length - 1)];
      if (extent) {
        unhighlight();
        pinExtent(extent, kind);
        light(extent, kind);
      }
    };
    // Its table; of physical memory the one that maps it first.
    const enter = () => {
      const [range] = kind === "va" ? [extents[at].range] : across("pa", "va", extents[at].range);
      if (range) {
        goTo(range[0]);
      }
    };
    const act = {
      ArrowRight: () => choose(at + 1),
      ArrowLeft: () => choose(at < 0 ? extents.length - 1 : at - 1),
      Home: () => choose(0),
      End: () => choose(extents.length - 1),
      Enter: () => at >= 0 && enter(),
      Escape: () => {
        unhighlight();
        unpin();
      },
    }[event.key];
    if (act && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      act();
    }
  });
}
byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = byId("address");
  const text = input.value.trim().replaceAll("_", "");
  const isNumber = /^(0x)?[0-9a-f]{1,16}$/i.test(text);
  const address = isNumber && big(/^0x/i.test(text) ? text : `0x${text}`);
  const found = isNumber && (byId("space").value === "VA" ? goTo(address) : goToPa(address));
  if (!found) {
    // What was pinned is of another address.
    unpin();
  }
  input.classList.toggle("wrong", !found);
  input.setAttribute("aria-invalid", String(!found));
  const elsewhere = byId("space").value === "VA" ? "is outside of what the tables decode" : "is no table, and nothing is mapped to it";
  input.setCustomValidity(found ? "" : isNumber ? `0x${address.toString(16)} ${elsewhere}.` : "Up to 16 hexadecimal digits, with 0x or without.");
  input.reportValidity();
});
// A browser does not send what it was told is invalid: until it is asked again.
byId("address").addEventListener("input", (event) => event.target.setCustomValidity(""));
byId("find").noValidate = true;
byId("colours").addEventListener("change", (event) => {
  document.body.dataset.colours = event.target.value;
  drawAll();
});
byId("out").addEventListener("click", goUp);
byId("all").addEventListener("click", () => goInto(data.tables[0]));
byId("plus").addEventListener("click", () => zoom(0.5));
byId("minus").addEventListener("click", () => zoom(2));
byId("findings")?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const number = Number(button?.dataset.finding);
  const finding = data.findings[number];
  if (!finding) {
    return;
  }
  // Of a table that several pointers lead to the one that the finding is about.
  const isThatPointer = (cell) => cell.k === "shared" && data.tables[cell.to].findings.includes(number) && overlaps(vaRange(cell), [[big(finding.va), big(finding.va)]]);
  const all = data.tables.flatMap((table) => table.cells);
  const cell = all.find((cell) => cell.findings?.includes(number)) ?? all.find(isThatPointer);
  const table = data.tables.find((table) => table.findings.includes(number));
  if (cell) {
    goInto(cell.table);
    pin(cell);
  } else if (table) {
    goInto(table);
    pin(table.pointer ?? table.cells[0]);
  } else {
    openDetails(finding.rule === "unreachable" ? `at ${paText(big(finding.at))}` : "Not in the drawing", [findingBox(number)]);
  }
  if (getComputedStyle(details).position !== "fixed") {
    tree.scrollIntoView({ block: "nearest" });
  }
});
addEventListener("resize", drawAll);
drawAll();
