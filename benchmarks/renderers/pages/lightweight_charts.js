async function draw(spec, box) {
  const L = LightweightCharts, shown = spec.side === 'left' ? 'left' : 'right', write = ofSpec(spec)
  const scale = {visible: true, mode: spec.log ? 1 : 0, borderVisible: spec.frame, scaleMargins: spec.margins}
  const chart = L.createChart(box, {
    width: spec.box.width, height: spec.box.height,
    layout: {background: {type: 'solid', color: spec.bg}, textColor: spec.fg, fontSize: spec.fontSize, fontFamily: spec.font,
      attributionLogo: spec.frame},
    grid: {vertLines: {visible: !!spec.grid, color: spec.grid || '#fff'}, horzLines: {visible: !!spec.grid, color: spec.grid || '#fff'}},
    rightPriceScale: {...scale, visible: shown === 'right'}, leftPriceScale: {...scale, visible: shown === 'left'},
    crosshair: {mode: 0},
    timeScale: {timeVisible: spec.intraday, borderVisible: spec.frame, minBarSpacing: 0.1},
  })
  const kinds = {candle: L.CandlestickSeries, hollow: L.CandlestickSeries, ohlc: L.BarSeries, line: L.LineSeries, area: L.AreaSeries}
  const series = chart.addSeries(kinds[spec.kind], {
    priceScaleId: shown, lastValueVisible: spec.lastPrice, priceLineVisible: spec.lastPrice, color: spec.line, lineColor: spec.line,
    topColor: faint(spec.line, 0.5), bottomColor: faint(spec.line, 0.05), lineWidth: spec.lineWidth, upColor: fillOf(spec, true),
    downColor: spec.down, borderUpColor: spec.up, borderDownColor: spec.down, wickUpColor: spec.up, wickDownColor: spec.down,
    borderVisible: spec.kind === 'hollow' || spec.frame, thinBars: spec.frame, openVisible: true,
    priceFormat: {minMove: 10 ** -Math.max(spec.decimals, spec.format && spec.format.style === 'exponent' ? 8 : 0),
      ...(write ? {type: 'custom', formatter: write} : {type: 'price', precision: spec.decimals})},
  })
  if (['line', 'area'].includes(spec.kind)) series.setData(spec.bars.map(b => ({time: b[0] / 1000, value: b[4]})))
  else series.setData(spec.bars.map(b => ({time: b[0] / 1000, open: b[1], high: b[2], low: b[3], close: b[4]})))
  for (const {values, color, width} of spec.overlays) {
    const line = chart.addSeries(L.LineSeries, {color, lineWidth: width, priceScaleId: shown, priceLineVisible: false,
      lastValueVisible: spec.overlayTags, crosshairMarkerVisible: false, ...(write ? {priceFormat: {type: 'custom', formatter: write, minMove: 1e-8}} : {})})
    line.setData(spec.bars.map((b, i) => values[i] === null ? {time: b[0] / 1000} : {time: b[0] / 1000, value: values[i]}))
  }
  if (spec.volume !== 'none') {
    const pane = spec.volume === 'pane' ? 1 : 0
    const volumes = chart.addSeries(L.HistogramSeries, {priceFormat: {type: 'volume'}, priceScaleId: pane ? shown : 'volume',
      lastValueVisible: spec.overlayTags, priceLineVisible: false}, pane)
    if (!pane) volumes.priceScale().applyOptions({scaleMargins: {top: 0.8, bottom: 0}})
    volumes.setData(spec.bars.map(b => ({time: b[0] / 1000, value: b[5], color: faint(rises(b) ? spec.up : spec.down, pane ? 1 : 0.4)})))
    if (pane) chart.panes()[1].setHeight(Math.round(spec.box.height * 0.2))
  }
  if (spec.watermark) L.createTextWatermark(chart.panes()[0], {horzAlign: 'center', vertAlign: 'center',
    lines: [{text: spec.watermark, color: faint(spec.fg, 0.15), fontSize: 40}]})
  chart.timeScale().fitContent()
  await pause(150)
  if (spec.crosshair) chart.setCrosshairPosition(spec.crosshair.price, spec.bars[spec.crosshair.bar][0] / 1000, series)
  await pause(60)
  const at = box.getBoundingClientRect(), left = at.left + (shown === 'left' ? chart.priceScale('left').width() : 0)
  const height = chart.panes()[0].getHeight(), right = left + chart.timeScale().width()
  const below = chart.panes()[1]
  return {
    plot: {left, right, top: at.top, bottom: at.top + height}, side: shown,
    row: price => at.top + series.priceToCoordinate(price) + 0.5, // the library draws its lines from this coordinate downward
    column: i => left + chart.timeScale().logicalToCoordinate(i) + 0.5,
    volume: below ? {left, right, top: at.top + height + 1, bottom: at.top + height + 1 + below.getHeight()} : null,
    own: {watermark: true, lastPrice: true, crosshair: true},
  }
}
