// The page: its parts as tabs, light and dark, and where it is served, what comes anew.

const parts = [
  data.graph && ["net", netPart], data.runs.length && ["run", runsPart],
  data.weights && ["weights", weightsPart], data.images && ["images", imagesPart],
].filter(Boolean).map(([key, make]) => ({ key, ...make() }));

function setUpTabs() {
  const tabs = document.getElementById("tabs"), main = document.getElementById("main");
  if (data.notes.length) main.append(el("div", { class: "problems page-notes" }, data.notes.map((text) => el("p", { class: "note" }, text))));
  for (const part of parts) {
    part.tab = el("button", { type: "button", role: "tab", id: `tab-${part.key}`, "aria-controls": `part-${part.key}`, onclick: () => open(part) }, part.title);
    fill(part.element, { id: `part-${part.key}`, role: "tabpanel", "aria-labelledby": `tab-${part.key}` }, []);
    tabs.append(part.tab);
    main.append(part.element);
  }
  tabs.addEventListener("keydown", (event) => {
    const now = parts.findIndex((part) => part.tab === document.activeElement);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: parts.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const part = parts[(next + parts.length) % parts.length];
    open(part);
    part.tab.focus();
  });
  main.append(el("footer", {}, `Made by Bicerin ${data.version}, ${new Date(data.time * 1000).toLocaleString()}, of `,
    el("span", { class: "code" }, data.files.join(" "))));
  const [key, name] = location.hash.slice(1).split(":");
  const first = parts.find((part) => part.key === key) ?? parts[0];
  open(first, false);
  if (name && first.go) first.go(decodeURIComponent(name));
}

function open(part, remember = true) {
  for (const one of parts) {
    one.element.hidden = one !== part;
    one.tab.setAttribute("aria-selected", String(one === part));
    one.tab.tabIndex = one === part ? 0 : -1;
  }
  if (remember) history.replaceState(null, "", `#${part.key}`);
  part.shown();
}

function setUpTheme() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = "";
  const dark = () => (chosen ? chosen === "dark" : system.matches);
  const tell = () => {
    root.dataset.theme = dark() ? "dark" : "light";
    button.textContent = dark() ? "☀" : "☾";
    button.title = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
    themed.forEach((callback) => callback());
  };
  button.addEventListener("click", () => { chosen = dark() ? "light" : "dark"; tell(); });
  system.addEventListener("change", tell);
  tell();
}

/** Ask again and again for the runs, and whether the rest was made anew; what has not changed is not sent. */
function setUpLife() {
  if (!data.live) return;
  const runs = parts.find((part) => part.key === "run"), tags = {};
  async function news(name) {
    const headers = tags[name] ? { "If-None-Match": tags[name] } : {};
    const answer = await fetch(name, { headers, cache: "no-store" });
    if (answer.status !== 200) return undefined;
    tags[name] = answer.headers.get("ETag");
    return answer.json();
  }
  async function ask() {
    try {
      const made = await news("files.json");
      // The address says which part is open.
      if (made !== undefined && made !== data.made_of) location.reload();
      const latest = runs && await news("runs.json");
      if (latest) runs.update(latest);
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost");
    }
    setTimeout(ask, 2000);
  }
  ask();
}

setUpTabs();
setUpTheme();
setUpLife();
document.documentElement.dataset.ready = "yes";
