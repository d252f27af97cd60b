// The town map: own GeoJSON only, no tiles from elsewhere. List, map and side panel stay in step.
import * as maplibre from "/assets/vendor/maplibre/maplibre-gl.mjs";

maplibre.setWorkerUrl("/assets/vendor/maplibre/maplibre-gl-worker.mjs");

const place = document.getElementById("map");
const legend = document.getElementById("legend");
const list = document.getElementById("case-list");
const chosen = document.getElementById("chosen");
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const SHAPES = { safety: "M8 1 15.5 15H.5z", urgent: "M8 .5 15.5 8 8 15.5.5 8z", watch: "M2 2h12v12H2z", info: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z" };
const RANK = ["safety", "urgent", "watch", "info"];

let town = { type: "FeatureCollection", features: [] };
const places = new Map();
const marks = new Map();
const layer = (name) => town.features.filter((feature) => feature.properties.layer === name);
const collection = (features) => ({ type: "FeatureCollection", features });
const checked = (kind) => [...legend.querySelectorAll(`[data-${kind}]`)].filter((box) => box.checked).map((box) => box.dataset[kind]);

function shownMeters() {
  const states = checked("state");
  const natures = checked("nature");
  return collection(layer("meter").filter(({ properties: it }) => states.includes(it.state) && natures.includes(it.nature)));
}

function style() {
  const ink = { paper: colour("paper"), soft: colour("soft"), edge: colour("edge"), line: colour("line"), ink: colour("ink"), measured: colour("measured"), estimated: colour("estimated"), urgent: colour("urgent"), card: colour("card"), onAccent: colour("on-accent") };
  const single = ["!", ["has", "point_count"]];
  return {
    version: 8,
    sources: {
      pipes: { type: "geojson", data: collection(layer("pipe")) },
      zones: { type: "geojson", data: collection(layer("zone")) },
      meters: { type: "geojson", data: shownMeters(), cluster: true, clusterRadius: 36, clusterMaxZoom: 15, clusterProperties: { late: ["+", ["case", ["==", ["get", "state"], "reporting"], 0, 1]] } },
    },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": ink.paper } },
      { id: "zone", type: "line", source: "zones", paint: { "line-color": ink.edge, "line-width": 1, "line-dasharray": [4, 3], "line-opacity": 0.7 } },
      { id: "pipe-service", type: "line", source: "pipes", filter: ["==", ["get", "kind"], "service"], minzoom: 14, paint: { "line-color": ink.edge, "line-width": ["interpolate", ["linear"], ["zoom"], 14, 0.4, 18, 1.5], "line-opacity": 0.7 } },
      { id: "pipe-main", type: "line", source: "pipes", filter: ["!=", ["get", "kind"], "service"], layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": ink.soft, "line-width": ["interpolate", ["linear"], ["zoom"], 12, ["max", 0.8, ["/", ["coalesce", ["get", "inner_diameter_mm"], 80], 70]], 17, ["max", 2, ["/", ["coalesce", ["get", "inner_diameter_mm"], 80], 18]]] } },
      { id: "cluster", type: "circle", source: "meters", filter: ["has", "point_count"], paint: { "circle-color": ink.measured, "circle-opacity": 0.85, "circle-stroke-color": ["case", [">", ["get", "late"], 0], ink.urgent, ink.card], "circle-stroke-width": 2, "circle-radius": ["step", ["get", "point_count"], 10, 10, 13, 50, 17, 200, 22] } },
      { id: "cluster-count", type: "symbol", source: "meters", filter: ["has", "point_count"], layout: { "text-field": ["to-string", ["get", "point_count_abbreviated"]], "text-font": ["sans-serif"], "text-size": 12, "text-allow-overlap": true }, paint: { "text-color": ink.onAccent } },
      { id: "meter", type: "circle", source: "meters", filter: single, paint: {
        "circle-radius": ["interpolate", ["linear"], ["zoom"], 13, ["case", ["==", ["get", "nature"], "measured"], 4, 2.5], 18, ["case", ["==", ["get", "nature"], "measured"], 10, 7]],
        "circle-color": ["match", ["get", "state"], "reporting", ink.measured, "late", ink.estimated, ink.card],
        "circle-stroke-color": ["case", ["==", ["get", "nature"], "measured"], ink.ink, ["==", ["get", "state"], "reporting"], ink.card, ["==", ["get", "state"], "late"], ink.urgent, ink.edge],
        "circle-stroke-width": ["case", ["==", ["get", "nature"], "measured"], 2.5, 1.5] } },
    ],
  };
}

function bounds() {
  const box = new maplibre.LngLatBounds();
  for (const feature of town.features) {
    const { type, coordinates } = feature.geometry;
    for (const point of type === "Point" ? [coordinates] : type === "LineString" ? coordinates : coordinates[0]) box.extend(point);
  }
  return box;
}

function fact(name, value) {
  const term = document.createElement("dt");
  const said = document.createElement("dd");
  term.textContent = name;
  said.textContent = value;
  return [term, said];
}

function choose(title, href, facts) {
  chosen.hidden = false;
  const head = document.createElement("h2");
  const anchor = document.createElement(href ? "a" : "span");
  if (href) anchor.href = href;
  anchor.textContent = title;
  head.append(anchor);
  const body = document.createElement("dl");
  body.className = "facts";
  body.append(...facts.flatMap(([name, value]) => fact(name, value)));
  chosen.replaceChildren(head, body);
}

async function chooseMeter(meter) {
  choose(meter, `/meters/${encodeURIComponent(meter)}`, [["", "asking …"]]);
  const answer = await fetch(`/v1/meters/${encodeURIComponent(meter)}`);
  if (!answer.ok) return choose(meter, "", [["Error", (await answer.json()).detail]]);
  const it = await answer.json();
  const time = it.newest.at ? it.newest.at.slice(0, 16).replace("T", " ") : "never";
  choose(meter, `/meters/${encodeURIComponent(meter)}`, [
    ["Nature", it.nature], ["State", it.state], ["Zone", it.zone], ["Customer", it.customer_type], ["Newest", time],
    ["Register", it.newest.index_l === null ? "–" : `${(it.newest.index_l / 1000).toLocaleString("en", { minimumFractionDigits: 3 })} m³`],
    ["Volume", `${(it.volume_l / 1000).toFixed(1)} m³ in 7 gas days`],
    ["Measured", `${(it.quality.measured_share * 100).toFixed(1)} % of the time`],
  ]);
}

function mark(it) {
  const button = document.createElement("button");
  button.className = `case-mark ${it.severity}`;
  button.title = `${it.severity}: ${it.title}, ${it.meter}`;
  button.setAttribute("aria-label", button.title);
  button.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${SHAPES[it.severity] ?? SHAPES.info}"/></svg>`;
  button.addEventListener("click", (event) => { event.stopPropagation(); chooseCase(it); });
  return new maplibre.Marker({ element: button }).setLngLat(places.get(it.meter));
}

function chooseCase(it) {
  for (const row of list.children) row.classList.toggle("here", row.dataset.case === String(it.id));
  list.querySelector(".here")?.scrollIntoView({ block: "nearest" });
  choose(it.title, `/cases/${encodeURIComponent(it.id)}`, [["Severity", it.severity], ["Meter", it.meter], ["Zone", it.zone], ["Since", String(it.opened_at).slice(0, 16).replace("T", " ")], ["Statistic", `${Number(it.statistic).toFixed(2)} ${it.unit}`], ["Threshold", `${Number(it.threshold).toFixed(2)} ${it.unit}`]]);
}

function listed(it, fresh) {
  let row = [...list.children].find((item) => item.dataset.case === it.id);
  if (it.state === "closed") row?.remove();
  else if (!row) {
    row = document.createElement("li");
    row.dataset.case = it.id;
    row.dataset.severity = it.severity;
    const anchor = document.createElement("a");
    anchor.className = "item";
    anchor.href = `/cases/${encodeURIComponent(it.id)}`;
    const severity = legend.querySelector(`[data-severity="${it.severity}"]`).parentElement.querySelector(".sev").cloneNode(true);
    const small = document.createElement("span");
    small.className = "soft small";
    small.textContent = `${it.meter} · zone ${it.zone} · since ${String(it.opened_at).slice(0, 16).replace("T", " ")}`;
    anchor.append(severity, ` ${it.title}`, document.createElement("br"), small);
    row.append(anchor);
    const after = [...list.children].find((other) => RANK.indexOf(other.dataset.severity) > RANK.indexOf(it.severity));
    list.insertBefore(row, after ?? null);
    if (fresh) row.classList.add("flash");
  }
  document.getElementById("no-cases").hidden = list.children.length > 0;
}

let began = performance.now();
function change(map, it) {
  listed(it, performance.now() - began > 3000);
  marks.get(it.id)?.remove();
  marks.delete(it.id);
  if (it.state === "closed" || !places.has(it.meter) || !checked("severity").includes(it.severity)) return;
  marks.set(it.id, mark(it).addTo(map));
}

function filter(map, cases) {
  for (const box of legend.querySelectorAll("[data-layer]")) map.setLayoutProperty(box.dataset.layer, "visibility", box.checked ? "visible" : "none");
  map.getSource("meters").setData(shownMeters());
  for (const it of cases.values()) change(map, it);
  const severities = checked("severity");
  for (const row of list.children) row.hidden = !severities.includes(row.dataset.severity);
}

function listen(map, cases) {
  const pointer = (on) => () => { map.getCanvas().style.cursor = on ? "pointer" : ""; };
  for (const name of ["meter", "cluster", "pipe-main"]) { map.on("mouseenter", name, pointer(true)); map.on("mouseleave", name, pointer(false)); }
  map.on("click", "meter", (event) => chooseMeter(event.features[0].properties.meter));
  map.on("click", "cluster", async (event) => {
    const [cluster] = event.features;
    const zoom = await map.getSource("meters").getClusterExpansionZoom(cluster.properties.cluster_id);
    map.easeTo({ center: cluster.geometry.coordinates, zoom: zoom + 0.3, animate: !still.matches });
  });
  map.on("click", "pipe-main", (event) => {
    if (map.queryRenderedFeatures(event.point, { layers: ["meter", "cluster"] }).length) return;
    const it = event.features[0].properties;
    choose(`Pipe ${it.pipe}`, "", [["Kind", it.kind], ["Inner diameter", `${it.inner_diameter_mm} mm`], ["Length", `${Number(it.length_m).toFixed(1)} m`], ["Zone", it.zone]]);
  });
  legend.addEventListener("change", () => filter(map, cases));
  list.addEventListener("mouseover", (event) => { const id = event.target.closest("li")?.dataset.case; for (const [key, it] of marks) it.getElement().classList.toggle("here", String(key) === id); });
  document.addEventListener("case", ({ detail }) => { cases.set(detail.id, detail); change(map, detail); });
  dark.addEventListener("change", () => map.setStyle(style()));
  setInterval(() => { if (!document.hidden) refresh(map, cases); }, 30_000);
}

function remember() {
  const zones = new Map();
  for (const { properties: it, geometry } of layer("meter")) {
    places.set(it.meter, geometry.coordinates);
    const sum = zones.get(it.zone) ?? [0, 0, 0];
    zones.set(it.zone, [sum[0] + geometry.coordinates[0], sum[1] + geometry.coordinates[1], sum[2] + 1]);
  }
  // A case of a whole zone stands in the middle of its meters.
  for (const [zone, [lon, lat, count]] of zones) places.set(`zone:${zone}`, [lon / count, lat / count]);
}

async function refresh(map, cases) {
  const answer = await fetch("/v1/map");
  if (!answer.ok) return;
  town = await answer.json();
  filter(map, cases);
}

async function begin() {
  const answer = await fetch(place.dataset.source);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  town = await answer.json();
  remember();
  if (!town.features.length) throw new Error("No meter or pipe has a place yet. Register meters with lon and lat, then open this page again.");
  legend.open = place.offsetWidth > 640;
  legend.hidden = false;
  const map = new maplibre.Map({ container: place, style: style(), bounds: bounds(), fitBoundsOptions: { padding: { top: 32, bottom: 32, right: 48, left: legend.open ? 220 : 32 } }, attributionControl: false, dragRotate: false, maxPitch: 0, maxZoom: 20 });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ unit: "metric" }), "bottom-right");
  const cases = new Map(layer("case").map(({ properties: it }) => [it.id, it]));
  map.once("load", () => { filter(map, cases); listen(map, cases); began = performance.now(); place.dataset.ready = "yes"; });
}

begin().catch((error) => {
  const box = document.createElement("div");
  box.className = "empty";
  const head = document.createElement("strong");
  head.textContent = "The map cannot be drawn";
  const why = document.createElement("p");
  why.textContent = error.message;
  box.append(head, why);
  place.replaceChildren(box);
});
