// A chart is a picture until a visitor points at it: then Plotly is loaded, once, and draws the same figure with zoom and hover.
(() => {
  const source = document.currentScript.dataset;
  let library;
  const load = () => library ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = new URL('plotly.min.js', document.baseURI.replace(/\/?(\?.*)?(#.*)?$/, '/'));
    script.onload = done;
    script.onerror = () => { library = undefined; failed(); };
    document.head.append(script);
  });
  const themed = text => {
    if (!document.body.classList.contains('dark')) return text;
    const colors = JSON.parse(source.colors);
    return text.replace(/#[0-9a-f]{6}/gi, color => colors[color.toLowerCase()] || color);
  };
  const draw = async chart => {
    chart.dataset.drawn = 'started';
    const picture = [...chart.querySelectorAll('.ta-wide, .ta-narrow')].find(one => one.offsetParent);
    const {clientHeight: height, clientWidth: width} = picture;
    const {data, layout} = JSON.parse(themed(chart.querySelector('.ta-figure').textContent));
    try { await load(); } catch { delete chart.dataset.drawn; return; }
    if (!chart.isConnected) return;
    const plot = document.createElement('div');
    plot.className = 'ta-plot';
    plot.style.height = `${Math.max(height, 260)}px`;
    picture.before(plot);
    if (width < 500) { // a finger scrolls the page
      layout.dragmode = false;
      layout.xaxis.nticks = 3;
    }
    await Plotly.newPlot(plot, data, layout, {responsive: true, displaylogo: false, scrollZoom: false,
      modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']});
    chart.dataset.drawn = 'done';
  };
  const start = event => {
    const chart = event.target.closest?.('.ta-chart');
    if (chart && !chart.dataset.drawn && chart.querySelector('.ta-figure')) draw(chart);
  };
  for (const kind of ['pointerover', 'pointerdown', 'focusin']) document.addEventListener(kind, start, {passive: true});
})();
