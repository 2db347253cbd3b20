async function draw(spec, box) {
  const chart = echarts.init(box, null, {renderer: spec.frame ? 'svg' : 'canvas', devicePixelRatio: spec.dpr})
  const pane = spec.volume === 'pane', write = ofSpec(spec), inner = spec.insets
  const volumeTop = spec.box.height - inner.bottom - Math.round(spec.box.height * 0.18)
  const grids = [{left: inner.left, right: inner.right, top: inner.top, bottom: pane ? spec.box.height - volumeTop + 16 : inner.bottom}]
  if (pane) grids.push({left: inner.left, right: inner.right, top: volumeTop, bottom: inner.bottom})
  const text = {color: spec.fg, fontSize: spec.fontSize, fontFamily: spec.font}
  const lines = {show: !!spec.grid, lineStyle: {color: spec.grid || '#fff', type: spec.frame ? 'solid' : 'dashed'}}
  const x = i => ({type: 'category', gridIndex: i, data: spec.bars.map(b => stamp(b[0], spec)), axisLabel: {...text, show: i === grids.length - 1},
    axisLine: {lineStyle: {color: spec.fg}}, splitLine: {...lines, show: lines.show && spec.frame}, boundaryGap: true})
  const y = side => ({type: spec.log ? 'log' : 'value', scale: true, position: side, axisLabel: {...text, ...(write ? {formatter: write} : {})},
    splitLine: lines, min: spec.axisLow, max: spec.axisHigh, axisLine: {show: spec.frame}, axisTick: {show: spec.frame}})
  const sides = spec.side === 'both' ? ['left', 'right'] : [spec.side]
  const yAxis = sides.map(y)
  if (pane) yAxis.push({gridIndex: 1, splitNumber: 2, axisLabel: {...text, show: spec.overlayTags}, position: spec.side === 'left' ? 'left' : 'right',
    splitLine: {show: false}})
  const mark = spec.lastPrice ? {markLine: {symbol: 'none', silent: true, animation: false, lineStyle: {color: spec.line, type: 'dashed'},
    data: [{yAxis: spec.bars.at(-1)[4], label: {position: sides[0] === 'left' ? 'start' : 'end', backgroundColor: spec.line, color: '#fff',
      padding: 3, fontSize: spec.fontSize, formatter: write ? p => write(p.value) : undefined}}]}} : {}
  const series = []
  if (['candle', 'hollow'].includes(spec.kind)) series.push({type: 'candlestick', name: spec.symbol, ...mark,
    data: spec.bars.map(b => [b[1], b[4], b[3], b[2]]),
    itemStyle: {color: fillOf(spec, true), color0: spec.down, borderColor: spec.up, borderColor0: spec.down}})
  else if (spec.kind === 'ohlc') series.push({type: 'custom', name: spec.symbol, ...mark, dimensions: ['x', 'open', 'high', 'low', 'close'],
    encode: {x: 0, y: [1, 2, 3, 4]}, data: spec.bars.map((b, i) => [i, b[1], b[2], b[3], b[4]]), renderItem(_, api) {
      const [open, high, low, close] = [1, 2, 3, 4].map(k => api.coord([api.value(0), api.value(k)]))
      const half = Math.max(api.size([1, 0])[0] * 0.35, 1)
      const style = {stroke: api.value(4) >= api.value(1) ? spec.up : spec.down, lineWidth: spec.lineWidth}
      const line = (x1, y1, x2, y2) => ({type: 'line', shape: {x1, y1, x2, y2}, style})
      return {type: 'group', children: [line(high[0], high[1], low[0], low[1]), line(open[0] - half, open[1], open[0], open[1]),
        line(close[0], close[1], close[0] + half, close[1])]}
    }})
  else series.push({type: 'line', name: spec.symbol, ...mark, data: spec.bars.map(b => b[4]), showSymbol: false,
    lineStyle: {color: spec.line, width: spec.lineWidth}, itemStyle: {color: spec.line},
    areaStyle: spec.kind === 'area' ? {color: spec.line, opacity: 0.3} : undefined})
  for (const {name, values, color, width} of spec.overlays)
    series.push({type: 'line', name, data: values, showSymbol: false, lineStyle: {color, width}, itemStyle: {color}})
  if (spec.volume !== 'none' && pane) series.push({type: 'bar', xAxisIndex: 1, yAxisIndex: sides.length,
    data: spec.bars.map(b => ({value: b[5], itemStyle: {color: rises(b) ? spec.up : spec.down}}))})
  chart.setOption({animation: false, backgroundColor: spec.bg, grid: grids, xAxis: grids.map((_, i) => x(i)), yAxis, series,
    title: spec.title ? {text: spec.title, left: spec.frame ? 'center' : 10, top: 4, textStyle: {...text, fontSize: spec.fontSize + 4}} : undefined,
    legend: spec.legend ? {top: 6, right: 10, textStyle: text, data: series.map(s => s.name).filter(Boolean)} : undefined,
    tooltip: spec.crosshair ? {trigger: 'axis', axisPointer: {type: 'cross'}, showContent: spec.frame} : undefined})
  await pause(100)
  if (spec.crosshair) chart.dispatchAction({type: 'showTip', x: chart.convertToPixel({xAxisIndex: 0}, spec.crosshair.bar),
    y: chart.convertToPixel({yAxisIndex: 0}, spec.crosshair.price)})
  await pause(100)
  const at = box.getBoundingClientRect()
  const place = i => chart.getModel().getComponent('grid', i).coordinateSystem.getRect()
  const rectangle = r => ({left: at.left + r.x, right: at.left + r.x + r.width, top: at.top + r.y, bottom: at.top + r.y + r.height})
  return {plot: rectangle(place(0)), row: price => at.top + chart.convertToPixel({yAxisIndex: 0}, price),
    column: i => at.left + chart.convertToPixel({xAxisIndex: 0}, i), volume: pane ? rectangle(place(1)) : null,
    own: {title: true, lastPrice: true, crosshair: true}}
}
