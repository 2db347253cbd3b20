// Charts that a reader can zoom: a picture until the button is pressed, which loads Plotly once a page and draws the chart in its place.
{
const folder = new URL(".", document.currentScript.src);
let library;

function plotly() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", folder);
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error(`${script.src} was not loaded`));
    document.head.append(script);
  });
  return library;
}

function inTheme(layout) {
  const style = getComputedStyle(document.body);
  const text = style.getPropertyValue("--pst-color-text-base"), line = style.getPropertyValue("--pst-color-border");
  const axes = ["xaxis", "yaxis", ...Object.keys(layout).filter((name) => /^[xy]axis\d+$/.test(name))];
  const changed = Object.fromEntries(axes.map((name) => [name, { ...layout[name], gridcolor: line, zerolinecolor: line }]));
  const margin = { t: 40, r: 20, b: 40, l: 60, ...layout.margin };
  return { ...layout, ...changed, margin, autosize: true, font: { ...layout.font, color: text }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
}

async function activate(figure, button) {
  button.disabled = true;
  button.textContent = "Loading…";
  try {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const Plotly = await plotly(), place = document.createElement("div");
    place.style.height = `${Math.max(320, figure.querySelector("img").clientHeight)}px`;
    figure.querySelector("img").replaceWith(place);
    await Plotly.newPlot(place, data, inTheme(layout), { responsive: true, displaylogo: false });
    button.remove();
    new MutationObserver(() => Plotly.relayout(place, inTheme(layout))).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  } catch (error) {
    button.textContent = "The interactive chart could not be loaded";
    console.error(error);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const figure of document.querySelectorAll(".zoomable")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Zoom and hover";
    button.addEventListener("click", () => activate(figure, button));
    figure.append(button);
  }
});
}
