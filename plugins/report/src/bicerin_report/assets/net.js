// The part "Net": totals, graph or table, and the layer that is chosen.

function netPart() {
  const { nets } = data.graph;
  let net = nets[0], selected = null, matches = null, heat = "none", mode = "graph";
  const graph = new GraphView(select);
  const table = new LayerTable(select);
  const cards = el("div", { class: "cards" });
  const legend = el("div", { class: "legend", "aria-label": "Packages that bring the layers" });
  const problems = el("div", { class: "problems" });
  const aside = el("aside", { class: "side", "aria-label": "The layer", hidden: true });
  const found = el("output", { class: "found", "aria-live": "polite" });
  const search = el("input", {
    type: "search", id: "search", placeholder: "Search layers ( / )", "aria-label": "Search layers, types and blobs",
    oninput: () => filter(), onkeydown: (event) => {
      if (event.key === "Enter" && matches?.size) { event.preventDefault(); step(event.shiftKey ? -1 : 1); }
      if (event.key === "Escape") { search.value = ""; filter(); }
    },
  });
  const heats = el("select", { "aria-label": "Colour by", onchange: () => { heat = heats.value; paint(); } });
  const stage = el("div", { class: "stage" }, graph.element, table.element);
  const element = el("section", { class: "part net" },
    cards,
    el("div", { class: "tools" },
      nets.length > 1 ? choice("Phase", nets.map((one, place) => [place, phaseName(nets, place)]), 0, (place) => show(nets[place])) : "",
      choice("View", [["graph", "Graph"], ["table", "Table"]], mode, (value) => { mode = value; arrange(); }),
      el("div", { class: "search" }, search, found),
      el("label", { class: "heats" }, "Colour ", heats)),
    problems,
    el("div", { class: "with-side" }, stage, aside),
    legend);

  function show(one) {
    net = one;
    selected = null;
    graph.show(net);
    table.show(net);
    table.select(null);
    const times = net.times;
    cards.replaceChildren(
      card("layers", integer(net.layers.length)),
      card("parameters", short(net.parameter_count), `${integer(net.parameter_count)}, ${bytes(4 * net.parameter_count)} in float32`),
      card("multiply-adds", short(net.multiply_adds), `${integer(net.multiply_adds)} in a forward pass`),
      card("memory of blobs", bytes(net.memory), "float32, without gradients"),
      times ? card("forward", milliseconds(times.forward_ms), `median of ${times.iterations} passes on ${times.device}`) : "",
      times && times.backward_ms ? card("backward", milliseconds(times.backward_ms)) : "",
      times?.images_per_second ? card("images/s", short(Math.round(times.images_per_second)), `${times.batch_size} in a pass`) : "");
    problems.replaceChildren(
      ...net.errors.map((text) => el("p", { class: "problem" }, text)),
      ...net.warnings.map((text) => el("p", { class: "note" }, text)));
    const options = [["none", "by package"], ...Object.entries(COSTS).filter(([key]) => key !== "time" || times)
      .map(([key, [title]]) => [key, `by ${title.toLowerCase()}`])];
    heats.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    heats.value = options.some(([value]) => value === heat) ? heat : "none";
    heat = heats.value;
    const used = new Set(net.layers.map((layer) => providerOf(layer)?.distribution ?? ""));
    legend.replaceChildren(...kinds.filter((kind) => used.has(kind)).map((kind) =>
      el("span", {}, el("span", { class: `dot kind-${kinds.indexOf(kind) % 12}` }), kind || "not installed")));
    paint();
    filter();
    arrange();
  }

  function arrange() {
    graph.element.hidden = mode !== "graph";
    table.element.hidden = mode !== "table";
    aside.hidden = selected === null;
    element.classList.toggle("chosen", selected !== null);
  }

  function paint() {
    if (heat === "none") { graph.heat(null); return; }
    const value = COSTS[heat][1];
    const most = Math.max(1e-9, ...net.layers.map((layer) => value(layer) ?? 0));
    graph.heat((layer) => (value(layer) ?? 0) / most);
  }

  function filter() {
    const words = search.value.trim().toLowerCase();
    matches = words === "" ? null : new Set(net.layers.flatMap((layer, index) =>
      [layer.name, layer.type, ...layer.top].some((text) => text.toLowerCase().includes(words)) ? [index] : []));
    graph.filter(matches);
    table.filter(matches);
    found.textContent = matches === null ? "" : `${matches.size} of ${net.layers.length}`;
  }

  function step(by) {
    const all = [...matches];
    const now = all.indexOf(selected);
    select(all[now < 0 ? (by > 0 ? 0 : all.length - 1) : (now + by + all.length) % all.length]);
  }

  function select(index, focus = false) {
    selected = index;
    graph.select(index);
    table.select(index);
    aside.replaceChildren();
    if (index !== null) {
      aside.append(layerDetails(net, index, (one) => select(one), () => close()));
      history.replaceState(null, "", `#net:${encodeURIComponent(net.layers[index].name)}`);
    }
    arrange();
    if (focus) aside.querySelector("button")?.focus();
  }

  function close() {
    const index = selected;
    select(null);
    if (index !== null && mode === "graph") graph.focus(graph.nodeOf.get(index));
  }

  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && selected !== null && event.target !== search) close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !element.hidden && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });
  show(net);
  return {
    element, title: "Net",
    shown: () => graph.resized(),
    go: (name) => { const index = net.layers.findIndex((layer) => layer.name === name); if (index >= 0) select(index); },
  };
}

/** The phase, and where several nets are tested, which. */
function phaseName(nets, place) {
  const { phase } = nets[place];
  const before = nets.slice(0, place).filter((one) => one.phase === phase).length;
  const several = nets.filter((one) => one.phase === phase).length > 1;
  return several ? `${phase} #${before}` : phase;
}
