"use strict";
{
  const tip = document.getElementById("tip");
  // Hides what is shown; one plot at a time shows something.
  let hideShown = () => {};
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const bytes = (value) => {
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${Number.isInteger(value) ? value : value.toFixed(2)} ${units[unit]}`;
  };

  const row = (curve, value) => {
    const line = document.createElement("div");
    const name = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.className = curve.style;
    name.append(swatch, curve.name);
    line.append(name, bytes(value));
    return line;
  };

  for (const figure of document.querySelectorAll("figure")) {
    const curves = JSON.parse(figure.querySelector("script").textContent);
    const lines = JSON.parse(figure.closest("section").querySelector("script.lines").textContent);
    const svg = figure.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const last = lines.length - 1;
    let shown = -1;

    const hide = () => {
      if (shown < 0) {
        return;
      }
      shown = -1;
      tip.hidden = true;
      cursor.style.visibility = "hidden";
    };
    const show = (index) => {
      if (shown < 0) {
        hideShown();
        hideShown = hide;
      }
      shown = Math.min(Math.max(index, 0), last);
      const part = last > 0 ? shown / last : 0.5;
      const head = document.createElement("b");
      head.textContent = `up to line ${lines[shown].toLocaleString("en")}`;
      tip.replaceChildren(head, ...curves.map((curve) => row(curve, curve.values[shown])));
      tip.hidden = false;
      cursor.setAttribute("transform", `translate(${part * 600} 0)`);
      cursor.style.visibility = "visible";
      const box = svg.getBoundingClientRect();
      const x = box.left + part * box.width;
      const left = x + 12 + tip.offsetWidth > innerWidth ? x - 12 - tip.offsetWidth : x + 12;
      tip.style.left = `${Math.max(4, left)}px`;
      tip.style.top = `${Math.max(4, Math.min(box.top + 8, innerHeight - tip.offsetHeight - 4))}px`;
    };
    const point = (event) => {
      const box = svg.getBoundingClientRect();
      show(Math.round(((event.clientX - box.left) / box.width) * last));
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
      if (event.key in steps) {
        event.preventDefault();
        show(Math.max(shown, 0) + steps[event.key]);
      } else if (event.key === "Escape") {
        hide();
      }
    });
  }
}
