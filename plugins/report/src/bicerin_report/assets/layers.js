// The layers as a table, and all about one of them.

const COSTS = {
  parameter_count: ["Parameters", (layer) => layer.parameter_count, short],
  multiply_adds: ["Multiply-adds", (layer) => layer.multiply_adds, short],
  memory: ["Memory", (layer) => layer.memory, bytes],
  time: ["Time", (layer) => (layer.forward_ms === null ? null : layer.forward_ms + (layer.backward_ms ?? 0)), milliseconds],
};

class LayerTable {
  constructor(chosen) {
    this.chosen = chosen;
    this.order = { key: null, down: true };
    this.element = el("div", { class: "table-box" });
    this.matches = null;
  }

  show(net) {
    this.net = net;
    this.costs = Object.entries(COSTS).filter(([key]) => key !== "time" || net.times);
    this.draw();
  }

  draw() {
    const { net } = this;
    const columns = [["name", "Layer"], ["type", "Type"], ["top", "Output"], ...this.costs.map(([key, [title]]) => [key, title])];
    const most = Object.fromEntries(this.costs.map(([key, [, value]]) => [key, Math.max(1e-9, ...net.layers.map((l) => value(l) ?? 0))]));
    const rows = net.layers.map((layer, index) => ({ layer, index }));
    const { key, down } = this.order;
    if (key) {
      const value = (row) => (COSTS[key] ? COSTS[key][1](row.layer) ?? -1 : key === "top" ? row.layer.top.join() : row.layer[key]);
      rows.sort((one, two) => (value(one) < value(two) ? -1 : value(one) > value(two) ? 1 : 0) * (down ? -1 : 1));
    }
    const head = el("tr", {}, columns.map(([column, title]) =>
      el("th", { scope: "col", "aria-sort": column === key ? (down ? "descending" : "ascending") : "none", class: COSTS[column] ? "right" : "" },
        el("button", { type: "button", onclick: () => this.sort(column) }, title, column === key ? (down ? " ▼" : " ▲") : ""))));
    this.rows = new Map();
    const body = rows.map(({ layer, index }) => {
      const tops = layer.error ? "error" : layer.top_shapes.map(shape).join(", ");
      const row = el("tr", { class: layer.error ? "wrong" : "", hidden: this.matches !== null && !this.matches.has(index), onclick: () => this.chosen(index, false) },
        el("th", { scope: "row" },
          el("span", { class: `dot ${kindClass(layer)}` }),
          el("button", { type: "button", class: "link", onclick: (event) => { event.stopPropagation(); this.chosen(index, true); } }, layer.name || "(no name)")),
        el("td", {}, layer.type),
        el("td", { class: "shape" }, tops, layer.assumed ? el("small", {}, " assumed") : ""),
        this.costs.map(([column, [, value, text]]) => {
          const amount = value(layer);
          const cell = el("td", { class: "right bar" }, amount ? text(amount) : "");
          cell.style.setProperty("--share", `${((100 * (amount ?? 0)) / most[column]).toFixed(1)}%`);
          return cell;
        }));
      this.rows.set(index, row);
      return row;
    });
    this.element.replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
    this.select(this.selected ?? null);
  }

  sort(key) {
    const down = this.order.key === key ? !this.order.down : Boolean(COSTS[key]);
    this.order = { key, down };
    this.draw();
    this.element.querySelector(`th[aria-sort]:not([aria-sort=none]) button`)?.focus();
  }

  select(index) {
    this.selected = index;
    for (const [one, row] of this.rows ?? []) row.classList.toggle("selected", one === index);
  }

  filter(matches) {
    this.matches = matches;
    for (const [index, row] of this.rows) row.hidden = matches !== null && !matches.has(index);
  }
}

/** All about one layer. */
function layerDetails(net, index, go, close) {
  const layer = net.layers[index];
  const definition = data.graph.definitions[layer.definition];
  const item = (term, ...values) => values.length && values.some((one) => one !== "" && one !== null)
    ? [el("dt", {}, term), el("dd", {}, values)] : [];
  const blobs = (names, shapes) => names.map((name, place) =>
    el("div", { class: "blob" }, name, " ", el("span", { class: "shape" }, shapes[place] === null ? "?" : shape(shapes[place]))));
  const makers = neighbours(net, index);
  const links = (indices) => indices.map((one) =>
    el("button", { type: "button", class: "link", onclick: () => go(one) }, net.layers[one].name || "(no name)"));
  const { provider } = definition;
  return el("div", { class: "details" },
    el("div", { class: "details-head" },
      el("div", {}, el("h2", {}, layer.name || "(no name)"), el("div", { class: "muted" }, layer.type)),
      el("button", { type: "button", class: "close", title: "Close (Esc)", "aria-label": "Close", onclick: close }, "×")),
    layer.error ? el("p", { class: "problem" }, layer.error) : "",
    layer.note ? el("p", { class: "note" }, layer.note) : "",
    el("dl", {},
      item("Reads", ...blobs(layer.bottom, layer.bottom_shapes)),
      item("Makes", ...blobs(layer.top, layer.top_shapes), layer.assumed ? el("small", {}, "shapes assumed or given") : ""),
      item("Parameters", layer.parameters.length ? `${integer(layer.parameter_count)} in ${layer.parameters.map(shape).join(", ")}` : ""),
      item("Multiply-adds", layer.multiply_adds ? integer(layer.multiply_adds) : ""),
      item("Memory", layer.memory ? bytes(layer.memory) : ""),
      item("Time", layer.forward_ms === null ? "" : `${milliseconds(layer.forward_ms)} forward`,
        layer.backward_ms ? `, ${milliseconds(layer.backward_ms)} backward` : ""),
      item("Before", ...links(makers.before)),
      item("After", ...links(makers.after)),
      item("From", provider ? [provider.distribution, " ", provider.version, el("div", { class: "muted code" }, provider.code)] : "nobody brings this type"),
      item("File", el("span", { class: "code" }, definition.location))),
    el("pre", { class: "code", tabindex: 0, "aria-label": "prototxt" }, definition.text));
}

/** The layers that make what a layer reads, and those that read what it makes. */
function neighbours(net, index) {
  const before = new Set(), after = new Set(), makers = new Map();
  net.layers.forEach((layer, place) => {
    for (const name of layer.bottom) {
      const maker = makers.get(name);
      if (maker === undefined) continue;
      if (place === index) before.add(maker);
      if (maker === index) after.add(place);
    }
    for (const name of layer.top) makers.set(name, place);
  });
  return { before: [...before], after: [...after] };
}
