async function draw(spec, box) {
  const pane = spec.volume === 'pane', whole = spec.box.height - (spec.title ? 30 : 0) - (spec.legend ? 40 : 0), write = ofSpec(spec)
  const height = pane ? Math.round(whole * 0.78) : whole, bars = ['candle', 'hollow', 'ohlc'].includes(spec.kind)
  const side = spec.side === 'left' ? 3 : 1, byDate = spec.gaps, xs = spec.bars.map((b, i) => byDate ? b[0] / 1000 : i)
  const step = byDate ? Math.min(...xs.slice(1).map((x, i) => x - xs[i])) : 1, half = step * spec.bodyShare / 2
  const drawBars = u => {
    const c = u.ctx, put = (v, k) => u.valToPos(v, k, true)
    c.save()
    c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height)
    c.clip()
    c.lineWidth = Math.max(1, Math.round(spec.lineWidth * spec.dpr))
    spec.bars.forEach((b, i) => {
      const x = put(xs[i], 'x'), [open, high, low, close] = [1, 2, 3, 4].map(k => put(b[k], 'y')), wide = Math.max(put(xs[i] + half, 'x') - x, 0.5)
      const line = (x0, y0, x1, y1) => { c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke() }
      c.strokeStyle = rises(b) ? spec.up : spec.down
      c.fillStyle = fillOf(spec, rises(b))
      line(x, high, x, low)
      if (spec.kind === 'ohlc') { line(x - wide, open, x, open); line(x, close, x + wide, close) }
      else {
        c.fillRect(x - wide, Math.min(open, close), 2 * wide, Math.max(Math.abs(open - close), 1))
        c.strokeRect(x - wide, Math.min(open, close), 2 * wide, Math.max(Math.abs(open - close), 1))
      }
    })
    c.restore()
  }
  const font = `${spec.fontSize}px ${spec.font}`, grid = {show: !!spec.grid, stroke: spec.grid, width: 1}
  const xAxis = {stroke: spec.fg, font, grid, ticks: {...grid, show: spec.frame},
    ...(byDate ? {} : {values: (u, at) => at.map(i => Number.isInteger(i) && spec.bars[i] ? stamp(spec.bars[i][0], spec) : ''), space: 110})}
  const yAxis = {side, stroke: spec.fg, font, grid, ticks: {...grid, show: spec.frame}, size: 60 + spec.fontSize,
    ...(write ? {values: (u, at) => at.map(v => v === null ? '' : write(v))} : {})}
  const common = {width: spec.box.width, cursor: {show: false}, legend: {show: spec.legend, live: false}, tzDate: t => uPlot.tzDate(new Date(t * 1e3), 'UTC')}
  const padding = step * 0.8
  const scales = {x: {time: byDate, range: [xs[0] - padding, xs.at(-1) + padding]}}
  const chart = new uPlot({...common, height, title: spec.title || undefined, hooks: {draw: bars ? [drawBars] : []},
    scales: {...scales, y: {distr: spec.log ? 3 : 1, range: [spec.axisLow, spec.axisHigh]}},
    axes: [xAxis, yAxis, ...(spec.side === 'both' ? [{...yAxis, side: 3, grid: {show: false}}] : [])],
    series: [{}, {label: spec.symbol, stroke: bars ? 'transparent' : spec.line, width: spec.lineWidth, points: {show: false},
      fill: spec.kind === 'area' ? faint(spec.line, 0.3) : undefined},
      ...spec.overlays.map(o => ({label: o.name, stroke: o.color, width: o.width, points: {show: false}}))]},
    [xs, spec.bars.map(b => b[4]), ...spec.overlays.map(o => o.values)], box)
  let below = null
  if (pane) below = new uPlot({...common, legend: {show: false}, height: whole - height, scales: {...scales, y: {range: [0, Math.max(...spec.bars.map(b => b[5]))]}},
    axes: [{...xAxis, show: false}, {...yAxis, values: undefined, show: true, stroke: spec.overlayTags ? spec.fg : 'transparent'},
      ...(spec.side === 'both' ? [{...yAxis, side: 3, stroke: 'transparent'}] : [])],
    series: [{}, {stroke: spec.line, fill: faint(spec.line, 0.6), paths: uPlot.paths.bars({size: [spec.bodyShare]}), points: {show: false}}]},
    [xs, spec.bars.map(b => b[5])], box)
  await pause(150)
  const place = u => { const at = u.over.getBoundingClientRect(); return {left: at.left, right: at.right, top: at.top, bottom: at.bottom} }
  const at = place(chart)
  return {plot: at, row: price => at.top + chart.valToPos(price, 'y'), column: i => at.left + chart.valToPos(xs[i], 'x'),
    side: side === 3 ? 'left' : spec.side, volume: below && place(below), own: {title: true}}
}
