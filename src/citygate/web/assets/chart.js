// Charts that answer to the mouse. The page brings each as a picture; this replaces it once the library is here.

const dark = matchMedia("(prefers-color-scheme: dark)");
let library = null;

function load() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "/assets/vega.js";
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  return library;
}

function hint() {
  let box = document.getElementById("hint");
  if (!box) {
    box = document.createElement("div");
    box.id = "hint";
    box.className = "hint";
    box.setAttribute("role", "status");
    document.body.append(box);
  }
  return (_, event, __, value) => {
    box.hidden = value === null || value === "" || value === undefined;
    if (box.hidden) return;
    box.textContent = Object.entries(value).map(([name, said]) => `${name}: ${said}`).join("\n");
    box.style.left = `${Math.min(event.clientX + 12, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${Math.min(event.clientY + 12, innerHeight - box.offsetHeight - 8)}px`;
  };
}

async function draw(place) {
  const address = `${place.dataset.chart}&theme=${dark.matches ? "dark" : "light"}`;
  const [answer] = await Promise.all([fetch(address), load()]);
  if (!answer.ok) return;
  const spec = await answer.json();
  spec.width = "container";
  spec.autosize = { type: "fit-x", contains: "padding" };
  const fresh = document.createElement("div");
  fresh.className = "plot";
  place.append(fresh);
  // The interpreter keeps the page free of eval, as its content policy demands.
  const { view } = await window.vegaEmbed(fresh, spec, { actions: false, ast: true, renderer: "canvas", defaultStyle: false, tooltip: hint() });
  place.view?.finalize();
  place.view = view;
  for (const old of [...place.children]) if (old !== fresh) old.remove();
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    draw(entry.target).catch((error) => console.warn("the chart stays a picture:", error));
  }
}, { rootMargin: "200px" });
const charts = [...document.querySelectorAll("[data-chart]")];
charts.forEach((place) => seen.observe(place));
dark.addEventListener("change", () => charts.forEach((place) => draw(place)));
