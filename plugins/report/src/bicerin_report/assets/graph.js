// The net as a graph: layers that work in place stand on the layer whose blob they change. Laid out by dagre, or in rows
// where a net has so many layers that dagre takes long or comes to no end.

const NODE = { head: 40, row: 20, least: 128, most: 236, gap: 26, rank: 30, chip: 24, far: 3, many: 1000 };
const measure = document.createElement("canvas").getContext("2d");

function textWidth(text, font) {
  measure.font = font;
  return measure.measureText(text).width;
}

function cut(text, width, font) {
  if (textWidth(text, font) <= width) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(text.slice(0, middle) + "…", font) <= width) low = middle; else high = middle - 1;
  }
  return text.slice(0, low) + "…";
}

const NAME_FONT = "600 13px system-ui, sans-serif";
const EDGE_FONT = "10.5px system-ui, sans-serif";
const SMALL_FONT = "11.5px system-ui, sans-serif";

/** Nodes with their layers, and edges with the blobs that they stand for. */
function graphOf(net) {
  const nodes = [], edges = [], makers = new Map();
  net.layers.forEach((layer, index) => {
    const inPlace = layer.bottom.length === 1 && layer.top.length === 1 && layer.bottom[0] === layer.top[0];
    if (inPlace && makers.has(layer.bottom[0])) {
      const node = nodes[makers.get(layer.bottom[0])];
      if (node.layers.length) { node.layers.push(index); return; }
    }
    const id = nodes.length;
    nodes.push({ id, layers: [index] });
    layer.bottom.forEach((name, place) => {
      if (!makers.has(name)) {
        makers.set(name, nodes.length);
        nodes.push({ id: nodes.length, layers: [], blob: name });
      }
      const sizes = layer.bottom_shapes[place];
      edges.push({ from: makers.get(name), to: id, blob: name, text: sizes === null ? "?" : shape(sizes) });
    });
    for (const name of layer.top) makers.set(name, id);
  });
  shorten(nodes, edges);
  for (const node of nodes) {
    const texts = !node.layers.length
      ? [[node.blob, node.source === undefined ? NAME_FONT : SMALL_FONT]]
      : node.layers.flatMap((index, place) => place
        ? [[`${net.layers[index].type}  ${net.layers[index].name}`, SMALL_FONT]]
        : [[net.layers[index].name, NAME_FONT], [net.layers[index].type, SMALL_FONT]]);
    const widest = Math.max(...texts.map(([text, font]) => textWidth(text, font)));
    node.width = Math.min(NODE.most, Math.max(node.source === undefined ? NODE.least : 0, widest + 30));
    node.height = node.source === undefined ? NODE.head + NODE.row * Math.max(0, node.layers.length - 1) : NODE.chip;
  }
  return { nodes, edges };
}

/** Lines from data to far below, such as labels to losses, become chips with the blob's name at those who read it. */
function shorten(nodes, edges) {
  const ranks = new Array(nodes.length).fill(0), read = new Set(edges.map((edge) => edge.to));
  // Edges stand in the order of their readers.
  for (const edge of edges) ranks[edge.to] = Math.max(ranks[edge.to], ranks[edge.from] + 1);
  const near = new Set(edges.filter((edge) => ranks[edge.to] - ranks[edge.from] <= NODE.far).map((edge) => edge.from));
  for (const edge of edges) {
    if (read.has(edge.from) || !near.has(edge.from) || ranks[edge.to] - ranks[edge.from] <= NODE.far) continue;
    nodes.push({ id: nodes.length, layers: [], blob: edge.blob, source: nodes[edge.from].layers[0] });
    edge.from = nodes.length - 1;
  }
}

function layOut(graph) {
  return graph.nodes.length > NODE.many ? layOutInRows(graph) : layOutByDagre(graph);
}

/** Each node below those that it reads, in the middle under them where there is room. */
function layOutInRows(graph) {
  const { nodes, edges } = graph, above = nodes.map(() => []), rows = [];
  const rank = new Array(nodes.length).fill(0);
  // Layers stand in their order, and chips and blobs that nobody makes after their readers: just above the first of them.
  for (const edge of edges) rank[edge.to] = Math.max(rank[edge.to], rank[edge.from] + 1);
  for (const edge of [...edges].reverse()) if (edge.from > edge.to) rank[edge.from] = rank[edge.to] - 1;
  for (const edge of edges) above[edge.to].push(nodes[edge.from]);
  nodes.forEach((node, id) => (rows[rank[id]] ??= []).push(node));
  let y = 16;
  for (const row of rows) {
    for (const node of row) {
      const known = above[node.id].filter((one) => one.x !== undefined);
      node.wanted = known.length ? known.reduce((sum, one) => sum + one.x, 0) / known.length : 0;
    }
    row.sort((one, two) => one.wanted - two.wanted || one.id - two.id);
    let right = -Infinity;
    for (const node of row) {
      node.x = Math.max(node.wanted, right + NODE.gap + node.width / 2);
      right = node.x + node.width / 2;
    }
    const shift = row.reduce((sum, node) => sum + node.wanted - node.x, 0) / row.length;
    const height = row.reduce((most, node) => Math.max(most, node.height), 0);
    for (const node of row) {
      node.x += shift;
      node.y = y + height / 2;
    }
    y += height + 2 * NODE.rank;
  }
  const left = nodes.reduce((least, node) => Math.min(least, node.x - node.width / 2), 0) - 16;
  for (const node of nodes) node.x -= left;
  for (const edge of edges) {
    const [from, to] = [nodes[edge.from], nodes[edge.to]];
    const ends = [{ x: from.x, y: from.y + from.height / 2 }, { x: to.x, y: to.y - to.height / 2 }];
    const middle = { x: (ends[0].x + ends[1].x) / 2, y: (ends[0].y + ends[1].y) / 2 };
    // A line over several rows goes past what stands in them.
    const far = rank[edge.to] - rank[edge.from] > 1;
    if (far) middle.x = Math.max(from.x, to.x) + NODE.most / 2;
    const beside = far ? ends.map((end) => ({ x: middle.x, y: end.y })) : [];
    Object.assign(edge, { points: [ends[0], ...beside, ends[1]], ...middle });
  }
  const width = nodes.reduce((most, node) => Math.max(most, node.x + node.width / 2), 0) + NODE.most / 2 + 16;
  return { width, height: y };
}

function layOutByDagre(graph) {
  const layout = new dagre.graphlib.Graph({ multigraph: true });
  layout.setGraph({ rankdir: "TB", nodesep: NODE.gap, ranksep: NODE.rank, marginx: 16, marginy: 16 });
  layout.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) layout.setNode(String(node.id), { width: node.width, height: node.height });
  graph.edges.forEach((edge, index) => {
    // Room for the shape that stands there.
    const label = { width: textWidth(edge.text, EDGE_FONT) + 8, height: 14, labelpos: "c" };
    layout.setEdge(String(edge.from), String(edge.to), label, String(index));
  });
  dagre.layout(layout);
  for (const node of graph.nodes) Object.assign(node, { x: layout.node(String(node.id)).x, y: layout.node(String(node.id)).y });
  graph.edges.forEach((edge, index) => {
    const { points, x, y } = layout.edge(String(edge.from), String(edge.to), String(index));
    Object.assign(edge, { points, x, y });
  });
  const { width, height } = layout.graph();
  return { width, height };
}

/** A smooth line through the middles of the stretches between points. */
function line(points) {
  const [first, ...rest] = points;
  let path = `M${first.x.toFixed(1)},${first.y.toFixed(1)}`;
  for (let i = 0; i < rest.length - 1; i += 1) {
    const [here, next] = [rest[i], rest[i + 1]];
    const middle = i === rest.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += `Q${here.x.toFixed(1)},${here.y.toFixed(1)} ${middle.x.toFixed(1)},${middle.y.toFixed(1)}`;
  }
  if (rest.length === 1) path += `L${rest[0].x.toFixed(1)},${rest[0].y.toFixed(1)}`;
  return path;
}

function mark(edge, name, on) {
  edge.line.classList.toggle(name, on);
  edge.label.classList.toggle(name, on);
}

class GraphView {
  /** @param chosen called with a layer's index in the net when it is chosen, or null */
  constructor(chosen) {
    this.chosen = chosen;
    this.scene = svg("g");
    this.canvas = svg("svg", { class: "graph", role: "group", "aria-label": "Graph of the net" },
      svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7,
        orient: "auto-start-reverse" }, svg("path", { d: "M0,0.8L7.5,4L0,7.2z", class: "arrow" }))), this.scene);
    this.map = el("canvas", { class: "map", "aria-hidden": "true" });
    const button = (text, label, action) =>
      el("button", { type: "button", title: label, "aria-label": label, onclick: action }, text);
    this.element = el("div", { class: "graph-box" }, this.canvas, this.map,
      el("div", { class: "zoom" },
        button("+", "Zoom in (+)", () => this.zoom(1.25)),
        button("−", "Zoom out (−)", () => this.zoom(0.8)),
        button("⤢", "Show all (0)", () => this.showAll())));
    this.view = { x: 0, y: 0, k: 1 };
    this.listen();
    new ResizeObserver(() => this.resized()).observe(this.canvas);
    onTheme(() => this.drawMap());
  }

  show(net) {
    this.net = net;
    this.graph = graphOf(net);
    const began = performance.now();
    this.size = layOut(this.graph);
    this.layoutMilliseconds = performance.now() - began;
    this.element.dataset.layoutMs = this.layoutMilliseconds.toFixed(0);
    this.nodeOf = new Map();
    this.graph.nodes.forEach((node) => node.layers.forEach((index) => this.nodeOf.set(index, node)));
    this.graph.edges.forEach((edge) => this.edge(edge));
    this.scene.replaceChildren(
      svg("g", {}, this.graph.edges.map((edge) => edge.line)),
      svg("g", {}, this.graph.edges.map((edge) => edge.label)),
      svg("g", { class: "nodes" }, this.graph.nodes.map((node) => this.node(node))));
    this.selected = null;
    this.started = false;
    this.resized();
  }

  edge(edge) {
    edge.line = svg("path", { class: "edge", d: line(edge.points), "marker-end": "url(#arrow)" }, svg("title", {}, edge.blob));
    edge.label = svg("text", { class: "edge", x: edge.x.toFixed(1), y: (edge.y + 3.5).toFixed(1), "text-anchor": "middle" },
      edge.text, svg("title", {}, edge.blob));
  }

  node(node) {
    const [left, top] = [node.x - node.width / 2, node.y - node.height / 2];
    if (!node.layers.length) {
      const chip = node.source !== undefined;
      node.element = svg("g", { class: chip ? "node chip" : "node missing", transform: `translate(${left},${top})`, "data-layer": node.source },
        svg("title", {}, chip ? `${node.blob}, of ${this.net.layers[node.source].name}` : `${node.blob}: no layer of this phase makes it`),
        svg("rect", { width: node.width, height: node.height, rx: chip ? 12 : 7 }),
        svg("text", { class: chip ? "type" : "name", x: node.width / 2, y: chip ? 16 : 25, "text-anchor": "middle" },
          cut(node.blob, node.width - 22, chip ? SMALL_FONT : NAME_FONT)));
      return node.element;
    }
    const first = this.net.layers[node.layers[0]];
    const wrong = node.layers.some((index) => this.net.layers[index].error);
    const rows = node.layers.slice(1).map((index, place) => {
      const layer = this.net.layers[index];
      const y = NODE.head + place * NODE.row;
      return svg("g", { class: "row", "data-layer": index },
        svg("rect", { class: "hit", x: 1, y, width: node.width - 2, height: NODE.row }),
        svg("line", { x1: 8, x2: node.width - 8, y1: y, y2: y }),
        svg("text", { x: 14, y: y + 14, class: "type" }, cut(`${layer.type}  ${layer.name}`, node.width - 24, SMALL_FONT)));
    });
    node.body = svg("rect", { class: `body ${kindClass(first)}`, width: node.width, height: node.height, rx: 7 });
    node.element = svg("g", {
      class: `node${wrong ? " wrong" : ""}`, transform: `translate(${left.toFixed(1)},${top.toFixed(1)})`, tabindex: -1,
      role: "button", "data-layer": node.layers[0],
      "aria-label": node.layers.map((index) => describe(this.net.layers[index])).join("; "),
    },
    svg("title", {}, node.layers.map((index) => describe(this.net.layers[index])).join("\n")),
    node.body,
    svg("path", { class: `band ${kindClass(first)}`, d: `M7,0H6A6,6 0 0 0 0,7V${node.height - 7}A6,6 0 0 0 6,${node.height}H7z` }),
    svg("text", { class: "name", x: 14, y: 17 }, cut(first.name, node.width - 24, NAME_FONT)),
    svg("text", { class: "type", x: 14, y: 32 }, cut(first.type, node.width - 24, SMALL_FONT)),
    rows);
    return node.element;
  }

  // Seeing

  listen() {
    const pointers = new Map();
    let moved = 0, pinch = 0;
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.canvas.getBoundingClientRect();
      if (event.ctrlKey || event.metaKey || !event.shiftKey)
        this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
      else this.pan(-event.deltaX - event.deltaY, 0);
    }, { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      moved = 0;
      pinch = 0;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
      pointers.set(event.pointerId, event);
      moved += Math.abs(dx) + Math.abs(dy);
      if (pointers.size === 1) {
        if (moved > 4) {
          if (!this.canvas.hasPointerCapture(event.pointerId)) this.canvas.setPointerCapture(event.pointerId);
          this.canvas.classList.add("dragged");
          this.pan(dx, dy);
        }
        return;
      }
      const [one, two] = [...pointers.values()];
      const distance = Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY);
      const box = this.canvas.getBoundingClientRect();
      if (pinch) this.zoom(distance / pinch, (one.clientX + two.clientX) / 2 - box.left, (one.clientY + two.clientY) / 2 - box.top);
      pinch = distance;
    });
    const end = (event) => {
      pointers.delete(event.pointerId);
      pinch = 0;
      this.canvas.classList.remove("dragged");
    };
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
    this.canvas.addEventListener("click", (event) => {
      if (moved > 4) return;
      const found = event.target.closest("[data-layer]");
      this.chosen(found ? Number(found.dataset.layer) : null, false);
    });
    this.canvas.addEventListener("focusin", (event) => {
      const node = this.graph.nodes.find((one) => one.element === event.target);
      if (node) this.reveal(node);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    const jump = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = this.map.getBoundingClientRect();
      const scale = this.mapScale();
      this.view.x = this.width() / 2 - ((event.clientX - box.left) / scale.x) * this.view.k;
      this.view.y = this.height() / 2 - ((event.clientY - box.top) / scale.y) * this.view.k;
      this.place();
    };
    this.map.addEventListener("pointerdown", (event) => { this.map.setPointerCapture(event.pointerId); jump(event); });
    this.map.addEventListener("pointermove", jump);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = { "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.showAll() };
    const now = this.graph.nodes.find((one) => one.element === document.activeElement);
    if (now) {
      const down = () => this.graph.edges.filter((edge) => edge.from === now.id).map((edge) => this.graph.nodes[edge.to]);
      const up = () => this.graph.edges.filter((edge) => edge.to === now.id).map((edge) => this.graph.nodes[edge.from])
        .map((one) => (one.source === undefined ? one : this.nodeOf.get(one.source)));
      const nearest = (nodes) => nodes.filter((one) => one.layers.length)
        .sort((one, two) => Math.abs(one.y - now.y) - Math.abs(two.y - now.y) || Math.abs(one.x - now.x) - Math.abs(two.x - now.x))[0];
      const beside = (sign) => this.graph.nodes
        .filter((one) => one.layers.length && Math.sign(one.x - now.x) === sign && Math.abs(one.y - now.y) < 60)
        .sort((one, two) => Math.abs(one.x - now.x) - Math.abs(two.x - now.x))[0];
      Object.assign(actions, {
        ArrowDown: () => this.focus(nearest(down())), ArrowUp: () => this.focus(nearest(up())),
        ArrowRight: () => this.focus(beside(1)), ArrowLeft: () => this.focus(beside(-1)),
        Enter: () => this.chosen(now.layers[0], true), " ": () => this.chosen(now.layers[0], true),
        Home: () => this.focus(this.graph.nodes.find((one) => one.layers.length)),
        End: () => this.focus(this.graph.nodes.filter((one) => one.layers.length).at(-1)),
      });
    }
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  focus(node) {
    if (!node) return;
    this.entry(node);
    node.element.focus({ preventScroll: true });
  }

  /** The one node that the key Tab reaches. */
  entry(node) {
    for (const one of this.graph.nodes) if (one.layers.length) one.element.setAttribute("tabindex", one === node ? 0 : -1);
  }

  width() { return this.canvas.clientWidth; }
  height() { return this.canvas.clientHeight; }

  resized() {
    if (!this.graph || !this.width()) return;
    if (!this.started) {
      this.started = true;
      this.start();
    } else this.place();
  }

  /** At first: all of it, or where that is too small to read, its beginning. */
  start() {
    const fits = Math.min(this.width() / this.size.width, this.height() / this.size.height);
    const beginning = Math.max(0.72, Math.min(1, (this.width() - 24) / this.size.width));
    this.view.k = fits >= 0.65 ? Math.min(1, fits) : beginning;
    const first = this.graph.nodes.find((node) => node.layers.length);
    this.view.x = this.size.width * this.view.k <= this.width()
      ? (this.width() - this.size.width * this.view.k) / 2
      : this.width() / 2 - (first ? first.x : 0) * this.view.k;
    this.view.y = 8;
    if (first) this.entry(first);
    this.place();
  }

  showAll() {
    this.view.k = Math.min(1, this.width() / this.size.width, this.height() / this.size.height);
    this.view.x = (this.width() - this.size.width * this.view.k) / 2;
    this.view.y = (this.height() - this.size.height * this.view.k) / 2;
    this.place();
  }

  zoom(factor, x = this.width() / 2, y = this.height() / 2) {
    const k = Math.min(3, Math.max(0.02, this.view.k * factor));
    this.view.x = x - ((x - this.view.x) * k) / this.view.k;
    this.view.y = y - ((y - this.view.y) * k) / this.view.k;
    this.view.k = k;
    this.place();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.place();
  }

  reveal(node) {
    const { k } = this.view;
    const [x, y] = [node.x * k + this.view.x, node.y * k + this.view.y];
    const inside = x > 60 && y > 30 && x < this.width() - 60 && y < this.height() - 40;
    if (inside && k >= 0.3) return;
    if (k < 0.5) this.view.k = 0.8;
    this.view.x = this.width() / 2 - node.x * this.view.k;
    this.view.y = this.height() / 2 - node.y * this.view.k;
    this.place();
  }

  place() {
    const { x, y, k } = this.view;
    this.scene.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${k.toFixed(4)})`);
    this.canvas.classList.toggle("far", k < 0.45);
    this.canvas.classList.toggle("distant", k < 0.2 && !this.heated);
    this.drawMap();
  }

  /** A long net gets a long map, which is wider than the net's own proportions. */
  mapScale() {
    const y = Math.min(110 / this.size.width, (this.height() - 24) / this.size.height);
    return { x: Math.min(110, Math.max(36, this.size.width * y)) / this.size.width, y };
  }

  drawMap() {
    if (!this.graph || !this.width()) return;
    const scale = this.mapScale(), ratio = devicePixelRatio;
    const [width, height] = [this.size.width * scale.x, this.size.height * scale.y];
    const all = this.size.width * this.view.k <= this.width() + 1 && this.size.height * this.view.k <= this.height() + 1;
    this.map.hidden = all || this.width() < 420;
    this.map.width = width * ratio;
    this.map.height = height * ratio;
    this.map.style.width = `${width}px`;
    this.map.style.height = `${height}px`;
    const context = this.map.getContext("2d");
    context.scale(ratio, ratio);
    for (const node of this.graph.nodes) {
      context.fillStyle = node.element.classList.contains("dim") ? color("line")
        : !node.layers.length ? color("edge") : color(kindClass(this.net.layers[node.layers[0]]));
      context.fillRect((node.x - node.width / 2) * scale.x, (node.y - node.height / 2) * scale.y,
        Math.max(2, node.width * scale.x), Math.max(1, node.height * scale.y));
    }
    context.strokeStyle = color("accent");
    context.lineWidth = 1.5;
    const { x, y, k } = this.view;
    const [left, top] = [Math.max(0.75, (-x / k) * scale.x), Math.max(0.75, (-y / k) * scale.y)];
    context.strokeRect(left, top, Math.min(width - 0.75 - left, (this.width() / k) * scale.x),
      Math.max(3, Math.min(height - 0.75 - top, (this.height() / k) * scale.y)));
  }

  // Marking

  select(index) {
    this.scene.querySelectorAll(".selected, .near").forEach((one) => one.classList.remove("selected", "near"));
    if (index === null) return;
    const node = this.nodeOf.get(index);
    node.element.classList.add("selected");
    node.element.querySelector(`.row[data-layer="${index}"]`)?.classList.add("selected");
    for (const edge of this.graph.edges)
      if (edge.from === node.id || edge.to === node.id) mark(edge, "near", true);
    this.entry(node);
    this.reveal(node);
  }

  /** @param matches a set of layers, or null for all */
  filter(matches) {
    for (const node of this.graph.nodes)
      node.element.classList.toggle("dim", matches !== null && !node.layers.some((index) => matches.has(index)));
    for (const edge of this.graph.edges) mark(edge, "dim", matches !== null);
    this.drawMap();
  }

  /** @param weight from a layer to its share of the largest, or null to fill all alike */
  heat(weight) {
    this.heated = weight !== null;
    this.place();
    for (const node of this.graph.nodes) {
      if (!node.layers.length) continue;
      const share = weight ? Math.max(0, ...node.layers.map((index) => weight(this.net.layers[index]))) : 0;
      node.body.style.setProperty("--amount", `${(100 * Math.sqrt(share)).toFixed(1)}%`);
    }
  }
}

// Kinds: layers are coloured by the package that brings them

const kinds = [...new Set((data.graph?.definitions ?? []).map((one) => one.provider?.distribution ?? ""))].sort();
const providerOf = (layer) => data.graph.definitions[layer.definition].provider;
const kindClass = (layer) => `kind-${kinds.indexOf(providerOf(layer)?.distribution ?? "") % 12}`;

function describe(layer) {
  const tops = layer.top.map((name, place) => `${name} ${layer.top_shapes[place] === null ? "?" : shape(layer.top_shapes[place])}`);
  const cost = layer.parameter_count ? `, ${short(layer.parameter_count)} parameters` : "";
  return `${layer.name}, ${layer.type} → ${tops.join(", ") || "nothing"}${cost}${layer.error ? ", an error" : ""}`;
}
