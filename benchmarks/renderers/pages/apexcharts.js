async function draw(spec, box) {
  const bars = ['candle', 'hollow', 'ohlc'].includes(spec.kind), write = ofSpec(spec), side = spec.side === 'left' ? 'left' : 'right'
  const pane = spec.volume === 'pane', high = pane ? Math.round(spec.box.height * 0.78) : spec.box.height
  const label = {colors: spec.fg, fontSize: spec.fontSize + 'px', fontFamily: spec.font}, xs = spec.bars.map((b, i) => spec.gaps ? b[0] : i)
  const common = {animations: {enabled: false}, toolbar: {show: spec.overlayTags}, zoom: {enabled: false}, background: spec.bg, foreColor: spec.fg,
    fontFamily: spec.font, width: spec.box.width}
  const xaxis = {type: spec.gaps ? 'datetime' : 'category', tickAmount: 8, labels: {style: label, rotate: 0, hideOverlappingLabels: true,
    ...(spec.gaps ? {} : {formatter: i => spec.bars[Math.round(i)] ? stamp(spec.bars[Math.round(i)][0], spec) : ''})}, axisBorder: {show: spec.frame}, tooltip: {enabled: false}}
  const main = bars
    ? {name: spec.symbol, type: 'candlestick', data: spec.bars.map((b, i) => ({x: xs[i], y: b.slice(1, 5)}))}
    : {name: spec.symbol, type: spec.kind, data: spec.bars.map((b, i) => ({x: xs[i], y: b[4]}))}
  const lines = spec.overlays.map(o => ({name: o.name, type: 'line', data: o.values.map((v, i) => ({x: xs[i], y: v}))}))
  const upper = element(box, {}), grid = {show: !!spec.grid, borderColor: spec.grid || '#fff'}
  const chart = new ApexCharts(upper, {chart: {...common, type: main.type, height: high}, series: [main, ...lines], grid, theme: {mode: spec.dark ? 'dark' : 'light'},
    title: spec.title ? {text: spec.title, style: {color: spec.fg}} : {}, legend: {show: spec.legend}, dataLabels: {enabled: false}, markers: {size: 0},
    stroke: {width: [bars ? 1 : spec.lineWidth, ...spec.overlays.map(o => o.width)]}, colors: [spec.line, ...spec.overlays.map(o => o.color)],
    plotOptions: {candlestick: {colors: {upward: spec.up, downward: spec.down}, wick: {useFillColor: true}}}, tooltip: {enabled: false},
    yaxis: {opposite: side === 'right', logarithmic: spec.log, logBase: 10, min: spec.axisLow, max: spec.axisHigh, tickAmount: spec.frame ? 6 : undefined,
      forceNiceScale: !spec.frame && !spec.log, labels: {style: label, formatter: v => v === undefined || v === null ? '' : write ? write(v) : v.toFixed(spec.decimals)}}, xaxis})
  await chart.render()
  await pause(250)
  const w = chart.w.globals, at = upper.querySelector('.apexcharts-grid, .apexcharts-inner').getBoundingClientRect(), svg = upper.querySelector('svg').getBoundingClientRect()
  const top = svg.top + w.translateY, left = svg.left + w.translateX, scaled = p => spec.log ? Math.log10(p) : p
  const low = scaled(w.minYArr[0]), span = scaled(w.maxYArr[0]) - low
  const plot = {left, right: left + w.gridWidth, top, bottom: top + w.gridHeight}
  let below = null
  if (pane) {
    const lower = element(box, {})
    const volumes = new ApexCharts(lower, {chart: {...common, toolbar: {show: false}, type: 'bar', height: spec.box.height - high}, grid, dataLabels: {enabled: false},
      series: [{name: 'Volume', data: spec.bars.map((b, i) => ({x: xs[i], y: b[5]}))}], colors: [spec.line], xaxis: {...xaxis, labels: {show: false}}, legend: {show: false},
      yaxis: {opposite: side === 'right', tickAmount: 2, labels: {style: label, formatter: v => spec.overlayTags ? (v / 1e3).toFixed(0) + 'k' : ''}}, tooltip: {enabled: false}})
    await volumes.render()
    await pause(150)
    const at = lower.querySelector('svg').getBoundingClientRect(), {translateX, translateY, gridWidth, gridHeight} = volumes.w.globals
    below = {left: at.left + translateX, right: at.left + translateX + gridWidth, top: at.top + translateY, bottom: at.top + translateY + gridHeight}
  }
  const [first, last] = [w.minX, w.maxX]
  return {plot, side, volume: below, own: {title: true}, row: price => top + w.gridHeight * (1 - (scaled(price) - low) / span),
    column: i => left + w.gridWidth * (spec.gaps ? (xs[i] - first) / (last - first) : (i + 0.5) / xs.length)}
}
