// Elements, numbers as text, and colours: what every part of the page uses. Texts from files only ever become text
// nodes and attributes, never HTML.

const data = JSON.parse(document.getElementById("data").textContent);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A picture with pixels of its own, shown `scale` times as large. */
function picture(source, alt, attributes = {}) {
  return el("img", { src: source, alt, loading: "lazy", decoding: "async", ...attributes });
}

// Numbers

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const integer = (value) => (value === null || value === undefined ? "" : grouped.format(value));

/** 1234567 -> "1.23 M". */
function short(value) {
  if (value === null || value === undefined) return "";
  for (const [size, unit] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (Math.abs(value) >= size) return Number((value / size).toPrecision(3)) + unit;
  return String(value);
}

function bytes(value) {
  if (value === null || value === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value, unit = 0;
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

/** Four digits: 0.01234, 1.235e-7. */
function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
const shape = (sizes) => (sizes === null ? "?" : sizes.length ? sizes.join("×") : "scalar");
const milliseconds = (value) =>
  value === null || value === undefined ? "" : value >= 100 ? `${value.toFixed(0)} ms` : `${value.toFixed(2)} ms`;

function duration(seconds) {
  if (!isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  const [days, hours, minutes, rest] =
    [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

// Colours, which the style sheet has for light and for dark

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const SERIES = 8;
const seriesColor = (index) => color(`series-${index % SERIES}`);

/** Calls what is registered when the colours change, by the button or by the system. */
const themed = new Set();
function onTheme(callback) { themed.add(callback); }

/** A group of buttons of which one is pressed. */
function choice(label, options, chosen, changed) {
  const group = el("div", { class: "choice", role: "radiogroup", "aria-label": label });
  const buttons = options.map(([value, text]) =>
    el("button", {
      type: "button", role: "radio", "aria-checked": String(value === chosen), tabindex: value === chosen ? 0 : -1,
      onclick: () => press(value),
    }, text));
  function press(value) {
    options.forEach(([one], index) => {
      buttons[index].setAttribute("aria-checked", String(one === value));
      buttons[index].tabIndex = one === value ? 0 : -1;
    });
    changed(value);
  }
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = buttons.indexOf(document.activeElement);
    const next = (now + step + options.length) % options.length;
    buttons[next].focus();
    press(options[next][0]);
  });
  group.append(...buttons);
  return group;
}

const card = (label, value, title) =>
  el("div", { class: "card", title }, el("div", { class: "value" }, value), el("div", { class: "label" }, label));
