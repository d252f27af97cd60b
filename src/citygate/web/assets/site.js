// What every page gains from a script: the search key, live figures, tables that sort and copy, arrow keys for the period.

const text = (value, as, zone) => {
  if (value === null || value === undefined) return as === "age" ? "never" : "–";
  if (as === "age") {
    if (value < 60) return `${Math.max(0, Math.floor(value))} s ago`;
    if (value < 7200) return `${Math.floor(value / 60)} min ago`;
    if (value < 259200) return `${Math.floor(value / 3600)} h ago`;
    return `${Math.floor(value / 86400)} days ago`;
  }
  if (as === "time") return String(value).slice(0, 16).replace("T", " ");
  if (as === "cases") return value === 0 ? "No open cases" : value === 1 ? "1 open case" : `${value.toLocaleString("en")} open cases`;
  return typeof value === "number" ? value.toLocaleString("en") : String(value);
};

function show(status) {
  for (const place of document.querySelectorAll("[data-live]")) {
    const value = place.dataset.live.split(".").reduce((found, name) => found?.[name], status);
    if (value !== undefined) {
      const told = text(value, place.dataset.as);
      if (place.textContent !== told) place.textContent = told;
    }
  }
}

let stream = null;
function connect() {
  if (stream || document.hidden) return;
  const lamp = document.getElementById("live");
  lamp.textContent = "connecting";
  stream = new EventSource("/v1/status/events");
  stream.addEventListener("open", () => { lamp.textContent = "live"; lamp.classList.add("on"); });
  stream.addEventListener("error", () => { lamp.textContent = "not connected, trying again"; lamp.classList.remove("on"); });
  stream.addEventListener("status", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("case", (event) => document.dispatchEvent(new CustomEvent("case", { detail: JSON.parse(event.data) })));
}
// A page that nobody sees holds no connection: browsers allow only six to one server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { stream?.close(); stream = null; } else connect();
});
window.addEventListener("pagehide", () => { stream?.close(); stream = null; });
connect();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.target.closest?.(".map, .table")) return;
  const act = { "/": () => document.getElementById("search")?.focus(), ArrowLeft: () => document.getElementById("earlier")?.click(), ArrowRight: () => document.getElementById("later")?.click() }[event.key];
  if (act) { act(); if (event.key === "/") event.preventDefault(); }
});

const plain = (cell) => cell.querySelector("svg.share") ? cell.querySelector("svg").getAttribute("aria-label") : cell.textContent.trim();
const order = (cell) => { const said = plain(cell); const value = Number(said.replace(/[,%\s]/g, "")); return said !== "" && !Number.isNaN(value) ? value : said; };

function sortBy(table, column, head) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [order(row.cells[column]), row]);
  rows.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))) * (up ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.data")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column, head));
    head.append(button);
  });
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy as TSV";
  copy.addEventListener("click", async () => {
    const rows = [...table.rows].map((row) => [...row.cells].map(plain).join("\t")).join("\n");
    await navigator.clipboard.writeText(rows);
    copy.textContent = "Copied";
  });
  let tools = table.closest(".table").nextElementSibling;
  if (!tools?.classList.contains("tools")) {
    tools = document.createElement("div");
    tools.className = "tools";
    table.closest(".table").after(tools);
  }
  tools.prepend(copy);
}
