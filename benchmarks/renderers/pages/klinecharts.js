async function draw(spec, box) {
  const bars = spec.bars.map(b => ({timestamp: b[0], open: b[1], high: b[2], low: b[3], close: b[4], volume: b[5]}))
  const types = {candle: 'candle_solid', hollow: 'candle_up_stroke', ohlc: 'ohlc', line: 'area', area: 'area'}
  const text = {color: spec.fg, size: spec.fontSize, family: spec.font}, bar = {upColor: spec.up, downColor: spec.down, noChangeColor: spec.up}
  const axis = {axisLine: {show: spec.frame, color: spec.fg}, tickLine: {show: spec.frame, color: spec.fg}, tickText: text}
  const chart = klinecharts.init(box, {timezone: 'UTC', styles: {
    grid: {show: !!spec.grid, horizontal: {color: spec.grid || '#fff'}, vertical: {color: spec.grid || '#fff'}},
    candle: {type: types[spec.kind], bar: {...bar, upBorderColor: spec.up, downBorderColor: spec.down, noChangeBorderColor: spec.up,
      upWickColor: spec.up, downWickColor: spec.down, noChangeWickColor: spec.up},
      area: {lineColor: spec.line, lineSize: spec.lineWidth, value: 'close', point: {show: false}, backgroundColor: spec.kind === 'area' ? faint(spec.line, 0.25) : 'transparent'},
      priceMark: {show: spec.lastPrice || spec.overlayTags, high: {show: spec.overlayTags, color: spec.fg}, low: {show: spec.overlayTags, color: spec.fg},
        last: {show: spec.lastPrice, ...bar}},
      tooltip: {showRule: spec.legend ? 'always' : 'none'}},
    indicator: {tooltip: {showRule: spec.legend ? 'always' : 'none'}, lastValueMark: {show: false}, lines: spec.overlays.map(o => ({color: o.color, size: o.width}))},
    xAxis: axis, yAxis: axis, separator: {color: spec.grid || spec.fg}, crosshair: {show: false}}})
  const write = ofSpec(spec), side = spec.side === 'left' ? 'left' : 'right'
  if (write) klinecharts.registerYAxis({name: 'written', displayValueToText: write})
  chart.setSymbol({ticker: spec.symbol, pricePrecision: spec.decimals, volumePrecision: 0})
  chart.setPeriod({type: spec.intraday ? 'minute' : 'day', span: spec.intraday ? spec.minutes : 1})
  chart.setDataLoader({getBars: ({type, callback}) => callback(type === 'init' ? bars : [], false)})
  await pause(100)
  chart.overrideYAxis({paneId: 'candle_pane', name: spec.log ? 'logarithm' : write ? 'written' : 'normal', position: side})
  const averages = spec.bands ? {name: 'BOLL'} : {name: 'MA', calcParams: [7, 20]}
  if (spec.overlays.length) chart.createIndicator({...averages, paneId: 'candle_pane'}, true)
  if (spec.volume === 'pane') {
    chart.createIndicator({name: 'VOL', calcParams: [], paneId: 'volume_pane'})
    chart.setPaneOptions({id: 'volume_pane', height: Math.round(spec.box.height * 0.2)})
    chart.overrideYAxis({paneId: 'volume_pane', position: side})
  }
  await pause(100)
  const place = id => {
    const found = chart.getDom(id, 'main').getBoundingClientRect()
    return {left: found.left, right: found.right, top: found.top, bottom: found.bottom}
  }
  const fit = () => { const {left, right} = place('candle_pane'); chart.setBarSpace((right - left) / (bars.length + 4)); chart.setOffsetRightDistance(8) }
  fit()
  await pause(150)
  const plot = place('candle_pane')
  const at = point => chart.convertToPixel([point], {paneId: 'candle_pane'})[0]
  return {plot, row: price => plot.top + at({value: price}).y, column: i => plot.left + at({dataIndex: i}).x,
    side, volume: spec.volume === 'pane' ? place('volume_pane') : null,
    own: {lastPrice: true, texts: true}}
}
