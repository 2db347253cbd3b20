async function draw(spec, box) {
  const pane = spec.volume === 'pane', dates = spec.bars.map(b => stamp(b[0], spec)), byDate = spec.gaps
  const font = {color: spec.fg, size: spec.fontSize, family: spec.font}
  const formats = {comma: ',', currency: ',', plain: '', k: '~s', percent: '', exponent: '.2e'}
  const axis = {gridcolor: spec.grid || spec.bg, showgrid: !!spec.grid, zeroline: false, linecolor: spec.fg, showline: spec.frame, tickfont: font}
  const side = spec.side === 'left' ? 'left' : 'right', style = spec.format && spec.format.style
  const format = style in formats ? {tickformat: formats[style] + (['k', 'exponent'].includes(style) ? '' : `.${spec.format.decimals}f`)} : {}
  if (style === 'currency') format.tickprefix = spec.format.sign
  if (style === 'percent') format.ticksuffix = '%'
  const colors = {increasing: {line: {color: spec.up, width: spec.lineWidth}, fillcolor: fillOf(spec, true)},
    decreasing: {line: {color: spec.down, width: spec.lineWidth}, fillcolor: spec.down}}
  const prices = {open: spec.bars.map(b => b[1]), high: spec.bars.map(b => b[2]), low: spec.bars.map(b => b[3]), close: spec.bars.map(b => b[4])}
  const data = [['candle', 'hollow', 'ohlc'].includes(spec.kind)
    ? {type: spec.kind === 'ohlc' ? 'ohlc' : 'candlestick', x: dates, name: spec.symbol, ...prices, ...colors}
    : {type: 'scatter', mode: 'lines', x: dates, y: prices.close, name: spec.symbol, line: {color: spec.line, width: spec.lineWidth},
      fill: spec.kind === 'area' ? 'tozeroy' : 'none'}]
  for (const {name, values, color, width} of spec.overlays) data.push({type: 'scatter', mode: 'lines', x: dates, y: values, name, line: {color, width}})
  if (pane) data.push({type: 'bar', x: dates, y: spec.bars.map(b => b[5]), yaxis: 'y2', showlegend: false,
    marker: {color: spec.bars.map(b => rises(b) ? spec.up : spec.down)}})
  const scaled = [spec.axisLow, spec.axisHigh].map(p => spec.log ? Math.log10(p) : p)
  const shapes = [], annotations = [], value = p => spec.log ? Math.log10(p) : p, last = spec.bars.at(-1)[4]
  if (spec.lastPrice) {
    shapes.push({type: 'line', xref: 'paper', x0: 0, x1: 1, y0: last, y1: last, line: {color: spec.line, dash: 'dot', width: 1}})
    annotations.push({xref: 'paper', x: side === 'left' ? 0 : 1, xanchor: side === 'left' ? 'right' : 'left', y: value(last), showarrow: false,
      text: last.toFixed(spec.decimals), bgcolor: spec.line, font: {...font, color: '#fff'}})
  }
  if (spec.watermark) annotations.push({xref: 'paper', yref: 'paper', x: 0.5, y: 0.5, showarrow: false, text: spec.watermark, opacity: 0.15,
    font: {...font, size: 40}})
  await Plotly.newPlot(box, data, {
    width: spec.box.width, height: spec.box.height, paper_bgcolor: spec.bg, plot_bgcolor: spec.plotBg, font, showlegend: spec.legend,
    legend: spec.frame ? {orientation: 'h'} : {}, margin: {l: spec.insets.left, r: spec.insets.right, t: spec.insets.top, b: spec.insets.bottom},
    ...(spec.title ? {title: {text: spec.title, font: {...font, size: spec.fontSize + 5}}} : {}), shapes, annotations,
    xaxis: {...axis, type: byDate ? 'date' : 'category', rangeslider: {visible: false}, nticks: 8, anchor: pane ? 'y2' : 'y'},
    yaxis: {...axis, ...format, type: spec.log ? 'log' : 'linear', side, range: scaled, domain: pane ? [0.25, 1] : [0, 1]},
    ...(pane ? {yaxis2: {...axis, side, domain: [0, 0.2], showticklabels: spec.overlayTags, nticks: 3}} : {}),
  }, {displayModeBar: spec.overlayTags, staticPlot: false})
  await pause(150)
  const at = box.getBoundingClientRect(), {xaxis, yaxis, yaxis2} = box._fullLayout
  const left = at.left + xaxis._offset, right = left + xaxis._length
  const vertical = a => ({left, right, top: at.top + a._offset, bottom: at.top + a._offset + a._length})
  return {plot: vertical(yaxis), row: price => at.top + yaxis._offset + yaxis.d2p(price), column: i => left + xaxis.d2p(dates[i]),
    side, volume: pane ? vertical(yaxis2) : null, own: {title: true, lastPrice: true, watermark: true}}
}
