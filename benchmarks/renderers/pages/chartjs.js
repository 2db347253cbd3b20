async function draw(spec, box) {
  const canvas = document.createElement('canvas'), pane = spec.volume === 'pane', write = ofSpec(spec)
  box.append(canvas)
  const side = spec.side === 'left' ? 'left' : 'right', font = {size: spec.fontSize, family: spec.font}
  const grid = {color: spec.grid || 'transparent', display: !!spec.grid}
  const bars = ['candle', 'hollow', 'ohlc'].includes(spec.kind), type = {candle: 'candlestick', hollow: 'candlestick', ohlc: 'ohlc'}[spec.kind]
  const colors = {up: fillOf(spec, true), down: spec.down, unchanged: spec.up}, edges = {up: spec.up, down: spec.down, unchanged: spec.up}
  const datasets = [bars
    ? {type, label: spec.symbol, yAxisID: 'y', data: spec.bars.map(b => ({x: b[0], o: b[1], h: b[2], l: b[3], c: b[4]})),
      backgroundColors: colors, borderColors: edges, lineWidth: spec.lineWidth}
    : {type: 'line', label: spec.symbol, yAxisID: 'y', data: spec.bars.map(b => ({x: b[0], y: b[4]})), borderColor: spec.line, pointRadius: 0,
      borderWidth: spec.lineWidth, fill: spec.kind === 'area' ? 'start' : false, backgroundColor: faint(spec.line, 0.3)}]
  for (const {name, values, color, width} of spec.overlays) datasets.push({type: 'line', label: name, yAxisID: 'y', borderColor: color,
    borderWidth: width, pointRadius: 0, data: spec.bars.map((b, i) => ({x: b[0], y: values[i]}))})
  if (pane) datasets.push({type: 'bar', label: 'Volume', yAxisID: 'v', data: spec.bars.map(b => ({x: b[0], y: b[5]})),
    backgroundColor: spec.bars.map(b => rises(b) ? spec.up : spec.down)})
  const ticks = {color: spec.fg, font}
  const chart = new Chart(canvas, {type: bars ? type : 'line', data: {datasets}, plugins: [{id: 'paper', beforeDraw: c => {
    c.ctx.fillStyle = spec.bg; c.ctx.fillRect(0, 0, c.width, c.height)}}],
    options: {animation: false, parsing: bars ? undefined : false, devicePixelRatio: spec.dpr, maintainAspectRatio: false, normalized: true,
      plugins: {legend: {display: spec.legend, labels: {color: spec.fg, font}}, tooltip: {enabled: false},
        title: {display: !!spec.title, text: spec.title, color: spec.fg, font: {...font, size: spec.fontSize + 4}}},
      scales: {x: {type: 'timeseries', offset: true, grid, ticks: {...ticks, maxRotation: 0, autoSkip: true}, adapters: {date: {zone: 'utc'}}},
        y: {type: spec.log ? 'logarithmic' : 'linear', position: side, stack: 's', stackWeight: 4, grid, min: spec.axisLow, max: spec.axisHigh,
          border: {display: spec.frame}, ticks: {...ticks, ...(write ? {callback: v => write(v)} : {})}},
        ...(pane ? {v: {type: 'linear', position: side, stack: 's', stackWeight: 1, grid: {display: false}, offset: true,
          ticks: {...ticks, display: spec.overlayTags, maxTicksLimit: 3}}} : {})}}})
  await pause(150)
  const at = canvas.getBoundingClientRect(), {x, y, v} = chart.scales
  const area = s => ({left: at.left + x.left, right: at.left + x.right, top: at.top + s.top, bottom: at.top + s.bottom})
  return {plot: area(y), row: price => at.top + y.getPixelForValue(price), side, volume: pane ? area(v) : null, own: {title: true},
    column: i => at.left + x.getPixelForValue(spec.bars[i][0])}
}
